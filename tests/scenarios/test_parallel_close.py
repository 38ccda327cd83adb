"""Workers that close at the same time: every statement once, none twice, whoever dies or lags."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal as D

from django.db import connection

from billing import runs
from billing.locks import Scope, claim_due
from billing.models import Statement, StatementLine
from billing.statements.opening import open_statements
from billing.statements.verify import Difference, verify_statements
from tests.fixtures.world import World, at

NOW = at(2024, 12, 5)
CUSTOMERS = 60


def work(step) -> int:
    """Run a step with small chunks, as one of several workers."""
    try:
        report = step(now=NOW, chunk=7)
        return report.drafted + report.finalised
    finally:
        connection.close()


def with_four_workers(step) -> list[int]:
    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(work, [step] * 4))


def due(world: World) -> None:
    """Customers with one fee and one job each, whose November is due."""
    plan = world.plan(
        prices=(
            {"key": "platform", "model": "flat", "amount": D(30)},
            {"key": "jobs", "model": "per_unit", "meter": world.meter(), "amount": D(2)},
        )
    )
    for number in range(CUSTOMERS):
        world.subscribe(world.customer(f"c{number}"), plan, starts_at=at(2024, 11, 1))
        world.use(f"c{number}", time=at(2024, 11, 10))
    assert open_statements(until=NOW, scope=Scope()) == CUSTOMERS


def test_four_workers_draft_and_finalise_each_statement_once(world: World) -> None:
    due(world)
    assert sum(with_four_workers(runs.draft_due)) == CUSTOMERS
    assert sum(with_four_workers(runs.finalise_due)) == CUSTOMERS
    finalised = Statement.objects.filter(status="finalised", sequence=1, total=D(32))
    assert finalised.count() == CUSTOMERS
    assert StatementLine.objects.count() == 2 * CUSTOMERS
    assert not [found for found in verify_statements() if isinstance(found, Difference)]


def test_four_workers_open_each_period_once(world: World) -> None:
    due(world)
    Statement.objects.all().delete()

    def open_all(_: int) -> int:
        try:
            return open_statements(until=NOW, scope=Scope())
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=4) as pool:
        assert sum(pool.map(open_all, range(4))) == CUSTOMERS
    assert Statement.objects.count() == CUSTOMERS


def test_a_worker_that_was_too_slow_stores_nothing_over_another_s_work(world: World) -> None:
    due(world)
    slow = claim_due(now=NOW, limit=CUSTOMERS, scope=Scope())
    assert len(slow) == CUSTOMERS
    assert runs.draft_due(now=NOW).drafted == 0
    later = NOW + timedelta(minutes=16)
    assert runs.draft_due(now=later).drafted == CUSTOMERS
    lines = list(StatementLine.objects.order_by("id").values_list())
    assert (
        runs._isolating_failures(lambda claimed: runs._draft(claimed, now=NOW), slow).drafted == 0
    )
    assert list(StatementLine.objects.order_by("id").values_list()) == lines
