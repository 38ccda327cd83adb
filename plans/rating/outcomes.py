"""Outcome contracts: what counts as success, and the fee as ordinary prices.

Nothing here makes money: the fee becomes prices over what the outcomes add up to, and ``rate()``
does the rest. A premium raises the amounts; a holdback splits each price in two, one for what is
due on verification and one for what is released later, cap and floor with it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

from plans.rating.charge import number
from plans.rating.graduated import Graduated
from plans.rating.graduated_percentage import GraduatedPercentage, PercentTier
from plans.rating.money import HUNDREDTH, ONE, ZERO, minus, plus, times
from plans.rating.outcome_conditions import Condition, Value, holds, in_words
from plans.rating.outcome_evidence import EvidenceField, read_evidence, read_number
from plans.rating.per_unit import PerUnit
from plans.rating.percentage import Percentage
from plans.rating.prices import ChargeModel, Price
from plans.rating.problem import Problem
from plans.rating.tiers import Tier
from plans.rating.volume import Volume

FeeKind = Literal["per_outcome", "percent", "share", "tiered_count", "tiered_value"]
Verifier = Literal["rule", "customer", "reviewer", "sample"]
Silence = Literal["verified", "rejected"]
Measure = Literal["count", "value", "bonus", "held_count", "held_value", "held_bonus"]

STEP: Final = "step"
VERIFIED, RELEASED, REVERSED = "verified", "released", "reversed"
MEASURES: Final[tuple[Measure, ...]] = (
    "count", "value", "bonus", "held_count", "held_value", "held_bonus",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fee:
    """What a verified outcome costs; which fields are set depends on the kind.

    ``per_outcome``: `amount` each. ``percent``: `percent` of its value. ``share``: `percent` of
    what `quantity_field` says (hours saved, say) at `rate` each. ``tiered_count``: `tiers` by the
    number of outcomes in a period, one after the other, or all at the last one reached where it is
    by `volume`. ``tiered_value``: `percent_tiers` of the value. `bonus_amount` is due besides for
    an outcome of which `bonus_when` holds. Cap and floor are for a period, fee and bonus together.
    """

    kind: FeeKind
    amount: Decimal = ZERO
    percent: Decimal = ZERO
    rate: Decimal = ZERO
    quantity_field: str = ""
    tiers: tuple[Tier, ...] = ()
    percent_tiers: tuple[PercentTier, ...] = ()
    volume: bool = False
    bonus_amount: Decimal = ZERO
    bonus_when: Condition | None = None
    risk_premium_percent: Decimal = ZERO
    holdback_percent: Decimal = ZERO
    holdback_days: int = 0
    cap: Decimal | None = None
    floor: Decimal | None = None

    @property
    def is_by_value(self) -> bool:
        """Say whether the value of an outcome decides its fee."""
        return self.kind in ("percent", "share", "tiered_value")


@dataclass(frozen=True, slots=True)
class Verification:
    """Who verifies, for how long, and what silence means after that.

    Of a ``sample``, `sample_percent` of the outcomes go to a reviewer; the rate that was measured
    there is applied to the rest, or the rest is verified at once.
    """

    by: Verifier = "rule"
    window_hours: int = 0
    silence: Silence = "verified"
    sample_percent: Decimal = ZERO
    apply_rate: bool = False


@dataclass(frozen=True, slots=True)
class OutcomeTerms:
    """What one version of a contract says."""

    unit: str
    fee: Fee
    verification: Verification = Verification()
    evidence: tuple[EvidenceField, ...] = ()
    success: Condition | None = None
    dispute_days: int = 0


class Naming(NamedTuple):
    """What a contract's prices are called: its key, its name, and its currency."""

    key: str
    name: str
    currency: str


class FeePrice(NamedTuple):
    """One price of a fee, and what of the outcomes it counts."""

    measure: Measure
    price: Price


class Assessment(NamedTuple):
    """What the rules make of a claim: success and why not, its value, and whether a bonus is due.

    Where there are `problems`, the claim cannot be taken, and the rest says nothing.
    """

    is_success: bool = False
    reason: str = ""
    value: Decimal = ZERO
    has_bonus: bool = False
    problems: tuple[Problem, ...] = ()


def assess(terms: OutcomeTerms, *, evidence: Mapping[str, Any], value: Any) -> Assessment:
    """Return what the contract's rules make of a claim's evidence and value, as JSON has them."""
    found, problems = read_evidence(evidence, fields=terms.evidence)
    amount, wrong = _value(terms.fee, found, value)
    if problems or wrong:
        return Assessment(problems=(*problems, *wrong))
    reason = ""
    if terms.success is not None and not holds(terms.success, found):
        reason = f"It is no success: that needs {in_words(terms.success)}."
    bonus = terms.fee.bonus_when is not None and holds(terms.fee.bonus_when, found)
    return Assessment(not reason, reason, amount, bonus)


def _value(fee: Fee, found: Mapping[str, Value], given: Any) -> tuple[Decimal, list[Problem]]:
    if fee.kind == "share":
        if given is not None:
            said = "The contract computes the value from the evidence. Leave it out."
            return ZERO, [Problem("value_not_taken", "value", said)]
        quantity = found.get(fee.quantity_field)
        if isinstance(quantity, Decimal) and quantity < ZERO:
            field = f"evidence.{fee.quantity_field}"
            return ZERO, [Problem("invalid_evidence", field, "State zero or more.")]
        return (times(quantity, fee.rate) if isinstance(quantity, Decimal) else ZERO), []
    if given is None and fee.is_by_value:
        return ZERO, [
            Problem("missing_value", "value", "The fee is a part of the value: state it.")
        ]
    value = ZERO if given is None else read_number(given)
    if value is None or value < ZERO:
        said = "“value” must be an amount of zero or more, such as “120.50”."
        return ZERO, [Problem("invalid_value", "value", said)]
    return value, []


