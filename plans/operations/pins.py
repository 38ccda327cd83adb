"""Say which version subscriptions are on: keep them on one, or move them to another."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import TextChoices

from plans import locks
from plans.errors import OperationError
from plans.models import PlanVersion
from plans.rating import billing_period, local_midnight


class When(TextChoices):
    """When subscriptions move to a version."""

    AT_ONCE = "at_once", "At once"
    NEXT_PERIOD = "next_period", "At the start of each customer's next billing period"
    ON_DATE = "on_date", "On a date"
    NEVER = "never", "They stay on the version that they are on"


class MoveDateRefused(OperationError):
    """Subscriptions cannot move on that day."""

    code = "move_date_refused"


@dataclass(frozen=True, slots=True)
class Move:
    """When subscriptions move; ``day`` begins in each customer's own time zone.

    Raises MoveDateRefused where a move on a date has none.
    """

    when: When
    day: date | None = None

    def __post_init__(self) -> None:
        if self.when == When.ON_DATE and self.day is None:
            raise MoveDateRefused("Choose the day on which they move.", field="day")


AT_ONCE: Final = Move(When.AT_ONCE)


class NotSold(OperationError):
    """The version is not published, or was called off: nobody can be on it."""

    code = "not_sold"


# How one customer's time is counted: its zone, its anchor, and when it moves.
_Clock = tuple[str, date | None, datetime | None]

_CLOCKS = """
SELECT DISTINCT c.time_zone, s.anchor_date
FROM plans_subscription s JOIN plans_customer c ON c.id = s.customer_id
WHERE s.plan_id = %(plan)s AND c.currency = %(currency)s
"""

_KEEP = """
INSERT INTO plans_versionpin (subscription_id, version_id, starts_at, ends_at, created_at)
SELECT s.id, %(version)s, %(at)s, least(k.moves_at, later.starts_at), %(now)s
FROM plans_subscription s
JOIN plans_customer c ON c.id = s.customer_id
JOIN unnest(%(zones)s::text[], %(anchors)s::date[], %(moves)s::timestamptz[])
     AS k(zone, anchor, moves_at)
     ON k.zone = c.time_zone AND k.anchor IS NOT DISTINCT FROM s.anchor_date
LEFT JOIN LATERAL (
    SELECT min(p.starts_at) AS starts_at FROM plans_versionpin p
    WHERE p.subscription_id = s.id AND p.starts_at > %(at)s
) later ON true
WHERE s.plan_id = %(plan)s AND c.currency = %(currency)s
    AND s.starts_at < %(at)s AND (s.ends_at IS NULL OR s.ends_at > %(at)s)
    AND (k.moves_at IS NULL OR k.moves_at > %(at)s)
    AND NOT EXISTS (
        SELECT FROM plans_versionpin p WHERE p.subscription_id = s.id
            AND p.starts_at <= %(at)s AND (p.ends_at IS NULL OR p.ends_at > %(at)s)
    )
RETURNING subscription_id
"""

# Who moves, and when: not who is kept on the version for ever from then on anyway.
_MOVED = """
WITH moved AS (
    SELECT s.id, greatest(k.moves_at, s.starts_at) AS since
    FROM plans_subscription s
    JOIN plans_customer c ON c.id = s.customer_id
    JOIN unnest(%(zones)s::text[], %(anchors)s::date[], %(moves)s::timestamptz[])
         AS k(zone, anchor, moves_at)
         ON k.zone = c.time_zone AND k.anchor IS NOT DISTINCT FROM s.anchor_date
    WHERE s.plan_id = %(plan)s AND c.currency = %(currency)s
        AND (%(customers)s::bigint[] IS NULL OR c.id = ANY (%(customers)s::bigint[]))
        AND (s.ends_at IS NULL OR s.ends_at > greatest(k.moves_at, s.starts_at))
        AND NOT EXISTS (
            SELECT FROM plans_versionpin p WHERE p.subscription_id = s.id
                AND p.version_id = %(version)s AND p.ends_at IS NULL
                AND p.starts_at <= greatest(k.moves_at, s.starts_at)
        )
)
"""
_DROP = """
DELETE FROM plans_versionpin p USING moved m
WHERE p.subscription_id = m.id AND p.starts_at >= m.since RETURNING p.subscription_id
"""
_CUT = """
UPDATE plans_versionpin p SET ends_at = m.since FROM moved m
WHERE p.subscription_id = m.id AND p.starts_at < m.since
    AND (p.ends_at IS NULL OR p.ends_at > m.since) RETURNING p.subscription_id
