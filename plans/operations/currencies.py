"""Start a version in another currency, its amounts those of this one times a factor."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Model

from plans.errors import OperationError, Problem
from plans.grant_values import plain
from plans.models import PlanVersion
from plans.models.grants import LimitKind
from plans.models.prices import ChargeModel
from plans.operations.versions import (
    add_grants,
    add_prices,
    copied_terms,
    start_version,
)
from plans.rating.money import EXACT, ONE, times
from plans.terms import GrantRows, PriceRows

PLACES_MAX: Final = 12
_PRICE_COLUMNS: Final = (
    "amount",
    "fixed_amount",
    "free_amount",
    "minimum_per_transaction",
    "maximum_per_transaction",
    "default_amount",
    "pack_amount",
    "minimum",
    "maximum",
)


class SameCurrency(OperationError):
    """The version is in that currency already."""

    code = "same_currency"


class BadFactor(OperationError):
    """Amounts cannot be multiplied by that, or not be rounded to so many decimals."""

    code = "bad_factor"


class Amount(NamedTuple):
    """An amount of money where it stands: its field, its name for people, its row and column."""

    field: str
    where: str
    row: Model
    column: str


class Converted(NamedTuple):
    """An amount in both currencies; ``where`` names its place for people, ``field`` for forms."""

    field: str
    where: str
    old: Decimal
    new: Decimal


def converted_amounts(
    *, version: PlanVersion, factor: Decimal, places: int
) -> tuple[Converted, ...]:
    """Return every amount of a version beside what it becomes, in eight queries. Writes nothing.

    Raises BadFactor.
    """
    rows, grants = copied_terms(version)
    return tuple(_convert(rows, grants, factor=factor, places=places))


@transaction.atomic
def new_version_in_currency(
    *,
    version: PlanVersion,
    currency: str,
    factor: Decimal,
    places: int,
    by: AbstractBaseUser | None,
) -> PlanVersion:
    """Start a draft in another currency with the terms of a version of the plan.

    Each amount is multiplied by the factor and rounded half away from zero to so many decimals;
    bounds of tiers over a value in money are amounts too, quantities and credits are not. Raises
    SameCurrency, BadFactor for what would be rounded away, PlanInvalid.
    """
    if currency == version.currency:
        raise SameCurrency(
            f"Version {version.number} is in {currency} already: make a new version from it.",
            field="currency",
        )
    rows, grants = copied_terms(version)
    amounts = tuple(_convert(rows, grants, factor=factor, places=places))
    _refuse_vanished(amounts, places=places)
    note = f"Version {version.number} ({version.currency}) times {plain(factor):f}."
    draft = start_version(plan=version.plan, currency=currency, by=by, note=note)
    add_grants(version=draft, grants=grants)
    add_prices(version=draft, rows=rows)
    return draft


def _convert(
    rows: Sequence[PriceRows], grants: GrantRows, *, factor: Decimal, places: int
) -> Iterator[Converted]:
    """Convert rows that are not stored, in their place, and tell each amount."""
    if factor <= 0:
        raise BadFactor("The factor is a number above zero.", field="factor")
    if not 0 <= places <= PLACES_MAX:
        raise BadFactor(f"Round to 0 to {PLACES_MAX} decimals.", field="places")
    quantum = ONE.scaleb(-places, EXACT)
    for field, where, row, column in _amounts(rows, grants):
        old = getattr(row, column)
        if old is None or not old:
            continue
        new = EXACT.quantize(times(old, factor), quantum)
        setattr(row, column, new)
        yield Converted(field, where, plain(old), plain(new))


def _amounts(rows: Sequence[PriceRows], grants: GrantRows) -> Iterator[Amount]:
    for index, row in enumerate(rows):
        path, price = f"prices[{index}]", row.price
        if price.credit_unit_id is not None:
            words = f"{price.name}: each credit that is lacking"
            yield Amount(f"{path}.beyond_credit_amount", words, price, "beyond_credit_amount")
        else:
            yield from _price_amounts(path, row)
    yield from _granted_amounts(grants)


def _price_amounts(path: str, rows: PriceRows) -> Iterator[Amount]:
    price, tiers, rates = rows
    name = price.name
    for column in _PRICE_COLUMNS:
        yield Amount(f"{path}.{column}", f"{name}: {column.replace('_', ' ')}", price, column)
    columns = ("unit_amount", "flat_amount")
    if price.model == ChargeModel.GRADUATED_PERCENTAGE:
        columns = ("up_to", "flat_amount")
    for place, tier in enumerate(tiers):
        for column in columns:
            words = f"{name}, tier {place + 1}: {column.replace('_', ' ')}"
            yield Amount(f"{path}.tiers[{place}].{column}", words, tier, column)
    for place, rate in enumerate(rates):
        yield Amount(f"{path}.rates[{place}].unit_amount", f"{name}, {rate}", rate, "unit_amount")


def _granted_amounts(grants: GrantRows) -> Iterator[Amount]:
    for index, limit in enumerate(grants.limits):
        if limit.kind == LimitKind.SPEND_PER_DAY:
            yield Amount(f"limits[{index}].value", "Limit: spend in a day", limit, "value")
    for index, pack in enumerate(grants.packs):
        yield Amount(f"packs[{index}].amount", f"Pack {pack.name}", pack, "amount")
    for index, allotment in enumerate(grants.allotments):
        if allotment.unit_id is None:
            words = f"Allotment {allotment.name}"
            yield Amount(f"allotments[{index}].amount", words, allotment, "amount")
    if grants.jobs is not None:
        for column in ("grace_amount", "late_start_most"):
            words = f"Jobs: {column.replace('_', ' ')}"
            yield Amount(f"jobs.{column}", words, grants.jobs, column)


def _refuse_vanished(amounts: Sequence[Converted], *, places: int) -> None:
    gone = tuple(
        Problem(
            BadFactor.code,
            amount.field,
            f"{amount.where}, {amount.old:f}, would be rounded to 0. Take more decimals than "
            f"{places}.",
        )
        for amount in amounts
        if not amount.new
    )
    if gone:
        raise BadFactor(gone[0].message, field="places", problems=gone)
