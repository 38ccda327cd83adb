"""Bill the shipped pricing systems as a service and Beat would: HTTP in, tasks, statements out.

Each run makes customers of its own and limits every task to them, so that it can be repeated on a
database in use and moves no other customer's statement.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any, NamedTuple

import httpx
from django.db.models import Q

from billing import tasks as billing_tasks
from billing.models import Statement, StatementLine
from config.systems import credit, jobs, outcomes
from config.systems.commitments import (
    clock_of,
    close_by_clock,
    commit,
    lapsed_differences,
)
from config.systems.compare import BilledLine, BilledStatement, differences
from config.systems.waiting import Subject, SystemsStuck, wait_until
from plans.catalogue.load import load
from plans.catalogue.systems import System, catalogue_of, events, month_after
from plans.models import Customer, Plan
from plans.operations.customers import create_customer, create_workspace
from plans.operations.subscriptions import subscribe
from plans.terms import terms_of
from usage import tasks as usage_tasks
from usage.models import Scope
from usage.operations.api_keys import issue_key, revoke_key

SOURCE = "tollgate/systems"
BATCH = 1000


class Outcome(NamedTuple):
    """A system's totals as they were billed, and how they differ from what they must be."""

    system: System
    totals: tuple[Decimal, ...]
    currency: str
    differences: list[str]


def month_to_bill(now: datetime) -> date:
    """Return the first day of a month that, like the month after it, is surely over at ``now``."""
    return (now.replace(day=1) - timedelta(days=75)).date().replace(day=1)


def bill(
    systems: Sequence[System], *, url: str, host: str, run: str, now: datetime
) -> list[Outcome]:
    """Bill each system for its months and compare; ``run`` names the customers of this run.

    A Celery worker must be running beside the server at ``url``. Raises SystemsStuck,
    CatalogueInvalid, and httpx.HTTPError where the server cannot be reached.
    """
    load(catalogue_of(systems), publish=True, by=None, now=now)
    outcomes.publish(systems, now=now)
    subjects = [_subscribe(system, run=run, now=now) for system in systems]
    _send(subjects, url=url, host=host, run=run, now=now)
    wrong = jobs.run_all(subjects, url=url, host=host, run=run, now=now)
    sender = outcomes.Sender(url=url, host=host, run=run, now=now)
    sender.send(subjects)
    _close(subjects, run=run, months=[subject.system.months_at_first for subject in subjects])
    later = [each for each in subjects if each.system.months_at_first < len(each.system.expected)]
    if later:
        sender.go_on(later)
        for system, customer in later:
            _on_plan(system, customer, first=1, months=len(system.expected) - 1, now=now)
        _close(later, run=run, months=[len(subject.system.expected) for subject in later])
    return [_outcome(subject, wrong=wrong) for subject in subjects]


def _subscribe(system: System, *, run: str, now: datetime) -> Subject:
    plan = Plan.objects.get(key=system.plan)
    version = plan.versions.order_by("number").last()
    assert version is not None
    customer = create_customer(
        key=_key(run, system.system),
        name=f"{system.system}, {system.title}",
        currency=version.currency,
        grace_hours=0,
        clock_at=_midnight(system.month) if system.jobs else clock_of(system),
    )
    for name in system.workspaces:
        create_workspace(customer=customer, key=_key(customer.key, name), name=f"Team {name}")
    if system.commitment is not None:
        commit(system.commitment, customer=customer, start=system.month, now=now)
    _on_plan(system, customer, first=0, months=system.months_at_first, now=now)
    credit.buy(system, customer=customer)
    return Subject(system, customer)


def _on_plan(system: System, customer: Customer, *, first: int, months: int, now: datetime) -> None:
    """Subscribe to the system's plan for so many months from the first of them on."""
    start = system.month
    for _ in range(first):
        start = month_after(start)
    end = start
    for _ in range(months):
        end = month_after(end)
    subscribe(
        customer=customer,
        plan=Plan.objects.get(key=system.plan),
        starts_at=_midnight(start),
        # A plan moves on only a customer that stays; the clock bounds what is closed of it.
        ends_at=None if system.jobs else _midnight(end),
        now=now,
    )


