"""Write stored plans as documents; loading one gives the same terms."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from plans.catalogue import yaml_text
from plans.catalogue.contracts import contract_content
from plans.catalogue.rows import ANY, COLUMNS, OVERAGE_COLUMNS, REFUSE, lacking
from plans.catalogue.schema import MODELS
from plans.catalogue.shared import Shared, everything, named_by, shared_content
from plans.catalogue.stated import amount_text, stated, time_text, value_text
from plans.errors import OperationError
from plans.models import (
    CreditAllotment,
    CreditPack,
    JobTerms,
    Limit,
    MatrixRate,
    OutcomeContract,
    Phase,
    Plan,
    PlanVersion,
    Price,
    ServiceClass,
    Tier,
)
from plans.models.prices import ChargeModel, OveragePolicy
from plans.queries import contracts_with_versions, plans_with_terms
from plans.rating import problems_in_terms
from plans.terms import GrantRows, PriceRows, grant_rows, terms_from, with_terms

_OWN_SHAPE = frozenset({"default", "overage"})
_NAMES = {column: name for name, column in COLUMNS.items()}


class UnknownPlan(OperationError):
    """There is no plan of that key."""

    code = "unknown_plan"


def dump(*, keys: Collection[str] = ()) -> str:
    """Return plans, their meters and contracts as one YAML document; everything without keys.

    Raises UnknownPlan.
    """
    plans = plans_with_terms(keys=keys)
    missing = set(keys) - {plan.key for plan in plans}
    if missing:
        raise UnknownPlan(f"There is no plan {', '.join(sorted(missing))}.", field="keys")
    shared = named_by(_versions_of(plans)) if keys else everything()
    contracts = contracts_with_versions(plans=keys or None)
    return yaml_text.write(document(plans, shared=shared, contracts=contracts))


def dump_version(*, version_id: int) -> str:
    """Return one version, with its plan, meters and features, as a YAML document."""
    version = with_terms(PlanVersion.objects.filter(pk=version_id)).get()
    content = shared_content(named_by([version]))
    head = plan_head(version.plan)
    content["plans"] = [{**head, **version_content(version, starts=())}]
    return yaml_text.write(content)


def _versions_of(plans: Sequence[Plan]) -> list[PlanVersion]:
    return [version for plan in plans for version in plan.versions.all()]


def document(
    plans: Sequence[Plan], *, shared: Shared, contracts: Sequence[OutcomeContract] = ()
) -> dict[str, Any]:
    """Return prefetched plans, what they share, and contracts as a document's content."""
    return {
        **shared_content(shared),
        "plans": [plan_content(plan) for plan in plans],
        **stated(contracts=[contract_content(contract) for contract in contracts]),
    }


def plan_head(plan: Plan) -> dict[str, Any]:
    """Return a plan without its versions."""
    return stated(key=plan.key, name=plan.name, description=plan.description)


def plan_content(plan: Plan) -> dict[str, Any]:
    """Return a plan with all its versions, a single one without a list."""
    versions = _in_order(plan.versions.all())
    starts = _starts(versions)
    contents = [version_content(each, starts=starts[each.currency]) for each in versions]
    head = plan_head(plan)
    return {**head, **contents[0]} if len(contents) == 1 else {**head, "versions": contents}


def _starts(versions: Sequence[PlanVersion]) -> dict[str, set[datetime | None]]:
    """Return when the versions of each currency begin: there the ones before them end."""
    found: dict[str, set[datetime | None]] = {version.currency: set() for version in versions}
    for version in versions:
        found[version.currency].add(version.effective_from)
    return found


def _in_order(versions: Iterable[PlanVersion]) -> list[PlanVersion]:
    """Return versions by number, but those of one currency that are published by their effect.

    So a draft that was published before one with a lower number does not come after it.
    """
    listed = list(versions)
    published = sorted(
        (version for version in listed if version.effective_from is not None),
        key=lambda version: (version.currency, version.effective_from),
    )
    waiting = {
        currency: iter([version for version in published if version.currency == currency])
        for currency in {version.currency for version in listed}
    }
    return [
        version if version.effective_from is None else next(waiting[version.currency])
        for version in listed
    ]


def version_content(version: PlanVersion, *, starts: Collection[datetime | None]) -> dict[str, Any]:
    """Return a prefetched version; its end is stated only where it is not one of ``starts``."""
    until = version.effective_until
    rows = [
        PriceRows(price, list(price.tiers.all()), list(price.rates.all()))
        for price in version.prices.all()
    ]
    return contents(
        currency=version.currency,
        effective_from=version.effective_from,
        effective_until=None if until in starts else until,
        note=version.note,
        rows=rows,
        grants=grant_rows(version),
    )


def contents(
    *,
    currency: str,
    effective_from: datetime | None,
    effective_until: datetime | None,
    note: str,
    rows: Sequence[PriceRows],
    grants: GrantRows,
) -> dict[str, Any]:
    """Return rows, stored or not, as the content of a version."""
    return {
        **stated(
            currency=currency,
            effective_from=time_text(effective_from),
            effective_until=time_text(effective_until),
            note=note,
            unfinished=(effective_from is None and is_unfinished(currency, rows, grants)) or None,
        ),
        **grants_content(grants),
        "prices": [price_content(row) for row in rows],
    }


def is_unfinished(currency: str, rows: Sequence[PriceRows], grants: GrantRows) -> bool:
    """Say whether a version lacks something without which it cannot be published."""
    if not rows or any(lacking(row) for row in rows):
        return True
    terms, _ = terms_from(currency=currency, rows=rows, grants=grants)
    return bool(problems_in_terms(terms))


