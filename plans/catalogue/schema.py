"""The JSON Schema of a catalogue document.

``docs/catalogue.schema.json`` is this schema as a file, for editors; a test holds the two equal.
"""

from typing import Any, Final

from plans.catalogue.contract_schema import CONTRACT, CONTRACT_VERSION
from plans.catalogue.schema_parts import (
    AMOUNT,
    BOUND,
    COUNT,
    CREDIT,
    FLAG,
    KEY,
    NAME,
    OPEN_AMOUNT,
    OPEN_PERCENT,
    PERCENT,
    TEXT,
    TIME,
)
from plans.catalogue.schema_parts import list_of as _list
from plans.catalogue.schema_parts import object_of as _object
from plans.models.grants import LimitKind
from plans.models.job_terms import JobTerms
from plans.models.meters import Aggregation, Rounding
from plans.models.prices import AllowancePer, Attribution, ChargeModel, SeatsRemoved
from plans.rating.money import CREDIT_DECIMALS_MOST, CURRENCIES

METER: Final = _object(
    {
        "key": KEY,
        "name": NAME,
        "event_type": NAME,
        "aggregation": {"enum": list(Aggregation.values)},
        "property": {"type": "string", "minLength": 1, "maxLength": 100},
        "dimensions": _list({"type": "string", "minLength": 1, "maxLength": 100}, most=20),
        "filters": {
            "type": "object",
            "additionalProperties": _list({"type": "string"}, least=1),
        },
        "rounding": {"enum": list(Rounding.values)},
        "rounding_multiple": AMOUNT,
        "unit": {"type": "string", "maxLength": 40},
    },
    required=["key", "name", "event_type", "aggregation"],
)
TIER: Final = _object({"up_to": BOUND, "unit": AMOUNT, "flat": AMOUNT}, required=["up_to"])
PERCENT_TIER: Final = _object(
    {"up_to": BOUND, "percent": PERCENT, "flat": AMOUNT}, required=["up_to", "percent"]
)
RATE: Final = _object(
    {
        "match": {
            "type": "object",
            "additionalProperties": {"type": ["string", "null"], "maxLength": 200},
        },
        "unit": AMOUNT,
        "label": {"type": "string", "maxLength": 200},
    },
    required=["match", "unit"],
)

OVERAGES: Final[dict[str, dict[str, Any]]] = {
    "rate": _object({"policy": {"const": "rate"}}, required=["policy"]),
    "refuse": _object({"policy": {"const": "refuse"}}, required=["policy"]),
    "upgrade": _object({"policy": {"const": "upgrade"}, "plan": KEY}, required=["policy", "plan"]),
    "packs": _object(
        {
            "policy": {"const": "packs"},
            "size": AMOUNT,
            "amount": AMOUNT,
            "most": COUNT,
            "months": {**COUNT, "minimum": 1, "maximum": 120},
        },
        required=["policy", "size", "amount"],
    ),
}
OVERAGE: Final = {
    "type": "object",
    "required": ["policy"],
    "properties": {"policy": {"enum": list(OVERAGES)}},
    "allOf": [
        {
            "if": {"required": ["policy"], "properties": {"policy": {"const": policy}}},
            "then": shape,
        }
        for policy, shape in OVERAGES.items()
    ],
}
FEATURE: Final = _object({"key": KEY, "name": NAME, "description": TEXT}, required=["key", "name"])
LIMIT: Final = _object(
    {
        "kind": {"enum": list(LimitKind.values)},
        "value": AMOUNT,
        "job_class": {"type": "string", "maxLength": 100},
    },
    required=["kind", "value"],
)
SERVICE_CLASS: Final = _object(
    {
        "key": KEY,
        "name": NAME,
        "multiplier": PERCENT,
        "start_within_minutes": COUNT,
        "late_start_percent": PERCENT,
    },
    required=["key", "name"],
)
_LENGTH: Final = {"type": "integer", "minimum": 1, "maximum": 3660}
PHASE: Final = _object(
    {
        "key": KEY,
        "name": NAME,
        "days": _LENGTH,
        "months": _LENGTH,
        "discount_percent": PERCENT,
    },
    required=["key", "name"],
)

