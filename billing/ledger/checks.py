"""Prove the ledger: all of it balances, holds each statement once, and bears out every grant."""

from collections.abc import Iterator
from typing import NamedTuple

from django.db import connection


class Fault(NamedTuple):
    """Something in the ledger that cannot be: where, and what."""

    where: str
    what: str


def check_ledger() -> Iterator[Fault]:
    """Yield everything that is wrong with the ledger, in one query for each rule."""
    for query in (
        _UNBALANCED,
        _BALANCES,
        _STATEMENTS,
        _GRANTS,
        _HELD,
        _PINNED,
        _HOLDS,
        _DRAWS,
        _PACKS,
    ):
        with connection.cursor() as cursor:
            cursor.execute(query)
            for row in cursor.fetchall():
                yield Fault(*row)


_UNBALANCED = """
SELECT c.key || ', ' || t.key,
       'is out of balance by ' || trim_scale(sum(e.amount)) || ' ' || a.unit_id
FROM billing_ledgerentry e
JOIN billing_ledgeraccount a ON a.id = e.account_id
JOIN billing_ledgertransaction t ON t.id = e.transaction_id
JOIN plans_customer c ON c.id = t.customer_id
GROUP BY c.key, t.id, t.key, a.unit_id HAVING sum(e.amount) <> 0 ORDER BY t.id
"""

_BALANCES = """
SELECT c.key || ', ' || a.kind || ' ' || a.unit_id,
       'says ' || trim_scale(a.balance) || ', its entries come to '
       || trim_scale(coalesce(s.amount, 0))
FROM billing_ledgeraccount a
JOIN plans_customer c ON c.id = a.customer_id
LEFT JOIN (SELECT account_id, sum(amount) AS amount FROM billing_ledgerentry GROUP BY account_id)
     AS s ON s.account_id = a.id
WHERE a.balance <> coalesce(s.amount, 0) ORDER BY c.key, a.kind, a.unit_id
"""

_STATEMENTS = """
SELECT s.number,
       'comes to ' || trim_scale(s.total) || ' ' || s.currency || ', posted are '
       || trim_scale(coalesce(p.amount, 0))
FROM billing_statement s
LEFT JOIN (SELECT t.statement_id, sum(e.amount) AS amount
           FROM billing_ledgertransaction t
           JOIN billing_ledgerentry e ON e.transaction_id = t.id
           JOIN billing_ledgeraccount a ON a.id = e.account_id AND a.kind = 'receivable'
           WHERE t.reason = 'statement' GROUP BY t.statement_id) AS p ON p.statement_id = s.id
WHERE s.status = 'finalised' AND s.total <> coalesce(p.amount, 0) ORDER BY s.id
"""

_GRANTS = """
SELECT c.key || ', ' || p.key || ', ' || g.key,
       'has ' || trim_scale(g.remaining) || ' left, the ledger says '
       || trim_scale(coalesce(l.amount, 0))
FROM billing_creditgrant g
JOIN billing_creditpool p ON p.id = g.pool_id
JOIN plans_customer c ON c.id = p.customer_id
LEFT JOIN (SELECT e.grant_id, -sum(e.amount) AS amount
           FROM billing_ledgerentry e
           JOIN billing_ledgeraccount a ON a.id = e.account_id AND a.kind = 'credit'
           GROUP BY e.grant_id) AS l ON l.grant_id = g.id
WHERE g.remaining <> coalesce(l.amount, 0) ORDER BY g.id
"""

_HELD = """
SELECT c.key || ', ' || p.key || ', ' || g.key,
       'says that ' || trim_scale(g.held) || ' are held, its holds pin '
       || trim_scale(coalesce(h.amount, 0))
FROM billing_creditgrant g
JOIN billing_creditpool p ON p.id = g.pool_id
JOIN plans_customer c ON c.id = p.customer_id
LEFT JOIN (SELECT s.grant_id, sum(s.amount) AS amount
           FROM billing_hold h, unnest(h.grant_ids, h.pinned) AS s(grant_id, amount)
           WHERE h.status = 'pending' GROUP BY s.grant_id) AS h ON h.grant_id = g.id
WHERE g.held <> coalesce(h.amount, 0) ORDER BY g.id
"""

