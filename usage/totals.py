"""One customer's usage in words that leave the platform: keys instead of ids."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from plans.models import Customer, Meter, Workspace
from plans.rating.money import total
from usage.queries import Reading, Window, read_usage

SPAN_MAX = timedelta(days=400)


class UnknownCustomer(Exception):
    """No customer has this key."""

    code = "unknown_customer"
    http_status = 404


class BadSpan(Exception):
    """The span of time is empty, or longer than may be read at once."""

    code = "invalid_span"
    http_status = 422


class MeterTotal(NamedTuple):
    """What one meter came to: as a whole, by dimension values and by workspace key."""

    meter: Meter
    quantity: Decimal
    values: tuple[tuple[dict[str, str], Decimal], ...]
    workspaces: tuple[tuple[str | None, Decimal], ...]


def customer_usage(*, key: str, start: datetime, end: datetime) -> list[MeterTotal]:
    """Return the usage of a customer in ``[start, end)`` on each meter that has any, by key.

    Raises UnknownCustomer and BadSpan.
    """
    if not start < end or end - start > SPAN_MAX:
        raise BadSpan(f"The span must end after it starts, within {SPAN_MAX.days} days.")
    customer = find_customer(key=key)
    readings = read_usage([Window(0, customer.pk, start, end)]).readings.get(0, {})
    meters = Meter.objects.in_bulk(list(readings))
    workspaces = dict(Workspace.objects.filter(customer=customer).values_list("id", "key"))
    found = [_total(meters[pk], reading, workspaces) for pk, reading in readings.items()]
    return sorted(found, key=lambda each: each.meter.key)


def find_customer(*, key: str) -> Customer:
    """Return the customer with a key. Raises UnknownCustomer."""
    customer = Customer.objects.filter(key=key).first()
    if customer is None:
        raise UnknownCustomer(f"No customer has the key “{key}”.")
    return customer


def _total(meter: Meter, reading: Reading, workspaces: dict[int, str]) -> MeterTotal:
    return MeterTotal(
        meter=meter,
        quantity=total(quantity for _, quantity in reading.cells),
        values=tuple(
            (dict(zip(meter.dimensions, values, strict=True)), quantity)
            for values, quantity in reading.cells
        ),
        workspaces=tuple(
            (workspaces[pk] if pk is not None else None, quantity)
            for pk, quantity in reading.workspaces
        ),
    )
