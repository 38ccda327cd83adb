"""What became of outcomes: success, days to verification, revenue, and what is not verified yet."""

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.db import connection

from billing.wording import Money
from plans.contract_previews import amount_of
from plans.contracts import naming_of, terms_of_version
from plans.models import OutcomeContractVersion
from plans.rating.money import minor_units, plus, round_money

ROWS_MAX = 5000

_ROWS = """
SELECT k.id, k.key, k.name, k.currency, c.id, c.key, c.name,
    count(*), count(*) FILTER (WHERE o.state IN ('verified', 'disputed', 'dismissed')),
    count(*) FILTER (WHERE o.state = 'rejected'),
    count(*) FILTER (WHERE o.state IN ('upheld', 'reversed')),
    count(*) FILTER (WHERE o.state = 'pending'),
    count(*) FILTER (WHERE o.state = 'disputed'),
    avg(extract(epoch FROM o.decided_at - o.claimed_at))
        FILTER (WHERE o.decided_at IS NOT NULL AND o.state <> 'rejected')
FROM usage_outcome o JOIN plans_outcomecontract k ON k.id = o.contract_id
JOIN plans_customer c ON c.id = o.customer_id
WHERE o.happened_at >= %(start)s AND o.happened_at < %(end)s
GROUP BY k.id, c.id ORDER BY k.name, c.name, c.id LIMIT %(limit)s
"""
# What was billed for periods that began in the span, with the corrections made since.
_BILLED = """
SELECT p.contract_id, s.customer_id, sum(l.amount)
FROM billing_statementline l JOIN billing_statement s ON s.id = l.statement_id
JOIN (
    SELECT DISTINCT v.contract_id, o.price_key FROM plans_priceoverride o
    JOIN plans_outcomecontractversion v ON v.id = o.contract_version_id) AS p
    ON p.price_key = l.price_key
WHERE s.status = 'finalised' AND l.period_start >= %(start)s AND l.period_start < %(end)s
GROUP BY 1, 2
"""
_UNVERIFIED = """
SELECT version_id, customer_id, value, has_bonus FROM usage_outcome
WHERE claimed_at < %(end)s AND (decided_at IS NULL OR decided_at >= %(end)s)
ORDER BY version_id, customer_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """A contract and a customer in a span of time.

    ``success`` is the share, in percent, of what was decided that stands; ``days`` the average from
    claim to verification; ``revenue`` what was billed for it, and ``each`` that for each outcome
    that stands. Where nothing was decided or billed they are empty.
    """

    contract_key: str
    contract: str
    customer_key: str
    customer: str
    claimed: int
    stands: int
    rejected: int
    reversed: int
    pending: int
    disputed: int
    success: str
    days: str
    revenue: Money | None
    each: Money | None
    unverified: Money | None


def outcome_report(*, start: datetime, end: datetime) -> tuple[ReportRow, ...]:
    """Return outcomes that happened in ``[start, end)``, by contract and customer.

    ``unverified`` is what was claimed and not decided at the end, whenever it happened.
    """
    span: dict[str, Any] = {"start": start, "end": end, "limit": ROWS_MAX}
    with connection.cursor() as cursor:
        cursor.execute(_ROWS, span)
        rows = cursor.fetchall()
        cursor.execute(_BILLED, span)
        billed = {(contract, customer): amount for contract, customer, amount in cursor.fetchall()}
    unverified = _unverified(end=end)
    return tuple(
        _row(row, billed=billed.get((row[0], row[4])), unverified=unverified.get((row[0], row[4])))
        for row in rows
    )


def _row(
    row: tuple[Any, ...],
    *,
    billed: Decimal | None,
    unverified: Decimal | None,
) -> ReportRow:
    _, key, name, currency, _, customer_key, customer, *numbers = row
    claimed, stands, rejected, taken_back, pending, disputed, seconds = numbers
    decided = stands + rejected + taken_back
    each = None
    if billed is not None and stands:
        step = Decimal(1).scaleb(-minor_units(currency))
        each = (billed / stands).quantize(step, rounding=ROUND_HALF_UP)
    return ReportRow(
        contract_key=key,
        contract=name,
        customer_key=customer_key,
        customer=customer,
        claimed=claimed,
        stands=stands,
        rejected=rejected,
        reversed=taken_back,
        pending=pending,
        disputed=disputed,
        success=_rounded(Decimal(100 * stands) / decided) if decided else "",
        days="" if seconds is None else _rounded(seconds / 86400),
        revenue=None if billed is None else Money(round_money(billed, currency=currency), currency),
        each=None if each is None else Money(each, currency),
        unverified=None if unverified is None else Money(unverified, currency),
    )


def _rounded(value: Decimal) -> str:
    return f"{value.quantize(Decimal('0.1'), rounding=ROUND_HALF_UP)}"


def _unverified(*, end: datetime) -> dict[tuple[int, int], Decimal]:
    """Return what was claimed and not decided at a time would come to, as the terms say."""
    with connection.cursor() as cursor:
        cursor.execute(_UNVERIFIED, {"end": end})
        grouped: dict[tuple[int, int], list[tuple[Decimal, bool]]] = {}
        for version, customer, value, bonus in cursor.fetchall():
            grouped.setdefault((version, customer), []).append((value, bonus))
    versions = OutcomeContractVersion.objects.filter(pk__in={version for version, _ in grouped})
    known = {row.pk: row for row in versions.select_related("contract")}
    found: dict[tuple[int, int], Decimal] = {}
    for (version, customer), outcomes in grouped.items():
        row = known[version]
        amount = amount_of(terms_of_version(row), naming_of(row.contract), outcomes=outcomes)
        key = (row.contract_id, customer)
        found[key] = plus(found.get(key, Decimal(0)), amount)
    return found
