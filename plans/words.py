"""A price in a few words, as the pure core writes it: for lists, pages and tables."""

from plans.rating.words import money, summary

__all__ = ["money", "summary"]
