"""`hold_settle_vs_insert`, and how long a balance takes over a million entries."""

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import median

from django.db import connection

from bench.clients import insert, make_table, rate
from bench.figures import print_figure, spread
from bench.server import CLIENTS
from bench.sizes import Size

POOLS = 1_000
ROUNDS = 3
SECONDS = 4.0
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def measure(size: Size) -> None:
    """Print the figures of credit; the working database is fresh."""
    pools = _make_pools(min(POOLS, size.customers))
    seconds = SECONDS if size.customers >= POOLS else 0.5
    make_table()
    inserts, pairs = [], []
    for _ in range(ROUNDS if size.customers >= POOLS else 1):
        inserts.append(rate(insert, pools, seconds=seconds))
        pairs.append(rate(_hold_and_settle, pools, seconds=seconds))
    print_figure(
        "hold_settle_vs_insert",
        median(pairs) / median(inserts),
        f"{spread(pairs)} holds a second, each placed and settled, on {len(pools):,} pools by "
        f"{CLIENTS} clients",
        f"{spread(inserts)} committed inserts of a row a second by {CLIENTS} clients",
    )
    _check()
    _balance(pools[0], entries=1_000_000 if size.name == "full" else 10_000)


def _make_pools(count: int) -> list[int]:
    from billing.credits.granting import define_credit_unit, grant_credit, open_pool
    from plans.models import Customer

    unit = define_credit_unit(code="TOKN", name="Tokens")
    found = []
    for customer in Customer.objects.order_by("pk")[:count]:
        pool = open_pool(customer=customer, key="main", name="Main", unit=unit)
        for key, amount in (("pack", 500_000), ("promotion", 500_000)):
            grant_credit(
                pool=pool, key=key, source="bought", amount=Decimal(amount), effective_at=NOW,
                cost=Decimal(amount) / 100, now=NOW,
            )  # fmt: skip
        found.append(pool.pk)
    return found


def _hold_and_settle(pool: int, key: str) -> int:
    from billing.credits.holding import place_hold, settle_hold

    held = place_hold(
        pool_id=pool, key=key, amount=Decimal(2), now=NOW, expires_at=NOW + timedelta(hours=1)
    )
    settle_hold(hold_id=held.hold_id, amount=Decimal(1), now=NOW)
    return 1


def _check() -> None:
    from billing.ledger.checks import check_ledger

    faults = list(check_ledger())
    assert not faults, faults[:3]


def _balance(pool_id: int, *, entries: int) -> None:
    """Give one pool's customer many entries, and time its balance."""
    from billing.credits.queries import balance_of

    with connection.cursor() as cursor:
        cursor.execute(_MANY, {"pool": pool_id, "transactions": entries // 2})
        cursor.execute("ANALYZE billing_ledgerentry, billing_ledgertransaction")
    times = []
    for _ in range(50):
        started = time.perf_counter()
        balance_of(pool_id=pool_id, at=NOW)
        times.append(1000 * (time.perf_counter() - started))
    print_figure(
        "balance_ms",
        median(times),
        f"{spread(times, digits=2)} ms for the balance of a customer with {entries:,} entries",
    )


_MANY = """
WITH posted AS (
    INSERT INTO billing_ledgertransaction (customer_id, key, reason, note, happened_at)
    SELECT p.customer_id, 'bench ' || n, 'use', '', now()
    FROM billing_creditpool p, generate_series(1, %(transactions)s) AS n WHERE p.id = %(pool)s
    RETURNING id, customer_id)
INSERT INTO billing_ledgerentry (transaction_id, account_id, amount)
SELECT p.id, a.id, CASE a.kind WHEN 'used' THEN 1 ELSE -1 END
FROM posted p JOIN billing_ledgeraccount a ON a.customer_id = p.customer_id
     AND a.kind IN ('issued', 'used') AND a.unit_id = 'TOKN'
"""
