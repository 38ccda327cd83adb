"""Which alerts of a budget are due, and when it will end. Pure: values in, values out."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

PACE_DAYS: Final = 7
PACE_DAYS_MIN: Final = 3
_HUNDRED: Final = Decimal(100)
_DAY: Final = timedelta(days=1)
_DAY_SECONDS: Final = 86_400


class DueAlerts(NamedTuple):
    """What becomes of a budget's thresholds, in percent, each in order.

    ``due`` are to be sent, ``rearmed`` were sent for a lower budget and lie above the share again,
    ``standing`` were sent for another amount and count for this one too.
    """

    due: tuple[int, ...]
    rearmed: tuple[int, ...]
    standing: tuple[int, ...]

    @property
    def is_nothing(self) -> bool:
        """Say whether nothing is to be written."""
        return not (self.due or self.rearmed or self.standing)


class SpentOn(NamedTuple):
    """What a period had come to at the end of a day, as far as it was looked at."""

    day: date
    first_day: date
    spent: Decimal


def reaches(used: Decimal, percent: int, *, amount: Decimal) -> bool:
    """Say whether what is used is at least so many percent of a budget."""
    return used * _HUNDRED >= amount * percent


def due_alerts(
    *, amount: Decimal, used: Decimal, percents: Iterable[int], sent: Mapping[int, Decimal]
) -> DueAlerts:
    """Return what is due of a budget of ``amount`` when ``used`` is spent or held.

    ``sent`` names the thresholds that were sent in the period, with the budget that each stands
    for. One stays sent while the budget does; a higher budget arms again those above the new share.
    """
    rearmed = {
        percent
        for percent, stood_for in sent.items()
        if amount > stood_for and not reaches(used, percent, amount=amount)
    }
    moved = {percent for percent, stood_for in sent.items() if stood_for != amount}
    open_ = set(percents) - (sent.keys() - rearmed)
    return DueAlerts(
        due=tuple(sorted(each for each in open_ if reaches(used, each, amount=amount))),
        rearmed=tuple(sorted(rearmed)),
        standing=tuple(sorted(moved - rearmed)),
    )


def daily_pace(days: Sequence[SpentOn], *, today: date) -> Decimal | None:
    """Return what a day came to on the average of the last ``PACE_DAYS`` whole days.

    ``days`` are in order. None where fewer than ``PACE_DAYS_MIN`` of these days are known: what a
    period had come to before it was first looked at belongs to no day.
    """
    grown = _growth(days)
    if not grown:
        return None
    since = max(min(grown), today - PACE_DAYS * _DAY)
    count = (today - since).days
    if count < PACE_DAYS_MIN:
        return None
    total = sum((more for day, more in grown.items() if since <= day < today), Decimal(0))
    return total / count


def _growth(days: Sequence[SpentOn]) -> dict[date, Decimal]:
    """Return by how much each day grew; the day after the first look is the first one known."""
    grown: dict[date, Decimal] = {}
    before: SpentOn | None = None
    for each in days:
        if before is not None and before.first_day == each.first_day:
            grown[each.day] = grown.get(each.day, Decimal(0)) + each.spent - before.spent
        elif before is not None or each.day == each.first_day:
            grown[each.day] = grown.get(each.day, Decimal(0)) + each.spent
        else:
            grown[each.day + _DAY] = Decimal(0)
        before = each
    return grown


def ends_at(
    *, amount: Decimal, used: Decimal, pace: Decimal, now: datetime, period_end: datetime
) -> datetime | None:
    """Return when a budget is used up at a pace per day; None where it lasts, or is used up."""
    left = amount - used
    if left <= 0 or pace <= 0:
        return None
    if left > pace * Decimal((period_end - now) / _DAY):
        return None
    end = now + timedelta(seconds=int(left * _DAY_SECONDS / pace))
    return end if end < period_end else None
