"""What became of outcomes: success, days to verification, revenue against cost, and what waits."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final, NamedTuple

from django.db import connection

from billing.queries.outcome_costs import JobCost, job_costs
from billing.wording import Money
from plans.contract_previews import amount_of
from plans.contracts import naming_of, terms_of_version
from plans.models import Customer, OutcomeContract, OutcomeContractVersion
from plans.rating.money import minor_units, minus, plus, round_money

ROWS_MAX: Final = 5000
_EVERYBODY: Final = 0

_COUNTS = """
SELECT o.contract_id, coalesce(o.customer_id, 0),
    count(*), count(*) FILTER (WHERE o.state IN ('verified', 'disputed', 'dismissed')),
    count(*) FILTER (WHERE o.state = 'rejected'),
    count(*) FILTER (WHERE o.state IN ('upheld', 'reversed')),
    count(*) FILTER (WHERE o.state = 'pending'),
    count(*) FILTER (WHERE o.state = 'disputed'),
    avg(extract(epoch FROM o.decided_at - o.claimed_at))
        FILTER (WHERE o.decided_at IS NOT NULL AND o.state <> 'rejected')
FROM usage_outcome o JOIN plans_customer c ON c.id = o.customer_id
WHERE o.happened_at >= %(start)s::timestamp AT TIME ZONE c.time_zone
    AND o.happened_at < %(end)s::timestamp AT TIME ZONE c.time_zone
GROUP BY GROUPING SETS ((o.contract_id, o.customer_id), (o.contract_id))
"""
# What was billed for periods that began in the span, with the corrections made since.
_BILLED = """
SELECT p.contract_id, coalesce(s.customer_id, 0), sum(l.amount)
FROM billing_statementline l JOIN billing_statement s ON s.id = l.statement_id
JOIN plans_customer c ON c.id = s.customer_id
JOIN (
    SELECT DISTINCT v.contract_id, o.price_key FROM plans_priceoverride o
    JOIN plans_outcomecontractversion v ON v.id = o.contract_version_id) AS p
    ON p.price_key = l.price_key
WHERE s.status = 'finalised' AND l.kind IN ('charge', 'adjustment')
    AND l.period_start >= %(start)s::timestamp AT TIME ZONE c.time_zone
    AND l.period_start < %(end)s::timestamp AT TIME ZONE c.time_zone
GROUP BY GROUPING SETS ((p.contract_id, s.customer_id), (p.contract_id))
"""
_UNVERIFIED = """
SELECT o.version_id, o.customer_id, o.value, o.has_bonus
FROM usage_outcome o JOIN plans_customer c ON c.id = o.customer_id
WHERE o.claimed_at < %(end)s::timestamp AT TIME ZONE c.time_zone
    AND (o.decided_at IS NULL OR o.decided_at >= %(end)s::timestamp AT TIME ZONE c.time_zone)
