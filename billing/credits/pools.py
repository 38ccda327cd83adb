"""Find a customer's pool for what plans grant and sell, or open it."""

import hashlib

from billing.credits.granting import define_credit_unit
from billing.models import CreditPool, UnitOfAccount
from billing.statements.credit_lines import packs_pool_key
from plans import rating
from plans.models import CreditUnit, Customer
from plans.rating.money import CURRENCIES

UNIT_DECIMALS = 12


def pool_in_unit(*, customer: Customer, unit: rating.CreditUnit) -> CreditPool:
    """Return the customer's first pool in a named credit, or in money, and open it if need be.

    The customer must be locked.
    """
    found = CreditPool.objects.filter(customer=customer, unit_id=unit.code).order_by("pk").first()
    if found is not None:
        return found
    account = _account_unit(unit)
    key = unit.code.lower().replace("_", "-")
    return _open(customer, key=key, name=account.name, unit=account)


def pool_for_packs(*, customer: Customer, price: rating.Price) -> CreditPool:
    """Return the pool of what is bought in packs for a price, in a unit of account of its own.

    Units of one price pay for nothing else, and are worth what its packs cost: so each price's
    units are a unit of account, which all customers share. The customer must be locked.
    """
    key = packs_pool_key(price.key)
    found = CreditPool.objects.filter(customer=customer, key=key).first()
    if found is not None:
        return found
    mark = hashlib.sha256(price.key.encode()).hexdigest()[:12].upper()
    name = f"{price.unit or 'units'} in packs, {price.key}"[:100]
    unit = define_credit_unit(code=f"PACK_{mark}", name=name, decimals=UNIT_DECIMALS)
    return _open(customer, key=key, name=f"{price.name}, packs"[:200], unit=unit)


def _account_unit(unit: rating.CreditUnit) -> UnitOfAccount:
    if unit.code in CURRENCIES:
        decimals = rating.minor_units(unit.code)
        kind = UnitOfAccount.Kind.CURRENCY
        defaults = {"name": unit.code, "kind": kind, "decimals": decimals}
        return UnitOfAccount.objects.get_or_create(code=unit.code, defaults=defaults)[0]
    said = CreditUnit.objects.filter(pk=unit.code).first()
    name = said.name if said else unit.code
    return define_credit_unit(code=unit.code, name=name, decimals=unit.decimals)


def _open(customer: Customer, *, key: str, name: str, unit: UnitOfAccount) -> CreditPool:
    pool, _ = CreditPool.objects.get_or_create(
        customer=customer, key=key, defaults={"name": name, "unit": unit}
    )
    return pool
