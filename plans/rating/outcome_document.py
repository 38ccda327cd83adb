"""An outcome contract as a document: what people write, read into terms, each fault at its place.

A value in a document is text, a whole number, true or false, a list or an object: as JSON has them.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar

from plans.rating.graduated_percentage import PercentTier
from plans.rating.money import HUNDRED, ZERO
from plans.rating.outcome_conditions import (
    KINDS,
    Condition,
    ConditionRefused,
    Kind,
    is_field_name,
    parse_condition,
)
from plans.rating.outcome_evidence import EvidenceField, read_number
from plans.rating.outcomes import (
    Fee,
    Naming,
    OutcomeTerms,
    Silence,
    Verification,
    Verifier,
    fee_prices,
)
from plans.rating.problem import Problem
from plans.rating.tiers import Tier
from plans.rating.validation import problems as price_problems

WINDOW_HOURS_MAX: Final = 24 * 366
DAYS_MAX: Final = 366
EVIDENCE_FIELDS_MAX: Final = 50
TIERS_MAX: Final = 100
_FIELDS: Final = frozenset({"unit", "evidence", "success", "verification", "dispute_days", "fee"})
_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "per_outcome": ("amount",),
    "percent": ("percent",),
    "share": ("percent", "rate", "quantity_field"),
    "tiered_count": ("tiers",),
    "tiered_value": ("tiers",),
}
_TAKES: Final = frozenset(
    {
        "kind", "bonus_amount", "bonus_when", "risk_premium_percent", "holdback_percent",
        "holdback_days", "cap", "floor",
    }
)  # fmt: skip

VERIFIERS: Final[tuple[Verifier, ...]] = ("rule", "customer", "reviewer", "sample")
SILENCES: Final[tuple[Silence, ...]] = ("verified", "rejected")
FEE_KINDS: Final = tuple(_NEEDS)

T = TypeVar("T")


class _Reader:
    """Reads values of a document and collects what is wrong with them."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def refuse(self, code: str, field: str, message: str) -> None:
        self.problems.append(Problem(code, field, message))

    def number(self, source: Mapping[str, Any], name: str, *, where: str) -> Decimal | None:
        """Return a number of zero or more; None where it is left out or wrong."""
        given = source.get(name)
        if given is None or given == "":
            return None
        value = None if isinstance(given, float) else read_number(given)
        if value is None or value < ZERO:
            self.refuse("invalid_number", f"{where}{name}", "State a number of zero or more.")
            return None
        return value

    def whole(self, source: Mapping[str, Any], name: str, *, where: str, most: int) -> int:
        given = source.get(name)
        if given is None or given == "":
            return 0
        is_whole = str(given).isascii() and str(given).isdigit() and len(str(given)) < 10
        if not is_whole or int(given) > most:
            self.refuse("invalid_number", f"{where}{name}", f"State a whole number up to {most}.")
            return 0
        return int(given)

    def choice(
        self, source: Mapping[str, Any], name: str, *, where: str, among: Sequence[T], usual: T
    ) -> T:
        given: Any = source.get(name, usual)
        if given not in among:
            said = ", ".join(str(each) for each in among)
            self.refuse("invalid_choice", f"{where}{name}", f"Choose one of: {said}.")
            return usual
        found: T = given
        return found

    def condition(
        self, source: Mapping[str, Any], name: str, *, where: str, fields: Mapping[str, Kind]
    ) -> Condition | None:
        text = source.get(name) or ""
        if not isinstance(text, str):
            self.refuse("condition_invalid", f"{where}{name}", "A condition is text.")
            return None
        if not text.strip():
            return None
        try:
            return parse_condition(text, fields=fields)
        except ConditionRefused as error:
            self.refuse(error.code, f"{where}{name}", str(error))
            return None

    def unknown(self, source: Mapping[str, Any], known: frozenset[str], *, where: str) -> None:
        for name in source:
            if name not in known:
                self.refuse("unknown_field", f"{where}{name}", f"There is no field “{name}” here.")


