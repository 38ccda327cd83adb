"""Edit what is not published yet: a draft's terms, its prices and their order."""

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Field

from plans import locks
from plans.errors import OperationError, Problem, refusing
from plans.models import MatrixRate, PlanVersion, Price, Tier, VersionEvent
from plans.models.prices import (
    MODEL_COLUMNS,
    OVERAGE_COLUMNS,
    RATED_MODELS,
    TIERED_MODELS,
)
from plans.operations.history import recorded
from plans.operations.versions import (
    PriceKeyTaken,
    add_grants,
    add_price,
    add_prices,
    clean_problems,
    create_plan,
    delete_grants,
    open_draft,
    refuse_frozen,
    refuse_invalid,
    start_version,
)
from plans.terms import GrantRows, PriceRows

Row = TypeVar("Row", Tier, MatrixRate)

_MODEL_COLUMNS = frozenset(column for columns in MODEL_COLUMNS.values() for column in columns)
_OVERAGE_COLUMNS = frozenset(column for columns in OVERAGE_COLUMNS.values() for column in columns)


class PriceGone(OperationError):
    """Someone else removed the price meanwhile."""

    code = "price_gone"


class VersionReviewed(OperationError):
    """The draft was submitted before; what was said of it is kept."""

    code = "version_reviewed"


@transaction.atomic
def start_plan(
    *, key: str, name: str, description: str, currency: str, by: AbstractBaseUser | None
) -> PlanVersion:
    """Create a plan with its first draft, and return the draft.

    Raises PlanInvalid, PlanKeyTaken.
    """
    plan = create_plan(key=key, name=name, description=description)
    return start_version(plan=plan, currency=currency, by=by)


@transaction.atomic
def change_draft(
    *, version: PlanVersion, currency: str, note: str, by: AbstractBaseUser | None
) -> PlanVersion:
    """Change a draft's currency and note. Raises VersionFrozen, PlanInvalid."""
    draft = open_draft(version_id=version.pk, by=by)
    draft.currency = currency
    draft.note = note
    refuse_invalid(clean_problems(draft))
    with recorded(version=draft, by=by):
        draft.save(update_fields=["currency", "note"])
    return draft


@transaction.atomic
def replace_contents(
    *,
    version: PlanVersion,
    currency: str,
    note: str,
    rows: Sequence[PriceRows],
    grants: GrantRows,
    by: AbstractBaseUser | None,
) -> PlanVersion:
    """Give a draft exactly these terms, as rows that are not stored yet.

    Raises VersionFrozen, PlanInvalid, PriceKeyTaken, UnknownFeature.
    """
    draft = open_draft(version_id=version.pk, by=by)
    for row in rows:
        _forget_unused(row.price)
    with recorded(version=draft, by=by):
        draft = change_draft(version=draft, currency=currency, note=note, by=by)
        draft.prices.all().delete()
        delete_grants(draft)
        add_grants(version=draft, grants=grants)
        add_prices(version=draft, rows=rows)
    return draft


@transaction.atomic
def delete_draft(*, version: PlanVersion) -> None:
    """Delete a draft with its prices. Raises VersionFrozen, VersionReviewed."""
    draft = locks.version(version_id=version.pk)
    refuse_frozen(draft)
    if draft.reviews.exists():
        raise VersionReviewed(
            f"Version {draft.number} was submitted before, and its reviews are kept: change it and "
            "submit it again."
        )
    with recorded(version=draft, what=VersionEvent.DELETED):
        draft.delete()


@transaction.atomic
def save_price(
    *,
    version: PlanVersion,
    price: Price,
    tiers: Sequence[Tier],
    rates: Sequence[MatrixRate],
    by: AbstractBaseUser | None,
) -> Price:
    """Store a draft's price with exactly these tiers and rates; a new price becomes the last.

    What the price's charge model does not read is put back to its default, so that a change of
    the model leaves nothing behind. Raises VersionFrozen, PlanInvalid, PriceKeyTaken, PriceGone.
    """
    open_draft(version_id=version.pk, by=by)
    tiers = [_unsaved(tier) for tier in tiers] if price.model in TIERED_MODELS else []
    rates = [_unsaved(rate) for rate in rates] if price.model in RATED_MODELS else []
    _forget_unused(price)
    with recorded(version=version, by=by):
        if price.pk is None:
            return add_price(version=version, price=price, tiers=tiers, rates=rates)
        return _replace(version, price, tiers, rates)


@transaction.atomic
def remove_price(*, price: Price, by: AbstractBaseUser | None) -> None:
    """Remove a price from its draft. Raises VersionFrozen; a price that is gone stays gone."""
    draft = open_draft(version_id=price.version_id, by=by)
    with recorded(version=draft, by=by):
        Price.objects.filter(pk=price.pk).delete()


@transaction.atomic
def move_price(*, price: Price, places: Literal[-1, 1], by: AbstractBaseUser | None) -> None:
    """Move a price one place up or down in its draft; at the end of the list it stays.

    Raises VersionFrozen.
    """
    draft = open_draft(version_id=price.version_id, by=by)
    rows = list(Price.objects.filter(version_id=price.version_id).order_by("position", "pk"))
    here = next((index for index, row in enumerate(rows) if row.pk == price.pk), None)
    if here is None:
        raise PriceGone("The price was removed meanwhile.")
    there = min(max(here + places, 0), len(rows) - 1)
    rows.insert(there, rows.pop(here))
    for position, row in enumerate(rows):
        row.position = position
    with recorded(version=draft, by=by):
        Price.objects.bulk_update(rows, ["position"])


def _replace(
    version: PlanVersion, price: Price, tiers: Sequence[Tier], rates: Sequence[MatrixRate]
) -> Price:
    if not Price.objects.filter(pk=price.pk, version_id=version.pk).exists():
        raise PriceGone("The price was removed meanwhile. Add it again.")
    refuse_invalid(_problems(price, tiers, rates))
    price.tiers.all().delete()
    price.rates.all().delete()
    refusal = PriceKeyTaken(f"Another price of the version has the key “{price.key}”.", field="key")
    with refusing({"one_price_per_key": refusal}):
        price.save(force_update=True)
    for tier in tiers:
        tier.price = price
    for position, rate in enumerate(rates):
        rate.price, rate.position = price, position
    Tier.objects.bulk_create(tiers)
    MatrixRate.objects.bulk_create(rates)
    return price


def _problems(
    price: Price, tiers: Sequence[Tier], rates: Sequence[MatrixRate]
) -> tuple[Problem, ...]:
    found = list(clean_problems(price, exclude=("version", "meter")))
    for index, tier in enumerate(tiers):
        found += clean_problems(tier, path=f"tiers[{index}]", exclude=("price",))
    for index, rate in enumerate(rates):
        found += clean_problems(rate, path=f"rates[{index}]", exclude=("price",))
    return tuple(found)


def _forget_unused(price: Price) -> None:
    unused = _MODEL_COLUMNS - set(MODEL_COLUMNS[price.model])
    unused |= _OVERAGE_COLUMNS - set(OVERAGE_COLUMNS[price.overage])
    for column in unused:
        setattr(price, column, _default(column))


def _default(column: str) -> object:
    field: Field[Any, Any] = Price._meta.get_field(column)  # type: ignore[assignment]
    return field.get_default()


def _unsaved(row: Row) -> Row:
    row.pk = None
    row._state.adding = True
    return row