ORDER BY o.version_id, o.customer_id
"""
_Key = tuple[int, int]


class _Counts(NamedTuple):
    """How many outcomes, where they stand, and the average seconds from claim to verification."""

    claimed: int = 0
    stands: int = 0
    rejected: int = 0
    reversed: int = 0
    pending: int = 0
    disputed: int = 0
    seconds: Decimal | None = None


class JobMoney(NamedTuple):
    """One reading of the jobs' cost: in all, for each outcome that stands, and what is left.

    ``margin`` is the revenue less the cost, ``percent`` its share of the revenue. Of ``jobs``
    jobs ``known`` are in it: where some are missing the true cost is higher.
    """

    cost: Money | None
    each: Money | None
    margin: Money | None
    percent: str
    known: int
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """A contract and a customer in a span of time, or a contract and all its customers.

    ``success`` is the share, in percent, of what was decided that stands; ``days`` the average from
    claim to verification; ``revenue`` what was billed for it, and ``each`` that for each outcome
    that stands. ``linked`` outcomes name jobs that are known here: ``rated`` is what these came to
    at the customer's terms, ``provider`` what providers charged for them as far as reports say so.
    Where nothing was decided or billed, and of what is not known, they are empty.
    """

    contract_key: str
    contract: str
    customer_key: str
    customer: str
    currency: str
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
    linked: int
    rated: JobMoney
    provider: JobMoney

    @property
    def is_total(self) -> bool:
        """Say whether the row is that of a contract with all its customers."""
        return not self.customer_key


class OutcomeReport(NamedTuple):
    """The rows by contract and customer, and whether there are more than one report shows."""

    rows: tuple[ReportRow, ...]
    is_cut: bool


class _Read(NamedTuple):
    """What was read of a span, by contract and customer."""

    counts: Mapping[_Key, _Counts]
    billed: Mapping[_Key, Decimal]
    unverified: Mapping[_Key, Decimal]
    costs: Mapping[_Key, JobCost]


class _Beside(NamedTuple):
    """What the cost of jobs stands beside: the revenue, the outcomes that stand, and the jobs."""

    billed: Decimal | None
    stands: int
    jobs: int
    currency: str


def outcome_report(*, start: date, end: date) -> OutcomeReport:
    """Return outcomes that happened in ``[start, end)`` of each customer's zone.

    They are listed by contract and customer; a contract that several have is followed by its total.
    ``unverified`` is what was claimed and not decided at the end, whenever it happened.
    """
    read = _read({"start": start, "end": end})
    keys = {*read.counts, *read.billed, *read.unverified}
    contracts = OutcomeContract.objects.in_bulk({contract for contract, _ in keys})
    customers = Customer.objects.in_bulk({customer for _, customer in keys})
    of_customers = Counter(contract for contract, customer in keys if customer != _EVERYBODY)

    def order(key: _Key) -> tuple[str, int, bool, str, int]:
        customer = customers.get(key[1])
        name = customer.name if customer else ""
        return (contracts[key[0]].name, key[0], customer is None, name, key[1])

    listed = sorted((key for key in keys if key[1] or of_customers[key[0]] > 1), key=order)
    rows = tuple(
        _row(key, read, contract=contracts[key[0]], customer=customers.get(key[1]))
        for key in listed[:ROWS_MAX]
    )
    return OutcomeReport(rows, is_cut=len(listed) > ROWS_MAX)


def _read(span: dict[str, Any]) -> _Read:
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, span)
        counts = {(row[0], row[1]): _Counts(*row[2:]) for row in cursor.fetchall()}
        cursor.execute(_BILLED, span)
        billed = {(contract, customer): amount for contract, customer, amount in cursor.fetchall()}
    return _Read(counts, billed, _unverified(span), job_costs(start=span["start"], end=span["end"]))


def _row(
    key: _Key, read: _Read, *, contract: OutcomeContract, customer: Customer | None
) -> ReportRow:
    counts, currency = read.counts.get(key, _Counts()), contract.currency
    billed, unverified = read.billed.get(key), read.unverified.get(key)
    jobs = read.costs.get(key, JobCost(0, 0, 0, None, 0, None))
    decided = counts.stands + counts.rejected + counts.reversed
    beside = _Beside(billed, counts.stands, jobs.jobs, currency)
    return ReportRow(
        contract_key=contract.key,
        contract=contract.name,
        customer_key=customer.key if customer else "",
        customer=customer.name if customer else "",
        currency=currency,
        claimed=counts.claimed,
        stands=counts.stands,
        rejected=counts.rejected,
        reversed=counts.reversed,
        pending=counts.pending,
        disputed=counts.disputed,
        success=_rounded(Decimal(100 * counts.stands) / decided) if decided else "",
        days="" if counts.seconds is None else _rounded(counts.seconds / 86400),
        revenue=_money(billed, currency),
        each=_each(billed, counts.stands, currency),
        unverified=_money(unverified, currency),
        linked=int(jobs.outcomes),
        rated=_job_money(jobs.rated, beside, known=jobs.jobs_settled),
        provider=_job_money(jobs.charged, beside, known=jobs.jobs_charged),
    )


def _job_money(cost: Decimal | None, row: _Beside, *, known: int) -> JobMoney:
    """Return a cost beside the revenue; the margin is that of the rounded amounts."""
    total, revenue = _money(cost, row.currency), _money(row.billed, row.currency)
    margin, percent = None, ""
    if total is not None and revenue is not None:
        margin = Money(minus(revenue.amount, total.amount), row.currency)
        percent = _rounded(100 * margin.amount / revenue.amount) if revenue.amount > 0 else ""
    each = _each(cost, row.stands, row.currency)
    return JobMoney(total, each, margin, percent, int(known), int(row.jobs))


def _money(amount: Decimal | None, currency: str) -> Money | None:
    return None if amount is None else Money(round_money(amount, currency=currency), currency)


def _each(amount: Decimal | None, outcomes: int, currency: str) -> Money | None:
    if amount is None or not outcomes:
        return None
    step = Decimal(1).scaleb(-minor_units(currency))
    return Money((amount / outcomes).quantize(step, rounding=ROUND_HALF_UP), currency)


def _rounded(value: Decimal) -> str:
    return f"{value.quantize(Decimal('0.1'), rounding=ROUND_HALF_UP)}"


def _unverified(span: dict[str, Any]) -> dict[_Key, Decimal]:
    """Return what was claimed and not decided at a time would come to, as the terms say."""
    with connection.cursor() as cursor:
        cursor.execute(_UNVERIFIED, span)
        grouped: dict[_Key, list[tuple[Decimal, bool]]] = {}
        for version, customer, value, bonus in cursor.fetchall():
            grouped.setdefault((version, customer), []).append((value, bonus))
    versions = OutcomeContractVersion.objects.filter(pk__in={version for version, _ in grouped})
    known = {row.pk: row for row in versions.select_related("contract")}
    found: dict[_Key, Decimal] = {}
    for (version, customer), outcomes in grouped.items():
        row = known[version]
        amount = amount_of(terms_of_version(row), naming_of(row.contract), outcomes=outcomes)
        for key in ((row.contract_id, customer), (row.contract_id, _EVERYBODY)):
            found[key] = plus(found.get(key, Decimal(0)), amount)
    return found
