"""What a period's draft says of spend so far. Pure: no database and no clock."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec

from billing.statements.credit_lines import CHARGE
from billing.statements.values import Draft, Facts, Line, Segment, canonical
from plans.rating.money import ZERO, plus, split, total

_segments_decoder = msgspec.json.Decoder(tuple[Segment, ...])


class Spent(NamedTuple):
    """A period so far: all its lines, those of metered usage, and the latter by workspace key.

    ``by_workspace`` adds up to ``usage_spent``; ``""`` is what belongs to no workspace. Money, in
    whole minor units of the customer's currency.
    """

    spent: Decimal
    usage_spent: Decimal
    by_workspace: dict[str, Decimal]


def spent_of(facts: Facts, draft: Draft) -> Spent:
    """Return what the statement would say if the period ended now, and whose usage it is.

    The amount of a line is split by the workspaces' quantities, by largest remainder.
    """
    lines = [line for line in draft.lines if line.kind == CHARGE and line.meter is not None]
    by_workspace: dict[str, Decimal] = {}
    for line in lines:
        for key, amount in _by_workspace(line, currency=facts.currency):
            by_workspace[key] = plus(by_workspace.get(key, ZERO), amount)
    return Spent(draft.total, total(line.amount for line in lines), by_workspace)


def _by_workspace(line: Line, *, currency: str) -> Iterable[tuple[str, Decimal]]:
    shares = [(key, share) for key, share in line.explanation.workspaces if share > 0]
    if not shares:
        return [("", line.amount)]
    parts = split(line.amount, weights=[share for _, share in shares], currency=currency)
    return [(key, part) for (key, _), part in zip(shares, parts, strict=True)]


def running_segments(facts: Facts, *, at: datetime) -> tuple[Segment, ...]:
    """Return the segments that hold the instant, one for each subscription that runs."""
    return tuple(segment for segment in facts.segments if segment.start <= at < segment.end)


def usage_text(segments: tuple[Segment, ...]) -> str:
    """Return the segments as canonical JSON, as ``Spend.usage`` keeps them."""
    return canonical(segments)


def segments_from(text: str) -> tuple[Segment, ...]:
    """Return what ``usage_text`` wrote; nothing from an empty text."""
    return _segments_decoder.decode(text) if text else ()
