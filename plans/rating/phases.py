"""Phases: which part of a subscription's life an instant lies in, and how prices stand in it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from plans.rating.money import HUNDRED, HUNDREDTH, minus, times
from plans.rating.periods import local_date, local_midnight, months_after
from plans.rating.prices import Phase, Price

WHOLE_LIFE: Final = Phase(key="", name="")


class PhaseSpan(NamedTuple):
    """A phase with the instants between which it holds, its end excluded; None is open."""

    phase: Phase
    start: datetime
    end: datetime | None


def in_phase(price: Price, phase: Phase) -> Price | None:
    """Return a price as it stands in a phase, or None where it does not hold there.

    What is left after the phase's discount is the same share of all: discounts multiply, 10% and
    then 50% off are 55% off, and minimum and maximum shrink by the phase's. A phase without a
    discount leaves the price as it is.
    """
    if price.phases and phase.key not in price.phases:
        return None
    if not phase.discount_percent:
        return price
    left = times(minus(HUNDRED, phase.discount_percent), HUNDREDTH)
    paid = times(minus(HUNDRED, price.discount_percent), left)
    return replace(
        price,
        discount_percent=minus(HUNDRED, paid),
        minimum=_times(price.minimum, left),
        maximum=_times(price.maximum, left),
    )


def _times(amount: Decimal | None, left: Decimal) -> Decimal | None:
    return None if amount is None else times(amount, left)


def phase_spans(phases: Sequence[Phase], *, start: datetime, zone: str) -> tuple[PhaseSpan, ...]:
    """Return each phase of a subscription's life with its span, one after the other.

    The first begins at the start, and the day that holds it is its first day; all others begin at
    midnight of the zone. Consecutive phases of months are counted from the day on which the first
    of them began, clamped to the month's end; phases of days add them. The last stays open, as does
    one that states no length. Without phases there is one, nameless, for the whole life.

    Raises NaiveDatetime, UnknownZone.
    """
    return tuple(_spans(phases or (WHOLE_LIFE,), start, zone))


def _spans(phases: Sequence[Phase], start: datetime, zone: str) -> Iterator[PhaseSpan]:
    anchor, months, since = local_date(start, zone=zone), 0, start
    for phase in phases[:-1]:
        if phase.months:
            months += phase.months
        elif phase.days:
            anchor, months = months_after(anchor, months) + timedelta(days=phase.days), 0
        else:
            break
        until = local_midnight(months_after(anchor, months), zone=zone)
        yield PhaseSpan(phase, since, until)
        since = until
    else:
        phase = phases[-1]
    yield PhaseSpan(phase, since, None)


def phase_at(phases: Sequence[Phase], *, start: datetime, zone: str, at: datetime) -> Phase:
    """Return the phase that holds at an instant; before the start that is the first one.

    Raises NaiveDatetime, UnknownZone.
    """
    spans = phase_spans(phases, start=start, zone=zone)
    for span in spans:
        if span.end is None or at < span.end:
            return span.phase
    raise AssertionError("the last phase is open")
