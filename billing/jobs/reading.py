"""What admission looks at, read in one statement that locks the customer's row of spend.

Each table that a statement names takes its time even where nothing of it is read. So what few jobs
need, a parent, the first answer to a key or whether what was unpaid is on a statement by now, is
asked for by those alone.

Whoever waited for the lock sees the row as it was left, and all that must not be out of date stands
on it: what is spent, held and pending, and how many jobs run.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection

from billing.jobs.errors import NotSubscribed, UnknownJob, UnknownJobClass, UnknownSubject
from billing.models import Spend, Statement
from plans.rating.money import ZERO
from usage.comparable import LAST_OF_CUSTOMER
from usage.operations.api_keys import PresentedKey
from usage.prepared import first_row


class BudgetRow(NamedTuple):
    """A budget of the customer (no workspace), or of the workspace that asks."""

    workspace: str
    amount: Decimal
    stops: bool
    throttle_percent: int | None
    throttle_to: int


class Account(msgspec.Struct, frozen=True):
    """A customer as admission sees it: whose job it is, on which version, and how it stands.

    ``known_id`` is the job that was admitted under the same key. ``last_job_id`` is the comparable
    job that ended last. ``mark`` is another one as soon as the row of spend was written.
    ``api_key_id`` is that of the key that asks.
    """

    customer_id: int
    customer: str
    currency: str
    zone: str
    workspace_id: int | None
    workspace: str
    class_id: int
    silence_seconds: int
    version_id: int
    spent: Decimal
    by_workspace: dict[str, str]
    usage: str
    period_start: datetime | None
    period_end: datetime | None
    held: Decimal
    held_by_workspace: dict[str, str]
    pending: list[list[Any]]
    running: int
    running_by_class: dict[str, int]
    hour_start: datetime | None
    hour_jobs: dict[str, int]
    day_start: datetime | None
    day_jobs: dict[str, int]
    day_spent_before: Decimal
    rated_at: datetime | None
    unpaid: Decimal
    budgets: tuple[BudgetRow, ...]
    known_id: int | None
    known_digest: str | None
    parent_id: int | None
    parent_state: str | None
    last_job_id: int | None
    at: datetime
    mark: str
    api_key_id: int | None
    api_key_used_at: datetime | None


_AT = "coalesce(c.clock_at, %(at)s)"
# A key is asked for as the first one from it on, and a parent without its customer: so nothing but
# the index of each will do. By equality alone the index of a customer's jobs seems as good, until a
# customer has thousands.
_LAST_JOB = LAST_OF_CUSTOMER.format(customer="c.id", job_class="k.id", at=_AT)
_READ = f"""
SELECT c.id, c.key, c.currency, c.time_zone, o.workspace_id, coalesce(w.key, ''), k.id,
    k.silence_seconds, u.version_id, s.spent, s.by_workspace, s.usage, s.period_start,
    s.period_end, s.held, s.held_by_workspace, s.pending, s.running, s.running_by_class,
    s.hour_start, s.hour_jobs, s.day_start, s.day_jobs, s.day_spent_before, s.rated_at,
    s.unpaid, ARRAY(
        SELECT jsonb_build_array(b.id, CASE WHEN b.workspace_id IS NULL THEN '' ELSE w.key END,
            b.amount::text, b.stops, b.throttle_percent, b.throttle_to)::text
        FROM plans_budget b WHERE b.customer_id = c.id
            AND (b.workspace_id IS NULL OR b.workspace_id = o.workspace_id)),
    j.id, j.request_digest, {{parent_columns}}, ({_LAST_JOB}), {_AT}, s.xmin::text, a.id,
    a.last_used_at, s.unpaid_at
FROM plans_subject o
JOIN plans_customer c ON c.id = o.customer_id
JOIN billing_spend s ON s.customer_id = c.id
LEFT JOIN plans_workspace w ON w.id = o.workspace_id
LEFT JOIN plans_jobclass k ON k.key = %(job_class)s
LEFT JOIN LATERAL (
    SELECT j.id, j.key, j.request_digest FROM usage_job j
    WHERE j.customer_id = c.id AND j.key >= %(key)s
    ORDER BY j.key LIMIT 1) j ON j.key = %(key)s
{{parent}}
LEFT JOIN usage_apikey a ON a.digest = %(digest)s AND a.revoked_at IS NULL
    AND %(scope)s = ANY (a.scopes)
