"""What of a job is billed, and when its usage was. Pure: values in, values out."""

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

from plans.rating.job_terms import JobTerms
from plans.rating.money import minus, times
from plans.rating.prices import Attribution

_FINEST = 10**12


class Attempt(NamedTuple):
    """One try: its number, how it ended, and whose fault it was."""

    number: int
    state: str
    cause: str


class Span(NamedTuple):
    """Usage that lasted from ``start`` until ``end``; at one instant where they are equal."""

    start: datetime
    end: datetime


def billed_attempts(
    *, state: str, cause: str, attempts: Sequence[Attempt], terms: JobTerms
) -> frozenset[int]:
    """Return the numbers of the attempts whose usage is billed.

    Of a job that succeeded: the successful attempt, or all that the provider did not fail. Of one
    that failed by its input, was cancelled or fell silent: what it reported, where the terms say
    so, without what the provider failed. Of one that the provider failed: nothing.
    """
    theirs = {one.number for one in attempts if one.cause == "provider"}
    every = frozenset(one.number for one in attempts) - theirs
    if state == "succeeded":
        if terms.bill_attempts == "all":
            return every
        return frozenset(one.number for one in attempts if one.state == "succeeded")
    bills = {
        "failed": terms.bill_input_failures and cause == "input",
        "cancelled": terms.bill_cancelled,
        "expired": terms.bill_expired,
    }
    return every if bills.get(state, False) else frozenset()


def is_billed_itself(*, state: str, cause: str, terms: JobTerms) -> bool:
    """Tell whether the job itself counts as usage: if it succeeded, or failed by a billed input."""
    return state == "succeeded" or (
        state == "failed" and cause == "input" and terms.bill_input_failures
    )


def attributed(
    span: Span, *, attribution: Attribution, started_at: datetime, ended_at: datetime
) -> Span:
    """Return when usage falls: by its own time, or by when its job was completed or started."""
    at = {"completion": ended_at, "start": started_at}.get(attribution)
    return span if at is None else Span(at, at)


def cut(span: Span, *, bounds: Collection[datetime]) -> list[tuple[Span, Fraction]]:
    """Cut a span at the bounds that lie inside it; each part with its share of the time."""
    inside = sorted(bound for bound in bounds if span.start < bound < span.end)
    if not inside:
        return [(span, Fraction(1))]
    edges = [span.start, *inside, span.end]
    whole = _microseconds(span)
    return [
        (part, Fraction(_microseconds(part), whole))
        for part in (Span(*pair) for pair in pairwise(edges))
    ]


def shared_out(value: Any, *, shares: Sequence[Fraction]) -> list[Decimal]:
    """Split a quantity by shares that add up to one, to 12 decimals; the parts add up to it."""
    quantity = Decimal(str(value))
    parts: list[Decimal] = []
    left = quantity
    for share in shares[:-1]:
        part = times(Decimal(int(Fraction(quantity) * share * _FINEST)), Decimal(1).scaleb(-12))
        parts.append(part)
        left = minus(left, part)
    return [*parts, left]


def _microseconds(span: Span) -> int:
    lasted = span.end - span.start
    return (lasted.days * 86_400 + lasted.seconds) * 1_000_000 + lasted.microseconds
