"""What waits for a person in finance, as rows for the queue on the home page."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection
from django.db.models import Count, Max, QuerySet

from billing.models import CreditGrant, CreditRequest, Statement
from billing.queries.pages import Head, head_of
from billing.wording import Quantity
from plans.models import Meter

ROWS_MAX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The first rows of a queue; ``has_more`` says that there are others behind them."""

    rows: Sequence["Waiting"]
    has_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A statement that waits for a person, with the reason where it is parked."""

    head: Head
    since: datetime | None
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpricedMeter:
    """Usage that the plans of the customers who made it do not price."""

    meter_key: str
    meter_name: str
    quantity: Quantity
    customers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """How many statements runs have claimed, and when the last of these claims ends."""

    statements: int
    until: datetime | None


def claims_of_runs(
    *, customer_ids: Collection[int] | None, period_end_max: datetime, now: datetime
) -> Claims:
    """Return what other runs work on, or worked on when they were cut off: nobody else may yet."""
    claimed = Statement.objects.filter(claimed_until__gt=now, period_end__lte=period_end_max)
    claimed = claimed.filter(parked_at=None).exclude(status=Statement.Status.FINALISED)
    if customer_ids is not None:
        claimed = claimed.filter(customer_id__in=customer_ids)
    found = claimed.aggregate(statements=Count("id"), until=Max("claimed_until"))
    return Claims(statements=found["statements"], until=found["until"])


def parked_statements(*, limit: int = ROWS_MAX) -> Queue:
    """Return the statements that could not be built, the longest parked first."""
    parked = Statement.objects.filter(parked_at__isnull=False)
    return _queue(parked.order_by("parked_at", "id"), limit=limit)


def statements_in_review(*, limit: int = ROWS_MAX) -> Queue:
    """Return the statements that wait for approval, the longest due first."""
    review = Statement.objects.filter(
        status=Statement.Status.REVIEW, approved_at=None, parked_at=None
    )
    return _queue(review.order_by("finalise_due_at", "id"), limit=limit)


def credit_requests_waiting() -> "QuerySet[CreditRequest]":
    """Return the credit requests that nobody has decided on, the oldest first."""
    waiting = CreditRequest.objects.filter(status=CreditRequest.Status.REQUESTED)
    parts = ("pool__customer", "requested_by", "requested_key")
    return waiting.select_related(*parts).order_by("requested_at", "pk")


def grants_awaiting_payment() -> "QuerySet[CreditGrant]":
    """Return the grants that may not be used before they are paid, the oldest first.

    Those that lapsed unpaid wait no more.
    """
    waiting = CreditGrant.objects.filter(has_credit=True, needs_payment=True, paid_at=None)
    return waiting.select_related("pool__customer", "pool__unit").order_by("effective_at", "pk")


_UNPRICED = """
SELECT row->>0 AS meter, sum((row->>1)::numeric) AS quantity, count(*) AS customers
FROM billing_statement s, jsonb_array_elements(s.facts::jsonb->'unpriced') AS row
WHERE s.period_end >= %s AND s.period_end < %s AND s.facts LIKE '%%"unpriced":[[%%'
GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT %s
"""


def unpriced_usage(*, start: datetime, end: datetime, limit: int = ROWS_MAX) -> list[UnpricedMeter]:
    """Return what the statements of the periods that ended in ``[start, end)`` leave unpriced.

    By meter, those of the most customers first. Statements that are not drafted yet count not.
    """
    with connection.cursor() as cursor:
        cursor.execute(_UNPRICED, [start, end, limit])
        rows: list[tuple[str, Decimal, int]] = cursor.fetchall()
    meters = {meter.key: meter for meter in Meter.objects.filter(key__in=[row[0] for row in rows])}
    return [
        UnpricedMeter(
            meter_key=key,
            meter_name=meters[key].name,
            quantity=Quantity(quantity, meters[key].unit),
            customers=customers,
        )
        for key, quantity, customers in rows
    ]


def _queue(statements: "QuerySet[Statement]", *, limit: int) -> Queue:
    rows = list(statements.select_related("customer").defer("facts")[: limit + 1])
    return Queue(rows=[_waiting(row) for row in rows[:limit]], has_more=len(rows) > limit)


def _waiting(statement: Statement) -> Waiting:
    parked = statement.parked_at is not None
    return Waiting(
        head=head_of(statement),
        since=statement.parked_at if parked else statement.finalise_due_at,
        code=statement.parked_code if parked else "",
        reason=statement.parked_reason if parked else "",
    )
