"""Commitments: a promise to spend so much in a term, and what usage comes to under it.

A charge's list value (after allowance, charge model, discount, maximum and minimum) has the
committed discount as long as there is room under the commitment, and that beyond it for the rest.
A charge that crosses is split exactly; its parts are rounded once, together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import accumulate
from typing import Final, Literal

from plans.rating.money import (
    EXACT,
    HUNDRED,
    ONE,
    ZERO,
    minus,
    over,
    plus,
    round_money,
    times,
    total,
)
from plans.rating.periods import months_after
from plans.rating.problem import Problem

CommitmentKind = Literal["prepaid", "postpaid"]
Counts = Literal["net", "gross"]
MeasuredBy = Literal["term", "instalment"]

MONTHS_MAX: Final = 120
INSTALMENTS_MAX: Final = 60
_FINEST: Final = ONE.scaleb(-12)


@dataclass(frozen=True, slots=True)
class Instalment:
    """An amount that is promised for so many months of the term."""

    months: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Commitment:
    """What a customer promised to spend from a local day on, and what it gets for that.

    The instalments follow each other and make up the term: one for a year, four quarters, a ramp.
    Usage is measured against the whole term, or against each instalment alone, as `measured_by`
    says; at the end of what it is measured against, the shortfall of a postpaid one is due, and
    the credit of a prepaid one lapses. Usage counts `net`, after the discounts, or `gross`, at its
    list value; of the `meters` that are named, or of all. Fees without a meter do not count.
    `discount_percent` is what committed usage has, `beyond_percent` the rest; None: the same.
    Of the unused part of a prepaid one, `rollover_percent` of its amount at most is carried on for
    `rollover_months`. One that ended early, on `ended_on`, owes what was still promised then only
    where `shortfall_due`.
    """

    key: str
    name: str
    kind: CommitmentKind
    start: date
    instalments: tuple[Instalment, ...]
    discount_percent: Decimal = ZERO
    beyond_percent: Decimal | None = None
    counts: Counts = "net"
    meters: tuple[str, ...] = ()
    measured_by: MeasuredBy = "term"
    rollover_percent: Decimal = ZERO
    rollover_months: int | None = None
    ended_on: date | None = None
    shortfall_due: bool = False

    @property
    def months(self) -> int:
        """Return the length of the term."""
        return sum(each.months for each in self.instalments)

    @property
    def term_end(self) -> date:
        """Return the day after the term's last, as it was promised."""
        return months_after(self.start, self.months)

    @property
    def until(self) -> date:
        """Return the day from which it is in force no more."""
        return self.term_end if self.ended_on is None else min(self.ended_on, self.term_end)

    @property
    def amount(self) -> Decimal:
        """Return what is promised for the whole term."""
        return total(each.amount for each in self.instalments)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Days `[start, end)` against whose `amount` usage is measured.

    `promised` is what is due for them at least: nothing of a prepaid commitment, whose instalments
    are charged ahead; and after an early end all that was still promised, or nothing.
    """

    start: date
    end: date
    months: int
    amount: Decimal
    promised: Decimal


@dataclass(frozen=True, slots=True)
class Split:
    """The list value of a charge: what has the committed discount, and what lies beyond."""

    within: Decimal = ZERO
    beyond: Decimal = ZERO

    @property
    def listed(self) -> Decimal:
        """Return the whole list value."""
        return plus(self.within, self.beyond)


NOTHING: Final = Split()


def instalment_stretches(commitment: Commitment) -> tuple[Stretch, ...]:
    """Return the instalments with their days, as they were promised."""
    ends = list(accumulate(each.months for each in commitment.instalments))
    starts = [0, *ends[:-1]]
    return tuple(
        Stretch(
            start=months_after(commitment.start, since),
            end=months_after(commitment.start, until),
            months=each.months,
            amount=each.amount,
            promised=each.amount,
        )
        for each, since, until in zip(commitment.instalments, starts, ends, strict=True)
    )


def stretches(commitment: Commitment) -> tuple[Stretch, ...]:
    """Return what usage is measured against, up to the commitment's end."""
    found = instalment_stretches(commitment)
    if commitment.measured_by == "term":
        amount = commitment.amount
        whole = Stretch(commitment.start, commitment.term_end, commitment.months, amount, amount)
        found = (whole,)
    until = commitment.until
    kept = [each for each in found if each.start < until]
    later = total(each.amount for each in found if each.start >= until)
    return tuple(_as_it_ends(commitment, each, later=later) for each in kept)


def _as_it_ends(commitment: Commitment, stretch: Stretch, *, later: Decimal) -> Stretch:
    """Return the stretch cut at an early end, with what is promised in it."""
    promised, end = stretch.promised, min(stretch.end, commitment.until)
    is_last = stretch.end >= commitment.until
    if is_last and commitment.until < commitment.term_end:
        promised = plus(promised, later) if commitment.shortfall_due else ZERO
    if commitment.kind == "prepaid":
        promised = ZERO
    return Stretch(stretch.start, end, stretch.months, stretch.amount, promised)


def covers(commitment: Commitment, meter: str | None) -> bool:
    """Say whether what a meter's usage costs counts, and has the committed discount."""
    if meter is None:
        return False
    return not commitment.meters or meter in commitment.meters


