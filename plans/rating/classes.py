"""Service classes: the unit price times the multiplier of the class that the usage names."""

from decimal import Decimal

from plans.rating.charge import Charge, number, refuse_negative, sum_up, unit_part
from plans.rating.matrix import UnmatchedUsage, WrongDimensions, match_key
from plans.rating.money import ONE, ZERO, RatingError, plus, times
from plans.rating.per_unit import PerUnit
from plans.rating.prices import Price, ServiceClass
from plans.rating.usage import Cell, Usage


class ClassesPerUnitOnly(RatingError):
    """Only a price per unit can be multiplied by a service class."""

    code = "classes_per_unit_only"


def by_class(price: Price, usage: Usage) -> tuple[tuple[ServiceClass, Decimal], ...]:
    """Return the quantity of each service class that has any, in the order of the classes.

    Raises UnmatchedUsage for a class that the plan does not have, WrongDimensions, and
    NegativeQuantity.
    """
    quantities: dict[str, Decimal] = {}
    for cell in usage.cells:
        if cell.quantity:
            found = class_of(price, cell)
            quantities[found.key] = plus(quantities.get(found.key, ZERO), cell.quantity)
    for quantity in quantities.values():
        refuse_negative(quantity)
    return tuple((each, quantities[each.key]) for each in price.classes if quantities.get(each.key))


def class_of(price: Price, cell: Cell) -> ServiceClass:
    """Return the service class that a cell's usage names.

    Raises UnmatchedUsage, WrongDimensions.
    """
    names = price.dimensions
    if price.class_dimension not in names or len(cell.dimensions) != len(names):
        raise WrongDimensions(
            f"{price.name} finds its service class under {price.class_dimension}; the usage"
            f" carries {cell.dimensions} for {', '.join(names) or 'no dimension'}."
        )
    value = cell.dimensions[names.index(price.class_dimension)]
    for each in price.classes:
        if each.key == value:
            return each
    raise UnmatchedUsage(
        f"No service class for {cell.quantity} with {price.class_dimension}={value or '(none)'}:"
        " add the class to the plan, or correct the usage."
    )


def class_key(found: ServiceClass) -> str:
    """Return the stable key of a service class's line."""
    return match_key((found.key,))


def class_charge(price: Price, found: ServiceClass, quantity: Decimal) -> Charge:
    """Return what a quantity costs in a service class. Raises ClassesPerUnitOnly."""
    model = price.model
    if not isinstance(model, PerUnit):
        raise ClassesPerUnitOnly(
            f"{price.name} is not a price per unit: a service class cannot multiply it."
        )
    if not quantity:
        return Charge(ZERO, ())
    label = "each"
    if found.multiplier != ONE:
        label = f"{number(model.unit_amount)} x {number(found.multiplier)}"
    part = unit_part(
        label=label,
        quantity=quantity,
        unit_amount=times(model.unit_amount, found.multiplier),
        unit_size=model.unit_size,
    )
    return sum_up((part,))