_MONTHS: Final = {**COUNT, "minimum": 1, "maximum": 120}
_PRIORITY: Final = {**COUNT, "maximum": 32767}
CREDIT_UNIT: Final = _object(
    {
        "code": CREDIT,
        "name": {**NAME, "maxLength": 100},
        "decimals": {**COUNT, "maximum": CREDIT_DECIMALS_MOST},
    },
    required=["code", "name"],
)
CLASS_USAGE: Final = _object(
    {"meter": KEY, "low": AMOUNT, "expected": AMOUNT, "high": AMOUNT},
    required=["meter", "low", "expected", "high"],
)
JOB_CLASS: Final = _object(
    {
        "key": KEY,
        "name": NAME,
        "input_unit": {"type": "string", "minLength": 1, "maxLength": 40},
        "silence_seconds": {**COUNT, "minimum": 10},
        "usage": _list(CLASS_USAGE, most=50),
    },
    required=["key", "name"],
)
PACK: Final = _object(
    {
        "key": KEY,
        "name": NAME,
        "unit": CREDIT,
        "credits": AMOUNT,
        "amount": AMOUNT,
        "expires_months": _MONTHS,
        "needs_payment": FLAG,
        "priority": _PRIORITY,
    },
    required=["key", "name", "unit", "credits", "amount"],
)
ALLOTMENT: Final = _object(
    {
        "key": KEY,
        "name": NAME,
        "unit": {**CREDIT, "description": "A named credit; left out, it grants money."},
        "amount": AMOUNT,
        "expires_months": _MONTHS,
        "priority": _PRIORITY,
        "rollover_percent": PERCENT,
        "rollover_months": _MONTHS,
        "rollovers": {**_PRIORITY, "minimum": 1},
        "meters": _list(KEY, most=50),
        "job_classes": _list(KEY, most=50),
    },
    required=["key", "name", "amount"],
)
JOBS: Final = _object(
    {
        "bill_attempts": {"enum": list(JobTerms.BillAttempts.values)},
        "bill_input_failures": FLAG,
        "bill_cancelled": FLAG,
        "bill_expired": FLAG,
        "hold_at": {"enum": list(JobTerms.HoldAt.values)},
        "above_hold": {"enum": list(JobTerms.AboveHold.values)},
        "grace_amount": AMOUNT,
        "late_start_most": AMOUNT,
    },
    required=[],
)

