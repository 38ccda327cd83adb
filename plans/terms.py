"""The only mapper from rows to the frozen values that ``plans.rating`` works on."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from django.db.models import Prefetch, QuerySet

from plans import grant_values, rating
from plans.grant_values import plain, plain_or_none
from plans.models import (
    CreditAllotment,
    CreditPack,
    JobTerms,
    Limit,
    MatrixRate,
    Meter,
    Phase,
    Plan,
    PlanVersion,
    Price,
    ServiceClass,
    Tier,
    VersionFeature,
)
from plans.models.prices import ChargeModel


@dataclass(frozen=True, slots=True)
class VersionTerms:
    """One plan version as values.

    ``meters`` holds the meters that the prices read, by key. ``digest`` is the SHA-256 of the terms
    and of what the meters measure; statements keep it to prove what they were priced with.
    """

    version_id: int
    plan_key: str
    plan_name: str
    number: int
    terms: rating.Terms
    meters: dict[str, Meter]
    digest: str


class PriceRows(NamedTuple):
    """A price's rows: itself, its tiers, and its rates in their order. They need not be stored."""

    price: Price
    tiers: Sequence[Tier] = ()
    rates: Sequence[MatrixRate] = ()


class GrantRows(NamedTuple):
    """What a version grants beside its prices, as rows in their order. They need not be stored."""

    phases: Sequence[Phase] = ()
    service_classes: Sequence[ServiceClass] = ()
    features: Sequence[str] = ()
    limits: Sequence[Limit] = ()
    packs: Sequence[CreditPack] = ()
    allotments: Sequence[CreditAllotment] = ()
    jobs: JobTerms | None = None


NO_GRANTS = GrantRows()


def with_terms(versions: QuerySet[PlanVersion]) -> QuerySet[PlanVersion]:
    """Prefetch all that ``version_terms`` and ``grant_rows`` read, in their order."""
    return versions.select_related("plan").prefetch_related(*prefetches())


def prefetches(path: str = "") -> "list[Prefetch[Any, Any, Any]]":
    """Return what to prefetch for the terms of versions that lie under a path (``versions__``)."""
    prices = Price.objects.select_related("meter", "upgrade_to", "credit_unit").order_by(
        "position", "id"
    )
    return [
        Prefetch(f"{path}prices", prices),
        Prefetch(f"{path}prices__tiers", Tier.objects.order_by("up_to")),
        Prefetch(f"{path}prices__rates", MatrixRate.objects.order_by("position", "id")),
        Prefetch(f"{path}phases", Phase.objects.order_by("position", "id")),
        Prefetch(f"{path}service_classes", ServiceClass.objects.order_by("position", "id")),
        Prefetch(
            f"{path}features",
            VersionFeature.objects.select_related("feature").order_by("feature__key"),
        ),
        Prefetch(f"{path}limits", Limit.objects.order_by("kind", "job_class")),
        Prefetch(
            f"{path}packs",
            CreditPack.objects.select_related("unit").order_by("position", "id"),
        ),
        Prefetch(
            f"{path}allotments",
            CreditAllotment.objects.select_related("unit").order_by("position", "id"),
        ),
        Prefetch(f"{path}job_terms", JobTerms.objects.all()),
    ]


def grant_rows(version: PlanVersion) -> GrantRows:
    """Return a version's (prefetched) rows beside its prices."""
    return GrantRows(
        phases=list(version.phases.all()),
        service_classes=list(version.service_classes.all()),
        features=[row.feature.key for row in version.features.all()],
        limits=list(version.limits.all()),
        packs=list(version.packs.all()),
        allotments=list(version.allotments.all()),
        jobs=getattr(version, "job_terms", None),
    )


def terms_of(version_ids: Collection[int]) -> dict[int, VersionTerms]:
    """Return the terms of the versions by id, in eleven queries whatever their number.

    Raises KeyError for an id that does not exist.
    """
    wanted = set(version_ids)
    versions = with_terms(PlanVersion.objects.filter(id__in=wanted))
    found = {version.id: version_terms(version) for version in versions}
    missing = wanted - found.keys()
    if missing:
        raise KeyError(f"plan versions {sorted(missing)} do not exist")
    return found