def grants_content(grants: GrantRows) -> dict[str, Any]:
    """Return what a version grants beside its prices, without what is usual."""
    return stated(
        features=list(grants.features),
        limits=[_limit(limit) for limit in grants.limits],
        service_classes=[_service_class(each) for each in grants.service_classes],
        phases=[_phase(phase) for phase in grants.phases],
        packs=[_credit_row(pack) for pack in grants.packs],
        allotments=[_credit_row(allotment) for allotment in grants.allotments],
        jobs={} if grants.jobs is None else _unusual(grants.jobs),
    )


_APART: Final = frozenset({"id", "version", "position", "unit", "key", "name"})


def _unusual(row: CreditPack | CreditAllotment | JobTerms) -> dict[str, Any]:
    """Return the columns of a row that are not at their defaults."""
    return {
        column.name: value_text(value)
        for column in row._meta.concrete_fields
        if column.name not in _APART
        and (value := getattr(row, column.name)) != column.get_default()
    }


def _credit_row(row: CreditPack | CreditAllotment) -> dict[str, Any]:
    head = stated(key=row.key, name=row.name, unit=row.unit_id)
    return {**head, **_unusual(row)}


def _limit(limit: Limit) -> dict[str, Any]:
    return stated(kind=str(limit.kind), value=amount_text(limit.value), job_class=limit.job_class)


def _service_class(each: ServiceClass) -> dict[str, Any]:
    multiplier = amount_text(each.multiplier)
    return stated(
        key=each.key,
        name=each.name,
        multiplier="" if multiplier == "1" else multiplier,
        start_within_minutes=each.start_within_minutes,
        late_start_percent=amount_text(each.late_start_percent) if each.late_start_percent else "",
    )


def _phase(phase: Phase) -> dict[str, Any]:
    return stated(
        key=phase.key,
        name=phase.name,
        days=phase.days,
        months=phase.months,
        discount_percent=amount_text(phase.discount_percent) if phase.discount_percent else "",
    )


def overage_content(price: Price) -> dict[str, Any]:
    """Return what happens beyond a price's allowance, without what is usual."""
    if price.overage == OveragePolicy.RATE:
        return {}
    content: dict[str, Any] = {"policy": str(price.overage)}
    if price.upgrade_to is not None:
        content["plan"] = price.upgrade_to.key
    for name, column in OVERAGE_COLUMNS.items():
        value = getattr(price, column)
        if value is not None:
            content[name] = value_text(value)
    return {"overage": content}


def price_content(rows: PriceRows) -> dict[str, Any]:
    """Return a price with the fields that its model has, without what is usual."""
    price, model = rows.price, str(rows.price.model)
    content: dict[str, Any] = {"key": price.key, "name": price.name, "model": model}
    if price.meter is not None:
        content["meter"] = price.meter.key
    if price.credit_unit_id is not None:
        content["credit"] = price.credit_unit_id
    properties = MODELS[model]["properties"]
    required = MODELS[model]["required"]
    for column in Price._meta.concrete_fields:
        name = _document_name(column.name, model)
        if name not in properties or name in content or name in _OWN_SHAPE:
            continue
        value = getattr(price, column.name)
        if name in required or value != column.get_default():
            content[name] = value_text(value)
    return {**content, **overage_content(price), **_PARTS.get(model, _no_parts)(rows)}


def _document_name(column: str, model: str) -> str:
    if column == "unit_size":
        return "package_size" if model == ChargeModel.PACKAGE else column
    return _NAMES.get(column, column)


def _rising(tiers: Iterable[Tier]) -> list[Tier]:
    return sorted(tiers, key=lambda tier: (tier.up_to is None, tier.up_to or 0))


def _tiers(rows: PriceRows) -> dict[str, Any]:
    return {"tiers": [_tier(tier, "unit", tier.unit_amount) for tier in _rising(rows.tiers)]}


def _percent_tiers(rows: PriceRows) -> dict[str, Any]:
    return {"tiers": [_tier(tier, "percent", tier.percent) for tier in _rising(rows.tiers)]}


def _tier(tier: Tier, name: str, value: Decimal) -> dict[str, Any]:
    bound = None if tier.up_to is None else amount_text(tier.up_to)
    content = {"up_to": bound, name: amount_text(value)}
    return {**content, "flat": amount_text(tier.flat_amount)} if tier.flat_amount else content


def _rates(rows: PriceRows) -> dict[str, Any]:
    price = rows.price
    default = REFUSE if price.default_amount is None else amount_text(price.default_amount)
    dimensions = price.meter.dimensions if price.meter else []
    return {"rates": [_rate(rate, dimensions) for rate in rows.rates], "default": default}


def _rate(rate: MatrixRate, dimensions: Sequence[str]) -> dict[str, Any]:
    # A draft's rate may have values for dimensions that its meter has no longer.
    beyond = range(len(dimensions) + 1, len(rate.match) + 1)
    names = [*dimensions, *(f"value {place}" for place in beyond)]
    match = {
        name: ANY if value is None else value
        for name, value in zip(names, rate.match, strict=False)
    }
    content = {"match": match, "unit": amount_text(rate.unit_amount)}
    return {**content, "label": rate.label} if rate.label else content


def _no_parts(_rows: PriceRows) -> dict[str, Any]:
    return {}


_PARTS: dict[str, Callable[[PriceRows], dict[str, Any]]] = {
    ChargeModel.GRADUATED: _tiers,
    ChargeModel.VOLUME: _tiers,
    ChargeModel.GRADUATED_PERCENTAGE: _percent_tiers,
    ChargeModel.MATRIX: _rates,
}