"""
_PIN = """
INSERT INTO plans_versionpin (subscription_id, version_id, starts_at, ends_at, created_at)
SELECT m.id, %(version)s, m.since, CASE WHEN m.since < %(starts)s THEN %(starts)s END, %(now)s
FROM moved m
WHERE NOT (%(starts)s <= m.since
    AND (%(ends)s::timestamptz IS NULL OR m.since < %(ends)s)) RETURNING subscription_id
"""


def keep_subscribers(*, on: PlanVersion, at: datetime, move: Move, now: datetime) -> int:
    """Keep who is subscribed at a time on the version that ends then, until they move.

    Who is kept on a version already stays there. Return how many are kept. Raises MoveDateRefused.
    """
    if move.when == When.AT_ONCE:
        return 0
    if move.day is not None and move.day < at.astimezone(UTC).date():
        raise MoveDateRefused(
            f"The new version takes effect on {at:%d %B %Y}: choose that day or a later one.",
            field="day",
        )
    clocks = _clocks(on, move=move, at=at)
    return len(_run(_KEEP, _arguments(on, clocks, at=at, now=now)))


@transaction.atomic
def move_subscribers(
    *,
    version: PlanVersion,
    move: Move,
    customer_ids: Collection[int] | None = None,
    now: datetime,
) -> int:
    """Move subscriptions of the version's plan and currency to it, all or those of some customers.

    What kept them on other versions ends. Where the version is in force by itself from then on,
    nothing keeps them; else they are kept on it. Return how many are changed, in six queries.
    Raises NotSold, MoveDateRefused for a day that has begun.
    """
    locks.plan(plan_id=version.plan_id)
    row = locks.version(version_id=version.pk)
    if row.effective_from is None or row.effective_from == row.effective_until:
        raise NotSold(f"Version {row.number} is not published, so nobody can be on it.")
    if move.when == When.NEVER:
        raise MoveDateRefused("Say when they move.", field="when")
    clocks = _clocks(row, move=move, at=now)
    if any(moves_at is not None and moves_at < now for _, _, moves_at in clocks):
        raise MoveDateRefused(
            "That day has begun for some customers: choose a later one, or at once.", field="day"
        )
    arguments = _arguments(row, clocks, at=now, now=now)
    arguments["customers"] = None if customer_ids is None else list(customer_ids)
    changed: set[int] = set()
    for statement in (_DROP, _CUT, _PIN):
        changed |= _run(_MOVED + statement, arguments)
    return len(changed)


def moves_at(*, move: Move, zone: str, anchor: date | None, at: datetime) -> datetime | None:
    """Return when a customer moves that could from a time on; None is never.

    A period that begins at that time is the next one.
    """
    if move.when == When.NEVER:
        return None
    if move.when == When.AT_ONCE:
        return at
    if move.when == When.NEXT_PERIOD:
        period = billing_period(anchor=anchor, zone=zone, at=at)
        return at if period.start == at else period.end
    assert move.day is not None
    return local_midnight(move.day, zone=zone)


def _clocks(version: PlanVersion, *, move: Move, at: datetime) -> list[_Clock]:
    with connection.cursor() as cursor:
        cursor.execute(_CLOCKS, {"plan": version.plan_id, "currency": version.currency})
        found: Sequence[tuple[str, date | None]] = cursor.fetchall()
    return [
        (zone, anchor, moves_at(move=move, zone=zone, anchor=anchor, at=at))
        for zone, anchor in found
    ]


def _arguments(
    version: PlanVersion, clocks: Sequence[_Clock], *, at: datetime, now: datetime
) -> dict[str, Any]:
    return {
        "version": version.pk,
        "plan": version.plan_id,
        "currency": version.currency,
        "starts": version.effective_from,
        "ends": version.effective_until,
        "at": at,
        "now": now,
        "zones": [zone for zone, _, _ in clocks],
        "anchors": [anchor for _, anchor, _ in clocks],
        "moves": [moves for _, _, moves in clocks],
    }


def _run(statement: str, arguments: dict[str, Any]) -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return {row[0] for row in cursor.fetchall()}
