"""Create who is billed, the parts of a customer, and the people who may see its statements."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import transaction

from plans.errors import OperationError, Problem, refusing, validation_problems
from plans.models import Customer, Membership, Workspace
from plans.operations.history import keep_created

_BATCH = 2000


class CustomerRow(NamedTuple):
    """A customer to be created by an import."""

    key: str
    name: str
    currency: str = "USD"
    time_zone: str = "UTC"
    email: str = ""


class CustomerInvalid(OperationError):
    """What was said about a customer or workspace cannot be; ``problems`` lists all of it."""

    code = "customer_invalid"


class KeyTaken(OperationError):
    """Another customer or workspace has the key."""

    code = "key_taken"


class AlreadyPortalUser(OperationError):
    """The user sees the statements of another customer."""

    code = "already_portal_user"


def create_customer(
    *,
    key: str,
    name: str,
    currency: str = "USD",
    time_zone: str = "UTC",
    email: str = "",
    requires_review: bool = False,
    grace_hours: int = 48,
    clock_at: datetime | None = None,
) -> Customer:
    """Create a customer; one with ``clock_at`` is there to test with and lives at that time.

    Raises CustomerInvalid, KeyTaken.
    """
    customer = Customer(
        key=key,
        name=name,
        currency=currency,
        time_zone=time_zone,
        email=email,
        requires_review=requires_review,
        grace_hours=grace_hours,
        clock_at=clock_at,
    )
    _clean(customer)
    with refusing(_key_taken(key)):
        customer.save(force_insert=True)
    return customer


def create_workspace(*, customer: Customer, key: str, name: str) -> Workspace:
    """Create a part of a customer. Raises CustomerInvalid, KeyTaken."""
    workspace = Workspace(customer=customer, key=key, name=name)
    _clean(workspace)
    with refusing(_key_taken(key)):
        workspace.save(force_insert=True)
    return workspace


@transaction.atomic
def create_customers(*, rows: Iterable[CustomerRow]) -> dict[str, int]:
    """Create those customers whose key is not there yet; return the id of every key asked for.

    A customer that exists is left as it is. Raises CustomerInvalid, which names each bad row, and
    KeyTaken where a key belongs to a workspace; then none is created.
    """
    customers = [Customer(**row._asdict()) for row in rows]
    _refuse_bad(customers)
    refusal = KeyTaken("A key is taken by a workspace.", field="key")
    with refusing({"one_subject_per_key": refusal}):
        Customer.objects.bulk_create(customers, ignore_conflicts=True, batch_size=_BATCH)
    keys = [customer.key for customer in customers]
    found = dict(Customer.objects.filter(key__in=keys).values_list("key", "id"))
    keep_created(Customer, ids=found.values())
    return found


def add_portal_user(*, customer: Customer, user: AbstractBaseUser) -> Membership:
    """Let a user see the customer's statements; a user who already may is left as is.

    Raises AlreadyPortalUser where the user belongs to another customer.
    """
    membership, _ = Membership.objects.get_or_create(
        user_id=user.pk, defaults={"customer": customer}
    )
    if membership.customer_id != customer.pk:
        raise AlreadyPortalUser(
            f"“{user.get_username()}” is a portal user of another customer. "
            "Give each customer its own user.",
            field="user",
        )
    return membership


def _clean(row: Customer | Workspace) -> None:
    try:
        row.full_clean(validate_unique=False)
    except ValidationError as error:
        raise _invalid(validation_problems(error)) from error


def _refuse_bad(customers: list[Customer]) -> None:
    problems: list[Problem] = []
    for index, customer in enumerate(customers):
        try:
            customer.clean_fields()
        except ValidationError as error:
            problems += validation_problems(error, path=f"rows[{index}]")
    if problems:
        raise _invalid(tuple(problems))


def _invalid(problems: tuple[Problem, ...]) -> CustomerInvalid:
    first = problems[0]
    return CustomerInvalid(f"{first.field}: {first.message}", field=first.field, problems=problems)


def _key_taken(key: str) -> dict[str, OperationError]:
    refusal = KeyTaken(f"The key “{key}” is taken by another customer or workspace.", field="key")
    return {
        "one_subject_per_key": refusal,
        "plans_customer_key_key": refusal,
        "plans_workspace_key_key": refusal,
    }
