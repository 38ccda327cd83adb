"""What the schema finds in a document, in words for the person who wrote it."""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import jsonschema
from jsonschema.exceptions import ValidationError

from plans.catalogue.problems import CatalogueProblem
from plans.catalogue.schema import MODELS, PRICE, SCHEMA
from plans.catalogue.schema_parts import CREDIT, PERCENT, TIME


class Finding(NamedTuple):
    """What the schema found: where, which of its rules, the rule's value, and what stands there."""

    path: str
    keyword: str
    rule: Any
    instance: Any
    schema: dict[str, Any]
    message: str


def _whole_number(_checker: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_Validator: Any = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _whole_number),
)
_VALIDATOR: Final = _Validator(SCHEMA)
_DEFS: Final = {"$defs": SCHEMA["$defs"]}
_OUTER: Final = SCHEMA["$defs"]["version"]["properties"]
_LISTED: Final = {name: rule for name, rule in _OUTER["prices"].items() if name != "items"}
_VERSION_VALIDATOR: Final = _Validator(
    {**SCHEMA["$defs"]["version"], "properties": {**_OUTER, "prices": _LISTED}, **_DEFS}
)
_PRICE_VALIDATORS: Final = {
    model: _Validator({**shape, **_DEFS}) for model, shape in MODELS.items()
}
_ANY_PRICE_VALIDATOR: Final = _Validator({**PRICE, **_DEFS})


def schema_problems(content: Any, *, file: str) -> list[CatalogueProblem]:
    """Return every way in which a parsed document is not a catalogue, in the document's order."""
    return _problems(_VALIDATOR, content, file)


def version_problems(content: Any) -> list[CatalogueProblem]:
    """Return every way in which a version by itself is not one, its prices last.

    A price goes straight to the shape of its model: trying all is too slow for a page's preview.
    """
    found = _problems(_VERSION_VALIDATOR, content, "")
    prices = content.get("prices") if isinstance(content, dict) else None
    for index, price in enumerate(prices if isinstance(prices, list) else ()):
        model = price.get("model") if isinstance(price, dict) else None
        validator = _PRICE_VALIDATORS.get(str(model), _ANY_PRICE_VALIDATOR)
        found += [
            problem._replace(path=_under(f"prices[{index}]", problem.path).rstrip("."))
            for problem in _problems(validator, price, "")
        ]
    return found


def _problems(validator: Any, content: Any, file: str) -> list[CatalogueProblem]:
    errors = sorted(validator.iter_errors(content), key=_in_order)
    return [problem for error in errors for problem in _in_words(_finding(error), file)]


def _in_order(error: ValidationError) -> list[tuple[int, str]]:
    return [
        (part, "") if isinstance(part, int) else (-1, str(part)) for part in error.absolute_path
    ]


def _finding(error: ValidationError) -> Finding:
    schema: Any = error.schema
    path = path_text(error.absolute_path)
    rule: Any = error.validator_value
    return Finding(path, str(error.validator), rule, error.instance, schema, error.message)


def _in_words(found: Finding, file: str) -> Iterator[CatalogueProblem]:
    if found.keyword == "additionalProperties":
        known = sorted(found.schema["properties"])
        for name in sorted(found.instance.keys() - known):
            yield CatalogueProblem(
                file,
                _under(found.path, name),
                "unknown_field",
                f"“{name}” is not a field here.",
                f"Known fields: {', '.join(known)}.",
            )
    elif found.keyword == "required":
        name = next(name for name in found.rule if found.message.startswith(f"'{name}'"))
        yield CatalogueProblem(
            file, _under(found.path, name), "missing", "It is missing.", "Add it."
        )
    else:
        code, cause, remedy = _WORDS.get(found.keyword, _anything_else)(found)
        yield CatalogueProblem(file, found.path, code, cause, remedy)


def path_text(parts: Any) -> str:
    """Return ``plans[0].prices[2].up_to`` for the parts of a path."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _is_amount(found: Finding) -> bool:
    return str(found.schema.get("pattern", "")).endswith(r")?$")


_QUOTE_IT = 'Write it in quotes: "0.04".'
_AMOUNT_REMEDY = 'Write digits with at most one point, in quotes: "0.04".'

_NAMES = {
    "object": "a group of fields",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "null",
}

Words = tuple[str, str, str]


def _type(found: Finding) -> Words:
    if isinstance(found.instance, float):
        cause = f"{found.instance} is a number with a point, which YAML does not keep exactly."
        return "float", cause, _QUOTE_IT if _is_amount(found) else "Write a whole number."
    wanted = found.rule
    names = [wanted] if isinstance(wanted, str) else wanted
    expected = " or ".join(_NAMES[name] for name in names)
    return "wrong_type", f"{_shown(found)} is not {expected}.", f"Write {expected}."


def _pattern(found: Finding) -> Words:
    shown = _shown(found)
    if "refuse" in found.rule:
        return "not_an_amount", f"{shown} is not an amount.", 'Write an amount, or "refuse".'
    if found.schema.get("maximum") == PERCENT["maximum"]:
        return "not_a_percentage", f"{shown} is not a percentage.", 'Write 25% as "25".'
    if _is_amount(found):
        return "not_an_amount", f"{shown} is not an amount of 0 or more.", _AMOUNT_REMEDY
    if found.rule == TIME["pattern"]:
        remedy = "Write it with its zone, as 2026-01-31T00:00:00Z."
        return "not_a_time", f"{shown} is not a time.", remedy
    if found.rule == CREDIT["pattern"]:
        remedy = "Use 4 to 20 capitals, digits and underscores, a capital first: TOKN."
        return "not_a_credit", f"{shown} is not the code of a credit.", remedy
    remedy = "Use 1 to 100 letters, digits, and . _ : - ; start with a letter or a digit."
    return "not_a_key", f"{shown} is not a key.", remedy


def _enum(found: Finding) -> Words:
    choices = [str(choice) for choice in found.rule]
    remedy = f"Use one of {', '.join(choices)}." if len(choices) < 20 else "Use USD, EUR, JPY, …"
    return "unknown_value", f"{_shown(found)} is not known here.", remedy


def _too_few(_found: Finding) -> Words:
    return "empty", "It is empty.", "Write at least one."


def _too_many(found: Finding) -> Words:
    return "too_long", "It is too long.", f"Write at most {found.rule}."


def _range(found: Finding) -> Words:
    cause = f"{found.instance} is out of range."
    low, high = found.schema.get("minimum"), found.schema.get("maximum")
    return "out_of_range", cause, f"Write {low} to {high}."


def _anything_else(found: Finding) -> Words:
    return "invalid", found.message, "See docs/catalogue.schema.json."


_WORDS: Final[dict[str, Callable[[Finding], Words]]] = {
    "type": _type,
    "pattern": _pattern,
    "enum": _enum,
    "minItems": _too_few,
    "minLength": _too_few,
    "minProperties": _too_few,
    "maxItems": _too_many,
    "maxLength": _too_many,
    "minimum": _range,
    "maximum": _range,
}


def _shown(found: Finding) -> str:
    value = found.instance
    if isinstance(value, dict | list):
        return "A group of fields" if isinstance(value, dict) else "A list"
    text = "null" if value is None else str(value).lower() if value in (True, False) else str(value)
    return f"“{text[:60]}”"
