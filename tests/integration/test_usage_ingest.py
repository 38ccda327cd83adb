"""Events are stored once each, and what cannot be stored says why."""

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection, connections

from plans.operations.customers import create_customer, create_workspace
from plans.operations.meters import define_meter
from tests.fixtures.usage import event
from usage.ingest import TooManyEvents
from usage.models import Event, EventKey, QuarantinedEvent
from usage.operations.ingest import ingest
from usage.operations.partitions import ensure_partitions, keep_partitions

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def acme(db):
    customer = create_customer(key="acme", name="Acme")
    create_workspace(customer=customer, key="acme-eu", name="Acme EU")
    define_meter(key="jobs", name="Jobs", event_type="job", aggregation="count")
    define_meter(
        key="tokens", name="Tokens", event_type="llm", aggregation="sum", value_property="tokens",
        dimensions=["model"],
    )  # fmt: skip
    define_meter(
        key="users", name="Users", event_type="seen", aggregation="unique_count",
        value_property="user", filters={"kind": ["human"]},
    )  # fmt: skip
    return customer


def stored():
    return EventKey.objects.count(), Event.objects.count(), QuarantinedEvent.objects.count()


def codes(report):
    return [(each.index, each.code, each.field) for each in report.rejected]


def test_an_event_is_stored_with_its_facts(acme):
    sent = event(
        "e1", type="llm", subject="acme-eu", data={"tokens": Decimal("1.50"), "model": "a"}
    )
    report = ingest([sent], now=NOW)
    assert report == (1, 0, ())
    (row,) = Event.objects.all()
    assert (row.customer_id, row.workspace.key, row.type) == (acme.id, "acme-eu", "llm")
    assert (row.time, row.recorded_at) == (sent.time, NOW)
    with connection.cursor() as cursor:
        cursor.execute("SELECT properties->>'tokens', xid > 0 FROM usage_event")
        assert cursor.fetchone() == ("1.50", True)


def test_the_same_event_again_counts_nothing(acme):
    sent = event("e1", data={"a": 1, "b": [1, 2]})
    ingest([sent], now=NOW)
    before = stored()
    assert ingest([sent], now=NOW + timedelta(days=3)) == (0, 1, ())
    assert ingest([event("e1", data={"b": [1, 2], "a": 1})], now=NOW) == (0, 1, ())
    assert stored() == before


@pytest.mark.parametrize(
    "other",
    [
        {"data": {"a": 2}},
        {"type": "llm", "data": {"a": 1, "tokens": 1}},
        {"subject": "acme-eu"},
        {"time": NOW - timedelta(seconds=1)},
    ],
)
def test_other_content_under_the_same_key_is_a_conflict(acme, other):
    ingest([event("e1", data={"a": 1})], now=NOW)
    before = list(Event.objects.values_list("properties", "type", "time", "workspace_id"))
    report = ingest([event("e1", **{"data": {"a": 1}} | other), event("e2")], now=NOW)
    assert report.accepted == 1
    assert codes(report) == [(0, "conflict", "id")]
    after = Event.objects.filter(event_id="e1")
    assert list(after.values_list("properties", "type", "time", "workspace_id")) == before


def test_one_batch_may_repeat_itself(acme):
    batch = [event("e1", data={"a": 1}), event("e1", data={"a": 1}), event("e1", data={"a": 2})]
    report = ingest(batch, now=NOW)
    assert (report.accepted, report.duplicates) == (1, 1)
    assert codes(report) == [(2, "conflict", "id")]
    assert stored() == (1, 1, 0)


def test_an_event_without_time_happened_when_it_came_and_may_come_again(acme):
    untimed = event("e1", time=None)
    ingest([untimed], now=NOW)
    assert Event.objects.get().time == NOW
    assert ingest([untimed], now=NOW + timedelta(minutes=5)) == (0, 1, ())


def test_the_source_is_part_of_the_key(acme):
    report = ingest([event("e1", source="a"), event("e1", source="b")], now=NOW)
    assert report.accepted == 2


