"""The shape of an outcome contract in a catalogue document."""

from typing import Any, Final

from plans.catalogue.schema_parts import (
    AMOUNT,
    BOUND,
    COUNT,
    FLAG,
    KEY,
    TEXT,
    TIME,
    list_of,
    object_of,
)
from plans.rating.money import CURRENCIES
from plans.rating.outcome_conditions import KINDS
from plans.rating.outcome_document import (
    DAYS_MAX,
    EVIDENCE_FIELDS_MAX,
    FEE_KINDS,
    SILENCES,
    TIERS_MAX,
    VERIFIERS,
    WINDOW_HOURS_MAX,
)

_CONDITION: Final = {"type": "string", "maxLength": 4000}
_DAYS: Final = {**COUNT, "maximum": DAYS_MAX}
_EVIDENCE: Final = object_of(
    {"name": {"type": "string", "maxLength": 100}, "kind": {"enum": list(KINDS)}, "required": FLAG},
    required=["name", "kind"],
)
_VERIFICATION: Final = object_of(
    {
        "by": {"enum": list(VERIFIERS)},
        "window_hours": {**COUNT, "maximum": WINDOW_HOURS_MAX},
        "silence": {"enum": list(SILENCES)},
        "sample_percent": AMOUNT,
        "apply_rate": FLAG,
    },
    required=[],
)
_TIER: Final = object_of(
    {"up_to": BOUND, "unit": AMOUNT, "percent": AMOUNT, "flat": AMOUNT}, required=[]
)
_FEE: Final = object_of(
    {
        "kind": {"enum": list(FEE_KINDS)},
        "amount": AMOUNT,
        "percent": AMOUNT,
        "rate": AMOUNT,
        "quantity_field": {"type": "string", "maxLength": 100},
        "tiers": list_of(_TIER, most=TIERS_MAX),
        "volume": FLAG,
        "bonus_amount": AMOUNT,
        "bonus_when": _CONDITION,
        "risk_premium_percent": AMOUNT,
        "holdback_percent": AMOUNT,
        "holdback_days": _DAYS,
        "cap": AMOUNT,
        "floor": AMOUNT,
    },
    required=["kind"],
)
CONTENT: Final[dict[str, Any]] = {
    "unit": {"type": "string", "minLength": 1, "maxLength": 40},
    "evidence": list_of(_EVIDENCE, most=EVIDENCE_FIELDS_MAX),
    "success": _CONDITION,
    "verification": _VERIFICATION,
    "dispute_days": _DAYS,
    "fee": _FEE,
}
_VERSION: Final[dict[str, Any]] = {"effective_from": TIME, "note": TEXT, **CONTENT}
_NEEDED: Final = ["unit", "fee"]
CONTRACT_VERSION: Final = object_of(_VERSION, required=_NEEDED)
_CONTRACT: Final[dict[str, Any]] = {
    "key": {**KEY, "maxLength": 80},
    "name": {"type": "string", "minLength": 1, "maxLength": 100},
    "currency": {"enum": sorted(CURRENCIES)},
    "plan": {**KEY, "description": "Of a contract for everyone on a plan."},
    "customer": {**KEY, "description": "Of a contract for one customer, which must be there."},
}
_HEAD: Final = ["key", "name", "currency"]
CONTRACT: Final = {
    "type": "object",
    "if": {"required": ["versions"]},
    "then": object_of(
        {**_CONTRACT, "versions": list_of({"$ref": "#/$defs/contract_version"}, most=200)},
        required=[*_HEAD, "versions"],
    ),
    "else": object_of({**_CONTRACT, **_VERSION}, required=[*_HEAD, *_NEEDED]),
}
