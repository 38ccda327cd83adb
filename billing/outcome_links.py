"""Ask customers by e-mail for their word on outcomes: a signed link to those that wait."""

import logging
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from django.core import signing
from django.core.mail import send_mail
from django.db.models import Max, Min

from billing.models import OutcomeRequest
from usage.models import Outcome

MAILS_MAX: Final = 1000
_SALT: Final = "tollgate.outcomes"
_log = logging.getLogger(__name__)
_VALID: Final = timedelta(days=400)


class Asked(NamedTuple):
    """What a link asks about: a customer's pending outcomes from one id to another."""

    customer: int
    first: int
    last: int
    email: str


def make_link(asked: Asked, *, base: str) -> str:
    """Return the address behind which the customer decides; whoever has it may."""
    return f"{base}/portal/verify/{signing.dumps(list(asked), salt=_SALT)}/"


def read_link(token: str) -> Asked:
    """Return what a link asks about. Raises signing.BadSignature for one that is not ours."""
    customer, first, last, email = signing.loads(token, salt=_SALT, max_age=_VALID)
    return Asked(customer, first, last, email)


def note_due_requests(*, now: datetime) -> None:
    """Note whom to ask: customers with outcomes that came since they were last asked."""
    rows = (
        Outcome.objects.filter(state="pending", version__content__verification__by="customer")
        .exclude(customer__email="")
        .filter(verify_by__gt=now)
        .values("customer_id", "customer__email")
        .annotate(first=Min("id"), last=Max("id"))
        .order_by("customer_id")
    )
    last_asked = OutcomeRequest.objects.values("customer_id").annotate(until=Max("last"))
    asked_until = dict(last_asked.values_list("customer_id", "until"))
    OutcomeRequest.objects.bulk_create(
        OutcomeRequest(
            customer_id=row["customer_id"],
            first=row["first"],
            last=row["last"],
            email=row["customer__email"],
            noted_at=now,
        )
        for row in rows
        if row["last"] > asked_until.get(row["customer_id"], 0)
    )


def send_noted_requests(*, base: str, now: datetime) -> int:
    """Send what is noted and not sent, outside any transaction; return how many were sent.

    One that fails stays noted for the next run, and keeps no other from being sent.
    """
    sent = 0
    noted = OutcomeRequest.objects.filter(sent_at=None).select_related("customer").order_by("id")
    for request in noted[:MAILS_MAX]:
        try:
            _send(request, base=base)
        except OSError:
            _log.exception("no mail to customer %s", request.customer_id)
            continue
        OutcomeRequest.objects.filter(pk=request.pk).update(sent_at=now)
        sent += 1
    return sent


def _send(request: OutcomeRequest, *, base: str) -> None:
    customer = request.customer
    count = Outcome.objects.filter(
        customer=customer, id__gte=request.first, id__lte=request.last, state="pending"
    ).count()
    said = "1 outcome waits" if count == 1 else f"{count} outcomes wait"
    asked = Asked(customer.pk, request.first, request.last, request.email)
    send_mail(
        subject=f"{said} for your word",
        message=(
            f"{customer.name}: {said} to be verified or rejected. Nothing of it is billed before "
            f"that.\n\n{make_link(asked, base=base)}\n\nWhoever has this address can decide: do "
            "not pass it on.\n"
        ),
        from_email=None,
        recipient_list=[request.email],
    )
