"""Which dimension values each line of a price holds, to find its events by. Pure."""

from collections.abc import Iterator, Mapping

from billing.statements.values import MeterUsage
from plans import rating
from plans.rating.late_starts import is_late, late_key

Cells = tuple[tuple[str, ...], ...]


def cells_by_line(price: rating.Price, usage: MeterUsage) -> Mapping[str, Cells]:
    """Return the dimension values of each line by its key; nothing where a price has one line.

    Late usage is on the line of its service class, and on that of what is given back for it.
    """
    if not isinstance(price.model, rating.Matrix) and not price.class_dimension:
        return {}
    found: dict[str, list[tuple[str, ...]]] = {}
    for dimensions, quantity in usage.cells:
        if quantity or not price.class_dimension:
            for key in _keys(price, rating.Cell(dimensions, quantity)):
                found.setdefault(key, []).append(dimensions)
    return {key: tuple(cells) for key, cells in found.items()}


def _keys(price: rating.Price, cell: rating.Cell) -> Iterator[str]:
    key = rating.line_key(price, cell)
    yield key
    if price.class_dimension and is_late(price, cell):
        yield late_key(key)
