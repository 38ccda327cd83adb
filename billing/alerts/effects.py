"""What a budget does at once when it is set, changed or removed, in words. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from billing.alerts.due import due_alerts, reaches
from billing.wording import Money
from plans.operations.budgets import BudgetTerms


def effects_of(
    *,
    old: BudgetTerms | None,
    new: BudgetTerms | None,
    used: Decimal,
    running: int,
    sent: Mapping[int, Decimal],
    currency: str,
) -> tuple[str, ...]:
    """Return what changes at once. ``used`` is spent plus held, ``running`` the jobs that run now.

    ``sent`` are the alerts of the period; see ``billing.alerts.due.due_alerts``.
    """
    if new is None:
        said = ["Nothing limits this spend any more, and no alert is sent."]
        if old is not None and _refuses(old, used):
            said.append("Jobs are admitted again at once.")
        return tuple(said)
    amount = Money(new.amount.normalize() + 0, currency)
    share = f"{used * 100 / new.amount:.0f}%"
    return (
        f"{Money(used.normalize() + 0, currency)} of {amount} is spent or held now: {share}.",
        *_about_stopping(old, new, used=used, currency=currency),
        *_about_throttling(new, used=used, running=running, currency=currency),
        *_about_alerts(new, used=used, sent=sent),
    )


def _refuses(terms: BudgetTerms, used: Decimal) -> bool:
    return terms.stops and reaches(used, 100, amount=terms.amount)


def _about_stopping(
    old: BudgetTerms | None, new: BudgetTerms, *, used: Decimal, currency: str
) -> Iterator[str]:
    if not new.stops:
        yield "Jobs go on beyond the budget: it only alerts."
    elif _refuses(new, used):
        yield (
            "No job is admitted from now on, until the period ends or the budget is raised. Jobs "
            "that run may finish."
        )
    else:
        left = Money((new.amount - used).normalize() + 0, currency)
        yield f"Jobs are admitted until {left} more is spent or held."
    if old is not None and _refuses(old, used) and not _refuses(new, used):
        yield "Jobs are admitted again at once."


def _about_throttling(
    new: BudgetTerms, *, used: Decimal, running: int, currency: str
) -> Iterator[str]:
    if new.throttle_percent is None:
        return
    most = "1 job runs" if new.throttle_to == 1 else f"{new.throttle_to} jobs run"
    if reaches(used, new.throttle_percent, amount=new.amount):
        yield f"At most {most} at once from now on; {running} run now, and may finish."
    else:
        start = Money((new.amount * new.throttle_percent / 100).normalize() + 0, currency)
        yield f"From {start} on, at most {most} at once."


def _about_alerts(new: BudgetTerms, *, used: Decimal, sent: Mapping[int, Decimal]) -> Iterator[str]:
    found = due_alerts(amount=new.amount, used=used, percents=new.alert_percents, sent=sent)
    if found.due:
        yield f"{_alerts(found.due)} sent at once."
    ahead = [each for each in new.alert_percents if not reaches(used, each, amount=new.amount)]
    if ahead:
        yield f"{_alerts(ahead)} still to come."


def _alerts(percents: Sequence[int]) -> str:
    listed = [f"{percent}%" for percent in percents]
    if len(listed) == 1:
        return f"The alert at {listed[0]} is"
    return f"The alerts at {', '.join(listed[:-1])} and {listed[-1]} are"
