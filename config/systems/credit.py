"""Buy the packs of a pricing system, and compare what was drawn of them."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from django.db.models import F, Sum

from billing.credits.buying import buy_pack
from billing.models import CreditDraw, CreditGrant, Hold, Statement
from plans.catalogue.systems import ExpectedStatement, System
from plans.models import Customer


class DrawnCredit(NamedTuple):
    """What a statement's usage drew, and what was left by the packs' keys once it was drawn."""

    used: Decimal
    left: Mapping[str, Decimal]


def buy(system: System, *, customer: Customer) -> None:
    """Buy the system's packs, each at its time; again, nothing happens."""
    for number, bought in enumerate(system.bought):
        buy_pack(
            customer=customer,
            pack_key=bought.pack,
            quantity=bought.quantity,
            now=bought.time,
            key=f"{system.system}.{number}",
        )


def drawn_by(statements: Sequence[Statement]) -> list[DrawnCredit]:
    """Return what each statement of one customer drew and left, in their order."""
    found = []
    for row in statements:
        draws = CreditDraw.objects.filter(customer=row.customer_id, period_start=row.period_start)
        used = draws.aggregate(found=Sum(F("amount") - F("returned")))["found"]
        found.append(DrawnCredit(used or Decimal(0), _left(row)))
    return found


def _left(statement: Statement) -> dict[str, Decimal]:
    """Return what was left in what was bought, less what later periods drew of it."""
    left: dict[str, Decimal] = {}
    bought = CreditGrant.objects.filter(
        pool__customer=statement.customer_id, purchase__bought_at__lt=statement.period_end
    )
    for grant in bought.select_related("purchase"):
        drawn = Hold.objects.filter(
            grant_ids__contains=[grant.pk], draw__period_start__lt=statement.period_end
        )
        used = sum((held.pinned[held.grant_ids.index(grant.pk)] for held in drawn), Decimal(0))
        key = grant.purchase.pack_key
        left[key] = left.get(key, Decimal(0)) + grant.amount - used
    return left


def differences(
    drawn: Sequence[DrawnCredit], expected: Sequence[ExpectedStatement]
) -> Iterator[str]:
    """Yield each difference of credit in words, month by month, where it is stated."""
    for number, (has, wants) in enumerate(zip(drawn, expected, strict=False), start=1):
        if wants.credit is None:
            continue
        place = f"month {number}: " if len(expected) > 1 else ""
        if has.used != wants.credit.used:
            yield f"{place}credit used: {has.used:f} instead of {wants.credit.used:f}"
        if has.left != wants.credit.left:
            yield f"{place}credit left: {_said(has.left)} instead of {_said(wants.credit.left)}"


def _said(left: Mapping[str, Decimal]) -> str:
    pairs = sorted(left.items())
    return ", ".join(f"{key} {amount.normalize():f}" for key, amount in pairs) or "none"
