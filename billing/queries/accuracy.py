"""How often jobs came to something within their estimate, by job class."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from django.db import connection

from billing.estimating import COMPARABLE_LEAST

LOOKED_BACK: Final = timedelta(days=30)
GOOD: Final = (Decimal("0.75"), Decimal("0.85"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassAccuracy:
    """The jobs of a class that had enough comparable ones before them, by what they came to.

    ``width`` is the median of (high - low) / expected: a wide range holds anything.
    """

    key: str
    name: str
    inside: int
    below: int
    above: int
    width: Decimal | None

    @property
    def jobs(self) -> int:
        """Return how many there were."""
        return self.inside + self.below + self.above

    @property
    def share(self) -> Decimal:
        """Return the share of them that came to something from low to high."""
        return Decimal(self.inside) / self.jobs

    @property
    def is_good(self) -> bool:
        """Say whether four of five did, as a range from the 10th to the 90th percentile says."""
        return GOOD[0] <= self.share <= GOOD[1]

    @property
    def percent(self) -> Decimal:
        """Return the share in percent, to one decimal."""
        return _percent(self.share)

    @property
    def width_percent(self) -> Decimal | None:
        """Return the width in percent of what was expected."""
        return None if self.width is None else _percent(self.width)

    @property
    def verdict(self) -> str:
        """Say what is wrong with the share, if anything."""
        if self.is_good:
            return ""
        return "too narrow" if self.share < GOOD[0] else "too wide"


def _percent(share: Decimal) -> Decimal:
    return (100 * share).quantize(Decimal("0.1"), rounding=ROUND_HALF_UP)


_ACCURACY = """
SELECT c.key, c.name,
    count(*) FILTER (WHERE j.amount BETWEEN j.estimate_low AND j.estimate_high),
    count(*) FILTER (WHERE j.amount < j.estimate_low),
    count(*) FILTER (WHERE j.amount > j.estimate_high),
    (percentile_cont(0.5) WITHIN GROUP (
        ORDER BY (j.estimate_high - j.estimate_low) / nullif(j.estimate_expected, 0)))::numeric
FROM plans_jobclass c JOIN usage_job j ON j.job_class_id = c.id
WHERE j.state = 'succeeded' AND j.amount IS NOT NULL AND j.ended_at >= %(since)s
    AND j.estimate_basis IN ('customer', 'class') AND j.estimate_comparable >= %(least)s
    AND (%(customer)s::bigint IS NULL OR j.customer_id = %(customer)s)
GROUP BY c.id ORDER BY count(*) DESC, c.key
"""


def accuracy_by_class(*, now: datetime, customer_id: int | None = None) -> list[ClassAccuracy]:
    """Return how estimates did over the last 30 days, the class with the most jobs first.

    Of one customer's jobs, or of all. In one query over the index of jobs that succeeded.
    """
    values: Mapping[str, datetime | int | None] = {
        "since": now - LOOKED_BACK,
        "least": COMPARABLE_LEAST,
        "customer": customer_id,
    }
    with connection.cursor() as cursor:
        cursor.execute(_ACCURACY, values)
        rows = cursor.fetchall()
    return [
        ClassAccuracy(key=key, name=name, inside=inside, below=below, above=above, width=width)
        for key, name, inside, below, above, width in rows
    ]
