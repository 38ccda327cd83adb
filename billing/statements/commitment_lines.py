"""What commitments do to the lines of a statement, and the lines of their own. Pure.

A charge that a commitment covers has the committed discount as far as there is room, line by line
in the order of the statement; it is rounded once, after that. Corrections of earlier periods come
next: a line that was billed under a commitment is rated again under it, and what it comes to more
counts now. Then each commitment has its own lines: a prepaid instalment, how much is used, and what
is due of a stretch that is over.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from itertools import accumulate
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import UNSET
from msgspec.structs import replace

from billing.statements.values import (
    Billed,
    Committed,
    Explanation,
    Facts,
    Line,
    Measured,
    Promise,
)
from plans import rating
from plans.rating.charge import flat_part
from plans.rating.commitments import (
    NOTHING,
    Split,
    beyond_percent,
    change_split,
    counted,
    covers,
    exact_charge,
    shortfall,
    split_charge,
)
from plans.rating.money import HUNDRED, minus, over, plus, times, total
from plans.rating.periods import months_after

COMMITMENT: Final = "commitment"
FEE: Final = "prepaid"
USED: Final = "used"
SHORTFALL: Final = "shortfall"

_ZERO: Final = Decimal(0)
_ONE: Final = Decimal(1)


class _Place(NamedTuple):
    """Where a charge counts: a commitment, and one of its stretches."""

    promise: Promise
    stretch: Measured

    @property
    def key(self) -> tuple[int, datetime]:
        """Return what the running sums are kept by."""
        return (self.promise.id, self.stretch.start)


class _Own(NamedTuple):
    """What a line of a commitment's own says: its key, its words, over which time."""

    key: str
    words: str
    start: datetime
    end: datetime


