"""The evidence of an outcome: which fields are declared, and what is wrong with what came."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from plans.rating.outcome_conditions import KINDS, Kind, Value
from plans.rating.problem import MOST_DECIMALS, Problem

TEXT_LENGTH_MAX: Final = 1000
_NUMBER: Final = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]+)?")
_LARGEST: Final = Decimal(10) ** 18
_WANTED: Final[dict[str, str]] = KINDS | {
    "text": "text", "yes_no": "true or false", "number": "a number, or text such as “12.5”",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class EvidenceField:
    """One declared field of the evidence."""

    name: str
    kind: Kind
    required: bool = True


def read_evidence(
    raw: Mapping[str, Any], *, fields: Sequence[EvidenceField]
) -> tuple[dict[str, Value], list[Problem]]:
    """Return the values of evidence as JSON brought them, and a problem for each that is wrong."""
    known = {field.name for field in fields}
    values: dict[str, Value] = {}
    found = [
        Problem("unknown_evidence", f"evidence.{name}", f"The contract declares no “{name}”.")
        for name in raw
        if name not in known
    ]
    for field in fields:
        given = raw.get(field.name)
        if given is None:
            if field.required:
                said = f"The evidence has no “{field.name}”."
                found.append(Problem("missing_evidence", f"evidence.{field.name}", said))
            continue
        value = _READERS[field.kind](given)
        if value is None:
            said = f"“{field.name}” must be {_WANTED[field.kind]}."
            found.append(Problem("invalid_evidence", f"evidence.{field.name}", said))
        else:
            values[field.name] = value
    return values, found


def read_number(given: Any) -> Decimal | None:
    """Return a JSON number, or text that says one, exactly; None for all else."""
    if isinstance(given, bool) or not isinstance(given, int | float | str | Decimal):
        return None
    if isinstance(given, str) and _NUMBER.fullmatch(given) is None:
        return None
    try:
        value = Decimal(repr(given) if isinstance(given, float) else given)
    except InvalidOperation:
        return None
    if not value.is_finite() or abs(value) >= _LARGEST:
        return None
    return value if int(value.as_tuple().exponent) >= -MOST_DECIMALS else None


def _text(given: Any) -> str | None:
    good = isinstance(given, str) and len(given) <= TEXT_LENGTH_MAX and "\0" not in given
    return given if good else None


def _yes_no(given: Any) -> bool | None:
    return given if isinstance(given, bool) else None


def _date(given: Any) -> date | None:
    if not isinstance(given, str) or len(given) != len("2026-10-31"):
        return None
    try:
        return date.fromisoformat(given)
    except ValueError:
        return None


_READERS: Final[dict[Kind, Any]] = {
    "number": read_number, "text": _text, "yes_no": _yes_no, "date": _date,
}  # fmt: skip
