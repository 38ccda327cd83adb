"""Cut a subscription's part of a period where its version or its phase changes. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from plans import rating


class NoVersionInForce(rating.RatingError):
    """A subscription's plan has no published version for a part of the period."""

    code = "no_version_in_force"


class Stretch(NamedTuple):
    """A span in which one version prices a subscription."""

    version: int
    start: datetime
    end: datetime


class Piece(NamedTuple):
    """A span in which one version prices a subscription in one of its phases, named by its key."""

    version: int
    start: datetime
    end: datetime
    phase: str


def stretches(
    *,
    start: datetime,
    end: datetime,
    in_force: Iterable[Stretch],
    pins: Sequence[Stretch] = (),
) -> list[Stretch]:
    """Return which version prices a subscription when, throughout ``[start, end)``.

    ``in_force`` are the plan's versions and ``pins`` those that the subscription is kept on, each
    in the order of time and none overlapping another of its kind; what lies outside is left out.
    A pin wins, also beyond its version's end. Where both are one version there is no cut. Raises
    NoVersionInForce where neither says what holds.
    """
    found = list(in_force)
    if pins:
        found = _joined(_with_pins(found, pins, start=start, end=end))
    reached = start
    for stretch in found:
        if stretch.start != reached:
            raise _gap(reached)
        reached = stretch.end
    if reached != end:
        raise _gap(reached)
    return found


def _with_pins(
    in_force: Iterable[Stretch], pins: Sequence[Stretch], *, start: datetime, end: datetime
) -> list[Stretch]:
    kept = [
        Stretch(pin.version, max(pin.start, start), min(pin.end, end))
        for pin in pins
        if pin.start < end and pin.end > start
    ]
    found = list(kept)
    for stretch in in_force:
        since = stretch.start
        for pin in kept:
            if since < pin.start < stretch.end:
                found.append(stretch._replace(start=since, end=pin.start))
            if pin.start < stretch.end:
                since = max(since, pin.end)
        if since < stretch.end:
            found.append(stretch._replace(start=since))
    return sorted(found, key=lambda stretch: stretch.start)


def _joined(found: Iterable[Stretch]) -> list[Stretch]:
    joined: list[Stretch] = []
    for stretch in found:
        last = joined[-1] if joined else None
        if last is not None and (last.version, last.end) == (stretch.version, stretch.start):
            joined[-1] = last._replace(end=stretch.end)
        else:
            joined.append(stretch)
    return joined


def _gap(at: datetime) -> NoVersionInForce:
    return NoVersionInForce(
        f"No published version of the plan is in force at {at:%Y-%m-%d %H:%M} UTC. "
        "Publish one that covers that time, or end the subscription before it."
    )


def pieces(
    found: Iterable[Stretch],
    *,
    phases: Mapping[int, tuple[rating.Phase, ...]],
    phases_from: datetime,
    zone: str,
) -> Iterator[Piece]:
    """Yield the stretches cut where phases change; ``phases`` are those of versions that have any.

    Phases are counted from ``phases_from`` in local days and months of the zone.
    """
    for stretch in found:
        known = phases.get(stretch.version)
        if not known:
            yield Piece(*stretch, phase="")
            continue
        since = stretch.start
        for span in rating.phase_spans(known, start=phases_from, zone=zone):
            until = stretch.end if span.end is None else min(span.end, stretch.end)
            if since < until:
                yield Piece(stretch.version, since, until, span.phase.key)
                since = until
