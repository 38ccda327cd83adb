"""What a customer's jobs hold together, kept under the lock of its row of spend."""

from datetime import datetime
from decimal import Decimal

from billing.models import Spend
from billing.spend.margin import Standing
from billing.spend.pending import Priced, price_pending
from billing.spend.standing import rated_standing
from billing.statements.preview import NoSubscription
from plans import rating
from plans.models import Customer
from plans.rating.money import ZERO, minus, plus
from usage.job_quantities import Quantities, added, read, stored, without
from usage.models import Job

_HELD = ("pending", "held", "held_by_workspace")


def find_standing(customer: Customer, spend: Spend, *, at: datetime) -> Standing | None:
    """Return what the customer has used and on which terms; None where nothing prices it now."""
    try:
        return rated_standing(customer=customer, at=at, spend=spend)
    except (NoSubscription, rating.RatingError):
        return None


def hold_for(
    job: Job, spend: Spend, quantities: Quantities, *, standing: Standing | None
) -> Priced | None:
    """Hold quantities for a job in place of what was held; the caller stores the job.

    The customer's row of spend is locked and stored here. Returns what all pending jobs come to;
    where nothing prices them the amounts stay, and None is returned.
    """
    rest = without(read(spend.pending), read(job.held_quantities))
    pending = added(rest, quantities)
    before = [getattr(spend, name) for name in _HELD]
    job.held_quantities = stored(quantities)
    spend.pending = stored(pending)
    if standing is None:
        spend.save(update_fields=["pending"])
        return None
    priced = price_pending(standing, pending)
    _set_held(job, spend, held=max(ZERO, plus(job.held, minus(priced.amount, spend.held))))
    spend.held = priced.amount
    if before != [getattr(spend, name) for name in _HELD]:
        spend.save(update_fields=list(_HELD))
    return priced


def _set_held(job: Job, spend: Spend, *, held: Decimal) -> None:
    key = job.workspace.key if job.workspace else ""
    if key:
        before = Decimal(spend.held_by_workspace.get(key, "0"))
        after = max(ZERO, plus(minus(before, job.held), held))
        spend.held_by_workspace = {**spend.held_by_workspace, key: f"{after:f}"}
        if not after:
            del spend.held_by_workspace[key]
    job.held = held


def count_ended(job: Job, spend: Spend) -> None:
    """Count a job no longer among those that run."""
    key = job.job_class.key
    running = {**spend.running_by_class, key: spend.running_by_class.get(key, 0) - 1}
    spend.running_by_class = {name: count for name, count in running.items() if count > 0}
    spend.running = max(0, spend.running - 1)
    spend.save(update_fields=["running", "running_by_class"])
