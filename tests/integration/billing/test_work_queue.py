"""What waits for finance: parked statements, those in review, and usage that nobody prices."""

from decimal import Decimal as D

from django.db import connection

from billing.queries.work import parked_statements, statements_in_review, unpriced_usage
from tests.fixtures.statements import (
    DECEMBER,
    NOVEMBER,
    OCTOBER,
    CustomerFactory,
    berlin,
    draft_statement,
    parked_statement,
    reviewed_statement,
)

JANUARY = berlin(2026, 1, 1)


def test_parked_statements_come_with_their_reason(acme, django_assert_num_queries):
    parked_statement(acme.customer, start=DECEMBER, end=JANUARY, reason="No rate for b200.")

    with django_assert_num_queries(1):
        queue = parked_statements()

    assert [(row.head.customer_name, row.code, row.reason) for row in queue.rows] == [
        ("Acme Pictures", "unmatched_usage", "No rate for b200.")
    ]
    assert not queue.has_more


def test_statements_in_review_wait_until_one_is_approved(acme):
    statement = reviewed_statement(acme.customer, acme.version, start=DECEMBER, end=JANUARY)

    (row,) = statements_in_review().rows

    assert (str(row.head.total), str(row.head.span)) == ("$884.01", "December 2025")
    assert row.since == statement.finalise_due_at
    statement.approved_at = DECEMBER
    statement.save()
    assert statements_in_review().rows == []


def test_a_long_queue_says_that_there_is_more(acme):
    for month in (1, 2, 3):
        parked_statement(
            CustomerFactory(), start=berlin(2026, month, 1), end=berlin(2026, month + 1, 1)
        )

    queue = parked_statements(limit=2)

    assert (len(queue.rows), queue.has_more) == (2, True)


def test_unpriced_usage_is_added_up_over_the_customers_of_a_close(acme):
    other = CustomerFactory()
    draft_statement(other, acme.version, start=OCTOBER, end=NOVEMBER, unpriced=[("fax", D("0.5"))])
    draft_statement(other, acme.version, start=DECEMBER, end=JANUARY, unpriced=[("fax", D(99))])

    found = unpriced_usage(start=NOVEMBER, end=DECEMBER)

    assert [(one.meter_name, str(one.quantity), one.customers) for one in found] == [
        ("Fax pages", "12.5 pages", 2)
    ]


def test_unpriced_usage_is_found_through_its_index(acme):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT 1 FROM billing_statement s WHERE s.period_end >= %s "
            """AND s.facts LIKE '%%"unpriced":[[%%'""",
            [NOVEMBER],
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert "statement_unpriced" in plan
