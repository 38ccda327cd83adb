"""A customer's account as pricing asks for it, without another query."""

from datetime import datetime
from functools import lru_cache

from billing.jobs.reading import Account
from billing.models import Spend
from billing.spend.margin import Standing
from billing.spend.standing import rated_standing, segments_at
from plans.models import Customer


def customer_of(account: Account) -> Customer:
    """Return the customer as pricing asks for it, without another query, and to be read only."""
    return _customer(account.customer_id, account.customer, account.currency, account.zone)


@lru_cache(maxsize=4096)
def _customer(customer_id: int, key: str, currency: str, zone: str) -> Customer:
    return Customer(id=customer_id, key=key, name=key, currency=currency, time_zone=zone)


def is_fresh(account: Account, *, at: datetime) -> bool:
    """Tell whether the row of spend was rated by the version that is in force."""
    segments = segments_at(account, at=at)
    return bool(segments) and all(each.version == account.version_id for each in segments)


def standing_for(account: Account, *, at: datetime) -> Standing:
    """Return what the customer has used, and on which terms. Raises NoSubscription, RatingError."""
    return rated_standing(customer=customer_of(account), at=at, spend=account)


def standing_anew(account: Account, *, at: datetime) -> Standing:
    """Return the terms in force, with no usage yet, where the row knows only those before."""
    unrated = Spend(customer_id=account.customer_id)
    return rated_standing(customer=customer_of(account), at=at, spend=unrated)