def _send(subjects: Sequence[Subject], *, url: str, host: str, run: str, now: datetime) -> None:
    """Post all events in batches, each twice: a sender repeats what it is unsure of."""
    key, secret = issue_key(name=f"Pricing systems, {run}", scopes=[Scope.INGEST], now=now)
    headers = {
        "Authorization": f"Bearer {secret}",
        "Content-Type": "application/cloudevents-batch+json",
        "Prefer": "return=representation",
        "Host": host,
        "X-Forwarded-Proto": "https",
    }
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            for batch in _batches(_cloud_events(subjects, run=run)):
                _post(client, batch, accepted=len(batch))
                _post(client, batch, accepted=0)
    finally:
        revoke_key(key_id=key.pk, now=now)


def _post(client: httpx.Client, batch: list[dict[str, Any]], *, accepted: int) -> None:
    answer = client.post("/api/v1/events", json=batch)
    if answer.status_code != 200 or answer.json()["accepted"] != accepted:
        raise SystemsStuck(
            f"POST /api/v1/events answered {answer.status_code}: {answer.text[:500]}"
        )


def _cloud_events(subjects: Sequence[Subject], *, run: str) -> Iterator[dict[str, Any]]:
    for system, customer in subjects:
        for number, event in enumerate(events(system)):
            name = event.workspace
            yield {
                "specversion": "1.0",
                "id": f"{run}.{system.system}.{number}",
                "source": SOURCE,
                "type": event.type,
                "subject": _key(customer.key, name) if name else customer.key,
                "time": event.time.isoformat(),
                "data": event.data,
            }


def _batches(cloud_events: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(cloud_events, BATCH)):
        yield batch


def _close(subjects: Sequence[Subject], *, run: str, months: Sequence[int]) -> None:
    """Close so many months of each system; of those with a clock, as it is moved on."""
    plain = {
        subject.customer.pk: wanted
        for subject, wanted in zip(subjects, months, strict=True)
        if subject.customer.clock_at is None
    }
    _close_months(list(plain), wanted=sum(plain.values()), run=run)
    for system, customer in subjects:
        if customer.clock_at is not None:
            ids = [customer.pk]
            close_by_clock(
                system,
                customer,
                close=lambda wanted, ids=ids: _close_months(ids, wanted=wanted, run=run),  # type: ignore[misc]
                wait=lambda done, what: wait_until(done, what=what),
            )


def _close_months(ids: list[int], *, wanted: int, run: str) -> None:
    """Send the tasks that Beat sends, limited to these customers, and wait for each step."""
    settled = Statement.objects.filter(customer_id__in=ids)
    usage_tasks.roll_up.delay()
    billing_tasks.open_and_draft.delay(ids)
    drafted = settled.exclude(status="due", parked_at=None)
    wait_until(lambda: drafted.count() >= wanted, what=f"{wanted} drafts of the run {run}")
    billing_tasks.finalise_due.delay(ids)
    waiting = settled.filter(parked_at=None).exclude(Q(status="finalised") | Q(status="review"))
    parked = settled.exclude(parked_at=None).values("customer_id")
    waiting = waiting.exclude(customer_id__in=parked)
    wait_until(lambda: not waiting.exists(), what=f"{wanted} statements of the run {run}")


def _outcome(subject: Subject, *, wrong: Mapping[str, list[str]]) -> Outcome:
    system, customer = subject
    rows = list(Statement.objects.filter(customer=customer).order_by("period_start"))
    statements = [_billed(row, customer=customer) for row in rows]
    return Outcome(
        system=system,
        totals=tuple(statement.total for statement in statements),
        currency=customer.currency,
        differences=[
            *wrong.get(system.system, ()),
            *differences(statements, system.expected, features=system.features),
            *lapsed_differences(system, customer),
            *credit.differences(credit.drawn_by(rows), system.expected),
        ],
    )


def _billed(row: Statement, *, customer: Customer) -> BilledStatement:
    lines = list(row.lines.order_by("position"))
    terms = terms_of({line.version_id for line in lines})
    return BilledStatement(
        status=row.status,
        reason=row.parked_reason,
        total=row.total,
        lines=tuple(_line(line, customer=customer) for line in lines),
        features=frozenset(key for known in terms.values() for key in known.terms.features),
    )


def _line(line: StatementLine, *, customer: Customer) -> BilledLine:
    explanation: dict[str, Any] = line.explanation
    return BilledLine(
        price=line.price_key,
        line=line.line_key,
        description=line.description,
        quantity=line.quantity,
        amount=line.amount,
        parts=tuple(Decimal(part["quantity"]) for part in explanation.get("parts", ())),
        workspaces={
            key.removeprefix(f"{customer.key}."): Decimal(share)
            for key, share in explanation.get("workspaces", ())
        },
    )


def _key(*parts: str) -> str:
    return ".".join(parts)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
