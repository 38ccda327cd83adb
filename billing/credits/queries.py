"""What a pool holds, from its grants alone: as fast with a million entries as with one."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.db import connection


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
FROM billing_creditgrant WHERE pool_id = %(pool)s AND remaining > 0
"""
