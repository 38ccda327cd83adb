"""What the pages of the customers' portal show that no other page does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from billing.queries.current import CurrentUsage, current_usage
from billing.queries.pages import Head, head_of
from billing.queries.statements import in_preparation, statements_of
from billing.statements.preview import NoSubscription
from plans.models import Customer, Membership
from plans.rating import RatingError

RECENT = 3
NO_PLAN = "There is no running plan, so nothing is being charged."
NOT_PRICED = (
    "Some of this period's usage has no price yet. We are looking into it, "
    "and nothing is charged until it is settled."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """The running period, or why it cannot be shown."""

    usage: CurrentUsage | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementList:
    """A page of finalised statements, and the ended periods that are still being prepared."""

    heads: Sequence[Head]
    preparing: Sequence[Head]
    after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The portal's first page."""

    current: Current
    statements: StatementList


def customer_of(*, user_id: int) -> Customer | None:
    """Return the customer whose statements a user may see; None for a user who has none."""
    membership = Membership.objects.select_related("customer").filter(user_id=user_id).first()
    return membership.customer if membership else None


def current_period(*, customer: Customer, now: datetime) -> Current:
    """Return this period's usage so far, or in words why there is none to show."""
    try:
        return Current(usage=current_usage(customer=customer, now=now), reason="")
    except NoSubscription:
        return Current(usage=None, reason=NO_PLAN)
    except RatingError:
        return Current(usage=None, reason=NOT_PRICED)


def statement_list(
    *, customer: Customer, after: int | None = None, limit: int | None = None
) -> StatementList:
    """Return the customer's statements, newest first; those in preparation on the first page."""
    page = statements_of(customer=customer, after=after, **({"limit": limit} if limit else {}))
    preparing = [] if after else in_preparation(customer=customer)
    return StatementList(
        heads=[head_of(statement) for statement in page.rows],
        preparing=[head_of(statement) for statement in preparing],
        after=page.after,
    )


def overview(*, customer: Customer, now: datetime) -> Overview:
    """Return what the first page shows: this period so far, and the latest statements."""
    return Overview(
        current=current_period(customer=customer, now=now),
        statements=statement_list(customer=customer, limit=RECENT),
    )
