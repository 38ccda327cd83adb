"""This period so far: priced by the same road as a statement, with its breakdown."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.queries.current import current_usage
from billing.statements.preview import NoSubscription
from tests.fixtures.statements import (
    BERLIN,
    LONG_AGO,
    NOW,
    CustomerFactory,
    WorkspaceFactory,
    berlin,
    use,
)
from usage.operations.ingest import ingest


def test_the_period_so_far_comes_to_its_lines(busy_acme):
    usage = current_usage(customer=busy_acme.customer, now=NOW)

    assert str(usage.span) == "December 2025"
    assert (usage.day_number, usage.day_count) == (10, 31)
    assert usage.as_of == "10 December 2025, 12:00"
    assert [(line.description, str(line.amount)) for line in usage.charges] == [
        ("Platform fee", "$49.00"),
        ("Tokens", "$227.25"),
        ("A100 in the EU", "$30.00"),
        ("H100", "$13.00"),
        ("Images", "$0.00"),
        ("Renders", "$5.00"),
        ("Marketplace fee", "$35.00"),
    ]
    assert str(usage.total) == "$359.25"


def test_what_no_price_names_is_said(busy_acme):
    usage = current_usage(customer=busy_acme.customer, now=NOW)

    assert [(name, str(quantity)) for name, quantity in usage.unpriced] == [
        ("Fax pages", "4 pages")
    ]


def test_a_meter_is_broken_down_by_day_dimension_and_workspace(busy_acme):
    usage = current_usage(customer=busy_acme.customer, now=NOW)

    gpu = next(found for found in usage.meters if found.meter.key == "gpu")
    assert str(gpu.quantity) == "43,200 seconds"
    assert [(cell.words, cell.quantity.number) for cell in gpu.cells] == [
        ("model a100, region eu", "36,000"),
        ("model h100, region us", "7,200"),
    ]
    assert [(share.name, share.share) for share in gpu.shares] == [
        ("Research", "83.3%"),
        ("Studio", "16.7%"),
    ]
    assert [found.quantity.number for found in gpu.days] == [
        "7,200", "7,200", "10,800", "10,800", "7,200", "0", "0", "0", "0", "0",
    ]  # fmt: skip


def test_days_are_those_of_the_customers_zone(busy_acme):
    usage = current_usage(customer=busy_acme.customer, now=NOW)

    tokens = next(found for found in usage.meters if found.meter.key == "tokens")
    assert tokens.days[0].day.isoformat() == "2025-12-01"
    assert [found.quantity.number for found in tokens.days[:3]] == ["110,000", "130,000", "170,000"]


def test_without_a_subscription_there_is_nothing_to_show(db):
    customer = CustomerFactory(time_zone=BERLIN)

    with pytest.raises(NoSubscription):
        current_usage(customer=customer, now=LONG_AGO)


def test_the_number_of_queries_does_not_grow_with_usage(busy_acme):
    with CaptureQueriesContext(connection) as few:
        current_usage(customer=busy_acme.customer, now=NOW)
    WorkspaceFactory(customer=busy_acme.customer, key="acme-labs", name="Labs")
    more = [
        use(
            "acme-labs",
            "gpu",
            60,
            at=berlin(2025, 12, 8, 1, minute),
            model="h100",
            region=f"r{minute}",
        )
        for minute in range(40)
    ]
    assert ingest(more, now=NOW).accepted == 40

    with CaptureQueriesContext(connection) as many:
        usage = current_usage(customer=busy_acme.customer, now=NOW)

    assert any(len(found.cells) == 42 for found in usage.meters)
    assert len(many) == len(few) <= 36