class Commitments:
    """The commitments of one statement while it is built: what is counted so far.

    Lines of which ``outside`` says so do not count: outcomes have caps and floors of their own.
    """

    def __init__(self, facts: Facts, *, outside: Callable[[Line], bool]) -> None:
        self._facts = facts
        self._outside = outside
        self._promises = () if facts.promises is UNSET else facts.promises
        self._counted = {
            (promise.id, each.start): each.counted
            for promise in self._promises
            for each in promise.stretches
        }
        self._here = dict.fromkeys(self._counted, _ZERO)
        self._before = {
            (each.origin, each.version, each.price_key, each.line_key, each.start): Split(
                each.within, each.beyond
            )
            for promise in self._promises
            for each in promise.before
        }

    def on_charges(self, lines: Iterable[Line]) -> Iterator[Line]:
        """Yield the charges of the period with the committed discount on those that are covered."""
        if not self._promises:
            yield from lines
            return
        for line in lines:
            place = self._place(line)
            yield self._charged(line, place, before=NOTHING) if place else line

    def again(self, line: Line, before: Billed | None, *, origin: int) -> Line:
        """Return a charge of an earlier period as it stands now; it says what counts in addition.

        One that was billed outside a commitment stays outside.
        """
        place = self._place(line) if self._promises else None
        if place is None:
            return line
        key = (origin, line.version, line.price_key, line.line_key, line.start)
        if before is not None and key not in self._before:
            return line
        return self._charged(line, place, before=self._before.get(key, NOTHING))

    def withdrawn(self, line: Line, *, origin: int) -> Line:
        """Return the line that takes a charge back with what it counted."""
        place = self._place(line) if self._promises else None
        key = (origin, line.version, line.price_key, line.line_key, line.start)
        if place is None or key not in self._before:
            return line
        return _noting(line, self._note(place, self._before[key], NOTHING))

    def lines(self) -> Iterator[Line]:
        """Yield the commitments' own lines, at the end of all that counts for them."""
        for promise in self._promises if self._facts.segments else ():
            yield from self._fees(promise)
            for stretch in promise.stretches:
                yield from self._used(_Place(promise, stretch))
                yield from self._due(_Place(promise, stretch))

    def _place(self, line: Line) -> _Place | None:
        if line.explanation.credit is not None or self._outside(line):
            return None
        for promise in self._promises:
            if covers(promise.terms, line.meter):
                for each in promise.stretches:
                    if each.start <= line.start < each.end:
                        return _Place(promise, each)
        return None

    def _charged(self, line: Line, place: _Place, *, before: Split) -> Line:
        terms, currency = place.promise.terms, self._facts.currency
        room = max(minus(place.stretch.amount, self._counted[place.key]), _ZERO)
        listed = _exact(line)
        if before is NOTHING:
            split = split_charge(terms, listed, room=room, currency=currency)
        else:
            split = change_split(terms, before, listed, room=room, currency=currency)
        note = self._note(place, before, split)
        exact = exact_charge(terms, split)
        changes = (*line.explanation.adjustments, *_discounts(place, split))
        explained = replace(line.explanation, adjustments=changes, commitment=note)
        amount = rating.round_money(exact, currency=currency)
        return replace(line, amount=amount, explanation=explained)

    def _note(self, place: _Place, before: Split, after: Split) -> Committed:
        """Count what a charge uses up now beside before, and say so."""
        terms, currency = place.promise.terms, self._facts.currency
        counts = minus(
            counted(terms, after, currency=currency), counted(terms, before, currency=currency)
        )
        self._counted[place.key] = plus(self._counted[place.key], counts)
        self._here[place.key] = plus(self._here[place.key], counts)
        return Committed(
            commitment=place.promise.id,
            stretch=place.stretch.start,
            within=minus(after.within, before.within),
            beyond=minus(after.beyond, before.beyond),
            counted=counts,
        )

    def _fees(self, promise: Promise) -> Iterator[Line]:
        instalments = promise.terms.instalments
        starts = [0, *accumulate(each.months for each in instalments)]
        anchor, zone = promise.terms.start, self._facts.zone
        for number in promise.fees:
            start, end = (
                rating.local_midnight(months_after(anchor, starts[index]), zone=zone)
                for index in (number - 1, number)
            )
            each = instalments[number - 1]
            of = f", {number} of {len(instalments)}" if len(instalments) > 1 else ""
            label = f"{promise.terms.name}: prepaid commitment{of}"
            note = Committed(commitment=promise.id, stretch=start, fee=number)
            own = _Own(f"{FEE}-{number}", label, start, end)
            yield self._line(promise, own, each.amount, note)

    def _used(self, place: _Place) -> Iterator[Line]:
        """Yield how much of a stretch that is under way, or is corrected, is used."""
        stretch, here = place.stretch, self._here[place.key]
        if not here and not (stretch.start < self._facts.end and self._facts.start < stretch.end):
            return
        used, amount = self._counted[place.key], stretch.amount
        currency = self._facts.currency
        note = Committed(
            commitment=place.promise.id, stretch=stretch.start, used=used, amount=amount
        )
        words = (
            f"{place.promise.terms.name}: {_written(used, currency)} of "
            f"{_written(amount, currency)} used, {self._gone(stretch)} of {stretch.months} months"
        )
        key = f"{USED}-{rating.local_date(stretch.start, zone=self._facts.zone)}"
        own = _Own(key, words, stretch.start, stretch.end)
        line = self._line(place.promise, own, _ZERO, note)
        yield replace(line, unit=currency, quantity=here)

    def _gone(self, stretch: Measured) -> int:
        """Return how many months of a stretch have begun by the end of the statement."""
        zone = ZoneInfo(self._facts.zone)
        start = stretch.start.astimezone(zone).date()
        end = min(self._facts.end, stretch.end).astimezone(zone).date()
        months = (end.year - start.year) * 12 + end.month - start.month
        if months_after(start, months) < end:
            months += 1
        return min(months, stretch.months)

    def _due(self, place: _Place) -> Iterator[Line]:
        """Yield what is missing of a promise whose days are over, beside what was billed for it."""
        stretch, currency = place.stretch, self._facts.currency
        if stretch.end > self._facts.end:
            return
        missing = shortfall(promised=stretch.promised, counted=self._counted[place.key])
        amount = minus(missing, stretch.billed)
        if not amount:
            return
        promised = _written(stretch.promised, currency)
        words = f"{place.promise.terms.name}: shortfall against {promised}"
        if stretch.billed:
            words = f"{words}, corrected"
        note = Committed(
            commitment=place.promise.id,
            stretch=stretch.start,
            billed=amount,
            used=self._counted[place.key],
            amount=stretch.promised,
        )
        key = f"{SHORTFALL}-{rating.local_date(stretch.start, zone=self._facts.zone)}"
        own = _Own(key, words, stretch.start, stretch.end)
        yield self._line(place.promise, own, amount, note)

    def _line(self, promise: Promise, own: _Own, amount: Decimal, note: Committed) -> Line:
        part = flat_part(label=own.words, amount=amount)
        return Line(
            kind=COMMITMENT,
            origin=None,
            version=self._facts.segments[-1].version,
            meter=None,
            price_key=promise.terms.key,
            line_key=own.key,
            description=own.words,
            start=own.start,
            end=own.end,
            unit="",
            usage_quantity=_ZERO,
            quantity=_ONE,
            amount=amount,
            explanation=Explanation(parts=(part,) if amount else (), commitment=note),
        )


def _discounts(place: _Place, split: Split) -> Iterator[rating.Adjustment]:
    terms = place.promise.terms
    for kind, listed, percent in (
        ("commitment", split.within, terms.discount_percent),
        ("beyond", split.beyond, beyond_percent(terms)),
    ):
        off = times(listed, over(percent, HUNDRED))
        if off:
            yield rating.Adjustment(kind, None, off.copy_negate())  # type: ignore[arg-type]


def _exact(line: Line) -> Decimal:
    """Return the list value of a charge, before it is rounded."""
    changes = (each.amount for each in line.explanation.adjustments if each.amount)
    return total((*(part.amount for part in line.explanation.parts), *changes))


def _noting(line: Line, note: Committed) -> Line:
    return replace(line, explanation=replace(line.explanation, commitment=note))


def _written(amount: Decimal, currency: str) -> str:
    return f"{amount:,.{rating.minor_units(currency)}f}"
