"""Set the demo up: staff, catalogue, customers, usage through the API, closed statements.

Every step finds what is there and adds what is missing: a second run goes on from the first.
"""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import httpx
from django.contrib.auth.models import Group, User

from billing import tasks as billing_tasks
from billing.models import Statement
from config.demo.story import CUSTOMERS, DemoCustomer, Event, events_of_day, first_day, stray_events
from plans.catalogue.document import Source
from plans.catalogue.load import load_sources
from plans.models import Customer, Plan, Subscription
from plans.operations.customers import add_portal_user, create_customer, create_workspace
from plans.operations.subscriptions import subscribe
from plans.rating import billing_period, local_midnight
from usage import tasks as usage_tasks
from usage.models import Scope
from usage.operations.api_keys import issue_key, revoke_key

PASSWORD = "tollgate-demo"  # noqa: S105 - printed on purpose, and only where nothing is deployed
STAFF = (
    ("editor", "Finance editor"),
    ("approver", "Finance approver"),
    ("support", "Support"),
)
CATALOGUE = Path(__file__).with_name("catalogue.yaml")
BATCH = 500
WAIT_S = 120


class DemoStuck(Exception):
    """A worker did not finish a step of the demo in time."""

    code = "demo_stuck"


def set_up_staff() -> None:
    """Create one login for each staff group, and one that may do everything."""
    for name, group in STAFF:
        user = _user(name, is_staff=True)
        user.groups.add(Group.objects.get(name=group))
    _user("admin", is_staff=True, is_superuser=True)


def _user(name: str, **flags: bool) -> User:
    user, created = User.objects.get_or_create(username=name, defaults=flags)
    if created:
        user.set_password(PASSWORD)
        user.save(update_fields=["password"])
    return user


def set_up_customers(*, now: dt.datetime) -> None:
    """Publish the catalogue and subscribe the customers from the story's first day on."""
    source = Source(CATALOGUE.name, CATALOGUE.read_text())
    load_sources([source], publish=True, by=None, now=now)
    for story in CUSTOMERS:
        customer = Customer.objects.filter(key=story.key).first() or _create(story)
        if not Subscription.objects.filter(customer=customer).exists():
            start = local_midnight(first_day(now.date()), zone=story.time_zone)
            plan = Plan.objects.get(key=story.plan)
            subscribe(customer=customer, plan=plan, starts_at=start, now=now)


def _create(story: DemoCustomer) -> Customer:
    customer = create_customer(
        key=story.key,
        name=story.name,
        currency=story.currency,
        time_zone=story.time_zone,
        email=f"billing@{story.key}.example",
        requires_review=story.requires_review,
    )
    for key, name in story.workspaces:
        create_workspace(customer=customer, key=key, name=name)
    add_portal_user(customer=customer, user=_user(story.key))
    return customer


def send_usage(*, url: str, now: dt.datetime) -> int:
    """Post the story's events through the API as a service would; return how many were new."""
    key, secret = issue_key(name="Demo", scopes=[Scope.INGEST, Scope.READ], now=now)
    headers = {
        "Authorization": f"Bearer {secret}",
        "Content-Type": "application/cloudevents-batch+json",
        "Prefer": "return=representation",
    }
    accepted = 0
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
        for batch in batched_events(now=now):
            answer = client.post("/api/v1/events", json=batch)
            if answer.status_code >= 500 or answer.status_code in {401, 403}:
                answer.raise_for_status()
            accepted += answer.json().get("accepted", 0)
    revoke_key(key_id=key.id, now=now)
    return accepted


def batched_events(*, now: dt.datetime) -> Iterator[list[Event]]:
    """Yield the story's events up to ``now`` in batches."""
    today = now.date()
    start = first_day(today)
    days = [start + dt.timedelta(days=n) for n in range((today - start).days + 1)]
    events = (
        event
        for day in days
        for customer in CUSTOMERS
        for event in events_of_day(customer, day, until=now)
    )
    batch: list[Event] = []
    for event in events:
        batch.append(event)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
    yield stray_events(start)


def close_months(*, now: dt.datetime) -> None:
    """Roll up, draft and finalise through the tasks that Beat sends, and wait for the worker."""
    usage_tasks.roll_up.delay()
    billing_tasks.open_and_draft.delay()
    _wait_for(lambda: _drafted(now), "drafts")
    while (left := _to_finalise(now)) > 0:
        billing_tasks.finalise_due.delay()
        _wait_for(partial(_fewer_than, left, now), "finalised statements")


def _drafted(now: dt.datetime) -> bool:
    """Say whether each customer's last month has its draft, or was parked."""
    return all(_last_month_drafted(story, now) for story in CUSTOMERS)


def _last_month_drafted(story: DemoCustomer, now: dt.datetime) -> bool:
    month = billing_period(anchor=None, zone=story.time_zone, at=now)
    last = Statement.objects.filter(customer__key=story.key, period_end=month.start).first()
    if last is None:
        return False
    return last.status != "due" or last.parked_at is not None or last.draft_due_at > now


def _fewer_than(count: int, now: dt.datetime) -> bool:
    return _to_finalise(now) < count


def _to_finalise(now: dt.datetime) -> int:
    """Count drafts that finalising will move on: those behind a parked or reviewed one wait."""
    held = Statement.objects.exclude(status__in=["draft", "finalised"]).values("customer_id")
    drafts = Statement.objects.filter(status="draft", finalise_due_at__lte=now, parked_at=None)
    return drafts.exclude(customer_id__in=held).count()


def _wait_for(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not done():
        if time.monotonic() > deadline:
            raise DemoStuck(
                f"Waited {WAIT_S} s for {what}. The logs are in the home's logs folder."
            )
        time.sleep(0.2)


def logins() -> Sequence[tuple[str, str]]:
    """Return each login of the demo and what it is for."""
    staff = [(name, f"/admin/ {group.lower()}") for name, group in STAFF]
    portal = [(story.key, f"/portal/ {story.name}") for story in CUSTOMERS]
    return [("admin", "/admin/ everything"), *staff, *portal]
