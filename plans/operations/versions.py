"""Write plans and their versions, as drafts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max, Model

from plans import locks
from plans.errors import OperationError, Problem, refusing, validation_problems
from plans.models import (
    CreditAllotment,
    CreditPack,
    CreditUnit,
    Feature,
    JobTerms,
    Limit,
    MatrixRate,
    Phase,
    Plan,
    PlanVersion,
    Price,
    ServiceClass,
    Tier,
    VersionEvent,
    VersionFeature,
)
from plans.operations.history import recorded
from plans.terms import NO_GRANTS, GrantRows, PriceRows, grant_rows, with_terms

GrantRow = Phase | ServiceClass | Limit | CreditPack | CreditAllotment | JobTerms


class PlanInvalid(OperationError):
    """What was said about a plan or a price cannot be; ``problems`` lists all of it."""

    code = "plan_invalid"


class PlanKeyTaken(OperationError):
    """Another plan has the key."""

    code = "plan_key_taken"


class PriceKeyTaken(OperationError):
    """Another price of the version has the key."""

    code = "price_key_taken"


class VersionFrozen(OperationError):
    """The version is submitted, approved or published; nothing in it changes."""

    code = "version_frozen"


class UnknownCreditUnit(OperationError):
    """No credit has the code."""

    code = "unknown_credit_unit"


class UnknownFeature(OperationError):
    """No feature has the key."""

    code = "unknown_feature"


def create_plan(*, key: str, name: str, description: str = "") -> Plan:
    """Create a plan, without a version. Raises PlanInvalid, PlanKeyTaken."""
    plan = Plan(key=key, name=name, description=description)
    refuse_invalid(clean_problems(plan))
    refusal = PlanKeyTaken(f"There is another plan with the key “{key}”.", field="key")
    with refusing({"plans_plan_key_key": refusal}):
        plan.save(force_insert=True)
    return plan


def describe_plan(*, plan: Plan, name: str, description: str) -> Plan:
    """Change what a plan is called and said to be. Raises PlanInvalid."""
    plan.name, plan.description = name, description
    refuse_invalid(clean_problems(plan))
    plan.save(update_fields=["name", "description"])
    return plan


@transaction.atomic
def start_version(
    *,
    plan: Plan,
    currency: str,
    by: AbstractBaseUser | None = None,
    note: str = "",
    rows: Sequence[PriceRows] = (),
    grants: GrantRows = NO_GRANTS,
) -> PlanVersion:
    """Start a draft of the plan under the next number, with what it is to hold.

    Raises PlanInvalid, PriceKeyTaken, UnknownFeature.
    """
    locks.plan(plan_id=plan.pk)
    last = plan.versions.aggregate(last=Max("number"))["last"] or 0
    version = PlanVersion(
        plan=plan,
        number=last + 1,
        currency=currency,
        note=note,
        created_by_id=by.pk if by else None,
        author_ids=[by.pk] if by else [],
    )
    refuse_invalid(clean_problems(version))
    version.save(force_insert=True)
    with recorded(version=version, what=VersionEvent.STARTED, by=by):
        add_grants(version=version, grants=grants)
        add_prices(version=version, rows=rows)
    return version


@transaction.atomic
def new_version_from(
    *, version: PlanVersion, by: AbstractBaseUser | None, note: str = ""
) -> PlanVersion:
    """Start a draft with all prices, tiers and rates of another version of the plan."""
    rows, grants = copied_terms(version)
    return start_version(
        plan=version.plan, currency=version.currency, by=by, note=note, rows=rows, grants=grants
    )


def copied_terms(version: PlanVersion) -> tuple[list[PriceRows], GrantRows]:
    """Return everything that a version says as rows that are not stored."""
    copied = with_terms(PlanVersion.objects.filter(pk=version.pk)).get()
    return [_copy(price) for price in copied.prices.all()], _copied_grants(copied)


def add_price(
    *,
    version: PlanVersion,
    price: Price,
    tiers: Sequence[Tier] = (),
    rates: Sequence[MatrixRate] = (),
    by: AbstractBaseUser | None = None,
) -> Price:
    """Add one price to a draft as its last one; see ``add_prices``."""
    return add_prices(version=version, rows=[PriceRows(price, tiers, rates)], by=by)[0]


@transaction.atomic
def add_prices(
    *, version: PlanVersion, rows: Sequence[PriceRows], by: AbstractBaseUser | None = None
) -> list[Price]:
    """Add prices, not stored yet, to a draft after those that it has.

    Positions are given here. Raises VersionFrozen, PriceKeyTaken, UnknownCreditUnit, and
    PlanInvalid for a value that its column cannot hold; whether the prices make sense is checked
    when the version is submitted and published.
    """
    open_draft(version_id=version.pk, by=by)
    last = version.prices.aggregate(last=Max("position"))["last"]
    _place(version, rows, first=0 if last is None else last + 1)
    refuse_invalid(_row_problems(rows))
    _refuse_unknown_units(
        {f"prices[{index}].credit": row.price.credit_unit_id for index, row in enumerate(rows)}
    )
    with recorded(version=version, by=by), refusing(_price_key_taken()):
        Price.objects.bulk_create([row.price for row in rows])
        Tier.objects.bulk_create([tier for row in rows for tier in row.tiers])
        MatrixRate.objects.bulk_create([rate for row in rows for rate in row.rates])
    return [row.price for row in rows]


@transaction.atomic
def add_grants(
    *, version: PlanVersion, grants: GrantRows, by: AbstractBaseUser | None = None
) -> None:
    """Add to a draft what it grants beside its prices, as rows that are not stored yet.

    Raises VersionFrozen, UnknownFeature, UnknownCreditUnit, and PlanInvalid for a value that its
    column cannot hold or that the version has already.
    """
    open_draft(version_id=version.pk, by=by)
    features = {row.key: row for row in Feature.objects.filter(key__in=grants.features)}
    for index, key in enumerate(grants.features):
        if key not in features:
            raise UnknownFeature(f"There is no feature “{key}”.", field=f"features[{index}]")
    found: list[Problem] = []
    for path, row in placed_grants(grants):
        row.version = version
        found += clean_problems(row, path=path, exclude=("version", "unit"))
    refuse_invalid(tuple(found))
    _refuse_unknown_units(_granted_units(grants))
    with recorded(version=version, by=by), refusing(_grant_taken()):
        Phase.objects.bulk_create(grants.phases)
        ServiceClass.objects.bulk_create(grants.service_classes)
        Limit.objects.bulk_create(grants.limits)
        CreditPack.objects.bulk_create(grants.packs)
        CreditAllotment.objects.bulk_create(grants.allotments)
        JobTerms.objects.bulk_create([] if grants.jobs is None else [grants.jobs])
        VersionFeature.objects.bulk_create(
            VersionFeature(version=version, feature=features[key]) for key in grants.features
        )


def placed_grants(grants: GrantRows) -> Iterator[tuple[str, GrantRow]]:
    """Yield each row of what a version grants with its place in a document: ``packs[0]``."""
    for name in ("phases", "service_classes", "limits", "packs", "allotments"):
        for index, row in enumerate(getattr(grants, name)):
            yield f"{name}[{index}]", row
    if grants.jobs is not None:
        yield "jobs", grants.jobs


def delete_grants(draft: PlanVersion) -> None:
    """Delete all that a locked draft grants beside its prices."""
    for model in (
        Phase,
        ServiceClass,
        Limit,
        VersionFeature,
        CreditPack,
        CreditAllotment,
        JobTerms,
    ):
        model._default_manager.filter(version=draft).delete()


def unstored(grants: GrantRows) -> GrantRows:
    """Return the rows as ones that are not stored yet."""
    for _, row in placed_grants(grants):
        row.pk = None
        row._state.adding = True
    return grants


def _refuse_unknown_units(named: Mapping[str, str | None]) -> None:
    """Raise UnknownCreditUnit where a place names a credit that there is not."""
    codes = {code for code in named.values() if code is not None}
    if not codes:
        return
    known = set(CreditUnit.objects.filter(pk__in=codes).values_list("pk", flat=True))
    for field, code in named.items():
        if code is not None and code not in known:
            raise UnknownCreditUnit(f"There is no credit “{code}”.", field=field)


def _granted_units(grants: GrantRows) -> dict[str, str | None]:
    packs = {f"packs[{index}].unit": row.unit_id for index, row in enumerate(grants.packs)}
    allotments = {
        f"allotments[{index}].unit": row.unit_id for index, row in enumerate(grants.allotments)
    }
    return {**packs, **allotments}


def _copied_grants(version: PlanVersion) -> GrantRows:
    return unstored(grant_rows(version))


def open_draft(*, version_id: int, by: AbstractBaseUser | None) -> PlanVersion:
    """Lock a draft for a person to write in, who is one of its authors from then on.

    Raises VersionFrozen.
    """
    draft = locks.version(version_id=version_id)
    refuse_frozen(draft)
    if by is not None and by.pk not in draft.author_ids:
        draft.author_ids = [*draft.author_ids, by.pk]
        draft.save(update_fields=["author_ids"])
    return draft


def refuse_frozen(version: PlanVersion) -> None:
    """Raise VersionFrozen where the version is submitted, approved or published."""
    if version.published_at is not None:
        raise VersionFrozen(
            f"Version {version.number} is published and frozen: make a new version from it."
        )
    if version.submitted_at is not None:
        done = "submitted" if version.approved_at is None else "approved"
        raise VersionFrozen(
            f"Version {version.number} is {done} and frozen: withdraw it, or request changes, to "
            "make it a draft again."
        )


def refuse_invalid(problems: tuple[Problem, ...]) -> None:
    """Raise PlanInvalid where there are problems."""
    if problems:
        first = problems[0]
        raise PlanInvalid(f"{first.field}: {first.message}", field=first.field, problems=problems)


def clean_problems(
    row: Model,
    *,
    path: str = "",
    exclude: Iterable[str] = (),
) -> tuple[Problem, ...]:
    """Return what a row's columns cannot hold, each problem's field under ``path``."""
    try:
        row.clean_fields(exclude=set(exclude))
    except ValidationError as error:
        return validation_problems(error, path=path)
    return ()


def _row_problems(rows: Sequence[PriceRows]) -> tuple[Problem, ...]:
    found: list[Problem] = []
    for index, row in enumerate(rows):
        path = f"prices[{index}]"
        found += clean_problems(row.price, path=path, exclude=("version", "meter", "credit_unit"))
        for number, tier in enumerate(row.tiers):
            found += clean_problems(tier, path=f"{path}.tiers[{number}]", exclude=("price",))
        for number, rate in enumerate(row.rates):
            found += clean_problems(rate, path=f"{path}.rates[{number}]", exclude=("price",))
            found += _star_problems(rate, path=f"{path}.rates[{number}].match")
    return tuple(found)


def _star_problems(rate: MatrixRate, *, path: str) -> tuple[Problem, ...]:
    if "*" not in rate.match:
        return ()
    return (Problem("star_as_value", path, "The value * means any: leave that place empty."),)


def _place(version: PlanVersion, rows: Sequence[PriceRows], *, first: int) -> None:
    for position, row in enumerate(rows, start=first):
        row.price.version = version
        row.price.position = position
        for tier in row.tiers:
            tier.price = row.price
        for number, rate in enumerate(row.rates):
            rate.price = row.price
            rate.position = number


def _copy(price: Price) -> PriceRows:
    tiers, rates = list(price.tiers.all()), list(price.rates.all())
    for row in (price, *tiers, *rates):
        row.pk = None
        row._state.adding = True
    return PriceRows(price, tiers, rates)


def _grant_taken() -> dict[str, OperationError]:
    return {
        "one_grant_per_feature": PlanInvalid(
            "The version grants a feature twice.", field="features"
        ),
        "one_limit_per_kind_and_class": PlanInvalid(
            "The version has one limit twice.", field="limits"
        ),
        "one_service_class_per_key": PlanInvalid(
            "Two service classes of the version have the same key.", field="service_classes"
        ),
        "one_phase_per_key": PlanInvalid(
            "Two phases of the version have the same key.", field="phases"
        ),
        "one_pack_per_key": PlanInvalid(
            "Two packs of the version have the same key.", field="packs"
        ),
        "one_allotment_per_key": PlanInvalid(
            "Two allotments of the version have the same key.", field="allotments"
        ),
    }


def _price_key_taken() -> dict[str, OperationError]:
    message = "Two prices of the version have the same key."
    return {"one_price_per_key": PriceKeyTaken(message, field="key")}