def phases_of(version_ids: Collection[int]) -> dict[int, tuple[rating.Phase, ...]]:
    """Return the phases of those versions that have any, by version id, in one query."""
    rows = Phase.objects.filter(version_id__in=set(version_ids))
    found: dict[int, list[rating.Phase]] = {}
    for row in rows.order_by("version_id", "position", "id"):
        found.setdefault(row.version_id, []).append(grant_values.phase(row))
    return {version: tuple(phases) for version, phases in found.items()}


def version_terms(version: PlanVersion) -> VersionTerms:
    """Return a version's terms from its (prefetched) rows."""
    plan: Plan = version.plan
    rows = [
        PriceRows(row, list(row.tiers.all()), list(row.rates.all())) for row in version.prices.all()
    ]
    terms, meters = terms_from(currency=version.currency, rows=rows, grants=grant_rows(version))
    return VersionTerms(
        version_id=version.id,
        plan_key=plan.key,
        plan_name=plan.name,
        number=version.number,
        terms=terms,
        meters=meters,
        digest=digest(terms, meters.values()),
    )


def terms_from(
    *, currency: str, rows: Iterable[PriceRows], grants: GrantRows = NO_GRANTS
) -> tuple[rating.Terms, dict[str, Meter]]:
    """Return rows, stored or not, as terms, and the meters that they read by key."""
    listed = list(rows)
    classes = tuple(grant_values.service_class(row) for row in grants.service_classes)
    terms = rating.Terms(
        currency=currency,
        prices=tuple(price_value(row, classes=classes) for row in listed),
        phases=tuple(grant_values.phase(row) for row in grants.phases),
        service_classes=classes,
        features=tuple(sorted(grants.features)),
        limits=tuple(grant_values.limit(row) for row in grants.limits),
        packs=tuple(grant_values.pack(row) for row in grants.packs),
        allotments=tuple(
            grant_values.allotment(row, currency=currency) for row in grants.allotments
        ),
        jobs=rating.USUAL_JOBS if grants.jobs is None else grant_values.job_terms(grants.jobs),
    )
    meters = {row.price.meter.key: row.price.meter for row in listed if row.price.meter}
    return terms, meters


def _overage(row: Price) -> rating.Overage:
    policy: Any = str(row.overage)
    return rating.Overage(
        policy=policy,
        upgrade_to=row.upgrade_to.key if row.upgrade_to else "",
        pack_size=plain_or_none(row.pack_size),
        pack_amount=plain_or_none(row.pack_amount),
        packs_most=row.packs_most,
        pack_months=row.pack_months,
    )


def price_value(rows: PriceRows, *, classes: tuple[rating.ServiceClass, ...] = ()) -> rating.Price:
    """Return a price's rows as a rating value; ``classes`` are the version's service classes."""
    row, meter = rows.price, rows.price.meter
    allowance_per: Any = str(row.allowance_per)
    attribution: Any = str(row.attribution)
    return rating.Price(
        key=row.key,
        name=row.name,
        model=_BUILDERS[ChargeModel(row.model)](rows),
        meter=meter.key if meter else None,
        dimensions=tuple(meter.dimensions) if meter else (),
        unit=meter.unit if meter else "",
        allowance=plain(row.allowance),
        discount_percent=plain(row.discount_percent),
        maximum=plain_or_none(row.maximum),
        minimum=plain_or_none(row.minimum),
        prorated=row.prorated,
        once=row.once,
        every_months=row.every_months,
        allowance_per=allowance_per,
        overage=_overage(row),
        phases=tuple(row.phases),
        class_dimension=row.class_dimension,
        classes=classes if row.class_dimension else (),
        credit=grant_values.credit_unit(row.credit_unit) if row.credit_unit else None,
        beyond_credit_amount=plain_or_none(row.beyond_credit_amount),
        attribution=attribution,
    )


def _zero_if_none(value: Decimal | None) -> Decimal:
    return Decimal(0) if value is None else plain(value)


def _tiers(rows: PriceRows) -> tuple[rating.Tier, ...]:
    return tuple(
        rating.Tier(
            up_to=plain_or_none(tier.up_to),
            unit_amount=plain(tier.unit_amount),
            flat_amount=plain(tier.flat_amount),
        )
        for tier in _rising(rows.tiers)
    )


def _rising(tiers: Iterable[Tier]) -> list[Tier]:
    return sorted(tiers, key=lambda tier: (tier.up_to is None, tier.up_to or 0))


def _flat(rows: PriceRows) -> rating.Flat:
    return rating.Flat(amount=_zero_if_none(rows.price.amount))