LEFT JOIN LATERAL (
    SELECT coalesce(i.version_id, v.id) AS version_id
    FROM (SELECT {_AT} AS at) n
    JOIN plans_subscription b ON b.customer_id = c.id AND b.starts_at <= n.at
        AND (b.ends_at IS NULL OR b.ends_at > n.at)
    LEFT JOIN plans_versionpin i ON i.subscription_id = b.id AND i.starts_at <= n.at
        AND (i.ends_at IS NULL OR i.ends_at > n.at)
    LEFT JOIN plans_planversion v ON v.plan_id = b.plan_id AND v.published_at IS NOT NULL
        AND v.currency = c.currency AND v.effective_from <= n.at
        AND (v.effective_until IS NULL OR v.effective_until > n.at)
    LIMIT 1) u ON true
WHERE o.key = %(subject)s
"""  # noqa: S608
_ALONE = _READ.format(parent_columns="NULL::bigint, NULL::text", parent="")
_OF_PARENT = _READ.format(
    parent_columns="CASE WHEN p.customer_id = c.id THEN p.id END, p.state",
    parent="LEFT JOIN usage_job p ON p.public_id = %(parent)s",
)
_LOCK = "FOR NO KEY UPDATE OF s"
_MAKE = """
SELECT o.customer_id FROM plans_subject o WHERE o.key = %s
"""


def read_account(
    *,
    subject: str,
    job_class: str,
    at: datetime,
    key: str = "",
    parent: UUID | None = None,
    by: PresentedKey | None = None,
    lock: bool = True,
) -> Account:
    """Return how the customer stands that a subject names; with ``lock`` it stays so.

    ``at`` is the real time; a customer to test with stands at its own, as the account says.
    ``lock`` needs a transaction. ``by`` is the API key that asks, which is looked up along.
    Raises KeyNotAccepted, UnknownSubject, UnknownJobClass, UnknownJob for the parent and
    NotSubscribed.
    """
    account = find_account(
        subject=subject, job_class=job_class, at=at, key=key, parent=parent, by=by, lock=lock
    )
    if account.class_id is None:
        raise UnknownJobClass(f"There is no job class “{job_class}”.", field="job_class")
    if account.version_id is None:
        raise NotSubscribed(f"“{subject}” is on no plan at this time.", field="subject")
    if parent is not None and account.parent_id is None:
        raise UnknownJob(f"The customer has no job {parent}.", field="parent")
    return account


def find_account(
    *,
    subject: str,
    job_class: str,
    at: datetime,
    key: str = "",
    parent: UUID | None = None,
    by: PresentedKey | None = None,
    lock: bool = False,
) -> Account:
    """Return what `read_account` does, where its class, version or parent may be missing.

    Raises KeyNotAccepted and UnknownSubject.
    """
    values = {
        "subject": subject, "job_class": job_class, "at": at, "key": key, "parent": parent,
        "digest": by and by.digest, "scope": by and by.scope,
    }  # fmt: skip
    row = _row(values, lock=lock)
    if row is None:
        if by:
            by.check()
        _make_spend(subject)
        row = _row(values, lock=lock)
    assert row is not None
    account = _account(row)
    if by and account.api_key_id is None:
        by.check()
    return account


def _row(values: dict[str, Any], *, lock: bool) -> tuple[Any, ...] | None:
    read = _ALONE if values["parent"] is None else _OF_PARENT
    return first_row(read + _LOCK if lock else read, values)


def _make_spend(subject: str) -> None:
    """Make the row that a new customer lacks. Raises UnknownSubject."""
    with connection.cursor() as cursor:
        cursor.execute(_MAKE, [subject])
        found = cursor.fetchone()
    if found is None:
        raise UnknownSubject(f"No customer or workspace has the key “{subject}”.", field="subject")
    Spend.objects.bulk_create([Spend(customer_id=found[0])], ignore_conflicts=True)


_JSON = (10, 15, 16, 18, 20, 22)  # The columns of counts, amounts and quantities.
_UNPAID, _BUDGETS = 25, 26


def _account(row: tuple[Any, ...]) -> Account:
    *values, unpaid_at = row
    for place in _JSON:
        values[place] = msgspec.json.decode(values[place])
    values[_BUDGETS] = tuple(_budgets(values[_BUDGETS])) if values[_BUDGETS] else ()
    if values[_UNPAID] and _is_on_statement(values[0], unpaid_at):
        values[_UNPAID] = ZERO
    return Account(*values)


def _budgets(texts: list[str]) -> Iterator[BudgetRow]:
    """Yield budgets, the oldest first."""
    for _, workspace, amount, *more in sorted(map(msgspec.json.decode, texts)):
        yield BudgetRow(workspace, Decimal(amount), *more)


def _is_on_statement(customer_id: int, unpaid_at: datetime | None) -> bool:
    """Tell whether what jobs cost above their holds is on a finalised statement by now."""
    finalised = Statement.objects.filter(customer=customer_id, status=Statement.Status.FINALISED)
    return unpaid_at is not None and finalised.filter(period_end__gt=unpaid_at).exists()
