"""Customers on one plan: a flat fee and four metered prices, so five lines on each statement.

Each event type feeds one meter. A customer calls models of one class, so that its matrix price
makes one line.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from django.db import connection

from bench.database import run_sql
from plans.models import MatrixRate, Meter, Plan, Price, Tier
from plans.operations.customers import CustomerRow, create_customers
from plans.operations.meters import define_meter
from plans.operations.publishing import publish_version
from plans.operations.subscriptions import subscribe_many
from plans.operations.versions import add_prices, create_plan, start_version
from plans.terms import PriceRows

MONTH_START = datetime(2025, 1, 1, tzinfo=UTC)
MONTH_END = datetime(2025, 2, 1, tzinfo=UTC)
CLASSES = ("large", "medium", "small")

_PAGE = 5_000


class Kind(NamedTuple):
    """An event type, and the meter it feeds."""

    type: str
    meter: str
    is_counted: bool


KINDS = (
    Kind("job.tokens", "tokens", False),
    Kind("job.gpu", "gpu-seconds", False),
    Kind("job.images", "images", False),
    Kind("job.calls", "calls", True),
)

FEE = Decimal(20)
TIERS = ((Decimal(50_000), Decimal("0.02")), (Decimal(200_000), Decimal("0.015")),
         (None, Decimal("0.01")))  # fmt: skip
TOKENS_UNIT = Decimal(1000)
GPU_SECOND = Decimal("0.0035")
PACKAGE = (Decimal("1.25"), Decimal(50))
CALL_RATES = {"large": Decimal("0.09"), "medium": Decimal("0.05"), "small": Decimal("0.011")}


def customer_key(number: int) -> str:
    """Return the key of a customer by its number, from 0."""
    return f"customer-{number:06d}"


def make_world(*, customers: int) -> None:
    """Make the plan, in force since the month began, and customers 0 to ``customers`` on it."""
    now = datetime.now(tz=UTC)
    plan = _make_plan(now=now)
    for first in range(0, customers, _PAGE):
        numbers = range(first, min(first + _PAGE, customers))
        ids = create_customers(
            rows=[CustomerRow(customer_key(n), f"Customer {n}") for n in numbers]
        )
        subscribe_many(customer_ids=ids.values(), plan=plan, starts_at=MONTH_START)
    run_sql("VACUUM (ANALYZE)")


def first_customer_id(*, customers: int) -> int:
    """Return the id of customer 0; the others' follow without a gap, in the order of their keys."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM plans_customer ORDER BY key")
        ids = [row[0] for row in cursor.fetchall()]
    assert ids == list(range(ids[0], ids[0] + customers)), "the ids of customers have gaps"
    return int(ids[0])


def _make_plan(*, now: datetime) -> Plan:
    plan = create_plan(key="bench", name="Bench")
    version = start_version(plan=plan, currency="USD")
    add_prices(version=version, rows=_prices())
    publish_version(version=version, effective_from=MONTH_START, by=None, now=now)
    return plan


def _prices() -> list[PriceRows]:
    tokens, gpu, images, calls = (_meter(kind) for kind in KINDS)
    return [
        PriceRows(Price(key="fee", name="Platform fee", model="flat", amount=FEE)),
        PriceRows(
            Price(
                key="tokens", name="Tokens", model="graduated", meter=tokens, unit_size=TOKENS_UNIT
            ),
            tiers=[Tier(up_to=up_to, unit_amount=amount) for up_to, amount in TIERS],
        ),
        PriceRows(Price(key="gpu", name="GPU", model="per_unit", meter=gpu, amount=GPU_SECOND)),
        PriceRows(
            Price(
                key="images", name="Images", model="package", meter=images,
                amount=PACKAGE[0], unit_size=PACKAGE[1],
            )
        ),
        PriceRows(
            Price(key="calls", name="Calls", model="matrix", meter=calls),
            rates=[
                MatrixRate(match=[name], unit_amount=amount, label=f"Calls, {name} models")
                for name, amount in CALL_RATES.items()
            ],
        ),
    ]  # fmt: skip


def _meter(kind: Kind) -> Meter:
    return define_meter(
        key=kind.meter,
        name=kind.meter,
        event_type=kind.type,
        aggregation="count" if kind.is_counted else "sum",
        value_property="" if kind.is_counted else "amount",
        dimensions=["class"] if kind.is_counted else [],
        unit=kind.meter,
    )
