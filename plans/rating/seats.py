"""Seats: a fee for each seat, by the days of the period on which it is held."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Removed = Literal["period_end", "by_day"]


@dataclass(frozen=True, slots=True)
class Seats:
    """`unit_amount` for a seat and a whole period; one that is added later costs its days.

    A seat that is given up is paid to the period's end, or only by the day, as `removed` says.
    """

    unit_amount: Decimal
    removed: Removed = "period_end"