def read_terms(
    document: Mapping[str, Any], *, naming: Naming
) -> tuple[OutcomeTerms | None, tuple[Problem, ...]]:
    """Return a document's terms, or None and everything that is wrong, each at its place."""
    reader = _Reader()
    reader.unknown(document, _FIELDS, where="")
    unit = document.get("unit", "")
    if not isinstance(unit, str) or not 0 < len(unit.strip()) <= 40:
        reader.refuse("missing_unit", "unit", "Say what is counted, in the plural: resolutions.")
        unit = "outcomes"
    evidence = _evidence(reader, document.get("evidence", []))
    kinds = {field.name: field.kind for field in evidence}
    terms = OutcomeTerms(
        unit=unit.strip(),
        fee=_fee(reader, _object(reader, document, "fee"), evidence=evidence),
        verification=_verification(reader, _object(reader, document, "verification")),
        evidence=evidence,
        success=reader.condition(document, "success", where="", fields=kinds),
        dispute_days=reader.whole(document, "dispute_days", where="", most=DAYS_MAX),
    )
    if not reader.problems:
        reader.problems += _fee_problems(terms, naming)
    return (None if reader.problems else terms), tuple(reader.problems)


def _fee_problems(terms: OutcomeTerms, naming: Naming) -> Iterator[Problem]:
    """Say what keeps the fee's prices from being billed, at the fields of the fee."""
    seen = set()
    for _, price in fee_prices(terms, naming):
        for problem in price_problems(price):
            field = f"fee.{problem.field}"
            if (problem.code, field) not in seen:
                seen.add((problem.code, field))
                yield Problem(problem.code, field, problem.message)


def _object(reader: _Reader, document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name, {})
    if isinstance(found, Mapping):
        return found
    reader.refuse("invalid_object", name, "This is an object with fields.")
    return {}


def _evidence(reader: _Reader, given: Any) -> tuple[EvidenceField, ...]:
    if not isinstance(given, list) or len(given) > EVIDENCE_FIELDS_MAX:
        said = f"Evidence is a list of at most {EVIDENCE_FIELDS_MAX} fields."
        reader.refuse("invalid_evidence", "evidence", said)
        return ()
    found: list[EvidenceField] = []
    for place, each in enumerate(given):
        where = f"evidence[{place}]."
        row = each if isinstance(each, Mapping) else {}
        name, kind = str(row.get("name", "")), row.get("kind")
        if not is_field_name(name):
            said = "Use small letters, digits and _; not a word of the conditions, such as and."
            reader.refuse("invalid_name", f"{where}name", said)
        elif name in {field.name for field in found}:
            reader.refuse("name_twice", f"{where}name", f"“{name}” is declared twice.")
        elif kind not in KINDS:
            said = f"Choose one of: {', '.join(KINDS)}."
            reader.refuse("invalid_choice", f"{where}kind", said)
        else:
            found.append(EvidenceField(name, kind, row.get("required", True) is not False))
    return tuple(found)


def _verification(reader: _Reader, said: Mapping[str, Any]) -> Verification:
    where = "verification."
    known = {"by", "window_hours", "silence", "sample_percent", "apply_rate"}
    reader.unknown(said, frozenset(known), where=where)
    by: Verifier = reader.choice(said, "by", where=where, among=VERIFIERS, usual="rule")
    window = reader.whole(said, "window_hours", where=where, most=WINDOW_HOURS_MAX)
    if by != "rule" and not window:
        reader.refuse("missing_window", f"{where}window_hours", "Say how long there is to verify.")
    percent = reader.number(said, "sample_percent", where=where) or ZERO
    if (by == "sample") != (ZERO < percent <= HUNDRED):
        said_ = "State the percentage of the sample, more than 0 and up to 100; only for a sample."
        reader.refuse("invalid_sample", f"{where}sample_percent", said_)
    return Verification(
        by=by,
        window_hours=window,
        silence=reader.choice(said, "silence", where=where, among=SILENCES, usual="verified"),
        sample_percent=percent,
        apply_rate=by == "sample" and said.get("apply_rate", True) is not False,
    )


