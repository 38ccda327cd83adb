"""Rollups lose nothing and count nothing twice, whatever runs beside them."""

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction

from plans.models import Customer, Meter
from plans.operations.customers import create_customer
from plans.operations.meters import define_meter
from tests.fixtures.usage import event, wait_for_horizon
from usage import tasks
from usage.horizon import current_horizon
from usage.models import RollupState
from usage.operations.ingest import ingest
from usage.operations.rollup import RollupsOutOfStep, rebuild_rollups, roll_up
from usage.queries import (
    Span,
    Window,
    read_transactions,
    read_usage,
    touched_since,
    verify_rollups,
)

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
AFTER = datetime(2026, 4, 2, tzinfo=UTC)
MONTH = (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))


@pytest.fixture
def acme(transactional_db, clean_usage):
    define_meter(
        key="tokens", name="Tokens", event_type="llm", aggregation="sum", value_property="n",
        dimensions=["model"],
    )  # fmt: skip
    return create_customer(key="acme", name="Acme")


def use(*numbers, prefix="e", **said):
    batch = [
        event(f"{prefix}{n}", type="llm", data={"n": n, "model": "ab"[n % 2]}, **said)
        for n in numbers
    ]
    report = ingest(batch, now=AFTER)
    assert report.accepted == len(batch)
    wait_for_horizon()


def total(customer):
    read = read_usage([Window(1, customer.id, *MONTH)]).readings
    return sum(quantity for _, quantity in read[1][Meter.objects.get().id].cells) if read else 0


def rolled():
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(quantity), 0), coalesce(sum(events), 0)::int"
                       " FROM usage_rollup")  # fmt: skip
        return cursor.fetchone()


def in_thread(work):
    def run():
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_run_takes_everything_once(acme):
    use(*range(100))
    assert rolled() == (0, 0)
    report = roll_up(now=NOW)
    assert (report.rows, report.is_caught_up) == (2, True)
    assert rolled() == (4950, 100)
    assert roll_up(now=NOW).rows == 0
    assert rolled() == (4950, 100)
    assert total(acme) == 4950
    use(*range(100, 110))
    assert total(acme) == 5995
    tasks.roll_up()
    assert rolled() == (5995, 110)
    assert total(acme) == 5995


def test_steps_are_bounded_and_take_transactions_whole(acme):
    for n in range(10):
        use(*range(n * 10, n * 10 + 10))
    report = roll_up(now=NOW, events_per_step=15, seconds_max=0)
    assert report.is_caught_up is False
    assert rolled()[1] == 20
    assert total(acme) == 4950
    assert roll_up(now=NOW, events_per_step=15).is_caught_up is True
    assert rolled() == (4950, 100)


def test_events_of_a_transaction_that_still_runs_wait_for_it(acme):
    use(0)
    inserted, go_on = threading.Event(), threading.Event()

    def slow():
        with transaction.atomic():
            use(1000, prefix="slow")
            inserted.set()
            assert go_on.wait(10)

    thread = in_thread(slow)
    assert inserted.wait(10)
    use(1)
    roll_up(now=NOW)
    assert total(acme) == 1
    go_on.set()
    thread.join()
    assert total(acme) == 1001
    roll_up(now=NOW)
    assert rolled() == (1001, 3)
    assert total(acme) == 1001


def test_rollups_racing_with_ingest_and_each_other_lose_nothing(acme):
    stop = threading.Event()
    seen = []

    def roll():
        while not stop.is_set():
            roll_up(now=NOW, events_per_step=70)

    def read():
        while not stop.is_set():
            seen.append(total(acme))

    writers = [
        in_thread(lambda n=n: [use(*range(k, k + 25), prefix=f"w{n}-") for k in range(0, 500, 25)])
        for n in range(3)
    ]
    others = [in_thread(roll), in_thread(roll), in_thread(read)]
    for thread in writers:
        thread.join()
    stop.set()
    for thread in others:
        thread.join()
    wanted = 3 * sum(range(500))
    assert total(acme) == wanted
    assert seen == sorted(seen), "a reading never goes back"
    roll_up(now=NOW)
    assert rolled() == (wanted, 1500)
    assert total(acme) == wanted


def test_a_run_that_dies_counts_nothing(acme):
    use(1, 2, 3)
    with transaction.atomic():
        roll_up(now=NOW)
        transaction.set_rollback(True)
    assert rolled() == (0, 0)
    roll_up(now=NOW)
    assert rolled() == (6, 3)


def test_a_new_meter_is_computed_over_all_history(acme):
    use(1, 2, 3)
    roll_up(now=NOW)
    second = define_meter(key="calls", name="Calls", event_type="llm", aggregation="count")
    read = read_usage([Window(1, acme.id, *MONTH)]).readings
    assert read[1][second.id].cells == (((), Decimal(3)),)
    roll_up(now=NOW)
    assert rolled()[1] == 6
    assert read_usage([Window(1, acme.id, *MONTH)]).readings == read


