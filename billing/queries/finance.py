"""Deferred and recognised revenue by month, and credit outstanding, from the ledger alone.

A month is a calendar month in UTC, by when an event happened; one that is posted later for an
earlier month is in that month. Amounts are as finance reads them: above zero is owed or earned.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final, NamedTuple

from django.db import connection
from django.db.models import Sum

from billing.ledger.postings import BREAKAGE, CREDIT, DEFERRED, REVENUE
from billing.models import LedgerAccount, LedgerTransaction, UnitOfAccount
from billing.wording import Money, Quantity
from plans.rating.periods import months_after

_ZERO: Final = Decimal(0)
_Reason = LedgerTransaction.Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class FinanceMonth:
    """A month of one currency: opening + sold - used - expired + other = closing.

    ``sold`` is what grants were sold for, ``used`` what of it became revenue by use and ``expired``
    what became breakage; ``other`` are corrections. ``revenue`` and ``breakage`` are all that was
    recognised in the month, of statements, too.
    """

    month: date
    currency: str
    opening: Decimal
    sold: Decimal
    used: Decimal
    expired: Decimal
    other: Decimal
    closing: Decimal
    revenue: Decimal
    breakage: Decimal

    def money(self, name: str) -> Money:
        """Return one of the amounts with its currency."""
        return Money(getattr(self, name), self.currency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outstanding:
    """Credit of one unit that customers may still use."""

    unit: str
    name: str
    amount: Decimal
    is_money: bool

    def __str__(self) -> str:
        amount = (
            Money(self.amount, self.unit) if self.is_money else Quantity(self.amount, self.unit)
        )
        return str(amount)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinanceReport:
    """Months by currency, each without a gap from its first to its last, and credit outstanding."""

    months: Mapping[str, Sequence[FinanceMonth]]
    outstanding: Sequence[Outstanding]


class _Moved(NamedTuple):
    month: date
    currency: str
    kind: str
    reason: str
    amount: Decimal


def finance_report(*, until: datetime) -> FinanceReport:
    """Return all that happened before an instant, in two queries; what is outstanding is as of now.

    Deferred revenue at the end of the last month is the sum of the accounts' balances where
    ``until`` is past all that happened.
    """
    moved: dict[str, list[_Moved]] = defaultdict(list)
    for each in _moved(until=until):
        moved[each.currency].append(each)
    months = {currency: list(_months(moved[currency])) for currency in sorted(moved)}
    return FinanceReport(months=months, outstanding=_outstanding())


def _months(moved: Sequence[_Moved]) -> Iterator[FinanceMonth]:
    sums: dict[tuple[date, str, str], Decimal] = defaultdict(Decimal)
    for each in moved:
        sums[each.month, each.kind, each.reason] -= each.amount
    month, last = min(each.month for each in moved), max(each.month for each in moved)
    opening = _ZERO
    while month <= last:
        found = _month(month, moved[0].currency, opening=opening, sums=sums)
        yield found
        opening, month = found.closing, months_after(month, 1)


def _month(
    month: date, currency: str, *, opening: Decimal, sums: Mapping[tuple[date, str, str], Decimal]
) -> FinanceMonth:
    def total(kind: str) -> Decimal:
        here = (each for (at, of, _), each in sums.items() if (at, of) == (month, kind))
        return sum(here, _ZERO)

    sold = sums.get((month, DEFERRED, _Reason.GRANT), _ZERO)
    used = -sums.get((month, DEFERRED, _Reason.USE), _ZERO)
    expired = -sums.get((month, DEFERRED, _Reason.EXPIRY), _ZERO)
    moved = total(DEFERRED)
    return FinanceMonth(
        month=month,
        currency=currency,
        opening=opening,
        sold=sold,
        used=used,
        expired=expired,
        other=moved - sold + used + expired,
        closing=opening + moved,
        revenue=total(REVENUE),
        breakage=total(BREAKAGE),
    )


_MOVED: Final = """
SELECT date_trunc('month', t.happened_at AT TIME ZONE 'UTC')::date, a.unit_id, a.kind, t.reason,
       trim_scale(sum(e.amount))
FROM billing_ledgeraccount a
JOIN billing_ledgerentry e ON e.account_id = a.id
JOIN billing_ledgertransaction t ON t.id = e.transaction_id
WHERE a.kind = ANY(%s) AND t.happened_at < %s
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""


def _moved(*, until: datetime) -> list[_Moved]:
    with connection.cursor() as cursor:
        cursor.execute(_MOVED, [[DEFERRED, REVENUE, BREAKAGE], until.astimezone(UTC)])
        return [_Moved(*row) for row in cursor.fetchall()]


def _outstanding() -> list[Outstanding]:
    accounts = LedgerAccount.objects.filter(kind=CREDIT).values(
        "unit_id", "unit__name", "unit__kind"
    )
    return [
        Outstanding(
            unit=row["unit_id"],
            name=row["unit__name"],
            amount=-row["total"],
            is_money=row["unit__kind"] == UnitOfAccount.Kind.CURRENCY,
        )
        for row in accounts.annotate(total=Sum("balance")).order_by("unit_id")
    ]
