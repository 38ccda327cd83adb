"""Prove the ledger: balanced transactions, balances that are sums, statements posted once."""

from collections.abc import Iterator
from typing import NamedTuple

from django.db import connection


class Fault(NamedTuple):
    """Something in the ledger that cannot be: where, and what."""

    where: str
    what: str


def check_ledger() -> Iterator[Fault]:
    """Yield everything that is wrong with the ledger, in one query for each rule."""
    for query in (_UNBALANCED, _BALANCES, _STATEMENTS):
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
