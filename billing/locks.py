"""Every claim on rows, by name. Rows are claimed in the order of their ids, in a transaction.

A claim is a conditional update: whoever sets ``claimed_until`` owns the statement until then, and
a worker that dies gives it back by letting the time pass. Whoever stores a statement names the
claim, so that a worker that was too slow stores nothing over another's work.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q

from billing.models import CreditPool, DryRun, Spend, SpendSweep
from billing.statements.facts import Period
from plans.arrays import array

CLAIM_LASTS = timedelta(minutes=15)


class Claimed(NamedTuple):
    """A statement that this worker owns for a while, with what is stored of it."""

    period: Period
    until: datetime
    facts: str
    horizon: int
    line_count: int
    approved: bool
    needs_approval: bool


_CLAIM = """
UPDATE billing_statement s SET claimed_until = %(until)s
FROM plans_customer c,
     (SELECT s.id FROM billing_statement s JOIN plans_customer c ON c.id = s.customer_id
      WHERE {ready} AND s.parked_at IS NULL
        AND (s.claimed_until IS NULL OR s.claimed_until < %(now)s)
        AND (%(customers)s::bigint[] IS NULL OR s.customer_id = ANY(%(customers)s))
        AND (%(before)s::timestamptz IS NULL OR s.period_end <= %(before)s)
      ORDER BY {order}, s.id LIMIT %(limit)s FOR NO KEY UPDATE OF s SKIP LOCKED) AS ready
WHERE s.id = ready.id AND c.id = s.customer_id
RETURNING s.id, s.customer_id, c.key, s.currency, c.time_zone, s.period_start, s.period_end,
          {stored}, s.horizon, s.line_count, s.approved_at IS NOT NULL,
          c.requires_review AND s.approved_at IS NULL
"""

_TO_DRAFT = _CLAIM.format(
    ready="""s.status = 'due' AND s.draft_due_at <= %(now)s
        AND (c.clock_at IS NULL OR s.draft_due_at <= c.clock_at)""",
    order="s.draft_due_at",
    stored="''",
)
_TO_REFRESH = _CLAIM.format(
    ready="s.status = 'draft' AND s.finalise_due_at > %(now)s AND s.drafted_at < %(stale)s",
    order="s.finalise_due_at",
    stored="s.facts",
)
_TO_FINALISE = _CLAIM.format(
    ready="""s.status IN ('draft', 'review') AND s.finalise_due_at <= %(now)s
        AND (c.clock_at IS NULL OR s.finalise_due_at <= c.clock_at)
        AND (s.status = 'draft' OR s.approved_at IS NOT NULL)
        AND NOT EXISTS (SELECT FROM billing_statement e WHERE e.customer_id = s.customer_id
                        AND e.period_end <= s.period_start AND e.status <> 'finalised')""",
    order="s.finalise_due_at",
    stored="s.facts",
)


class Scope(NamedTuple):
    """What a run is limited to: some customers, periods that ended by an instant, or nothing."""

    customer_ids: Collection[int] | None = None
    until: datetime | None = None


def claim_due(*, now: datetime, limit: int, scope: Scope) -> list[Claimed]:
    """Claim statements that are to be drafted for the first time."""
    return _claim(_TO_DRAFT, now=now, limit=limit, scope=scope)


def claim_stale(*, now: datetime, older_than: timedelta, limit: int, scope: Scope) -> list[Claimed]:
    """Claim drafts in their grace time that were built longer ago than ``older_than``."""
    return _claim(_TO_REFRESH, now=now, limit=limit, scope=scope, stale=now - older_than)


def claim_to_finalise(*, now: datetime, limit: int, scope: Scope) -> list[Claimed]:
    """Claim drafts whose grace time is over, each customer's oldest only, and approved reviews."""
    return _claim(_TO_FINALISE, now=now, limit=limit, scope=scope)


def lock_customers(*, customer_ids: Collection[int]) -> None:
    """Lock customers in the order of their ids: who posts to their ledger holds this first.

    The lock lets others refer to the customers meanwhile. A transaction must be open.
    """
    assert connection.in_atomic_block, "a lock outside a transaction locks nothing"
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT FROM plans_customer WHERE id = ANY(%s::bigint[])
               ORDER BY id FOR NO KEY UPDATE""",
            [array(customer_ids)],
        )


def lock_pool(*, pool_id: int) -> None:
    """Lock a pool: who places or ends a hold of it waits. A transaction must be open."""
    rows = CreditPool.objects.filter(pk=pool_id)
    list(rows.select_for_update(of=("self",), no_key=True).values_list("pk"))


def lock_spend(*, customer_ids: Collection[int]) -> dict[int, Spend]:
    """Lock the customers' rows of spend in the order of their ids, and return them by customer id.

    Rows that are missing are made. A transaction must be open.
    """
    wanted = sorted(set(customer_ids))
    # One alone has no order to keep, and is hardly ever missing.
    if len(wanted) == 1 and (locked := _lock_spend(wanted)):
        return locked
    there = set(Spend.objects.filter(pk__in=wanted).values_list("pk", flat=True))
    missing = [Spend(customer_id=one) for one in wanted if one not in there]
    if missing:
        Spend.objects.bulk_create(missing, ignore_conflicts=True)
    return _lock_spend(wanted)


def _lock_spend(customer_ids: list[int]) -> dict[int, Spend]:
    rows = Spend.objects.filter(pk__in=customer_ids).select_for_update(of=("self",), no_key=True)
    return {row.pk: row for row in rows.order_by("pk")}


def claim_spend_sweep(*, now: datetime, lasts: timedelta) -> SpendSweep | None:
    """Claim the sweep over spend; None where another worker has it."""
    SpendSweep.objects.get_or_create(id=1)
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    if not SpendSweep.objects.filter(free, id=1).update(claimed_until=now + lasts):
        return None
    return SpendSweep.objects.get(id=1)


def release_spend_sweep(*, horizon: int, now: datetime) -> None:
    """Give the sweep back, and say how far spend is rated."""
    SpendSweep.objects.filter(id=1).update(horizon=horizon, swept_at=now, claimed_until=None)


def _claim(
    query: str, *, now: datetime, limit: int, scope: Scope, stale: datetime | None = None
) -> list[Claimed]:
    until = now + CLAIM_LASTS
    values: dict[str, Any] = {
        "now": now,
        "until": until,
        "limit": limit,
        "customers": None if scope.customer_ids is None else list(scope.customer_ids),
        "before": scope.until,
        "stale": stale,
    }
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        rows = cursor.fetchall()
    claimed = [Claimed(Period(*row[:7]), until, *row[7:]) for row in rows]
    return sorted(claimed, key=lambda item: item.period.id)


def claim_dry_run(*, run_id: int, now: datetime) -> DryRun | None:
    """Claim a dry run that is not finished; None where it is, or where another worker has it."""
    until = now + CLAIM_LASTS
    free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    unfinished = DryRun.objects.filter(free, id=run_id, finished_at=None)
    if not unfinished.update(claimed_until=until):
        return None
    return DryRun.objects.select_related("plan", "version").get(id=run_id)
