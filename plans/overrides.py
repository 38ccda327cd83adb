"""Agreed prices: which hold for whom, and the terms in which they stand in for a version's own."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from plans import rating
from plans.catalogue.rows import price_rows
from plans.models import CreditUnit, Meter, PriceOverride
from plans.rating.agreed import with_agreed
from plans.terms import VersionTerms, digest, price_value


@dataclass(frozen=True, slots=True)
class AgreedPrice:
    """A price agreed with one customer, as a value; ``meter`` is what it reads."""

    id: int
    price: rating.Price
    meter: Meter | None


class Agreement(NamedTuple):
    """An agreed price and the time ``[starts_at, ends_at)`` in which segments must begin."""

    id: int
    plan_id: int
    starts_at: datetime
    ends_at: datetime | None

    def holds_at(self, at: datetime, *, plan_id: int) -> bool:
        """Say whether the price replaces that of a plan for what begins at the instant."""
        if plan_id != self.plan_id or at < self.starts_at:
            return False
        return self.ends_at is None or at < self.ends_at


def agreements_of(customer_ids: Collection[int]) -> dict[int, list[Agreement]]:
    """Return the agreed prices of customers by customer id, the oldest first, in one query."""
    rows = (
        PriceOverride.objects.filter(customer_id__in=customer_ids)
        .order_by("id")
        .values_list("customer_id", "id", "plan_id", "starts_at", "ends_at")
    )
    found: dict[int, list[Agreement]] = {}
    for customer_id, override_id, plan_id, starts_at, ends_at in rows:
        agreement = Agreement(override_id, plan_id, starts_at, ends_at)
        found.setdefault(customer_id, []).append(agreement)
    return found


def agreed_prices(ids: Collection[int]) -> dict[int, AgreedPrice]:
    """Return agreed prices by id, in one query whatever their number, another where any is in
    credits, and none where there is none.

    Raises KeyError for an id that does not exist.
    """
    wanted = set(ids)
    if not wanted:
        return {}
    rows = PriceOverride.objects.filter(id__in=wanted).select_related("meter")
    units = _credit_units(rows)
    found = {row.pk: _agreed_price(row, units) for row in rows}
    missing = wanted - found.keys()
    if missing:
        raise KeyError(f"agreed prices {sorted(missing)} do not exist")
    return found


def _credit_units(rows: Iterable[PriceOverride]) -> dict[str, CreditUnit]:
    codes = {row.content["credit"] for row in rows if "credit" in row.content}
    return CreditUnit.objects.in_bulk(codes) if codes else {}


def _agreed_price(row: PriceOverride, units: Mapping[str, CreditUnit]) -> AgreedPrice:
    content = {**row.content, "key": row.price_key}
    rows = price_rows(content, meter=row.meter, units=units)
    return AgreedPrice(row.pk, price_value(rows), row.meter)


def agreed_terms(version: VersionTerms, agreed: Sequence[AgreedPrice]) -> VersionTerms:
    """Return a version's terms with agreed prices in place of its own; the digest covers them."""
    if not agreed:
        return version
    terms = with_agreed(version.terms, [one.price for one in agreed])
    known = {**version.meters, **{one.meter.key: one.meter for one in agreed if one.meter}}
    meters = {price.meter: known[price.meter] for price in terms.prices if price.meter}
    return replace(version, terms=terms, meters=meters, digest=digest(terms, meters.values()))


class TermsBook:
    """The terms of versions, as they are and with agreed prices in them; each is made once."""

    def __init__(
        self, versions: Mapping[int, VersionTerms], agreed: Mapping[int, AgreedPrice]
    ) -> None:
        self._versions = versions
        self._agreed = agreed
        self._made: dict[tuple[int, tuple[int, ...]], VersionTerms] = {}

    @property
    def terms(self) -> dict[int, rating.Terms]:
        """Return the terms of each version as they are."""
        return {version: known.terms for version, known in self._versions.items()}

    @property
    def agreed(self) -> dict[int, rating.Price]:
        """Return each agreed price by its id."""
        return {one.id: one.price for one in self._agreed.values()}

    def of(self, version: int, agreed: Iterable[int]) -> VersionTerms:
        """Return a version's terms with the agreed prices of these ids. Raises KeyError."""
        ids = tuple(agreed)
        if not ids:
            return self._versions[version]
        if (version, ids) not in self._made:
            prices = [self._agreed[one] for one in ids]
            self._made[version, ids] = agreed_terms(self._versions[version], prices)
        return self._made[version, ids]
