"""What a pool holds, from its grants alone: as fast with a million entries as with one."""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import (
    Case,
    DecimalField,
    F,
    Func,
    OuterRef,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from billing.models import CreditGrant, CreditPool

_AMOUNT: Any = DecimalField(max_digits=38, decimal_places=12)


class Balance(NamedTuple):
    """A pool at an instant: settled = held + available + what may not be used yet or here.

    ``settled`` is all that was granted and is neither used nor expired; ``held`` is reserved of
    it; ``available`` may be held or used by any meter and job class.
    """

    settled: Decimal
    held: Decimal
    available: Decimal


def balance_of(*, pool_id: int, at: datetime) -> Balance:
    """Return a pool's balance. What has expired counts no more, whether it was posted or not."""
    with connection.cursor() as cursor:
        cursor.execute(_BALANCE, {"pool": pool_id, "at": at})
        return Balance(*cursor.fetchone())


_BALANCE = """
SELECT coalesce(sum(CASE WHEN expires_at <= %(at)s THEN held ELSE remaining END), 0),
       coalesce(sum(held), 0),
       (SELECT coalesce(sum(free), 0) FROM billing_usable_grants(%(pool)s, %(at)s, '', ''))
FROM billing_creditgrant WHERE pool_id = %(pool)s AND has_credit
"""


class _Available(Func):
    """What may be held or used of a pool at an instant, by any meter and job class."""

    template = "(SELECT coalesce(sum(u.free), 0) FROM billing_usable_grants(%(expressions)s) u)"
    output_field = _AMOUNT


def annotated_with_balances(pools: QuerySet[CreditPool], *, at: datetime) -> QuerySet[CreditPool]:
    """Annotate pools with ``settled``, ``held`` and ``available`` at an instant."""
    over = Case(When(expires_at__lte=at, then="held"), default="remaining")
    return pools.annotate(
        settled=_summed(over),
        held=_summed(F("held")),
        available=_Available(F("pk"), Value(at), Value(""), Value("")),
    )


def _summed(expression: Combinable) -> Coalesce:
    grants = CreditGrant.objects.filter(pool=OuterRef("pk"), has_credit=True).order_by()
    sums = grants.values("pool").annotate(total=Sum(expression)).values("total")
    return Coalesce(Subquery(sums, output_field=_AMOUNT), Decimal(0), output_field=_AMOUNT)