def test_what_does_not_fit_a_later_meter_is_not_counted_by_it(acme):
    use(1)
    ingest(
        [
            event(f"f{n}", type="llm", data={"n": 0, "seconds": value, "tag": "x" * 3000})
            for n, value in enumerate([5, "2.5", -1, "many", None, True, [1], 10**18, "1e3", {}])
        ],
        now=NOW,
    )
    later = define_meter(
        key="seconds", name="S", event_type="llm", aggregation="sum", value_property="seconds"
    )
    tagged = define_meter(
        key="tags", name="T", event_type="llm", aggregation="count", dimensions=["tag"]
    )
    for _ in range(2):
        read = read_usage([Window(1, acme.id, *MONTH)]).readings[1]
        assert read[later.id].cells == (((), Decimal("7.5")),)
        assert read[tagged.id].cells == ((("",), Decimal(1)),)
        roll_up(now=NOW)


def test_a_customer_that_changes_its_zone_keeps_its_usage(acme):
    use(1, time=datetime(2026, 3, 1, 3, tzinfo=UTC))
    use(2, time=datetime(2026, 3, 31, 23, tzinfo=UTC))
    roll_up(now=NOW)
    Customer.objects.filter(pk=acme.pk).update(time_zone="America/New_York")
    new_york = [Window(1, acme.id, MONTH[0] + timedelta(hours=5), MONTH[1] + timedelta(hours=4))]
    for _ in range(2):
        read = read_usage(new_york).readings[1][Meter.objects.get().id]
        assert read.cells == ((("a",), Decimal(2)),)
        assert total(acme) == 3
        roll_up(now=NOW)


def move_to_another_cluster():
    RollupState.objects.update(system=42)


def test_a_restore_into_another_cluster_keeps_the_order_of_things(acme):
    use(1)
    roll_up(now=NOW)
    use(2)
    read = read_usage([Window(1, acme.id, *MONTH)])
    span = [Span(7, acme.id, *MONTH, read.horizon)]
    assert touched_since(span) == set()
    move_to_another_cluster()
    assert total(acme) == 3
    assert touched_since(span) == set()
    use(4)
    assert touched_since(span) == {7}
    assert RollupState.objects.get().epoch == 1
    assert total(acme) == 7
    roll_up(now=NOW)
    assert rolled() == (7, 3)
    move_to_another_cluster()
    roll_up(now=NOW)
    use(8)
    assert current_horizon() >= 2 << 48
    roll_up(now=NOW)
    assert rolled() == (15, 4)
    assert total(acme) == 15


def test_a_horizon_from_the_future_stops_the_run_until_it_is_rebuilt(acme):
    use(1, 2)
    roll_up(now=NOW)
    RollupState.objects.update(horizon=1 << 60)
    with pytest.raises(RollupsOutOfStep):
        roll_up(now=NOW)
    use(3)
    rebuild_rollups(now=NOW)
    assert rolled() == (6, 3)
    assert total(acme) == 6


def test_one_meter_can_be_built_anew(acme):
    use(1, 2)
    roll_up(now=NOW)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE usage_rollup SET quantity = quantity + 1000")
    assert total(acme) == 2003
    assert [(d.meter, d.rolled, d.counted) for d in verify_rollups()] == [
        ("tokens", 1002, 2), ("tokens", 1001, 1),
    ]  # fmt: skip
    with pytest.raises(CommandError, match="2 rollups differ"):
        call_command("verify_rollups")
    rebuild_rollups(now=NOW, meter_ids=[Meter.objects.get().id])
    assert rolled() == (3, 2)
    assert verify_rollups() == []
    call_command("rebuild_rollups", meter=["tokens"])
    assert rolled() == (3, 2)
    with pytest.raises(CommandError, match="no meter"):
        call_command("rebuild_rollups", meter=["other"])
    call_command("verify_rollups")


def test_spans_are_touched_by_what_comes_after_them_alone(acme):
    use(1)
    horizon = read_usage([Window(1, acme.id, *MONTH)]).horizon
    day = timedelta(days=1)
    spans = [
        Span(1, acme.id, *MONTH, horizon),
        Span(2, acme.id, MONTH[0] - day, MONTH[0], horizon),
        Span(3, acme.id + 1, *MONTH, horizon),
    ]
    assert touched_since(spans) == set()
    use(2)
    assert touched_since(spans) == {1}
    assert touched_since([]) == set()


def test_transactions_come_in_the_order_of_time(acme):
    for n, hour in [(1, 5), (2, 3), (3, 9), (4, 3)]:
        use(n, time=datetime(2026, 3, 2, hour, tzinfo=UTC))
    meter = Meter.objects.get().id
    window = Window(9, acme.id, datetime(2026, 3, 2, 3, tzinfo=UTC), MONTH[1])
    assert read_transactions([window], meter_ids=[meter]) == {(9, meter): (2, 4, 1, 3)}
    assert read_transactions([window], meter_ids=[]) == {}


def test_reading_many_windows_takes_three_queries(acme, django_assert_num_queries):
    use(*range(10))
    windows = [Window(n, acme.id, *MONTH) for n in range(200)]
    with django_assert_num_queries(3):
        assert len(read_usage(windows).readings) == 200
