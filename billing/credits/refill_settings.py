"""Say what is done as a pool runs low, and what a workspace takes of it at most.

The person and the reason are those of ``plans.acting``; the history keeps them.
"""

from dataclasses import dataclass
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import transaction

from billing.credits.topping_up import clear_failures
from billing.locks import lock_customers
from billing.models import CreditPool, LowBalance, PoolLimit, TopUp
from plans.errors import OperationError, validation_problems
from plans.models import Workspace


class RefillInvalid(OperationError):
    """What was said of a top-up, an alert or a limit cannot be; ``problems`` lists all of it."""

    code = "refill_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpTerms:
    """When a pack is bought, and which; see ``billing.models.TopUp``."""

    threshold: Decimal
    pack_key: str
    most_per_period: int = 1
    cooldown_minutes: int = 60
    enabled: bool = True


@transaction.atomic
def set_top_up(*, pool: CreditPool, terms: TopUpTerms) -> TopUp:
    """Set or change the top-up of a pool; what failed before is forgotten and tried again.

    Raises RefillInvalid.
    """
    lock_customers(customer_ids=[pool.customer_id])
    row = TopUp.objects.filter(pool=pool).first() or TopUp(pool=pool)
    row.threshold, row.pack_key = terms.threshold, terms.pack_key
    row.most_per_period, row.cooldown_minutes = terms.most_per_period, terms.cooldown_minutes
    row.enabled = terms.enabled
    _clean(row)
    clear_failures(row)
    return row


@transaction.atomic
def set_low_balance(*, pool: CreditPool, threshold: Decimal | None, email: str = "") -> None:
    """Tell somebody below a threshold; None: nobody any more. Raises RefillInvalid."""
    lock_customers(customer_ids=[pool.customer_id])
    row = LowBalance.objects.filter(pool=pool).first()
    if threshold is None:
        if row is not None:
            row.delete()
        return
    row = row or LowBalance(pool=pool)
    row.threshold, row.email = threshold, email
    _clean(row)
    row.save()


@transaction.atomic
def set_limit(*, pool: CreditPool, workspace: Workspace, amount: Decimal | None) -> None:
    """Limit what a workspace takes of a pool in a period; None: as much as there is.

    Raises RefillInvalid.
    """
    lock_customers(customer_ids=[pool.customer_id])
    if workspace.customer_id != pool.customer_id:
        raise RefillInvalid(
            f"{workspace.name} is no workspace of the pool's customer: choose one of its own.",
            field="workspace",
        )
    row = PoolLimit.objects.filter(pool=pool, workspace=workspace).first()
    if amount is None:
        if row is not None:
            row.delete()
        return
    row = row or PoolLimit(pool=pool, workspace=workspace)
    row.amount = amount
    _clean(row)
    row.save()


def _clean(row: TopUp | LowBalance | PoolLimit) -> None:
    try:
        row.full_clean()
    except ValidationError as error:
        problems = validation_problems(error)
        listed = " ".join(problem.message for problem in problems)
        raise RefillInvalid(listed, field=problems[0].field, problems=problems) from error
