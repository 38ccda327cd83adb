"""Prices: one priced component of a plan, and the terms that a customer is billed on."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from plans.rating.credit_terms import CreditAllotment, CreditPack
from plans.rating.event_amount import EventAmount
from plans.rating.flat import Flat
from plans.rating.graduated import Graduated
from plans.rating.graduated_percentage import GraduatedPercentage
from plans.rating.job_terms import USUAL_JOBS, JobTerms
from plans.rating.matrix import Matrix
from plans.rating.money import ONE, ZERO, CreditUnit, Unit
from plans.rating.package import Package
from plans.rating.per_unit import PerUnit
from plans.rating.percentage import Percentage
from plans.rating.seats import Seats
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
    | Seats
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
    "seats": Seats,
}

OveragePolicy = Literal["rate", "refuse", "upgrade", "packs"]
Attribution = Literal["usage", "completion", "start"]
LimitKind = Literal["concurrent_jobs", "jobs_per_hour", "jobs_per_day", "spend_per_day"]


@dataclass(frozen=True, slots=True)
class Overage:
    """What happens beyond a price's allowance.

    ``rate`` bills it at the price, ``refuse`` admits no more, ``upgrade`` moves the customer to
    the plan `upgrade_to` (a plan's key), ``packs`` sells `pack_size` units for `pack_amount` each
    time, at most `packs_most` in a period, each good for `pack_months` months.
    """

    policy: OveragePolicy = "rate"
    upgrade_to: str = ""
    pack_size: Decimal | None = None
    pack_amount: Decimal | None = None
    packs_most: int | None = None
    pack_months: int | None = None


RATED: Final = Overage()


@dataclass(frozen=True, slots=True)
class ServiceClass:
    """A queue priority: its price is multiplied, and its jobs start within so many minutes.

    Of a job that starts later `late_start_percent` of what it costs more than at the price itself
    is given back: at 100 it is billed as if it had not been multiplied.
    """

    key: str
    name: str
    multiplier: Decimal = ONE
    start_within_minutes: int | None = None
    late_start_percent: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a subscription's life, counted from its start; the last one stays open.

    It lasts `days` or `months`, one of them; both are None for the last. `discount_percent` is
    taken off every price in it, off its minimum and maximum too.
    """

    key: str
    name: str
    days: int | None = None
    months: int | None = None
    discount_percent: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Limit:
    """How much a customer may use at once, by the hour or by the day; of one job class or of all.

    `value` is a number of jobs, or money for ``spend_per_day``.
    """

    kind: LimitKind
    value: Decimal
    job_class: str = ""


@dataclass(frozen=True, slots=True)
class Price:
    """One priced component of a plan.

    `meter` is None for a flat price only. `dimensions` are the names that the meter declares, in
    its order. `allowance` is in the meter's units, for the customer as a whole or for each of its
    workspaces; `maximum` and `minimum` are money for a billing period. `once` marks a setup fee
    and `every_months` above 1 a fee for so many months ahead: the caller decides when they are
    due, and they are never prorated. Of seats, `prorated` concerns minimum and maximum alone.
    `phases` are the keys of those in which the price holds; none means all. Where `class_dimension`
    names a dimension, its value is a service class of `classes`, whose multiplier applies.

    Where `credit` names a unit, every amount of the price is in credits of it (maximum and minimum
    too), drawn from the customer's pools; each that they lack costs `beyond_credit_amount`, or
    stops the statement where that is None. `attribution` says in which period a job's usage falls:
    by its own time, or by when the job was completed or started.

    `contract` is the key of the outcome contract whose fee it is: it stands beside a plan's prices.
    `bonus_of` is the key of the price beside it whose maximum and minimum hold both together.
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
    every_months: int = 1
    allowance_per: Literal["customer", "workspace"] = "customer"
    overage: Overage = RATED
    phases: tuple[str, ...] = ()
    class_dimension: str = ""
    classes: tuple[ServiceClass, ...] = ()
    credit: CreditUnit | None = None
    beyond_credit_amount: Decimal | None = None
    attribution: Attribution = "usage"
    contract: str = ""
    bonus_of: str = ""


def unit_of(price: Price, *, currency: str) -> Unit:
    """Return what a price's amounts are counted in: its credit, or the terms' currency."""
    return currency if price.credit is None else price.credit


@dataclass(frozen=True, slots=True)
class Terms:
    """What a plan version says: its prices, all in one currency, and what else it grants.

    `features` are keys. Without `phases` the terms hold throughout.
    """

    currency: str
    prices: tuple[Price, ...]
    phases: tuple[Phase, ...] = ()
    service_classes: tuple[ServiceClass, ...] = ()
    features: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    packs: tuple[CreditPack, ...] = ()
    allotments: tuple[CreditAllotment, ...] = ()
    jobs: JobTerms = USUAL_JOBS
