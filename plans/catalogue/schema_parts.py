"""The small parts that the shapes of a catalogue document are made of."""

from typing import Any, Final

KEY: Final = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$"}
NAME: Final = {"type": "string", "minLength": 1, "maxLength": 200}
TEXT: Final = {"type": "string", "maxLength": 5000}
FLAG: Final = {"type": "boolean"}
AMOUNT: Final = {
    "type": ["string", "integer"],
    "pattern": r"^(0|[1-9][0-9]{0,17})(\.[0-9]{1,12})?$",
    "minimum": 0,
    "maximum": 10**18 - 1,
}
PERCENT: Final = {
    "type": ["string", "integer"],
    "pattern": r"^(0|[1-9][0-9]{0,5})(\.[0-9]{1,6})?$",
    "minimum": 0,
    "maximum": 999_999,
}
CREDIT: Final = {"type": "string", "pattern": "^[A-Z][A-Z0-9_]{3,19}$"}
COUNT: Final = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
TIME: Final = {
    "type": "string",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})$",
}
BOUND: Final = {**AMOUNT, "type": ["string", "integer", "null"]}
# Null only in a version that says that it is unfinished.
OPEN_AMOUNT: Final = BOUND
OPEN_PERCENT: Final = {**PERCENT, "type": ["string", "integer", "null"]}


def object_of(properties: dict[str, Any], *, required: list[str]) -> dict[str, Any]:
    """Return the shape of an object that has these fields and no others."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": properties,
    }


def list_of(items: dict[str, Any], *, least: int = 0, most: int = 1000) -> dict[str, Any]:
    """Return the shape of a list of so many items."""
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}