def test_unknown_subjects_and_types_go_to_quarantine_whole(acme):
    batch = [
        event("e1", subject="nobody", data={"x": Decimal("0.10")}),
        event("e2", type="odd"),
        event("e3"),
    ]
    report = ingest(batch, now=NOW)
    assert report.accepted == 1
    assert [(each.code, each.quarantined) for each in report.rejected] == [
        ("unknown_subject", True),
        ("unknown_type", True),
    ]
    held = QuarantinedEvent.objects.get(event_id="e1")
    assert held.payload["subject"] == "nobody"
    assert held.payload["data"] == {"x": 0.10}
    assert ingest(batch, now=NOW).rejected == report.rejected
    assert stored() == (1, 1, 2)


def test_other_content_of_a_held_event_is_a_conflict(acme):
    ingest([event("e1", subject="nobody")], now=NOW)
    report = ingest([event("e1", subject="nobody", data={"a": 1})], now=NOW)
    assert codes(report) == [(0, "conflict", "id")]
    assert QuarantinedEvent.objects.get().payload["data"] is None


@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        ({"time": NOW + timedelta(days=1, seconds=1)}, "time_out_of_range", "time"),
        ({"time": NOW - timedelta(days=3654)}, "time_out_of_range", "time"),
        ({"id": "x" * 201}, "id_too_long", "id"),
        ({"source": "x" * 201}, "id_too_long", "source"),
        ({"id": ""}, "missing_field", "id"),
        ({"id": "a\0b"}, "invalid_data", "id"),
        ({"subject": "a\0b"}, "invalid_data", "subject"),
        ({"data": {"a": {"b": ["\0"]}}}, "invalid_data", "data"),
        ({"type": "llm", "data": {}}, "missing_value", "data.tokens"),
        ({"type": "llm", "data": {"tokens": None}}, "missing_value", "data.tokens"),
        ({"type": "llm", "data": {"tokens": -1}}, "invalid_value", "data.tokens"),
        ({"type": "llm", "data": {"tokens": 10**18}}, "invalid_value", "data.tokens"),
        ({"type": "llm", "data": {"tokens": "many"}}, "invalid_value", "data.tokens"),
        ({"type": "llm", "data": {"tokens": "1.0000000000001"}}, "invalid_value", "data.tokens"),
        ({"type": "llm", "data": {"tokens": "1_0"}}, "invalid_value", "data.tokens"),
        ({"type": "llm", "data": {"tokens": True}}, "invalid_value", "data.tokens"),
        ({"type": "llm", "data": {"tokens": Decimal("NaN")}}, "invalid_value", "data.tokens"),
        ({"type": "llm", "data": {"tokens": 1, "model": "x" * 201}}, "invalid_data", "data.model"),
        ({"type": "llm", "data": {"tokens": 1, "model": ["a"]}}, "invalid_data", "data.model"),
        ({"type": "seen", "data": {"kind": "human"}}, "missing_value", "data.user"),
        ({"type": "seen", "data": {"kind": "human", "user": {}}}, "invalid_value", "data.user"),
    ],
)
def test_a_bad_event_is_refused_with_its_reason_and_the_others_go_on(acme, wrong, code, field):
    bad = event(**{"id": "bad"} | wrong)
    report = ingest([event("e1"), bad, event("e2")], now=NOW)
    assert report.accepted == 2
    assert codes(report) == [(1, code, field)]
    assert stored() == (2, 2, 0)


@pytest.mark.parametrize(
    ("type", "data"),
    [
        ("llm", {"tokens": "12.5"}),
        ("llm", {"tokens": 0}),
        ("llm", {"tokens": Decimal("0.10000000000000001"), "model": 4}),
        ("llm", {"tokens": 10**18 - 1, "model": True}),
        ("seen", {"kind": "robot"}),
        ("seen", {"kind": "human", "user": 42}),
        ("job", None),
    ],
)
def test_what_fits_its_meters_is_taken(acme, type, data):
    assert ingest([event("e1", type=type, data=data)], now=NOW).accepted == 1


