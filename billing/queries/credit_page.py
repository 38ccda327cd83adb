"""What a customer sees of its credit: pools with grants, what was drawn, packs on sale."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db.models import BooleanField, ExpressionWrapper, F, Q

from billing.credits.buying import OnSale, amount_of, packs_on_sale
from billing.credits.queries import annotated_with_balances
from billing.models import CreditDraw, CreditGrant, CreditPool, CreditPurchase, UnitOfAccount
from billing.queries.statements import finalised_of
from billing.wording import Money, Quantity, Span, day_of, moment
from plans.models import Customer, Price
from plans.rating.money import EXACT, over

GRANTS_MOST: Final = 200
DRAWS_PER_PAGE: Final = 20
_IN_PACKS: Final = " in packs, "
_EACH: Final = Decimal("0.000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRow:
    """A grant that has credit left; ``waits`` says why it may not be used yet, or ""."""

    origin: str
    granted: str
    amount: str
    left: str
    held: str
    expires: str
    only_for: str
    waits: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCard:
    """A pool: its balance now, and its grants in the order in which they are used."""

    name: str
    unit: str
    settled: str
    held: str
    available: str
    grants: Sequence[GrantRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawRow:
    """What was drawn for a price; ``number`` is of the statement that it paid, "" before it."""

    drawn: str
    paid: str
    pool: str
    amount: str
    returned: str
    period: str
    number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Packs on sale, so many of them at once."""

    key: str
    name: str
    quantity: int
    credits: Quantity
    amount: Money
    each: Money
    unit: str
    lapses: str
    needs_payment: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditPage:
    """A customer's credit at an instant; ``after`` asks for earlier draws, None on the last."""

    pools: Sequence[PoolCard]
    grants_cut: bool
    draws: Sequence[DrawRow]
    after: int | None
    offers: Sequence[Offer]


def credit_page(*, customer: Customer, at: datetime, after: int | None = None) -> CreditPage:
    """Return a customer's credit with a page of draws below the id ``after``, newest first.

    In a fixed number of queries; on later pages of draws the rest is left out.
    """
    draws, older = _draws(customer, after=after)
    if after is not None:
        return CreditPage(pools=(), grants_cut=False, draws=draws, after=older, offers=())
    grants = _grants(customer, at=at)
    return CreditPage(
        pools=_cards(customer, grants[:GRANTS_MOST], at=at),
        grants_cut=len(grants) > GRANTS_MOST,
        draws=draws,
        after=older,
        offers=offers_to(customer=customer, at=at),
    )


def offers_to(*, customer: Customer, at: datetime, quantity: int = 1) -> list[Offer]:
    """Return what so many of each pack on sale cost a customer, in the order of the terms."""
    found: dict[str, OnSale] = {}
    for one in packs_on_sale(customer=customer, at=at):
        found.setdefault(one.pack.key, one)
    return [_offer(customer, one, quantity=quantity) for one in found.values()]


def amount_in(amount: Decimal, unit: UnitOfAccount) -> str:
    """Write an amount of a currency as money, of a credit with its code, of packs with the unit."""
    if unit.kind == UnitOfAccount.Kind.CURRENCY:
        return str(Money(amount, unit.code))
    return str(Quantity(amount, unit_word(unit)))


def unit_word(unit: UnitOfAccount) -> str:
    """Return what people call a unit: units in packs are those of their price."""
    return unit.name.partition(_IN_PACKS)[0] if _IN_PACKS in unit.name else unit.code


def came_from(grant: CreditGrant, purchase: CreditPurchase | None) -> str:
    """Say where a grant came from, as a customer may read it."""
    if purchase is None:
        return grant.get_source_display()
    return f"{purchase.quantity:,} of {purchase.name}" if purchase.quantity > 1 else purchase.name


def _offer(customer: Customer, one: OnSale, *, quantity: int) -> Offer:
    pack, currency = one.pack, customer.currency
    months = pack.expires_months
    each = EXACT.quantize(over(pack.amount, pack.credits), _EACH)
    return Offer(
        key=pack.key,
        name=pack.name,
        quantity=quantity,
        credits=Quantity(pack.credits * quantity, pack.unit.code),
        amount=Money(amount_of(pack, quantity=quantity, currency=currency), currency),
        each=Money(each.normalize(EXACT), currency),
        unit=pack.unit.code,
        lapses=f"{months} month{'' if months == 1 else 's'} after purchase" if months else "Never",
        needs_payment=pack.needs_payment,
    )


def _grants(customer: Customer, *, at: datetime) -> list[CreditGrant]:
    """Return what has credit and has not lapsed, in the order of use; one more than is shown."""
    rows = CreditGrant.objects.filter(pool__customer=customer, has_credit=True)
    open_ones = rows.exclude(expires_at__lte=at, held=0).select_related("pool__unit", "purchase")
    paid_for = ExpressionWrapper(Q(cost__gt=0), BooleanField())
    in_order = open_ones.order_by(
        "pool_id", "priority", F("expires_at").asc(nulls_last=True), paid_for, "pk"
    )
    return list(in_order[: GRANTS_MOST + 1])


