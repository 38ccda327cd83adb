"""Define what is measured."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from django.core.exceptions import ValidationError

from plans.errors import OperationError, Problem, refusing, validation_problems
from plans.models import Meter


class MeterInvalid(OperationError):
    """The definition of a meter cannot be; ``problems`` lists all that is wrong with it."""

    code = "meter_invalid"


class MeterKeyTaken(OperationError):
    """Another meter has the key."""

    code = "meter_key_taken"


def define_meter(
    *,
    key: str,
    name: str,
    event_type: str,
    aggregation: str,
    value_property: str = "",
    dimensions: Sequence[str] = (),
    filters: Mapping[str, Sequence[str]] | None = None,
    rounding: str = "none",
    rounding_multiple: Decimal = Decimal(1),
    unit: str = "",
) -> Meter:
    """Create a meter. Raises MeterInvalid, MeterKeyTaken."""
    meter = Meter(
        key=key,
        name=name,
        event_type=event_type,
        aggregation=aggregation,
        value_property=value_property,
        dimensions=list(dimensions),
        filters={name: list(values) for name, values in (filters or {}).items()},
        rounding=rounding,
        rounding_multiple=rounding_multiple,
        unit=unit,
    )
    problems = meter_problems(meter)
    if problems:
        first = problems[0]
        raise MeterInvalid(f"{first.field}: {first.message}", field=first.field, problems=problems)
    refusal = MeterKeyTaken(f"There is another meter with the key “{key}”.", field="key")
    with refusing({"plans_meter_key_key": refusal}):
        meter.save(force_insert=True)
    return meter


def meter_problems(meter: Meter) -> tuple[Problem, ...]:
    """Return all that is wrong with a meter that is not stored yet, without the database."""
    found: tuple[Problem, ...] = ()
    try:
        meter.clean_fields()
    except ValidationError as error:
        found = validation_problems(error)
    if (meter.aggregation == "count") == bool(meter.value_property):
        message = "A count of events takes no value property; every other aggregation needs one."
        found += (Problem("value_property_unless_count", "value_property", message),)
    if len(set(meter.dimensions)) < len(meter.dimensions):
        found += (Problem("dimension_twice", "dimensions", "A dimension is named twice."),)
    return (*found, *_filter_problems(meter))


def _filter_problems(meter: Meter) -> list[Problem]:
    return [
        Problem(
            "filter_values",
            f"filters.{name}",
            "A filter lists the values that count, as text, and at least one.",
        )
        for name, values in meter.filters.items()
        if not values or not all(isinstance(value, str) for value in values)
    ]
