"""What a well-formed document states, as rows that are not stored yet."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from plans.job_classes import ClassSaid, ClassUsage
from plans.models import (
    CreditAllotment,
    CreditPack,
    CreditUnit,
    JobTerms,
    Limit,
    MatrixRate,
    Meter,
    Phase,
    Plan,
    Price,
    ServiceClass,
    Tier,
)
from plans.models.prices import RATED_MODELS, TIERED_MODELS, ChargeModel
from plans.terms import GrantRows, PriceRows

Units = Mapping[str, CreditUnit]

NO_UNITS: Final[Units] = {}
ANY: Final = "*"
REFUSE: Final = "refuse"

# Fields of a price in a document, and its columns where their names differ.
COLUMNS: Final = {
    "package_size": "unit_size",
    "default": "default_amount",
    "beyond_credit": "beyond_credit_amount",
}
_NOT_COLUMNS: Final = frozenset({"meter", "tiers", "rates", "default", "overage", "credit"})
_EXACT: Final = frozenset(
    {
        "key",
        "name",
        "model",
        "label",
        "free_transactions",
        "allowance_per",
        "every_months",
        "class_dimension",
        "seats_removed",
        "phases",
        "attribution",
    }
)

# What a price needs before it can be sold; a draft may lack it still.
REQUIRED: Final[dict[str, tuple[str, ...]]] = {
    ChargeModel.FLAT: ("amount",),
    ChargeModel.PER_UNIT: ("amount",),
    ChargeModel.PACKAGE: ("amount",),
    ChargeModel.SEATS: ("amount",),
    ChargeModel.PERCENTAGE: ("percent",),
    ChargeModel.EVENT_AMOUNT: (),
}

# Fields of an overage policy in a document, and the price's columns.
OVERAGE_COLUMNS: Final = {
    "size": "pack_size",
    "amount": "pack_amount",
    "most": "packs_most",
    "months": "pack_months",
}


def meter_row(content: Mapping[str, Any]) -> Meter:
    """Return a well-formed meter as a row that is not stored."""
    return Meter(
        key=content["key"],
        name=content["name"],
        event_type=content["event_type"],
        aggregation=content["aggregation"],
        value_property=content.get("property", ""),
        dimensions=list(content.get("dimensions", [])),
        filters=dict(content.get("filters", {})),
        rounding=content.get("rounding", "none"),
        rounding_multiple=Decimal(content.get("rounding_multiple", 1)),
        unit=content.get("unit", ""),
    )


def meter_values(meter: Meter) -> dict[str, Any]:
    """Return all that defines a meter, by column."""
    columns = [column.name for column in Meter._meta.concrete_fields if column.name != "id"]
    return {name: getattr(meter, name) for name in columns}


def price_rows(
    content: Mapping[str, Any], *, meter: Meter | None, units: Units = NO_UNITS
) -> PriceRows:
    """Return a well-formed price as rows that are not stored.

    ``units`` are the credits that it may be in, by code; one that is not there is taken as it is
    named, with whole credits.
    """
    price = Price(meter=meter, **_columns(content), **_overage_columns(content))
    price.credit_unit = _unit(content.get("credit"), units)
    default = content.get("default", REFUSE)
    price.default_amount = None if default == REFUSE else Decimal(default)
    dimensions = meter.dimensions if meter else []
    return PriceRows(
        price=price,
        tiers=[_tier(tier) for tier in content.get("tiers", [])],
        rates=[_rate(rate, dimensions) for rate in content.get("rates", [])],
    )


def grant_rows(content: Mapping[str, Any], *, units: Units = NO_UNITS) -> GrantRows:
    """Return what a well-formed version grants beside its prices, as rows that are not stored.

    ``units`` are as for ``price_rows``.
    """
    return GrantRows(
        phases=[
            Phase(position=position, **_row(phase))
            for position, phase in enumerate(content.get("phases", ()))
        ],
        service_classes=[
            ServiceClass(position=position, **_row(each))
            for position, each in enumerate(content.get("service_classes", ()))
        ],
        features=list(content.get("features", ())),
        limits=sorted(
            (Limit(**_row(limit)) for limit in content.get("limits", ())),
            key=lambda limit: (limit.kind, limit.job_class),
        ),
        packs=[
            CreditPack(position=position, **_in_unit(pack, units))
            for position, pack in enumerate(content.get("packs", ()))
        ],
        allotments=[
            CreditAllotment(position=position, **_in_unit(allotment, units))
            for position, allotment in enumerate(content.get("allotments", ()))
        ],
        jobs=JobTerms(**_row(content["jobs"])) if content.get("jobs") else None,
    )


def credit_unit_row(content: Mapping[str, Any]) -> CreditUnit:
    """Return a well-formed credit as a row that is not stored."""
    return CreditUnit(
        code=content["code"], name=content["name"], decimals=content.get("decimals", 0)
    )


def class_said(content: Mapping[str, Any]) -> ClassSaid:
    """Return what a well-formed job class says, its usage by the keys of meters."""
    usage = [
        ClassUsage(each["meter"], *(Decimal(each[name]) for name in ("low", "expected", "high")))
        for each in content.get("usage", ())
    ]
    plainly = {name: value for name, value in content.items() if name != "usage"}
    return ClassSaid(**plainly, usage=tuple(sorted(usage)))


def _in_unit(content: Mapping[str, Any], units: Units) -> dict[str, Any]:
    return {**_row(content), "unit": _unit(content.get("unit"), units)}


def _unit(code: str | None, units: Units) -> CreditUnit | None:
    return None if code is None else units.get(code) or CreditUnit(code=code)


_DECIMALS: Final = frozenset(
    {
        "multiplier",
        "late_start_percent",
        "discount_percent",
        "value",
        "credits",
        "amount",
        "rollover_percent",
        "grace_amount",
        "late_start_most",
    }
)


def _row(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: Decimal(value) if name in _DECIMALS else value for name, value in content.items()}


def _overage_columns(content: Mapping[str, Any]) -> dict[str, Any]:
    overage = content.get("overage")
    if overage is None:
        return {}
    columns = {
        OVERAGE_COLUMNS[name]: Decimal(value) if name in {"size", "amount"} else value
        for name, value in overage.items()
        if name in OVERAGE_COLUMNS
    }
    plan = overage.get("plan")
    target = None if plan is None else Plan(key=plan)
    return {"overage": overage["policy"], "upgrade_to": target, **columns}


def lacking(rows: PriceRows) -> tuple[str, ...]:
    """Return the fields that a price's model needs and that are empty still."""
    price = rows.price
    if price.model in TIERED_MODELS:
        return () if rows.tiers else ("tiers",)
    if price.model in RATED_MODELS:
        return () if rows.rates else ("rates",)
    return tuple(
        name
        for name in ("amount", "percent")
        if name in REQUIRED[price.model] and getattr(price, name) is None
    )


def _columns(content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        COLUMNS.get(name, name): _column(name, value)
        for name, value in content.items()
        if name not in _NOT_COLUMNS
    }


def _column(name: str, value: Any) -> Any:
    if name in _EXACT or isinstance(value, bool) or value is None:
        return value
    return Decimal(value)


def _tier(content: Mapping[str, Any]) -> Tier:
    up_to = content["up_to"]
    return Tier(
        up_to=None if up_to is None else Decimal(up_to),
        unit_amount=Decimal(content.get("unit", 0)),
        flat_amount=Decimal(content.get("flat", 0)),
        percent=Decimal(content.get("percent", 0)),
    )


def _rate(content: Mapping[str, Any], dimensions: Sequence[str]) -> MatrixRate:
    values = [content["match"].get(name) for name in dimensions]
    return MatrixRate(
        match=[None if value == ANY else value for value in values],
        unit_amount=Decimal(content["unit"]),
        label=content.get("label", ""),
    )
