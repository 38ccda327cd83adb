"""Read what many statements need to know of credit, in four queries; one where nobody has any."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection

from billing.models import CreditGrant
from billing.statements.credit_values import (
    CreditFacts,
    Drawn,
    Free,
    Pool,
    Purchase,
    Usable,
)
from plans.arrays import array

_INSTANT = timedelta(microseconds=1)
_SOURCES: Mapping[str, str] = {
    str(value): str(label) for value, label in CreditGrant.Source.choices
}


class CreditSpan(NamedTuple):
    """A statement's period, and the finalised statements that late usage corrects with it."""

    ref: int
    customer_id: int
    start: datetime
    end: datetime
    origins: tuple[int, ...] = ()


def load_credit(
    spans: Sequence[CreditSpan], *, until: datetime | None = None
) -> dict[int, CreditFacts]:
    """Return what is known of credit by reference, for the customers that have a pool.

    Grants are those that may be used at the period's last instant, or just before ``until``.
    """
    pools = _pools({span.customer_id for span in spans})
    asked = [span for span in spans if span.customer_id in pools]
    if not asked:
        return {}
    usable, drawn, purchases = _usable(asked, until=until), _drawn(asked), _purchases(asked)
    return {
        span.ref: CreditFacts(
            pools=pools[span.customer_id],
            usable=usable.get(span.ref, ()),
            drawn=tuple(drawn.get(span.ref, ())),
            purchases=tuple(purchases.get(span.ref, ())),
        )
        for span in asked
    }


def last_instant(end: datetime, *, until: datetime | None = None) -> datetime:
    """Return the last instant before a period's end, or before ``until`` where that is earlier."""
    return (end if until is None else min(end, until)) - _INSTANT


