"""What holds beside a plan's terms: prices agreed with one customer, fees of outcome contracts."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from plans import rating
from plans.arrays import array
from plans.catalogue.rows import price_rows
from plans.contracts import contract_price
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
    """An agreed price and the time ``[starts_at, ends_at)`` in which segments must begin.

    Without a plan it is the fee of a customer's outcome contract, on whichever plan.
    """

    id: int
    plan_id: int | None
    starts_at: datetime
    ends_at: datetime | None

    def holds_at(self, at: datetime, *, plan_id: int) -> bool:
        """Say whether the price holds on a plan for what begins at the instant."""
        if self.plan_id not in (None, plan_id) or at < self.starts_at:
            return False
        return self.ends_at is None or at < self.ends_at


_AGREEMENTS = """
SELECT o.customer_id AS customer, o.id, o.plan_id, o.starts_at, o.ends_at
FROM plans_priceoverride o WHERE o.customer_id = ANY(%(customers)s::bigint[])
UNION ALL
SELECT c.id, o.id, o.plan_id, o.starts_at, o.ends_at
FROM plans_priceoverride o JOIN plans_customer c ON c.currency = o.currency
WHERE o.customer_id IS NULL AND c.id = ANY(%(customers)s::bigint[])
    AND EXISTS (SELECT FROM plans_subscription s
                WHERE s.customer_id = c.id AND s.plan_id = o.plan_id)
ORDER BY 2
"""


def agreements_of(customer_ids: Collection[int]) -> dict[int, list[Agreement]]:
    """Return what holds beside plans, by customer id, the oldest first, in one query.

    That are the prices agreed with a customer, and the fees of outcome contracts: its own and
    those of its plans, in its currency.
    """
    with connection.cursor() as cursor:
        cursor.execute(_AGREEMENTS, {"customers": array(customer_ids)})
        rows = cursor.fetchall()
    found: dict[int, list[Agreement]] = {}
    for customer_id, *row in rows:
        found.setdefault(customer_id, []).append(Agreement(*row))
    return found


def agreed_prices(ids: Collection[int]) -> dict[int, AgreedPrice]:
    """Return agreed prices by id, in one query whatever their number, another where any is in
    credits, and none where there is none.

    Raises KeyError for an id that does not exist.
    """
    wanted = set(ids)
    if not wanted:
        return {}
    rows = PriceOverride.objects.filter(id__in=wanted).select_related(
        "meter", "contract_version__contract"
    )
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
    if row.contract_version is not None:
        return AgreedPrice(row.pk, contract_price(row.contract_version, row.price_key), row.meter)
    content = {**row.content, "key": row.price_key}
    rows = price_rows(content, meter=row.meter, units=units)
    return AgreedPrice(row.pk, price_value(rows), row.meter)


def agreed_terms(version: VersionTerms, agreed: Sequence[AgreedPrice]) -> VersionTerms:
    """Return a version's terms with agreed prices and contracts' fees; the digest covers them."""
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