def quantities(
    terms: OutcomeTerms, *, value: Decimal, has_bonus: bool, sign: int, released: bool = False
) -> dict[str, Decimal]:
    """Return what an outcome adds to each measure: by `sign` +1 or -1, or 0 for nothing.

    On verification the measures without "held"; on release, or its reversal, those with it.
    """
    prefix = "held_" if released else ""
    found = {f"{prefix}count": Decimal(sign)}
    if terms.fee.is_by_value:
        found[f"{prefix}value"] = times(value, Decimal(sign))
    if has_bonus:
        found[f"{prefix}bonus"] = Decimal(sign)
    return found


def fee_prices(terms: OutcomeTerms, naming: Naming) -> tuple[FeePrice, ...]:
    """Return the prices that the fee is made of; together they come to the fee, cap and floor."""
    held = times(terms.fee.holdback_percent, HUNDREDTH)
    parts = [_part(terms, naming, share=minus(ONE, held), is_held=False)]
    if held:
        parts.append(_part(terms, naming, share=held, is_held=True))
    return tuple(price for part in parts for price in part)


def _part(
    terms: OutcomeTerms, naming: Naming, *, share: Decimal, is_held: bool
) -> Iterator[FeePrice]:
    fee = terms.fee
    raised = plus(ONE, times(fee.risk_premium_percent, HUNDREDTH))
    factor = times(raised, share)
    main: Measure = "value" if fee.is_by_value else "count"
    label = _label(fee, is_held=is_held)
    yield _price(
        main, naming, unit=naming.currency if fee.is_by_value else terms.unit, label=label,
        model=_MODELS[fee.kind](fee, factor), is_held=is_held,
        maximum=None if fee.cap is None else _scaled(fee.cap, share),
        minimum=None if fee.floor is None else _scaled(fee.floor, share),
    )  # fmt: skip
    if fee.bonus_when is not None:
        is_bounded = fee.cap is not None or fee.floor is not None
        yield _price(
            "bonus", naming, unit=terms.unit, label=f", bonus{label}", is_held=is_held,
            model=PerUnit(_scaled(fee.bonus_amount, factor)),
            bonus_of=price_key(naming.key, _counted(main, is_held=is_held)) if is_bounded else "",
        )  # fmt: skip


def _price(
    measure: Measure, naming: Naming, *, unit: str, label: str, model: ChargeModel, is_held: bool,
    maximum: Decimal | None = None, minimum: Decimal | None = None, bonus_of: str = "",
) -> FeePrice:  # fmt: skip
    counted = _counted(measure, is_held=is_held)
    return FeePrice(
        counted,
        Price(
            key=price_key(naming.key, counted),
            name=f"{naming.name}{label}",
            model=model,
            meter=meter_key(naming.key, counted),
            dimensions=(STEP,),
            unit=unit,
            maximum=maximum,
            minimum=minimum,
            contract=naming.key,
            bonus_of=bonus_of,
        ),
    )


def _counted(measure: Measure, *, is_held: bool) -> Measure:
    found: Any = f"held_{measure}" if is_held else measure
    return found  # type: ignore[no-any-return]


def price_key(contract: str, measure: Measure) -> str:
    """Return the key of the price that counts a measure; no plan's price can have one with a /."""
    suffix = {"bonus": ".bonus", "held_bonus": ".held-bonus"}.get(measure, "")
    return f"outcome/{contract}{suffix or ('.held' if measure.startswith('held') else '')}"


def meter_key(contract: str, measure: Measure) -> str:
    """Return the key of the meter that adds a measure up."""
    return f"{contract}.{measure.replace('_', '-')}"


def without_floor(price: Price) -> Price:
    """Return the price of outcomes by themselves: a floor is due without any."""
    return replace(price, minimum=None)


def _scaled(amount: Decimal, factor: Decimal) -> Decimal:
    """Return the product without zeros that say nothing."""
    found = times(amount, factor)
    return Decimal(f"{found:f}".rstrip("0").rstrip(".")) if "." in f"{found:f}" else found


def _label(fee: Fee, *, is_held: bool) -> str:
    held = fee.holdback_percent
    if is_held:
        return f", {number(held)}% held back and released"
    return f", {number(minus(Decimal(100), held))}% on verification" if held else ""


def _per_outcome(fee: Fee, factor: Decimal) -> ChargeModel:
    return PerUnit(_scaled(fee.amount, factor))


def _percent(fee: Fee, factor: Decimal) -> ChargeModel:
    return Percentage(_scaled(fee.percent, factor))


def _by_count(fee: Fee, factor: Decimal) -> ChargeModel:
    tiers = tuple(
        Tier(tier.up_to, _scaled(tier.unit_amount, factor), _scaled(tier.flat_amount, factor))
        for tier in fee.tiers
    )
    return Volume(tiers) if fee.volume else Graduated(tiers)


def _by_value(fee: Fee, factor: Decimal) -> ChargeModel:
    return GraduatedPercentage(
        tuple(
            PercentTier(
                tier.up_to, _scaled(tier.percent, factor), _scaled(tier.flat_amount, factor)
            )
            for tier in fee.percent_tiers
        )
    )


_MODELS: Final[dict[FeeKind, Callable[[Fee, Decimal], ChargeModel]]] = {
    "per_outcome": _per_outcome,
    "percent": _percent,
    "share": _percent,
    "tiered_count": _by_count,
    "tiered_value": _by_value,
}
