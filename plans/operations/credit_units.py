"""Define the named credits in which plans may price usage."""

from typing import Literal

from django.db import transaction

from plans import locks
from plans.errors import OperationError, refusing
from plans.models import CreditUnit
from plans.operations.versions import clean_problems, refuse_invalid
from plans.queries import credit_unit_is_published


class CreditCodeTaken(OperationError):
    """Another credit has the code."""

    code = "credit_code_taken"


class CreditUnitFrozen(OperationError):
    """Published terms are in the credit: other decimals would change what they mean."""

    code = "credit_unit_frozen"


def create_credit_unit(*, code: str, name: str, decimals: int) -> CreditUnit:
    """Create a credit that there is not yet. Raises PlanInvalid, CreditCodeTaken."""
    unit = CreditUnit(code=code, name=name, decimals=decimals)
    refuse_invalid(clean_problems(unit))
    refusal = CreditCodeTaken(f"There is another credit with the code “{code}”.", field="code")
    with refusing({"plans_creditunit_pkey": refusal}):
        unit.save(force_insert=True)
    return unit


@transaction.atomic
def change_credit_unit(*, unit: CreditUnit, name: str, decimals: int) -> CreditUnit:
    """Change what a credit is called, and its decimals while no published terms are in it.

    Raises PlanInvalid, CreditUnitFrozen.
    """
    row = locks.credit_unit(code=unit.pk)
    if decimals != row.decimals and credit_unit_is_published(code=row.pk):
        raise CreditUnitFrozen(frozen_words(row), field="decimals")
    row.name, row.decimals = name, decimals
    refuse_invalid(clean_problems(row))
    row.save(update_fields=["name", "decimals"])
    return row


@transaction.atomic
def define_credit_unit(
    *, code: str, name: str, decimals: int
) -> Literal["created", "changed", "unchanged"]:
    """Create a credit, or bring its name and decimals up to date; say what was done.

    Raises PlanInvalid, CreditUnitFrozen.
    """
    unit = CreditUnit.objects.filter(pk=code).first()
    if unit is None:
        create_credit_unit(code=code, name=name, decimals=decimals)
        return "created"
    if (unit.name, unit.decimals) == (name, decimals):
        return "unchanged"
    change_credit_unit(unit=unit, name=name, decimals=decimals)
    return "changed"


def frozen_words(unit: CreditUnit) -> str:
    """Say why a credit's decimals stay, and what to do instead."""
    return (
        f"Published terms are in {unit.code} with {unit.decimals} decimals, and others would "
        "change what they mean: define another credit."
    )
