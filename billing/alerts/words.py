"""What an alert says: to people as sentences, to services as values. Pure but for the rows."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from billing.models import BudgetAlert, EventType
from billing.webhooks.emitting import NewEvent
from billing.wording import Money, Span, day

_STOPPED: Final = (
    "No further job is admitted. Jobs that run may finish. Raising the budget admits jobs again at "
    "once."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An alert as it is mailed: its subject, its figures, and what follows from it."""

    subject: str
    headline: str
    figures: tuple[tuple[str, str], ...]
    sentences: tuple[str, ...]
    percent_used: str


def message_of(alert: BudgetAlert) -> Message:
    """Return the words of an alert read with its customer and workspace."""
    used = alert.spent + alert.held
    headline = _headline(alert)
    return Message(
        subject=f"{_whose(alert)}: {headline[0].lower()}{headline[1:]}",
        headline=headline,
        figures=(
            ("Budget", _money(alert.budget_amount, alert)),
            ("Spent", _money(alert.spent, alert)),
            ("Held by running jobs", _money(alert.held, alert)),
            ("Left", _money(max(Decimal(0), alert.budget_amount - used), alert)),
        ),
        sentences=_sentences(alert),
        percent_used=f"{used * 100 / alert.budget_amount:.0f}%",
    )


def _headline(alert: BudgetAlert) -> str:
    span = _span(alert)
    if alert.kind == BudgetAlert.Kind.FORECAST:
        assert alert.ends_on is not None
        return f"At this pace the budget for {span} ends on {day(alert.ends_on)}"
    if alert.percent == 100:
        return f"The budget for {span} is used up"
    return f"{alert.percent}% of the budget for {span} is used"


def _sentences(alert: BudgetAlert) -> tuple[str, ...]:
    span = _span(alert)
    if alert.kind == BudgetAlert.Kind.FORECAST:
        first = f"That is the pace of the last days; the period lasts until {day(span.last_day)}."
    else:
        first = f"This counts what was spent in {span} and what running jobs may still cost."
    if not alert.stops:
        return (first, "Jobs go on beyond the budget: it only alerts.")
    if alert.percent >= 100:
        return (first, _STOPPED)
    return (first, "When it is used up, no further job is admitted. You can raise it at any time.")


def event_of(alert: BudgetAlert) -> NewEvent:
    """Return the webhook event of a stored alert."""
    is_forecast = alert.kind == BudgetAlert.Kind.FORECAST
    data: dict[str, Any] = {
        "customer": alert.customer.key,
        "workspace": alert.workspace.key if alert.workspace else None,
        "period_start": alert.period_start.isoformat(),
        "period_end": alert.period_end.isoformat(),
        "currency": alert.customer.currency,
        "budget": f"{alert.budget_amount.normalize():f}",
        "spent": f"{alert.spent.normalize():f}",
        "held": f"{alert.held.normalize():f}",
        "stops": alert.stops,
    }
    if is_forecast:
        assert alert.ends_on is not None
        data["ends_on"] = alert.ends_on.isoformat()
    else:
        data["percent"] = alert.percent
    kind = EventType.BUDGET_FORECAST if is_forecast else EventType.BUDGET_ALERT
    return NewEvent(
        key=f"{kind}:{alert.pk}",
        type=kind,
        customer_id=alert.customer_id,
        happened_at=alert.created_at,
        data=data,
    )


def _whose(alert: BudgetAlert) -> str:
    if alert.workspace is None:
        return alert.customer.name
    return f"{alert.customer.name}, {alert.workspace.name}"


def _span(alert: BudgetAlert) -> Span:
    return Span(alert.period_start, alert.period_end, alert.customer.time_zone)


def _money(amount: Decimal, alert: BudgetAlert) -> str:
    return str(Money(amount.normalize(), alert.customer.currency))