def test_a_batch_of_1000_with_7_bad_stores_993_and_answers_for_the_7(acme):
    bad = {5, 50, 100, 333, 500, 998, 999}
    batch = [
        event(f"e{n:04}", type="llm", data={"tokens": "x" if n in bad else n}) for n in range(1000)
    ]
    report = ingest(batch, now=NOW)
    assert report.accepted == 993
    assert {each.index for each in report.rejected} == bad
    assert {each.code for each in report.rejected} == {"invalid_value"}
    assert stored() == (993, 993, 0)


def test_a_batch_has_a_limit(acme, settings):
    settings.USAGE_BATCH_EVENTS_MAX = 2
    with pytest.raises(TooManyEvents):
        ingest([event(f"e{n}") for n in range(3)], now=NOW)
    assert stored() == (0, 0, 0)


def test_the_number_of_queries_does_not_grow_with_the_batch(acme, django_assert_num_queries):
    keep_partitions(now=NOW)
    # Meters; three look for the partition, which only a commit makes known. The insert, which
    # finds the owners, goes past the cursor that counts.
    with django_assert_num_queries(4):
        ingest([event(f"a{n}") for n in range(500)], now=NOW)
    with django_assert_num_queries(6):
        ingest([event(f"a{n}") for n in range(501)], now=NOW)


def test_months_get_their_partition_when_an_event_needs_it(acme):
    times = [datetime(2017, 1, 31, 23, 59, 59, tzinfo=UTC), datetime(2021, 2, 1, tzinfo=UTC)]
    report = ingest([event(f"e{n}", time=time) for n, time in enumerate(times)], now=NOW)
    assert report.accepted == 2
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM usage_event ORDER BY time")
        assert cursor.fetchall() == [("usage_event_2017_01",), ("usage_event_2021_02",)]


def run_at_once(count, work):
    """Run work(n) in so many threads that start together; return what they return."""
    barrier, results = threading.Barrier(count), [None] * count

    def run(n):
        try:
            barrier.wait()
            results[n] = work(n)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.fixture
def committed(transactional_db, clean_usage):
    create_customer(key="acme", name="Acme")
    define_meter(key="jobs", name="Jobs", event_type="job", aggregation="count")


def test_eight_clients_with_the_same_batch_store_each_event_once(committed):
    batch = [event(f"e{n * 7919 % 500:04}") for n in range(500)]
    reports = run_at_once(8, lambda _: ingest(batch, now=NOW))
    assert sum(report.accepted for report in reports) == 500
    assert sum(report.duplicates for report in reports) == 7 * 500
    assert stored() == (500, 500, 0)


def test_overlapping_batches_in_any_order_neither_deadlock_nor_lose(committed):
    def work(n):
        ids = list(range(300))
        ids = ids[n * 30 :] + ids[: n * 30]
        return ingest([event(f"e{i:04}") for i in (ids if n % 2 else ids[::-1])], now=NOW)

    reports = run_at_once(8, work)
    assert sum(report.accepted for report in reports) == 300
    assert stored() == (300, 300, 0)


def test_a_partition_is_made_once_by_many_at_once(committed):
    run_at_once(8, lambda _: ensure_partitions([(2018, 5), (2018, 6)]))
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
                       " WHERE c.relname IN ('usage_event_2018_05', 'usage_event_2018_06')"
                       " AND i.inhparent = 'usage_event'::regclass")  # fmt: skip
        assert cursor.fetchone() == (2,)


def test_a_partition_that_went_away_is_made_again(committed):
    sent = event("e1", time=datetime(2018, 5, 3, tzinfo=UTC))
    ensure_partitions([(2018, 5)])
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE usage_event_2018_05")
    assert ingest([sent], now=NOW).accepted == 1
