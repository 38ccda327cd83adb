"""Which prices of a segment share their bounds: the fees of outcome contracts and their bonuses."""

from collections.abc import Iterable, Mapping

from billing.statements.values import MeterUsage
from plans import rating


def sharing_bounds(
    prices: Iterable[rating.Price], used: Mapping[str, MeterUsage]
) -> tuple[rating.Used, ...]:
    """Return the fees and bonuses whose sum one maximum and one minimum hold, with their usage."""
    of_contracts = [price for price in prices if price.contract]
    fees = {price.bonus_of for price in of_contracts}
    return tuple(
        rating.Used(price, _usage(used.get(price.meter or "")))
        for price in of_contracts
        if price.bonus_of or price.key in fees
    )


def _usage(usage: MeterUsage | None) -> rating.Usage:
    cells = () if usage is None else usage.cells
    return rating.Usage(tuple(rating.Cell(*cell) for cell in cells))
