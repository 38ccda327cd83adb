"""What a change of a customer's subscriptions does to its money, before it is done.

The change is done by its own operation inside a transaction that is taken back, and the statements
of the periods it touches are previewed before and after. So the figures are those that statements
will say, and nothing of it stays.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import zip_longest

from django.db import transaction
from django.db.models import Max, Q

from billing.models import Statement
from billing.statements.credit_lines import ADJUSTMENT
from billing.statements.preview import preview_statement
from billing.statements.values import Line
from billing.statements.words import line_in_words
from billing.wording import Money, Span, moment
from plans.errors import OperationError
from plans.models import Customer
from plans.queries import subscriptions_in
from plans.rating import Period, RatingError, billing_period
from plans.rating.money import minus, total

PERIODS_MAX = 40
_INSTANT = timedelta(microseconds=1)


class PeriodFinalised(OperationError):
    """A finalised statement covers the time, and never changes."""

    code = "period_finalised"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewLine:
    """A line as the statement will say it; ``span`` is "" where it covers the whole period."""

    description: str
    span: str
    words: str
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A period's statement before or after the change; ``problem`` says why there is none."""

    lines: tuple[PreviewLine, ...]
    total: Money
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodMoney:
    """One period before and after. ``holds_usage`` says that usage so far is in the figures."""

    title: str
    span: Span
    holds_usage: bool
    before: Side
    after: Side

    @property
    def difference(self) -> Money | None:
        """Return what the period comes to more; none where a side cannot be priced."""
        if self.before.problem or self.after.problem:
            return None
        return Money(minus(self.after.total.amount, self.before.total.amount), self.currency)

    @property
    def difference_words(self) -> str:
        """Return the difference as people say it: $3.50 more, $2.00 less, the same."""
        difference = self.difference
        if difference is None:
            return "cannot be priced"
        if not difference.amount:
            return "the same"
        size = Money(abs(difference.amount), difference.currency)
        return f"{size} {'less' if difference.is_negative else 'more'}"

    @property
    def rows(self) -> list[tuple[PreviewLine | None, PreviewLine | None]]:
        """Return the lines side by side, those of the shorter side padded."""
        return list(zip_longest(self.before.lines, self.after.lines))

    @property
    def currency(self) -> str:
        """Return the customer's currency."""
        return self.after.total.currency


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyPreview:
    """The periods that a change touches, in order, and until when usage is in the figures.

    ``running`` is the period that holds the present; ``full`` is the first period that begins after
    the change, so that nothing charged once is in it.
    """

    periods: tuple[PeriodMoney, ...]
    running: PeriodMoney
    full: PeriodMoney
    usage_until: str

    @property
    def restated(self) -> str:
        """Return every amount of the preview in one text, to see whether one has changed."""
        return "; ".join(
            f"{each.span}: {each.before.total} to {each.after.total}" for each in self.periods
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """A period to preview, and the instants to look from, the best first.

    ``anchor_date`` is what its months are counted from.
    """

    title: str
    period: Period
    anchor_date: date | None
    instants: tuple[datetime, ...]
    is_future: bool


def preview_change(
    *,
    customer: Customer,
    anchor_date: date | None,
    act: Callable[[], object],
    at: datetime,
    now: datetime,
) -> MoneyPreview:
    """Return what an operation that takes effect at a time does to the customer's statements.

    Previewed are the periods, counted from ``anchor_date``, since ``at`` or the one that holds
    ``now``, the next one, and the first one that begins after ``at``. ``act`` is called once, and
    nothing of what it does stays. Raises what ``act`` raises.
    """
    windows = list(_windows(customer, anchor_date, at=at, now=now))
    with transaction.atomic():
        before = [_side(window, customer) for window in windows]
        act()
        after = [_side(window, customer) for window in windows]
        transaction.set_rollback(True)
    periods = [
        PeriodMoney(
            title=window.title,
            span=Span(window.period.start, window.period.end, customer.time_zone),
            holds_usage=not window.is_future,
            before=first,
            after=second,
        )
        for window, first, second in zip(windows, before, after, strict=True)
    ]
    return MoneyPreview(
        periods=tuple(periods),
        running=next(each for each in periods if each.span.end > now),
        full=next(each for each in periods if each.span.start > max(at, now)),
        usage_until=f"{moment(now, zone=customer.time_zone)} ({customer.time_zone})",
    )


def refuse_finalised(*, customer: Customer, at: datetime) -> None:
    """Raise PeriodFinalised where a finalised statement reaches beyond a time."""
    final = Q(status=Statement.Status.FINALISED) | Q(approved_at__isnull=False)
    beyond = Statement.objects.filter(final, customer=customer, period_end__gt=at)
    until = beyond.aggregate(last=Max("period_end"))["last"]
    if until is not None:
        raise PeriodFinalised(
            f"Finalised statements cover the time until {moment(until, zone=customer.time_zone)} "
            f"({customer.time_zone}). Choose a start from then on.",
            field="starts_at",
        )


def _windows(
    customer: Customer, anchor_date: date | None, *, at: datetime, now: datetime
) -> Iterator[_Window]:
    def period_at(instant: datetime) -> Period:
        return billing_period(anchor=anchor_date, zone=customer.time_zone, at=instant)

    def window(title: str, period: Period, *instants: datetime, is_future: bool) -> _Window:
        return _Window(
            title=title,
            period=period,
            anchor_date=anchor_date,
            instants=tuple(each for each in instants if period.contains(each)),
            is_future=is_future,
        )

    running, cursor = period_at(now), period_at(min(at, now))
    for _ in range(PERIODS_MAX):
        if cursor.end > now:
            break
        yield window("An earlier period", cursor, cursor.end - _INSTANT, is_future=False)
        cursor = period_at(cursor.end)
    yield window("This period", running, now, now - _INSTANT, is_future=False)
    following, whole = period_at(running.end), period_at(period_at(at).end)
    yield window("The next period", following, following.start, is_future=True)
    if whole.start > following.start:
        yield window("A full period from then on", whole, whole.start, is_future=True)


def _side(window: _Window, customer: Customer) -> Side:
    nothing = Money(Decimal(0), customer.currency)
    held = _held(window, customer)
    instant = _instant(held, window)
    if instant is None:
        return Side(lines=(), total=nothing)
    try:
        _, draft = preview_statement(customer_id=customer.pk, now=instant)
    except RatingError as error:
        return Side(lines=(), total=nothing, problem=str(error))
    lines = [line for line in draft.lines if _belongs(line, window, held)]
    return Side(
        lines=tuple(_preview_line(line, window.period, customer) for line in lines),
        total=Money(total(line.amount for line in lines), customer.currency),
    )


def _held(window: _Window, customer: Customer) -> list[Period]:
    """Return when in the period a subscription holds that counts its months in the same way."""
    found = subscriptions_in(
        customer_ids=[customer.pk], start=window.period.start, end=window.period.end
    )
    held = (
        Period(each.starts_at, each.ends_at or datetime.max.replace(tzinfo=UTC))
        for each in found
        if each.anchor_date == window.anchor_date
    )
    return [part for each in held if (part := each.intersect(window.period)) is not None]


def _instant(held: Sequence[Period], window: _Window) -> datetime | None:
    """Return an instant at which a subscription holds, as late as usage is to be in."""
    for instant in window.instants:
        if any(part.contains(instant) for part in held):
            return instant
    if not held:
        return None
    return held[0].start if window.is_future else held[-1].end - _INSTANT


def _belongs(line: Line, window: _Window, held: Sequence[Period]) -> bool:
    """Say whether a line is on the period's statement.

    What corrects earlier periods is billed with the running one, and not again with a later. What
    a subscription with another anchor used is on a statement of its own.
    """
    if line.kind == ADJUSTMENT:
        return not window.is_future
    return any(part.start <= line.start and line.end <= part.end for part in held)


def _preview_line(line: Line, period: Period, customer: Customer) -> PreviewLine:
    is_whole = (line.start, line.end) == (period.start, period.end)
    return PreviewLine(
        description=line.description,
        span="" if is_whole else str(Span(line.start, line.end, customer.time_zone)),
        words=line_in_words(line, currency=customer.currency, zone=customer.time_zone),
        amount=Money(line.amount, customer.currency),
    )