def _pools(customer_ids: Collection[int]) -> dict[int, tuple[Pool, ...]]:
    found: dict[int, list[Pool]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT customer_id, id, key, name, unit_id FROM billing_creditpool
               WHERE customer_id = ANY(%s::bigint[]) ORDER BY customer_id, id""",
            [array(customer_ids)],
        )
        for customer_id, *row in cursor.fetchall():
            found.setdefault(customer_id, []).append(Pool(*row))
    return {customer_id: tuple(pools) for customer_id, pools in found.items()}


# What a grant is called: what was bought, or why it was granted.
_NAME = "coalesce(b.name, g.source)"

_SPANS = """unnest(%(refs)s::bigint[], %(customers)s::bigint[], %(starts)s::timestamptz[],
    %(ends)s::timestamptz[]) AS w(ref, customer_id, start, "end")"""

_USABLE = f"""
SELECT w.ref, p.id, m.meter, g.id, {_NAME}, trim_scale(u.free), dense_rank() OVER (
           PARTITION BY w.ref ORDER BY g.priority, g.expires_at NULLS LAST, g.cost > 0, g.id)
FROM unnest(%(refs)s::bigint[], %(customers)s::bigint[], %(instants)s::timestamptz[])
     AS w(ref, customer_id, at)
JOIN billing_creditpool p ON p.customer_id = w.customer_id
CROSS JOIN LATERAL (
    SELECT '' AS meter
    UNION SELECT unnest(s.meters) FROM billing_creditgrant s
          WHERE s.pool_id = p.id AND s.remaining > 0) m
CROSS JOIN LATERAL billing_usable_grants(p.id, w.at, m.meter, '') u
JOIN billing_creditgrant g ON g.id = u.grant_id
LEFT JOIN billing_creditpurchase b ON b.grant_id = g.id
ORDER BY w.ref, p.id, m.meter, u.position
"""  # noqa: S608 - made of constants


def _usable(
    spans: Sequence[CreditSpan], *, until: datetime | None
) -> dict[int, tuple[Usable, ...]]:
    values = {
        "refs": [span.ref for span in spans],
        "customers": [span.customer_id for span in spans],
        "instants": [last_instant(span.end, until=until) for span in spans],
    }
    grants: dict[int, dict[tuple[int, str], list[Free]]] = {}
    for ref, pool, meter, grant, name, amount, order in _rows(_USABLE, values):
        by_scope = grants.setdefault(ref, {})
        free = Free(grant, _SOURCES.get(name, name), amount, order)
        by_scope.setdefault((pool, meter), []).append(free)
    return {
        ref: tuple(Usable(pool, meter, tuple(free)) for (pool, meter), free in by_scope.items())
        for ref, by_scope in grants.items()
    }


# What a draw took of each grant, less what was given back, which comes from the last slices.
_DRAWN = f"""
SELECT w.ref, w.origin, d.price_key, d.line_key, d.id, p.id, g.id, {_NAME}, trim_scale(s.net)
FROM (SELECT ref, NULL::bigint AS origin, customer_id, start, "end" FROM {_SPANS}
      UNION ALL
      SELECT o.ref, s.id, s.customer_id, s.period_start, s.period_end
      FROM unnest(%(of)s::bigint[], %(origins)s::bigint[]) AS o(ref, origin)
      JOIN billing_statement s ON s.id = o.origin) AS w
JOIN billing_creditdraw d ON d.customer_id = w.customer_id AND d.period_start >= w.start
     AND d.period_start < w."end" AND d.returned < d.amount
JOIN billing_hold h ON h.id = d.hold_id
JOIN billing_creditpool p ON p.id = h.pool_id
JOIN billing_unitofaccount u ON u.code = p.unit_id AND (w.origin IS NULL OR u.kind = 'credit')
CROSS JOIN LATERAL (
    SELECT x.grant_id, x.position, least(x.amount, d.amount - d.returned - x.before) AS net
    FROM (SELECT s.grant_id, s.position, s.amount,
                 sum(s.amount) OVER (ORDER BY s.position) - s.amount AS before
          FROM unnest(h.grant_ids, h.pinned)
               WITH ORDINALITY AS s(grant_id, amount, position)) AS x
    WHERE x.before < d.amount - d.returned) AS s
JOIN billing_creditgrant g ON g.id = s.grant_id
LEFT JOIN billing_creditpurchase b ON b.grant_id = g.id
ORDER BY w.ref, w.origin NULLS FIRST, d.id, s.position
"""  # noqa: S608 - made of constants


def _drawn(spans: Sequence[CreditSpan]) -> dict[int, list[Drawn]]:
    pairs = [(span.ref, origin) for span in spans for origin in span.origins]
    values = {
        **_span_values(spans),
        "of": [ref for ref, _ in pairs],
        "origins": [origin for _, origin in pairs],
    }
    found: dict[int, list[Drawn]] = {}
    for ref, origin, price_key, line_key, draw, pool, grant, name, net in _rows(_DRAWN, values):
        named = _SOURCES.get(name, name)
        drawn = Drawn(origin, price_key, line_key, draw, pool, grant, named, net)
        found.setdefault(ref, []).append(drawn)
    return found


# What was bought in a time that no statement covers stands on the next one.
_PURCHASES = f"""
SELECT w.ref, b.id, b.version_id, b.pack_key, b.price_key, b.name, b.quantity,
       trim_scale(b.amount), b.bought_at
FROM {_SPANS}
JOIN billing_creditpurchase b ON b.customer_id = w.customer_id AND b.billed_on_id IS NULL
     AND b.bought_at < w."end"
WHERE b.bought_at >= w.start OR NOT EXISTS (
    SELECT FROM billing_statement s WHERE s.customer_id = b.customer_id
    AND s.status <> 'finalised' AND s.period_start <= b.bought_at AND s.period_end > b.bought_at)
ORDER BY w.ref, b.bought_at, b.id
"""  # noqa: S608 - made of constants


def _purchases(spans: Sequence[CreditSpan]) -> dict[int, list[Purchase]]:
    found: dict[int, list[Purchase]] = {}
    for ref, *row in _rows(_PURCHASES, _span_values(spans)):
        found.setdefault(ref, []).append(Purchase(*row))
    return found


def _span_values(spans: Sequence[CreditSpan]) -> dict[str, Any]:
    return {
        "refs": [span.ref for span in spans],
        "customers": [span.customer_id for span in spans],
        "starts": [span.start for span in spans],
        "ends": [span.end for span in spans],
    }


def _rows(query: str, values: Mapping[str, Any]) -> Iterable[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())
