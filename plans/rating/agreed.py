"""Prices beside a plan's terms: agreed with one customer, or of an outcome contract."""

from collections.abc import Iterable
from dataclasses import replace

from plans.rating.prices import Price, Terms


def with_agreed(terms: Terms, agreed: Iterable[Price]) -> Terms:
    """Return terms in which agreed prices stand where those with their keys stood.

    The terms' service classes apply to them too. One whose key the terms do not have changes
    nothing: it replaces a price, and adds none. The fee of an outcome contract is added, and
    replaces none.
    """
    given = list(agreed)
    by_key = {price.key: price for price in given if not price.contract}
    prices = [_in_place(price, by_key, terms) for price in terms.prices]
    prices += [price for price in given if price.contract]
    return replace(terms, prices=tuple(prices))


def _in_place(price: Price, agreed: dict[str, Price], terms: Terms) -> Price:
    found = agreed.get(price.key)
    if found is None:
        return price
    return replace(found, classes=terms.service_classes) if found.class_dimension else found
