"""Comparable jobs in columns: what they used of each cell, a number for each of them. Pure.

Jobs of one sample are priced and put in order many times, at other sizes and on other plans. What
does not hang on these is worked out once and remembered with the sample.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import count
from typing import NamedTuple

from plans.rating.money import ZERO, plus
from usage.job_quantities import Cell

KnownValues = frozenset[tuple[str, tuple[str | None, ...]]]
"""By meter the values of its dimensions that are known beforehand, None for those that are not."""

_REMEMBERED_MOST = 16
_numbers = count()


class PerInput(NamedTuple):
    """What a job used of a meter, by the values of its dimensions, for each unit of its input."""

    meter: str
    dimensions: tuple[str, ...]
    quantity: Decimal


class Columns(NamedTuple):
    """What each job used for a unit of its input: of each cell, and of each meter in rising order.

    A job that used nothing of it has zero there.
    """

    cells: dict[Cell, list[Decimal]]
    meters: dict[str, list[Decimal]]


class Sample:
    """Jobs that another one may turn out like. No other of the process has its ``number``."""

    def __init__(self, jobs: Sequence[Sequence[PerInput]]) -> None:
        self.number = next(_numbers)
        self._jobs = jobs
        self._columns: dict[KnownValues, Columns] = {}

    def __len__(self) -> int:
        """Return how many jobs there are."""
        return len(self._jobs)

    def columns(self, known: KnownValues) -> Columns:
        """Return what the jobs used, at values known beforehand in place of their own."""
        found = self._columns.get(known)
        if found is None:
            if len(self._columns) >= _REMEMBERED_MOST:
                self._columns.clear()
            found = self._columns[known] = _columns(self._jobs, dict(known))
        return found


def _at_values(dimensions: tuple[str, ...], known: tuple[str | None, ...]) -> tuple[str, ...]:
    """Return the values of dimensions with those that are known in their place."""
    return tuple(
        value if place >= len(known) or (said := known[place]) is None else str(said)
        for place, value in enumerate(dimensions)
    )


def _columns(
    jobs: Sequence[Sequence[PerInput]], known: Mapping[str, tuple[str | None, ...]]
) -> Columns:
    own: dict[Cell, list[Decimal]] = {}
    for place, job in enumerate(jobs):
        for meter, dimensions, quantity in job:
            column = own.setdefault((meter, dimensions), [ZERO] * len(jobs))
            column[place] = plus(column[place], quantity)
    cells: dict[Cell, list[Decimal]] = {}
    meters: dict[str, list[Decimal]] = {}
    for (meter, dimensions), column in own.items():
        cell = meter, _at_values(dimensions, known.get(meter, ()))
        cells[cell] = added(cells.get(cell), column)
        meters[meter] = added(meters.get(meter), column)
    return Columns(cells, {meter: sorted(column) for meter, column in meters.items()})


def added(column: list[Decimal] | None, more: list[Decimal]) -> list[Decimal]:
    """Return the sum of two columns, job by job."""
    return more if column is None else list(map(plus, column, more))