def _per_unit(rows: PriceRows) -> rating.PerUnit:
    return rating.PerUnit(
        unit_amount=_zero_if_none(rows.price.amount), unit_size=plain(rows.price.unit_size)
    )


def _package(rows: PriceRows) -> rating.Package:
    return rating.Package(
        package_amount=_zero_if_none(rows.price.amount),
        package_size=plain(rows.price.unit_size),
        free_quantity=plain(rows.price.free_quantity),
    )


def _graduated(rows: PriceRows) -> rating.Graduated:
    return rating.Graduated(
        tiers=_tiers(rows),
        unit_size=plain(rows.price.unit_size),
        charge_first_tier_at_zero=rows.price.charge_first_tier_at_zero,
    )


def _volume(rows: PriceRows) -> rating.Volume:
    return rating.Volume(
        tiers=_tiers(rows),
        unit_size=plain(rows.price.unit_size),
        charge_first_tier_at_zero=rows.price.charge_first_tier_at_zero,
    )


def _percentage(rows: PriceRows) -> rating.Percentage:
    row = rows.price
    return rating.Percentage(
        percent=_zero_if_none(row.percent),
        fixed_amount=plain(row.fixed_amount),
        free_transactions=row.free_transactions,
        free_amount=plain(row.free_amount),
        minimum_per_transaction=plain_or_none(row.minimum_per_transaction),
        maximum_per_transaction=plain_or_none(row.maximum_per_transaction),
    )


def _graduated_percentage(rows: PriceRows) -> rating.GraduatedPercentage:
    return rating.GraduatedPercentage(
        tiers=tuple(
            rating.PercentTier(
                up_to=plain_or_none(tier.up_to),
                percent=plain(tier.percent),
                flat_amount=plain(tier.flat_amount),
            )
            for tier in _rising(rows.tiers)
        )
    )


def _matrix(rows: PriceRows) -> rating.Matrix:
    return rating.Matrix(
        rates=tuple(
            rating.MatrixRate(
                match=tuple(rate.match), unit_amount=plain(rate.unit_amount), label=rate.label
            )
            for rate in rows.rates
        ),
        default=plain_or_none(rows.price.default_amount),
        unit_size=plain(rows.price.unit_size),
    )


def _event_amount(_rows: PriceRows) -> rating.EventAmount:
    return rating.EventAmount()


def _seats(rows: PriceRows) -> rating.Seats:
    removed: Any = str(rows.price.seats_removed)
    return rating.Seats(unit_amount=_zero_if_none(rows.price.amount), removed=removed)


_BUILDERS: dict[ChargeModel, Callable[[PriceRows], rating.ChargeModel]] = {
    ChargeModel.FLAT: _flat,
    ChargeModel.PER_UNIT: _per_unit,
    ChargeModel.PACKAGE: _package,
    ChargeModel.GRADUATED: _graduated,
    ChargeModel.VOLUME: _volume,
    ChargeModel.PERCENTAGE: _percentage,
    ChargeModel.GRADUATED_PERCENTAGE: _graduated_percentage,
    ChargeModel.EVENT_AMOUNT: _event_amount,
    ChargeModel.MATRIX: _matrix,
    ChargeModel.SEATS: _seats,
}


def digest(terms: rating.Terms, meters: Iterable[Meter]) -> str:
    """Return the SHA-256 of terms and of what their meters measure."""
    measured = [
        {
            "key": meter.key,
            "event_type": meter.event_type,
            "aggregation": meter.aggregation,
            "value_property": meter.value_property,
            "dimensions": meter.dimensions,
            "filters": meter.filters,
            "rounding": meter.rounding,
            "rounding_multiple": str(plain(meter.rounding_multiple)),
        }
        for meter in sorted(meters, key=lambda meter: meter.key)
    ]
    content = msgspec.json.encode(
        {"terms": _stated(terms), "meters": measured}, order="deterministic"
    )
    return hashlib.sha256(content).hexdigest()


def _stated(value: Any) -> Any:
    """Return a rating value with its kind and what differs from the defaults.

    So terms keep their digest when their kind gets another field, and volume tiers never look like
    graduated ones.
    """
    if isinstance(value, tuple):
        return [_stated(item) for item in value]
    if not is_dataclass(value):
        return value
    found = {"kind": type(value).__name__}
    for field in fields(value):
        stated = getattr(value, field.name)
        if stated != field.default:
            found[field.name] = _stated(stated)
    return found