def _cards(customer: Customer, grants: Iterable[CreditGrant], *, at: datetime) -> list[PoolCard]:
    by_pool: dict[int, list[CreditGrant]] = defaultdict(list)
    for grant in grants:
        by_pool[grant.pool_id].append(grant)
    pools = CreditPool.objects.filter(customer=customer).select_related("unit").order_by("name")
    return [
        PoolCard(
            name=pool.name,
            unit=unit_word(pool.unit),
            settled=amount_in(pool.settled, pool.unit),  # type: ignore[attr-defined] # annotated
            held=amount_in(pool.held, pool.unit),  # type: ignore[attr-defined]
            available=amount_in(pool.available, pool.unit),  # type: ignore[attr-defined]
            grants=[_grant_row(each, customer, at=at) for each in by_pool[pool.pk]],
        )
        for pool in annotated_with_balances(pools, at=at)
    ]


def _grant_row(grant: CreditGrant, customer: Customer, *, at: datetime) -> GrantRow:
    zone, unit = customer.time_zone, grant.pool.unit
    return GrantRow(
        origin=came_from(grant, getattr(grant, "purchase", None)),
        granted=day_of(grant.effective_at, zone=zone),
        amount=amount_in(grant.amount, unit),
        left=amount_in(grant.remaining, unit),
        held=amount_in(grant.held, unit) if grant.held else "",
        expires=moment(grant.expires_at, zone=zone) if grant.expires_at else "Never",
        only_for=", ".join([*grant.meters, *grant.job_classes]),
        waits=_waits(grant, zone=zone, at=at),
    )


def _waits(grant: CreditGrant, *, zone: str, at: datetime) -> str:
    if grant.needs_payment and grant.paid_at is None:
        return "Usable once it is paid"
    if grant.effective_at > at:
        return f"Usable from {moment(grant.effective_at, zone=zone)}"
    if grant.expires_at is not None and grant.expires_at <= at:
        return "Lapsed, but for what is held"
    return ""


def _draws(customer: Customer, *, after: int | None) -> tuple[list[DrawRow], int | None]:
    rows = CreditDraw.objects.filter(customer=customer).select_related("hold__pool__unit")
    if after is not None:
        rows = rows.filter(pk__lt=after)
    found = list(rows.order_by("-pk")[: DRAWS_PER_PAGE + 1])
    shown = found[:DRAWS_PER_PAGE]
    numbers, spans = _statements(customer, shown)
    names = _names_of(customer, {each.price_key for each in shown})
    drawn = [_draw_row(each, customer, numbers=numbers, spans=spans, names=names) for each in shown]
    return drawn, shown[-1].pk if len(found) > DRAWS_PER_PAGE else None


def _statements(
    customer: Customer, draws: Sequence[CreditDraw]
) -> tuple[Mapping[object, str], Mapping[object, Span]]:
    """Return number and span by the statement's id and by the start of its period."""
    starts = {each.period_start for each in draws}
    ids = {each.statement_id for each in draws if each.statement_id is not None}
    own = finalised_of(customer=customer)
    numbers: dict[object, str] = {}
    spans: dict[object, Span] = {}
    for one in own.filter(period_start__in=starts) | own.filter(pk__in=ids):
        for key in (one.pk, one.period_start):
            numbers[key] = one.number or ""
            spans[key] = Span(one.period_start, one.period_end, customer.time_zone)
    return numbers, spans


def _names_of(customer: Customer, keys: Iterable[str]) -> dict[str, str]:
    """Return how the latest versions of the customer's plans name prices, by key."""
    prices = Price.objects.filter(key__in=keys, version__plan__subscriptions__customer=customer)
    return dict(prices.order_by("version_id").values_list("key", "name"))


def _draw_row(
    draw: CreditDraw, customer: Customer, *, numbers: Mapping[object, str],
    spans: Mapping[object, Span], names: Mapping[str, str],
) -> DrawRow:  # fmt: skip
    pool, zone = draw.hold.pool, customer.time_zone
    paid = draw.statement_id if draw.statement_id in numbers else draw.period_start
    since = f"Period from {day_of(draw.period_start, zone=zone)}"
    return DrawRow(
        drawn=moment(draw.drawn_at, zone=zone),
        paid=names.get(draw.price_key, draw.price_key),
        pool=pool.name,
        amount=amount_in(draw.amount, pool.unit),
        returned=amount_in(draw.returned, pool.unit) if draw.returned else "",
        period=str(spans[paid]) if paid in spans else since,
        number=numbers.get(paid, ""),
    )
