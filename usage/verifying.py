"""Compare the rollups with the events that they were made of."""

from decimal import Decimal
from typing import NamedTuple

from django.db import connection, transaction

from usage.locks import hold_rollup_state
from usage.meters import (
    HIGHEST,
    LEVELS,
    ROLLED,
    MeterSpec,
    load_meters,
    metered_events,
    meters_json,
)
from usage.models import RollupState


class Difference(NamedTuple):
    """A rollup that is not what its events come to; None on the side that lacks it."""

    meter: str
    customer_id: int
    day: str
    workspace_id: int | None
    dimensions: tuple[str, ...]
    rolled: Decimal | None
    counted: Decimal | None


_COMPARE = """
WITH counted AS (
    SELECT customer_id, day, meter_id, workspace_id, dimensions, {amount} AS quantity,
        count(*) AS events
    FROM ({metered}) AS metered
    GROUP BY customer_id, day, meter_id, workspace_id, dimensions
), rolled AS (
    SELECT * FROM usage_rollup WHERE meter_id = %s
)
SELECT coalesce(r.customer_id, c.customer_id), coalesce(r.day, c.day)::text,
    coalesce(r.workspace_id, c.workspace_id), coalesce(r.dimensions, c.dimensions),
    r.quantity, c.quantity
FROM rolled r FULL JOIN counted c ON c.customer_id = r.customer_id AND c.day = r.day
    AND coalesce(c.workspace_id, 0) = coalesce(r.workspace_id, 0) AND c.dimensions = r.dimensions
WHERE (r.quantity, r.events) IS DISTINCT FROM (c.quantity, c.events)
ORDER BY 1, 2, 3, 4
LIMIT %s
"""


def verify_rollups(*, limit: int = 100) -> list[Difference]:
    """Compute every meter's rollups again and return where they differ, at most `limit` a meter.

    The rollups do not move meanwhile; events go on coming in.
    """
    found: list[Difference] = []
    with transaction.atomic():
        hold_rollup_state()
        state = RollupState.objects.first()
        for meter in load_meters():
            if state and state.meters.get(str(meter.id)) == meter.fingerprint:
                found += _differences(meter, horizon=state.horizon, limit=limit)
    return found


def _differences(meter: MeterSpec, *, horizon: int, limit: int) -> list[Difference]:
    assert meter.aggregation in ROLLED
    amount = "sum(quantity)"
    if meter.aggregation in HIGHEST:
        amount = "max(quantity)"
    if meter.aggregation in LEVELS:
        amount = "(array_agg(quantity ORDER BY at DESC, quantity DESC))[1]"
    metered = metered_events(
        meters=[meter],
        columns='e.customer_id, e.workspace_id, e."time" AS at',
        source="usage_event e JOIN plans_customer c ON c.id = e.customer_id",
        where="e.xid < %s",
        day='(e."time" AT TIME ZONE c.time_zone)::date',
    )
    with connection.cursor() as cursor:
        cursor.execute(
            _COMPARE.format(amount=amount, metered=metered),
            [meters_json([meter]), horizon, meter.id, limit],
        )
        return [
            Difference(
                meter=meter.key,
                customer_id=customer_id,
                day=day,
                workspace_id=workspace_id,
                dimensions=tuple(values),
                rolled=rolled,
                counted=counted,
            )
            for customer_id, day, workspace_id, values, rolled, counted in cursor.fetchall()
        ]
