"""Figures against the machine's own limits: `make bench`. The README here says how to read them."""