# What every price has, whatever its model.
COMMON: Final[dict[str, Any]] = {
    "key": KEY,
    "name": NAME,
    "model": {"enum": list(ChargeModel.values)},
    "discount_percent": PERCENT,
    "maximum": AMOUNT,
    "minimum": AMOUNT,
    "prorated": FLAG,
    "phases": _list(KEY, most=20),
    "credit": {
        **CREDIT,
        "description": "All amounts of the price are in this credit, drawn from the customer's "
        "pools; left out, they are money.",
    },
    "beyond_credit": {
        **AMOUNT,
        "description": "What each credit costs that the pools lack; left out, the statement waits "
        "for credit.",
    },
}
METERED: Final[dict[str, Any]] = {
    **COMMON,
    "meter": KEY,
    "allowance": AMOUNT,
    "allowance_per": {"enum": list(AllowancePer.values)},
    "attribution": {"enum": list(Attribution.values)},
    "overage": {"$ref": "#/$defs/overage"},
}
TIERED: Final[dict[str, Any]] = {
    **METERED,
    "tiers": _list(TIER),
    "unit_size": AMOUNT,
    "charge_first_tier_at_zero": FLAG,
}
_USUAL: Final = ["key", "name", "model"]
MODELS: Final[dict[str, dict[str, Any]]] = {
    "flat": _object(
        {
            **COMMON,
            "amount": OPEN_AMOUNT,
            "once": FLAG,
            "every_months": {**COUNT, "minimum": 1, "maximum": 120},
        },
        required=[*_USUAL, "amount"],
    ),
    "per_unit": _object(
        {
            **METERED,
            "amount": OPEN_AMOUNT,
            "unit_size": AMOUNT,
            "class_dimension": {"type": "string", "minLength": 1, "maxLength": 100},
        },
        required=[*_USUAL, "meter", "amount"],
    ),
    "package": _object(
        {**METERED, "amount": OPEN_AMOUNT, "package_size": AMOUNT, "free_quantity": AMOUNT},
        required=[*_USUAL, "meter", "amount", "package_size"],
    ),
    "graduated": _object(TIERED, required=[*_USUAL, "meter", "tiers"]),
    "volume": _object(TIERED, required=[*_USUAL, "meter", "tiers"]),
    "percentage": _object(
        {
            **METERED,
            "percent": OPEN_PERCENT,
            "fixed_amount": AMOUNT,
            "free_transactions": COUNT,
            "free_amount": AMOUNT,
            "minimum_per_transaction": AMOUNT,
            "maximum_per_transaction": AMOUNT,
        },
        required=[*_USUAL, "meter", "percent"],
    ),
    "graduated_percentage": _object(
        {**METERED, "tiers": _list(PERCENT_TIER)}, required=[*_USUAL, "meter", "tiers"]
    ),
    "event_amount": _object(METERED, required=[*_USUAL, "meter"]),
    "matrix": _object(
        {
            **METERED,
            "rates": _list(RATE),
            "default": {
                **AMOUNT,
                "pattern": rf"^refuse$|{AMOUNT['pattern']}",
                "description": "The rate of combinations that are not listed, or “refuse”: such "
                "usage stops the customer's statement until a rate is agreed.",
            },
            "unit_size": AMOUNT,
        },
        required=[*_USUAL, "meter", "rates", "default"],
    ),
    "seats": _object(
        {
            **COMMON,
            "meter": KEY,
            "amount": OPEN_AMOUNT,
            "seats_removed": {"enum": list(SeatsRemoved.values)},
        },
        required=[*_USUAL, "meter", "amount"],
    ),
}
PRICE: Final = {
    "type": "object",
    "required": ["model"],
    "properties": {"model": {"enum": list(ChargeModel.values)}},
    "allOf": [
        {
            "if": {"required": ["model"], "properties": {"model": {"const": model}}},
            "then": {"$ref": f"#/$defs/{model}"},
        }
        for model in MODELS
    ],
}
_VERSION: Final[dict[str, Any]] = {
    "currency": {"enum": sorted(CURRENCIES)},
    "effective_from": TIME,
    "effective_until": TIME,
    "note": TEXT,
    "unfinished": {
        **FLAG,
        "description": "A draft that cannot be published yet: prices, tiers and rates may be "
        "empty, and amounts null.",
    },
    "features": _list(KEY, most=200),
    "limits": _list({"$ref": "#/$defs/limit"}, most=200),
    "service_classes": _list({"$ref": "#/$defs/service_class"}, most=50),
    "phases": _list({"$ref": "#/$defs/phase"}, most=20),
    "packs": _list({"$ref": "#/$defs/pack"}, most=50),
    "allotments": _list({"$ref": "#/$defs/allotment"}, most=50),
    "jobs": {"$ref": "#/$defs/jobs"},
    "prices": _list({"$ref": "#/$defs/price"}, most=200),
}
_PLAN: Final[dict[str, Any]] = {"key": KEY, "name": NAME, "description": TEXT}
PLAN: Final = {
    "type": "object",
    "if": {"required": ["versions"]},
    "then": _object(
        {**_PLAN, "versions": _list({"$ref": "#/$defs/version"}, most=200)},
        required=["key", "name", "versions"],
    ),
    "else": _object({**_PLAN, **_VERSION}, required=["key", "name", "currency", "prices"]),
}
SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Tollgate catalogue",
    "description": "Meters, features, credits, job classes, plans and outcome contracts. Amounts "
    "are text or whole numbers, never floats.",
    **_object(
        {
            "meters": _list({"$ref": "#/$defs/meter"}),
            "features": _list({"$ref": "#/$defs/feature"}),
            "credit_units": _list({"$ref": "#/$defs/credit_unit"}),
            "job_classes": _list({"$ref": "#/$defs/job_class"}),
            "plans": _list({"$ref": "#/$defs/plan"}),
            "contracts": _list({"$ref": "#/$defs/contract"}),
        },
        required=[],
    ),
    "minProperties": 1,
    "$defs": {
        "meter": METER,
        "plan": PLAN,
        "version": _object(_VERSION, required=["currency", "prices"]),
        "contract": CONTRACT,
        "contract_version": CONTRACT_VERSION,
        "price": PRICE,
        "overage": OVERAGE,
        "feature": FEATURE,
        "limit": LIMIT,
        "service_class": SERVICE_CLASS,
        "phase": PHASE,
        "credit_unit": CREDIT_UNIT,
        "job_class": JOB_CLASS,
        "pack": PACK,
        "allotment": ALLOTMENT,
        "jobs": JOBS,
        **MODELS,
    },
}
