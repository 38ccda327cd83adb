"""What is not known yet is kept, and comes in when it is."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User

from plans.models import Meter
from plans.operations.customers import create_customer
from plans.operations.meters import define_meter
from tests.fixtures.usage import event
from usage import tasks
from usage.models import Event, QuarantinedEvent
from usage.operations.ingest import ingest
from usage.operations.quarantine import NotWaiting, ReasonMissing, dismiss, replay
from usage.queries import Window, read_usage, waiting_quarantine

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=2)


@pytest.fixture
def held(db):
    """Two events of a customer and one of a type that nobody knows."""
    define_meter(
        key="tokens", name="Tokens", event_type="llm", aggregation="sum", value_property="n"
    )
    create_customer(key="known", name="Known")
    exact = {"n": Decimal("0.123456789012")}
    ingest(
        [event(f"e{n}", type="llm", data=exact) for n in range(2)]
        + [event("odd", type="odd", subject="known")],
        now=NOW,
    )


def waiting():
    rows = QuarantinedEvent.objects.filter(replayed_at=None, dismissed_at=None)
    return {row.event_id: row.code for row in rows}


def test_nothing_is_replayed_while_nothing_is_mended(held):
    assert replay(now=LATER) == (0, 0)
    assert len(waiting()) == 3
    assert Event.objects.count() == 0


def test_a_new_customer_gets_its_events_exactly(held):
    customer = create_customer(key="acme", name="Acme")
    assert replay(now=LATER) == (2, 0)
    read = read_usage([Window(1, customer.id, NOW - timedelta(days=1), NOW)])
    assert read.readings[1][Meter.objects.get().id].cells == (((), Decimal("0.246913578024")),)
    assert set(QuarantinedEvent.objects.exclude(replayed_at=None).values_list("event_id")) == {
        ("e0",), ("e1",),
    }  # fmt: skip
    assert waiting() == {"odd": "unknown_type"}
    assert replay(now=LATER) == (0, 0)


def test_a_new_meter_gets_its_events(held):
    define_meter(key="odd", name="Odd", event_type="odd", aggregation="count")
    tasks.replay_quarantine()
    assert Event.objects.get().event_id == "odd"
    assert "odd" not in waiting()


def test_one_that_still_does_not_fit_stays_with_the_new_reason(held):
    define_meter(
        key="odd", name="Odd", event_type="odd", aggregation="sum", value_property="weight"
    )
    assert replay(now=LATER) == (0, 1)
    assert waiting()["odd"] == "missing_value"
    assert replay(now=LATER) == (0, 0)
    assert Event.objects.count() == 0


def test_chosen_events_are_tried_whatever_their_reason(held):
    odd = QuarantinedEvent.objects.get(event_id="odd")
    assert replay(now=LATER, ids=[odd.pk]) == (0, 1)
    assert waiting()["odd"] == "unknown_type"


def test_one_sent_again_meanwhile_counts_once(held):
    customer = create_customer(key="acme", name="Acme")
    ingest([event("e0", type="llm", data={"n": Decimal("0.123456789012")})], now=NOW)
    ingest([event("e1", type="llm", data={"n": 7})], now=NOW)
    assert replay(now=LATER) == (1, 1)
    assert waiting()["e1"] == "conflict"
    read = read_usage([Window(1, customer.id, NOW - timedelta(days=1), NOW)])
    assert next(iter(read.readings[1].values())).cells == (((), Decimal("7.123456789012")),)


def test_an_event_without_time_keeps_the_time_of_its_arrival(db):
    define_meter(key="jobs", name="Jobs", event_type="job", aggregation="count")
    ingest([event("e1", time=None)], now=NOW)
    create_customer(key="acme", name="Acme")
    replay(now=LATER)
    stored = Event.objects.get()
    assert (stored.time, stored.recorded_at) == (NOW, LATER)
    assert ingest([event("e1", time=None)], now=LATER) == (0, 1, ())


def test_a_person_dismisses_with_a_reason_once(held):
    erin = User.objects.create_user("erin")
    odd = QuarantinedEvent.objects.get(event_id="odd")
    with pytest.raises(ReasonMissing):
        dismiss(quarantined_id=odd.pk, reason="  ", by=erin, now=LATER)
    assert "odd" in waiting()
    dismiss(quarantined_id=odd.pk, reason="A test of theirs", by=erin, now=LATER)
    odd.refresh_from_db()
    assert (odd.dismissed_reason, odd.dismissed_by, odd.dismissed_at) == (
        "A test of theirs", erin, LATER,
    )  # fmt: skip
    with pytest.raises(NotWaiting):
        dismiss(quarantined_id=odd.pk, reason="Again", by=erin, now=LATER)
    define_meter(key="odd", name="Odd", event_type="odd", aggregation="count")
    assert replay(now=LATER) == (0, 0)
    assert replay(now=LATER, ids=[odd.pk]) == (0, 0)
    assert Event.objects.count() == 0


def test_what_waits_is_told_by_cause(held):
    assert [(each.code, each.name, each.events, each.since) for each in waiting_quarantine()] == [
        ("unknown_subject", "acme", 2, NOW),
        ("unknown_type", "odd", 1, NOW),
    ]