_PINNED = """
SELECT c.key || ', ' || p.key || ', ' || h.key,
       'holds ' || trim_scale(h.amount) || ', grants of its pool are pinned for '
       || trim_scale(coalesce(s.amount, 0))
FROM billing_hold h
JOIN billing_creditpool p ON p.id = h.pool_id
JOIN plans_customer c ON c.id = p.customer_id
LEFT JOIN LATERAL (
    SELECT sum(s.amount) AS amount
    FROM unnest(h.grant_ids, h.pinned) AS s(grant_id, amount)
    JOIN billing_creditgrant g ON g.id = s.grant_id AND g.pool_id = h.pool_id) AS s ON true
WHERE h.amount IS DISTINCT FROM s.amount ORDER BY h.id
"""

_HOLDS = """
SELECT c.key || ', ' || p.key || ', ' || h.key,
       'used ' || trim_scale(h.used) || ', posted are ' || trim_scale(coalesce(l.amount, 0))
FROM billing_hold h
JOIN billing_creditpool p ON p.id = h.pool_id
JOIN plans_customer c ON c.id = p.customer_id
LEFT JOIN (SELECT t.customer_id, t.key, -sum(e.amount) AS amount
           FROM billing_ledgertransaction t
           JOIN billing_ledgerentry e ON e.transaction_id = t.id
           JOIN billing_ledgeraccount a ON a.id = e.account_id AND a.kind = 'used'
           WHERE t.reason = 'use' GROUP BY t.customer_id, t.key) AS l
     ON l.customer_id = p.customer_id AND l.key = 'use:' || p.key || ':' || h.key
WHERE h.used <> coalesce(l.amount, 0) ORDER BY h.id
"""

_DRAWS = """
SELECT c.key || ', ' || d.price_key || ' from ' || d.period_start,
       'drew ' || trim_scale(d.amount - d.returned) || ', its hold used '
       || trim_scale(h.used - coalesce(l.amount, 0))
FROM billing_creditdraw d
JOIN billing_hold h ON h.id = d.hold_id
JOIN billing_creditpool p ON p.id = h.pool_id
JOIN plans_customer c ON c.id = d.customer_id
LEFT JOIN (SELECT u.customer_id, u.key, sum(e.amount) AS amount
           FROM billing_ledgertransaction u
           JOIN billing_ledgertransaction t ON t.corrects_id = u.id
           JOIN billing_ledgerentry e ON e.transaction_id = t.id
           JOIN billing_ledgeraccount a ON a.id = e.account_id AND a.kind = 'used'
           GROUP BY u.customer_id, u.key) AS l
     ON l.customer_id = d.customer_id AND l.key = 'use:' || p.key || ':' || h.key
WHERE d.amount - d.returned <> h.used - coalesce(l.amount, 0) ORDER BY d.id
"""

_PACKS = """
SELECT s.number,
       'has packs for ' || trim_scale(coalesce(b.amount, 0)) || ', its purchases cost '
       || trim_scale(p.amount)
FROM (SELECT billed_on_id, sum(amount) AS amount FROM billing_creditpurchase
      WHERE billed_on_id IS NOT NULL GROUP BY billed_on_id) AS p
JOIN billing_statement s ON s.id = p.billed_on_id
LEFT JOIN (SELECT statement_id, sum(amount) AS amount FROM billing_statementline
           WHERE kind = 'credit_pack' GROUP BY statement_id) AS b ON b.statement_id = s.id
WHERE p.amount <> coalesce(b.amount, 0) ORDER BY s.id
"""
