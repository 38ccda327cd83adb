"""Find statements, in pages that continue where the one before ended."""

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from django.db.models import QuerySet

from billing.models import Statement
from plans.models import Customer

PAGE = 50

Row = TypeVar("Row")


class Page(NamedTuple, Generic[Row]):
    """Rows in order, and what to ask for the page after it with; None on the last page."""

    rows: Sequence[Row]
    after: int | None


class UnknownCustomer(LookupError):
    """No customer has the key."""

    code = "unknown_customer"
    http_status = 404


class UnknownStatement(LookupError):
    """No statement has the number."""

    code = "unknown_statement"
    http_status = 404


def finalised_of(*, customer: Customer) -> QuerySet[Statement]:
    """Return the statements that a customer may see: those that no longer change."""
    finalised = Statement.objects.filter(customer=customer, status=Statement.Status.FINALISED)
    return finalised.select_related("customer").defer("facts")


def statements_of(
    *, customer: Customer, after: int | None = None, limit: int = PAGE
) -> Page[Statement]:
    """Return a customer's finalised statements, newest first, below the sequence ``after``."""
    found = finalised_of(customer=customer).order_by("-sequence")
    if after is not None:
        found = found.filter(sequence__lt=after)
    rows = list(found[: limit + 1])
    return Page(rows[:limit], rows[limit - 1].sequence if len(rows) > limit else None)


def in_preparation(*, customer: Customer) -> list[Statement]:
    """Return the customer's ended periods whose statement is yet to come, oldest first."""
    waiting = Statement.objects.filter(customer=customer)
    waiting = waiting.exclude(status=Statement.Status.FINALISED)
    waiting = waiting.select_related("customer").defer("facts")
    return list(waiting.order_by("period_start")[:PAGE])


def find_statements(
    *,
    customer_key: str | None = None,
    status: str | None = None,
    after: int | None = None,
    limit: int = PAGE,
) -> Page[Statement]:
    """Return statements of every customer, or of one, newest first, after the cursor ``after``.

    Raises UnknownCustomer.
    """
    found = Statement.objects.select_related("customer").defer("facts").order_by("-id")
    if customer_key is not None:
        found = found.filter(customer_id=_customer_id(customer_key))
    if status is not None:
        found = found.filter(status=status)
    if after is not None:
        found = found.filter(id__lt=after)
    rows = list(found[: limit + 1])
    return Page(rows[:limit], rows[limit - 1].pk if len(rows) > limit else None)


def by_number(number: str) -> Statement:
    """Return a statement with its customer. Raises UnknownStatement."""
    numbered = Statement.objects.filter(number=number).select_related("customer").defer("facts")
    statement = numbered.first()
    if statement is None:
        raise UnknownStatement(f"There is no statement {number}.")
    return statement


def _customer_id(key: str) -> int:
    found = Customer.objects.filter(key=key).values_list("id", flat=True).first()
    if found is None:
        raise UnknownCustomer(f"There is no customer with the key {key}.")
    return found