def _fee(reader: _Reader, said: Mapping[str, Any], *, evidence: Sequence[EvidenceField]) -> Fee:
    kind = reader.choice(said, "kind", where="fee.", among=FEE_KINDS, usual="per_outcome")
    reader.unknown(said, _TAKES | {*_NEEDS[kind]} | {"volume"}, where="fee.")
    for name in _NEEDS[kind]:
        if said.get(name) in (None, "", []):
            reader.refuse("missing_field", f"fee.{name}", "The fee needs it: state it.")
    numbers = {
        name: reader.number(said, name, where="fee.") or ZERO
        for name in (
            "amount", "percent", "rate", "bonus_amount", "risk_premium_percent", "holdback_percent"
        )
    }  # fmt: skip
    is_percent = kind == "tiered_value"
    tiers = _tiers(reader, said.get("tiers") or [], percent=is_percent)
    kinds = {field.name: field.kind for field in evidence}
    fee = Fee(
        kind=kind,  # type: ignore[arg-type]
        tiers=() if is_percent else tuple(Tier(*tier) for tier in tiers),
        percent_tiers=tuple(PercentTier(*tier) for tier in tiers) if is_percent else (),
        volume=said.get("volume", False) is True,
        quantity_field=str(said.get("quantity_field", "")),
        bonus_when=reader.condition(said, "bonus_when", where="fee.", fields=kinds),
        holdback_days=reader.whole(said, "holdback_days", where="fee.", most=DAYS_MAX),
        cap=reader.number(said, "cap", where="fee."),
        floor=reader.number(said, "floor", where="fee."),
        **numbers,
    )
    _check_fee(reader, fee, evidence=evidence)
    return fee


def _check_fee(reader: _Reader, fee: Fee, *, evidence: Sequence[EvidenceField]) -> None:
    if fee.kind == "share" and fee.quantity_field:
        field = next((each for each in evidence if each.name == fee.quantity_field), None)
        if field is None or field.kind != "number" or not field.required:
            said = "Name a field of the evidence that is a number and required."
            reader.refuse("invalid_quantity_field", "fee.quantity_field", said)
    if bool(fee.bonus_amount) != (fee.bonus_when is not None):
        said = "A bonus needs its amount and the condition under which it is due: both, or neither."
        reader.refuse("half_a_bonus", "fee.bonus_when", said)
    if bool(fee.holdback_percent) != bool(fee.holdback_days) or fee.holdback_percent >= HUNDRED:
        said = "A holdback needs a percentage under 100 and the days after which it is released."
        reader.refuse("half_a_holdback", "fee.holdback_percent", said)


def _tiers(
    reader: _Reader, given: Any, *, percent: bool
) -> list[tuple[Decimal | None, Decimal, Decimal]]:
    """Return (up to, amount or percentage, flat) for each tier."""
    if not isinstance(given, list) or len(given) > TIERS_MAX:
        reader.refuse("invalid_tiers", "fee.tiers", f"State at most {TIERS_MAX} tiers.")
        return []
    found = []
    name = "percent" if percent else "unit"
    for place, each in enumerate(given):
        where, row = f"fee.tiers[{place}].", each if isinstance(each, Mapping) else {}
        reader.unknown(row, frozenset({"up_to", name, "flat"}), where=where)
        amount = reader.number(row, name, where=where)
        if amount is None:
            reader.refuse("missing_field", f"{where}{name}", "Each tier needs it: state it.")
        flat = reader.number(row, "flat", where=where) or ZERO
        found.append((reader.number(row, "up_to", where=where), amount or ZERO, flat))
    return found
