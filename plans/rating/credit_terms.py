"""What terms say of credit: its unit, the packs on sale, and what each period grants."""

from dataclasses import dataclass
from decimal import Decimal

from plans.rating.money import ZERO, CreditUnit


@dataclass(frozen=True, slots=True)
class CreditPack:
    """Credit on sale: so many of a unit for so much money, a volume discount by larger packs.

    It lapses `expires_months` after it was bought, never where that is None. One that
    `needs_payment` may be used only once it is paid. A lower `priority` is used first.
    """

    key: str
    name: str
    unit: CreditUnit
    credits: Decimal
    amount: Decimal
    expires_months: int | None = None
    needs_payment: bool = False
    priority: int = 100


@dataclass(frozen=True, slots=True)
class CreditAllotment:
    """Credit that the plan grants at the beginning of each billing period.

    The unit is a named credit, or a currency's code for money. It lapses at the period's end, or
    `expires_months` after its beginning. At its end at most `rollover_percent` of what was granted
    is carried on, for `rollover_months`, so often as `rollovers` says. It pays for the `meters`
    and `job_classes` that are named, or for all where none is.
    """

    key: str
    name: str
    unit: CreditUnit
    amount: Decimal
    expires_months: int | None = None
    priority: int = 50
    rollover_percent: Decimal = ZERO
    rollover_months: int | None = None
    rollovers: int = 1
    meters: tuple[str, ...] = ()
    job_classes: tuple[str, ...] = ()