def split_charge(commitment: Commitment, listed: Decimal, *, room: Decimal, currency: str) -> Split:
    """Split a charge's list value where it crosses the `room` that is left; the parts add up.

    The part within is kept to 12 decimals. What counts never exceeds the room, which is an amount
    of the currency, not below zero. Raises UnknownCurrency.
    """
    if counted(commitment, Split(listed), currency=currency) <= max(room, ZERO):
        return Split(listed)
    paid = _paid(commitment.discount_percent) if commitment.counts == "net" else ONE
    within = EXACT.quantize(over(max(room, ZERO), paid), _FINEST)
    return Split(within, minus(listed, within))


def change_split(
    commitment: Commitment, before: Split, listed: Decimal, *, room: Decimal, currency: str
) -> Split:
    """Return the split of a charge that was billed as `before` and has another list value now.

    More is split by the room that is left now. Less is taken off what lies beyond first, so that
    the customer has the better rate for what remains.
    """
    change = minus(listed, before.listed)
    if change >= ZERO:
        room = plus(room, counted(commitment, before, currency=currency))
        more = split_charge(commitment, plus(before.within, change), room=room, currency=currency)
        return Split(more.within, plus(before.beyond, more.beyond))
    beyond = max(plus(before.beyond, change), min(before.beyond, ZERO))
    return Split(minus(listed, beyond), beyond)


def counted(commitment: Commitment, split: Split, *, currency: str) -> Decimal:
    """Return how much of the commitment a charge uses up, in whole minor units."""
    if commitment.counts == "gross":
        return round_money(split.within, currency=currency)
    paid = _paid(commitment.discount_percent)
    return round_money(times(split.within, paid), currency=currency)


def exact_charge(commitment: Commitment, split: Split) -> Decimal:
    """Return what a charge comes to under the commitment, before it is rounded."""
    within = times(split.within, _paid(commitment.discount_percent))
    return plus(within, times(split.beyond, _paid(beyond_percent(commitment))))


def beyond_percent(commitment: Commitment) -> Decimal:
    """Return the discount in percent on what lies beyond the commitment."""
    if commitment.beyond_percent is None:
        return commitment.discount_percent
    return commitment.beyond_percent


def shortfall(*, promised: Decimal, counted: Decimal) -> Decimal:
    """Return what is missing of what was promised, never below zero nor above the promise."""
    return min(max(minus(promised, counted), ZERO), promised)


def rollover_most(commitment: Commitment, amount: Decimal, *, currency: str) -> Decimal:
    """Return how much of a prepaid amount is carried on at most when it lapses."""
    share = times(amount, over(commitment.rollover_percent, HUNDRED))
    return round_money(share, currency=currency)


def commitment_problems(commitment: Commitment, *, currency: str) -> list[Problem]:
    """Return all that keeps a commitment from being billed, each where it is."""
    found = list(_schedule_problems(commitment.instalments, currency=currency))
    percents = {
        "discount_percent": commitment.discount_percent,
        "beyond_percent": beyond_percent(commitment),
        "rollover_percent": commitment.rollover_percent,
    }
    for field, percent in percents.items():
        if not ZERO <= percent <= HUNDRED:
            found.append(Problem("out_of_range", field, "Give a percentage from 0 to 100."))
    if commitment.counts == "net" and commitment.discount_percent == HUNDRED:
        message = "Usage without charge never uses up a commitment: count it gross."
        found.append(Problem("never_counts", "counts", message))
    if commitment.kind == "postpaid" and commitment.rollover_percent:
        message = "Only what was paid ahead is carried on; leave the rollover at 0."
        found.append(Problem("nothing_to_roll", "rollover_percent", message))
    if commitment.kind == "prepaid" and commitment.counts == "gross":
        message = "Prepaid credit pays what usage costs after its discounts: count it net."
        found.append(Problem("prepaid_gross", "counts", message))
    if commitment.kind == "prepaid" and commitment.shortfall_due:
        message = "A prepaid commitment has no shortfall: it was paid ahead."
        found.append(Problem("prepaid_shortfall", "shortfall_due", message))
    return found


def _schedule_problems(instalments: Sequence[Instalment], *, currency: str) -> list[Problem]:
    if not instalments:
        return [Problem("missing", "instalments", "State at least one amount and its months.")]
    found = []
    if len(instalments) > INSTALMENTS_MAX:
        message = f"{INSTALMENTS_MAX} instalments are the most."
        found.append(Problem("too_many", "instalments", message))
    for number, each in enumerate(instalments):
        place = f"instalments[{number}]"
        if each.months < 1:
            message = "An instalment lasts a month or longer."
            found.append(Problem("not_positive", f"{place}.months", message))
        if each.amount <= ZERO:
            message = "Commit to more than nothing."
            found.append(Problem("not_positive", f"{place}.amount", message))
        elif round_money(each.amount, currency=currency) != each.amount:
            message = f"{each.amount} is no amount of {currency}: round it."
            found.append(Problem("too_many_decimals", f"{place}.amount", message))
    if sum(each.months for each in instalments) > MONTHS_MAX:
        message = f"A term lasts {MONTHS_MAX} months at most."
        found.append(Problem("too_long", "instalments", message))
    return found


def _paid(percent: Decimal) -> Decimal:
    """Return the share of a list value that is left after a discount."""
    return over(minus(HUNDRED, percent), HUNDRED)
