"""Values as documents state them, without what is usual."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from plans.grant_values import plain


def amount_text(value: Decimal) -> str:
    """Return an amount as text, without an exponent or zeros that say nothing."""
    return f"{plain(value):f}"


def time_text(at: datetime | None) -> str:
    """Return an instant as text in UTC, "" for none."""
    return "" if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def value_text(value: Any) -> Any:
    """Return a column's value as a document has it."""
    if isinstance(value, Decimal):
        return amount_text(value)
    return str(value) if isinstance(value, str) else value


def stated(**fields: Any) -> dict[str, Any]:
    """Return the fields for which something is said."""
    return {name: value for name, value in fields.items() if value not in ("", [], {}, None)}
