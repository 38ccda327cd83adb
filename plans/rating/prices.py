"""Prices: one priced component of a plan, and the terms that a customer is billed on."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from plans.rating.event_amount import EventAmount
from plans.rating.flat import Flat
from plans.rating.graduated import Graduated
from plans.rating.graduated_percentage import GraduatedPercentage
from plans.rating.matrix import Matrix
from plans.rating.money import ZERO
from plans.rating.package import Package
from plans.rating.per_unit import PerUnit
from plans.rating.percentage import Percentage
from plans.rating.volume import Volume

ChargeModel = (
    Flat
    | PerUnit
    | Package
    | Graduated
    | Volume
    | Percentage
    | GraduatedPercentage
    | EventAmount
    | Matrix
)

MODELS: Final[dict[str, type[ChargeModel]]] = {
    "flat": Flat,
    "per_unit": PerUnit,
    "package": Package,
    "graduated": Graduated,
    "volume": Volume,
    "percentage": Percentage,
    "graduated_percentage": GraduatedPercentage,
    "event_amount": EventAmount,
    "matrix": Matrix,
}


@dataclass(frozen=True, slots=True)
class Price:
    """One priced component of a plan.

    `meter` is None for a flat price only. `dimensions` are the names that the meter declares, in
    its order. `allowance` is in the meter's units; `maximum` and `minimum` are money for a billing
    period. `once` marks a setup fee: the caller decides when it is due, and it is never prorated.
    """

    key: str
    name: str
    model: ChargeModel
    meter: str | None = None
    dimensions: tuple[str, ...] = ()
    unit: str = ""
    allowance: Decimal = ZERO
    discount_percent: Decimal = ZERO
    maximum: Decimal | None = None
    minimum: Decimal | None = None
    prorated: bool = True
    once: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """The prices of a plan version, all in one currency."""

    currency: str
    prices: tuple[Price, ...]
