"""A plan that moved its customer on in the middle of a period. Pure.

The period is charged the fee of the plan that it was moved to in full, and that of the plan before
is charged and given back in full, whatever part of the period was left when it happened: both hold
from where the first of them begins.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from msgspec.structs import replace

from billing.statements.values import Explanation, Line, Segment
from plans import rating

GIVEN_BACK: Final = "given back"


class Held(NamedTuple):
    """A segment, and the span that its fees are charged for.

    ``left`` is the segment that it took the place of by an upgrade.
    """

    segment: Segment
    fees_start: datetime
    fees_end: datetime
    left: Segment | None


def held(segments: Iterable[Segment]) -> Iterator[Held]:
    """Yield segments with the spans of their fees; only an upgrade makes these longer."""
    listed = list(segments)
    start = listed[0].start if listed else None
    for index, segment in enumerate(listed):
        before = listed[index - 1] if index else None
        upgraded = segment.upgraded_beyond is not None and before is not None
        if not upgraded or start is None:
            start = segment.start
        following = listed[index + 1] if index + 1 < len(listed) else None
        is_left = following is not None and following.upgraded_beyond is not None
        end = segment.whole_end if upgraded or is_left else segment.end
        yield Held(segment, start, end, before if upgraded else None)


def is_fee(line: Line) -> bool:
    """Say whether a line is a plan's fee: of no meter, and not given back."""
    return line.meter is None and line.line_key != GIVEN_BACK


def named_upgraded(line: Line, *, segment: Segment, left: Sequence[rating.Price]) -> Line:
    """Return a line of the plan that a customer was moved to; its fee says at which job, say."""
    assert segment.upgraded_beyond is not None, "only an upgrade is named"
    if not is_fee(line):
        return line
    unit = next((price.unit for price in left if price.overage.policy == "upgrade"), "")
    one = unit.removesuffix("s") or "unit"
    name = f"{line.description}, upgraded at {one} {segment.upgraded_beyond + 1:,f}"
    return replace(line, description=name)


def given_back(fee: Line, *, segment: Segment) -> Line:
    """Return the line that gives a fee of the segment back which its customer was moved on from."""
    return replace(
        fee,
        line_key=GIVEN_BACK,
        description=f"credit for {fee.description}",
        end=segment.whole_end,
        usage_quantity=Decimal(0),
        amount=-fee.amount,
        explanation=Explanation(phase=fee.explanation.phase, agreed=fee.explanation.agreed),
    )
