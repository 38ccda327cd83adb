"""End what jobs pin of credit once their usage is rated, and draw for that usage, in one step.

Between the two nobody else can take the credit: both are done under the customer's lock, in one
transaction, or neither. Where usage cannot be priced or drawn, the holds stand until it can.
"""

import logging
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from django.db import connection, transaction

from billing.credits.drawing import CreditMoved
from billing.jobs.credit import release_credit
from billing.locks import lock_customers
from billing.statements.sweeping import draw_running
from plans import rating
from plans.clock import clocks_of

logger = logging.getLogger(__name__)
_INSTANT = timedelta(microseconds=1)

_RATED = """
SELECT p.customer_id, array_agg(j.public_id::text ORDER BY j.id)
FROM billing_creditpool p
JOIN billing_hold h ON h.pool_id = p.id AND h.status = 'pending' AND h.key LIKE 'job:%%'
JOIN usage_job j ON j.public_id = substr(h.key, 5)::uuid AND j.rated_at IS NOT NULL
WHERE p.customer_id = ANY(%s)
GROUP BY p.customer_id ORDER BY p.customer_id
"""


def draw_for_jobs(*, customer_ids: Collection[int], now: datetime) -> int:
    """Draw for customers whose rated jobs still pin credit; return how many holds ended.

    A test customer stands at its own clock.
    """
    with connection.cursor() as cursor:
        cursor.execute(_RATED, [list(customer_ids)])
        found = cursor.fetchall()
    clocks = clocks_of([customer_id for customer_id, _ in found])
    times = {customer_id: at + _INSTANT for customer_id, at in clocks.items()}
    return sum(_draw(each, jobs, now=times.get(each, now)) for each, jobs in found)


def _draw(customer_id: int, jobs: Iterable[str], *, now: datetime) -> int:
    try:
        with transaction.atomic():
            lock_customers(customer_ids=[customer_id])
            ended = release_credit(customer_id=customer_id, public_ids=jobs, now=now)
            draw_running(customer_id=customer_id, now=now)
    except (rating.RatingError, CreditMoved) as error:
        logger.warning("credit of customer %s waits for its jobs' usage: %s", customer_id, error)
        return 0
    return ended
