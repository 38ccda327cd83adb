"""End what jobs pin of credit once their usage is rated, and draw for that usage, in one step.

Between the two nobody else can take the credit: both are done under the customer's lock, in one
transaction, or neither. What is drawn is all usage, also of jobs that are settled and not rated
yet: their holds end with it, and no job settles meanwhile, so no credit is taken and pinned for the
same usage. Where usage cannot be priced or drawn, the holds stand until it can.
"""

import logging
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import connection, transaction

from billing.credits.drawing import CreditMoved
from billing.jobs.credit import release_credit
from billing.locks import lock_customers, lock_spend
from billing.statements.sweeping import draw_running
from plans import rating
from plans.clock import clocks_of

logger = logging.getLogger(__name__)
_INSTANT = timedelta(microseconds=1)

_RATED = """
SELECT DISTINCT p.customer_id
FROM billing_creditpool p
JOIN billing_hold h ON h.pool_id = p.id AND h.status = 'pending' AND h.key LIKE 'job:%%'
JOIN usage_job j ON j.public_id = substr(h.key, 5)::uuid AND j.rated_at IS NOT NULL
WHERE p.customer_id = ANY(%s)
ORDER BY p.customer_id
"""
_SETTLED = """
SELECT j.public_id::text
FROM billing_creditpool p
JOIN billing_hold h ON h.pool_id = p.id AND h.status = 'pending' AND h.key LIKE 'job:%%'
JOIN usage_job j ON j.public_id = substr(h.key, 5)::uuid AND j.settled_at IS NOT NULL
WHERE p.customer_id = %(customer)s AND j.ended_at < %(until)s
    AND NOT EXISTS (SELECT FROM usage_jobusage u
                    WHERE u.job_id = j.id AND u.billed AND u."time" >= %(until)s)
ORDER BY j.id
"""


def draw_for_jobs(*, customer_ids: Collection[int], now: datetime) -> int:
    """Draw for customers whose rated jobs still pin credit; return how many holds ended.

    A test customer stands at its own clock.
    """
    with connection.cursor() as cursor:
        cursor.execute(_RATED, [list(customer_ids)])
        found = [customer_id for (customer_id,) in cursor.fetchall()]
    times = {customer_id: at + _INSTANT for customer_id, at in clocks_of(found).items()}
    return sum(_draw(each, now=times.get(each, now)) for each in found)


def _draw(customer_id: int, *, now: datetime) -> int:
    try:
        with transaction.atomic():
            lock_spend(customer_ids=[customer_id])
            lock_customers(customer_ids=[customer_id])
            jobs = _settled(customer_id, until=now)
            ended = release_credit(customer_id=customer_id, public_ids=jobs, now=now)
            draw_running(customer_id=customer_id, now=now)
    except (rating.RatingError, CreditMoved) as error:
        logger.warning("credit of customer %s waits for its jobs' usage: %s", customer_id, error)
        return 0
    return ended


def _settled(customer_id: int, *, until: datetime) -> list[str]:
    """Return the jobs with pinned credit whose usage lies before an instant and is stored."""
    with connection.cursor() as cursor:
        cursor.execute(_SETTLED, {"customer": customer_id, "until": until})
        return [public_id for (public_id,) in cursor.fetchall()]
