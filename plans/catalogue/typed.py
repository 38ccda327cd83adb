"""Turn a version as a person typed it into a document's content: blanks dropped, numbers plain.

Nothing is judged here. What cannot be read as what its field wants stays as it was typed, so that
the schema names it; ``plans.catalogue.editing`` asks the schema.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from plans.catalogue.schema import MODELS, OVERAGES, SCHEMA

_GROUPED: Final = re.compile(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?")
_BARE_POINT: Final = re.compile(r"\.[0-9]+|[0-9]+\.")
_BLANKS: Final[tuple[Any, ...]] = ("", None, [], {})
# Where nothing typed says something: and above, any value.
_KEPT: Final = frozenset({"up_to", "match"})
_TOLD_APART: Final[dict[str, tuple[dict[str, dict[str, Any]], str]]] = {
    "price": (MODELS, "model"),
    "overage": (OVERAGES, "policy"),
}
_NO_FIELDS: Final[dict[str, Any]] = {"properties": {}}


def version_typed(typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a typed version; places in lists stay what they were."""
    content: dict[str, Any] = _object(typed, SCHEMA["$defs"]["version"])
    content.setdefault("prices", [])
    return content


def number_typed(text: str) -> str:
    """Return a typed number as a document has it: 1,000,000 and 1 000 000 are 1000000.

    Commas are taken for thousands only where they stand so; anything else stays as it is.
    """
    plain = "".join(text.split()).removesuffix("%")
    if _GROUPED.fullmatch(plain):
        plain = plain.replace(",", "")
    if _BARE_POINT.fullmatch(plain):
        plain = f"0{plain}" if plain.startswith(".") else plain[:-1]
    return plain


def _value(value: Any, schema: Mapping[str, Any]) -> Any:
    schema = _resolved(value, schema)
    kind = schema.get("type")
    if isinstance(value, Mapping):
        return _object(value, schema)
    if isinstance(value, list):
        return [_value(item, schema.get("items", {})) for item in value]
    if not isinstance(value, str):
        return value
    value = value.replace("\0", "")
    if kind == "integer":
        number = number_typed(value)
        return int(number) if re.fullmatch(r"[0-9]{1,18}", number) else number
    return number_typed(value) if _is_number(schema) else value.strip()


def _object(value: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    found = {name: _value(each, properties.get(name, {})) for name, each in value.items()}
    if "up_to" in properties:
        found["up_to"] = found.get("up_to") or None
    return {name: each for name, each in found.items() if name in _KEPT or each not in _BLANKS}


def _is_number(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type", ())
    return isinstance(kind, list) and "integer" in kind


def _resolved(value: Any, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema that holds for a value: a price's by its model, an overage's by policy."""
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    if name in _TOLD_APART:
        shapes, told_by = _TOLD_APART[name]
        told = value.get(told_by) if isinstance(value, Mapping) else None
        found: dict[str, Any] = shapes.get(str(told), _NO_FIELDS)
        return found
    named: Mapping[str, Any] = SCHEMA["$defs"][name] if name else schema
    return named
