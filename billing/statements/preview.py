"""This period so far, by the same road as a statement: facts, build, and nothing is written."""

from datetime import datetime

from django.db.models import Q

from billing.statements.build import build
from billing.statements.facts import Period, load_facts
from billing.statements.values import Draft, Facts
from plans import rating
from plans.errors import OperationError
from plans.models import Customer, Subscription
from plans.overrides import TermsBook

PREVIEW = 0


class NoSubscription(OperationError):
    """The customer has no subscription at that time, so there is nothing to preview."""

    code = "no_subscription"
    http_status = 409


def preview_statement(*, customer_id: int, now: datetime) -> tuple[Facts, Draft]:
    """Return what the statement of the period that holds ``now`` would say if it ended now.

    Fees stand whole, usage as far as it has come in, and seats as if those held now stayed. Raises
    NoSubscription, and RatingError where the usage cannot be priced.
    """
    customer = Customer.objects.get(id=customer_id)
    running = Q(ends_at=None) | Q(ends_at__gt=now)
    subscription = Subscription.objects.filter(
        running, customer=customer, starts_at__lte=now
    ).first()
    if subscription is None:
        raise NoSubscription(f"{customer.name} has no subscription at {now:%Y-%m-%d %H:%M} UTC.")
    span = rating.billing_period(anchor=subscription.anchor_date, zone=customer.time_zone, at=now)
    period = Period(
        id=PREVIEW,
        customer_id=customer.id,
        customer_key=customer.key,
        currency=customer.currency,
        zone=customer.time_zone,
        start=span.start,
        end=span.end,
    )
    loaded = load_facts([period], usage_until=now)
    if PREVIEW in loaded.errors:
        raise loaded.errors[PREVIEW]
    book = TermsBook(loaded.terms, loaded.agreed)
    facts = loaded.facts[PREVIEW]
    return facts, build(facts, terms=book.terms, agreed=book.agreed)
