"""Conditions over the evidence of an outcome, as people write them: parse, check, evaluate, word.

    accuracy > 0.99 and (reopened is no or hours_open >= 72)

A comparison names a declared field, an operator and a value: a number, a date (2026-10-31), "text"
in quotes, yes or no. ``and`` binds closer than ``or``; brackets group.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Final, Literal, NamedTuple

from plans.rating.charge import number
from plans.rating.problem import Problem

Kind = Literal["number", "text", "yes_no", "date"]
Value = Decimal | str | bool | date
KINDS: Final[dict[str, str]] = {
    "number": "a number", "text": "text in quotes", "yes_no": "yes or no",
    "date": "a date such as 2026-10-31",
}  # fmt: skip
CONDITION_LENGTH_MAX: Final = 2000
DEPTH_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Comparison:
    """One field compared with one value."""

    field: str
    operator: str
    value: Value


@dataclass(frozen=True, slots=True)
class AllOf:
    """Holds where each part holds."""

    parts: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds where one part holds."""

    parts: "tuple[Condition, ...]"


Condition = Comparison | AllOf | AnyOf

_COMPARE: Final[dict[str, Any]] = {"=": eq, "!=": ne, ">": gt, ">=": ge, "<": lt, "<=": le}
_WORDS: Final = {
    "=": "is", "!=": "is not", ">": "is more than", ">=": "is at least", "<": "is less than",
    "<=": "is at most",
}  # fmt: skip
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<op><=|>=|!=|=|<|>)|(?P<bracket>[()])|(?P<text>"[^"]*")
    |(?P<date>\d{4}-\d{2}-\d{2})|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>[A-Za-z_][A-Za-z0-9_]*))""",
    re.VERBOSE,
)
_RESERVED: Final = frozenset({"and", "or", "is", "not", "yes", "no"})
_FIELD: Final = re.compile(r"[a-z_][a-z0-9_]{0,59}")


class ConditionRefused(Exception):
    """The condition cannot be: ``place`` is the character, from 1, at which it goes wrong."""

    code = "condition_invalid"

    def __init__(self, message: str, *, place: int) -> None:
        super().__init__(f"At character {place}: {message}")
        self.place = place


class _Token(NamedTuple):
    kind: str
    text: str
    place: int


def is_field_name(name: str) -> bool:
    """Say whether a condition can name a field so."""
    return _FIELD.fullmatch(name) is not None and name not in _RESERVED


def parse_condition(text: str, *, fields: Mapping[str, Kind]) -> Condition:
    """Return a condition over declared fields. Raises ConditionRefused with the place.

    Refused are unknown fields, values of another kind than the field's, orders of what has none,
    and parts that can never hold together.
    """
    if len(text) > CONDITION_LENGTH_MAX:
        raise ConditionRefused(
            f"a condition has at most {CONDITION_LENGTH_MAX} characters. Shorten it.",
            place=CONDITION_LENGTH_MAX,
        )
    return _Parser(_tokens(text), fields).read()


def condition_problems(text: str, *, fields: Mapping[str, Kind], where: str) -> list[Problem]:
    """Return what is wrong with a condition, its place in the message."""
    try:
        parse_condition(text, fields=fields)
    except ConditionRefused as error:
        return [Problem(error.code, where, str(error))]
    return []


def _tokens(text: str) -> list[_Token]:
    found, place = [], 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            at = place + len(text[place:]) - len(text[place:].lstrip())
            raise ConditionRefused(f"“{text[at]}” cannot be read. Remove it.", place=at + 1)
        start = match.start(match.lastgroup)
        found.append(_Token(match.lastgroup, match[match.lastgroup], start + 1))
        place = match.end()
    return [*found, _Token("end", "", len(text) + 1)]


class _Parser:
    """Reads from left to right; ``or`` of ``and`` of comparisons and brackets."""

    def __init__(self, tokens: Sequence[_Token], fields: Mapping[str, Kind]) -> None:
        self._tokens = tokens
        self._fields = fields
        self._at = 0
        self._depth = 0

    def read(self) -> Condition:
        found = self._any()
        rest = self._next()
        if rest.kind != "end":
            raise ConditionRefused(
                f"“{rest.text}” follows a whole condition. Join them with and, or or.",
                place=rest.place,
            )
        return found

    def _peek(self) -> _Token:
        return self._tokens[self._at]

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _takes(self, text: str) -> bool:
        if self._peek().text != text or self._peek().kind == "text":
            return False
        self._next()
        return True

    def _any(self) -> Condition:
        parts = [self._all()]
        while self._takes("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all(self) -> Condition:
        place = self._peek().place
        parts = [self._one()]
        while self._takes("and"):
            parts.append(self._one())
        _refuse_impossible(parts, place=place)
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _one(self) -> Condition:
        if not self._takes("("):
            return self._comparison()
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise ConditionRefused("too many brackets in each other.", place=self._peek().place)
        found = self._any()
        self._depth -= 1
        closing = self._next()
        if closing.text != ")":
            raise ConditionRefused("a closing bracket is missing here.", place=closing.place)
        return found

    def _comparison(self) -> Comparison:
        field = self._next()
        if field.kind != "word" or field.text in _RESERVED:
            raise ConditionRefused("the name of an evidence field is missing.", place=field.place)
        kind = self._fields.get(field.text)
        if kind is None:
            known = ", ".join(self._fields) or "none"
            raise ConditionRefused(
                f"there is no evidence field “{field.text}”. There are: {known}.",
                place=field.place,
            )
        operator = self._operator(kind)
        return Comparison(field.text, operator, self._value(field.text, kind))

    def _operator(self, kind: Kind) -> str:
        token = self._next()
        if token.text == "is" and token.kind == "word":
            return "!=" if self._takes("not") else "="
        if token.kind != "op":
            raise ConditionRefused(
                "an operator is missing: =, !=, >, >=, <, <=, is, is not.", place=token.place
            )
        if kind in ("text", "yes_no") and token.text not in ("=", "!="):
            said = "text" if kind == "text" else "a yes or no"
            raise ConditionRefused(
                f"{said} has no order. Compare it by is, or is not.", place=token.place
            )
        return token.text

    def _value(self, field: str, kind: Kind) -> Value:
        token = self._next()
        value = _value_of(token, kind)
        if value is None:
            raise ConditionRefused(
                f"“{field}” is compared with {KINDS[kind]}, not “{token.text}”.", place=token.place
            )
        return value


def _value_of(token: _Token, kind: Kind) -> Value | None:
    if kind == "number" and token.kind == "number":
        return Decimal(token.text)
    if kind == "text" and token.kind == "text":
        return token.text[1:-1]
    if kind == "yes_no" and token.text in ("yes", "no") and token.kind == "word":
        return token.text == "yes"
    return _date(token.text) if kind == "date" and token.kind == "date" else None


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _refuse_impossible(parts: Sequence[Condition], *, place: int) -> None:
    """Refuse comparisons of one field that can never hold together."""
    by_field: dict[str, list[Comparison]] = {}
    for part in _together(parts):
        by_field.setdefault(part.field, []).append(part)
    for field, found in by_field.items():
        if len(found) > 1 and not _can_hold(found):
            said = " and ".join(in_words(each) for each in found)
            raise ConditionRefused(
                f"“{field}” can never be so: {said}. Change one of them.", place=place
            )


def _together(parts: Sequence[Condition]) -> Iterator[Comparison]:
    for part in parts:
        if isinstance(part, Comparison):
            yield part
        elif isinstance(part, AllOf):
            yield from _together(part.parts)


def _can_hold(found: Sequence[Comparison]) -> bool:
    values: list[Any] = [each.value for each in found]
    if all(isinstance(value, bool) for value in values):
        return any(_holds_for(found, value) for value in (True, False))
    if any(each.operator == "=" for each in found):
        return any(_holds_for(found, each.value) for each in found if each.operator == "=")
    lows = [each for each in found if each.operator in (">", ">=")]
    highs = [each for each in found if each.operator in ("<", "<=")]
    if not lows or not highs:
        return True
    low: Any = max(each.value for each in lows)
    high: Any = min(each.value for each in highs)
    return low < high or (low == high and _holds_for(found, low))


def _holds_for(found: Sequence[Comparison], value: Value) -> bool:
    return all(_COMPARE[each.operator](value, each.value) for each in found)


def holds(condition: Condition, evidence: Mapping[str, Value]) -> bool:
    """Say whether a condition holds of evidence; a comparison of what is absent does not."""
    if isinstance(condition, AllOf):
        return all(holds(part, evidence) for part in condition.parts)
    if isinstance(condition, AnyOf):
        return any(holds(part, evidence) for part in condition.parts)
    found = evidence.get(condition.field)
    return found is not None and bool(_COMPARE[condition.operator](found, condition.value))


def in_words(condition: Condition) -> str:
    """Return a condition as a sentence: all of accuracy is more than 0.99; reopened is no."""
    if isinstance(condition, Comparison):
        name = condition.field.replace("_", " ")
        return f"{name} {_WORDS[condition.operator]} {_said(condition.value)}"
    joined = " and " if isinstance(condition, AllOf) else " or "
    return joined.join(
        f"({in_words(part)})" if isinstance(part, AnyOf | AllOf) else in_words(part)
        for part in condition.parts
    )


def _said(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return number(value)
    return f"“{value}”" if isinstance(value, str) else f"{value:%d %B %Y}"
