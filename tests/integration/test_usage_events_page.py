"""The events behind a quantity, page by page."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from plans.models import Meter
from plans.operations.customers import create_customer
from plans.operations.meters import define_meter
from tests.fixtures.usage import event
from usage import listing
from usage.operations.ingest import ingest
from usage.queries import events_page

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC)


@pytest.fixture
def acme(db):
    customer = create_customer(key="acme", name="Acme")
    ingest_all(customer)
    return customer


def ingest_all(customer):
    define_meter(
        key="n", name="N", event_type="llm", aggregation="sum", value_property="n",
        dimensions=["model"], filters={"ok": ["true"]}, rounding="up", rounding_multiple=10,
    )  # fmt: skip
    sent = [
        event(
            f"e{n:03}", type="llm", time=START + timedelta(minutes=n // 3),
            data={"n": n, "model": "ab"[n % 2], "ok": n % 5 != 0},
        )
        for n in range(100)
    ]  # fmt: skip
    assert ingest(sent, now=NOW).accepted == 100


def pages(customer, meter, **said):
    found, after, count = [], None, 0
    while True:
        page = events_page(
            customer_id=customer.id, meter_id=meter.id, start=START, end=END, after=after, **said
        )
        found += page.events
        after, count = page.after, count + 1
        if after is None:
            return found, count


def test_pages_follow_each_other_without_gap_or_repeat(acme, monkeypatch):
    meter = Meter.objects.get()
    counted = [f"e{n:03}" for n in range(100) if n % 5]
    found, count = pages(acme, meter, limit=7)
    assert [each.event_id for each in found] == counted
    assert count == 12
    monkeypatch.setattr(listing, "EVENTS_PER_SCAN", 3)
    found, _ = pages(acme, meter, limit=7)
    assert [each.event_id for each in found] == counted
    monkeypatch.setattr(listing, "_SCANS_MAX", 1)
    found, _ = pages(acme, meter, limit=7)
    assert [each.event_id for each in found] == counted


def test_a_cell_has_its_own_events_with_what_each_adds(acme):
    found, _ = pages(acme, Meter.objects.get(), dimensions=[("b",)])
    assert [each.event_id for each in found][:3] == ["e001", "e003", "e007"]
    assert found[0].quantity == Decimal(10)
    assert found[0].dimensions == ("b",)
    assert found[0].properties == {"n": 1, "model": "b", "ok": True}
    assert {each.dimensions for each in found} == {("b",)}
