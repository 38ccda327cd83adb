"""What credit pays on a statement. Pure: it works on the facts, and draws nothing itself.

Priced in credits, usage is one line for each price, with the credits as its quantity: the pools of
the unit pay it, and only what they lack is money. Pools in the customer's currency pay charges and
corrections that are due, in the order of the lines, never more than is due in all, and never what
packs cost. What was drawn for a line before stays drawn as far as the line still needs it; the rest
is given back. The order of grants is that of the facts.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from msgspec import UnsetType
from msgspec.structs import replace

from billing.statements.credit_values import (
    CreditFacts,
    CreditPart,
    CreditUse,
    Drawn,
    Free,
    Pool,
    Purchase,
)
from billing.statements.values import Explanation, Facts, Line
from plans import rating
from plans.rating.packs import packs_needed

CHARGE = "charge"
ADJUSTMENT = "adjustment"
CREDIT_PACK = "credit_pack"
CREDIT = "credit"
RETURNED = "returned"

_ZERO: Final = Decimal(0)
_ONE: Final = Decimal(1)
_NOTHING: Final = CreditFacts()


class NotEnoughCredit(rating.RatingError):
    """More credits were used than the pools have, and the price does not say what more cost."""

    code = "not_enough_credit"


class PacksExhausted(rating.RatingError):
    """More packs are needed than may be bought in a period."""

    code = "packs_exhausted"


class Charge(NamedTuple):
    """What is to be paid for: a line by its keys, and the meter that it reads."""

    origin: int | None
    price_key: str
    line_key: str
    meter: str | None


class Paid(NamedTuple):
    """What grants pay of a charge, and what they lack."""

    uses: tuple[CreditUse, ...]
    short: Decimal


def packs_pool_key(price_key: str) -> str:
    """Return the key of the pool that holds what was bought in packs for a price."""
    return f"packs-{price_key}"[:100]


class Purse:
    """What is left of a customer's credit while the lines of one statement draw on it."""

    def __init__(self, credit: CreditFacts | UnsetType) -> None:
        known = _NOTHING if isinstance(credit, UnsetType) else credit
        self._pools = known.pools
        self._usable = {(one.pool, one.meter): one.grants for one in known.usable}
        self._left = {free.grant: free.amount for one in known.usable for free in one.grants}
        self._drawn: dict[tuple[int | None, str, str], deque[Drawn]] = {}
        for drawn in known.drawn:
            key = (drawn.origin, drawn.price_key, drawn.line_key)
            self._drawn.setdefault(key, deque()).append(drawn)
        self._purchases = list(known.purchases)

    def pools_of(self, unit: str) -> list[Pool]:
        """Return the pools that count in a unit."""
        return [pool for pool in self._pools if pool.unit == unit]

    def pools_for_packs(self, price_key: str) -> list[Pool]:
        """Return the pool of what was bought in packs for a price, if there is one."""
        key = packs_pool_key(price_key)
        return [pool for pool in self._pools if pool.key == key]

    def purchases_for(self, price_key: str) -> list[Purchase]:
        """Return the period's purchases for a price, or those for none; each is handed out once."""
        found = [one for one in self._purchases if one.price_key == price_key]
        self._purchases = [one for one in self._purchases if one.price_key != price_key]
        return found

    def pay(self, need: Decimal, *, charge: Charge, pools: Sequence[Pool]) -> Paid:
        """Pay a charge: with what was drawn for it before, then from the grants in their order.

        The order is one for all pools.
        """
        uses = list(self._keep(need, charge=charge, pools={pool.id for pool in pools}))
        need -= sum((use.amount for use in uses), _ZERO)
        for use in self._take(need, charge=charge, pools=pools):
            need -= use.amount
            uses.append(use)
        return Paid(tuple(uses), need)

    def returned(self) -> Iterator[CreditUse]:
        """Yield what was drawn before and is not needed any more."""
        for waiting in self._drawn.values():
            for drawn in waiting:
                yield _kept(drawn, amount=_ZERO, of=drawn.amount)

    def _keep(self, need: Decimal, *, charge: Charge, pools: set[int]) -> Iterator[CreditUse]:
        waiting = self._drawn.get((charge.origin, charge.price_key, charge.line_key))
        while waiting and need > 0 and waiting[0].pool in pools:
            drawn = waiting.popleft()
            amount = min(need, drawn.amount)
            if amount < drawn.amount:
                waiting.appendleft(replace(drawn, amount=drawn.amount - amount))
            need -= amount
            yield _kept(drawn, amount=amount, of=amount)

    def _usable_by(self, charge: Charge, *, pools: Sequence[Pool]) -> list[tuple[Pool, Free]]:
        found = []
        for pool in pools:
            grants = self._usable.get((pool.id, charge.meter or ""))
            if grants is None:
                grants = self._usable.get((pool.id, ""), ())
            found += [(pool, free) for free in grants]
        return sorted(found, key=lambda each: each[1].order)

    def _take(self, need: Decimal, *, charge: Charge, pools: Sequence[Pool]) -> Iterator[CreditUse]:
        for pool, free in self._usable_by(charge, pools=pools):
            amount = min(need, self._left[free.grant])
            if amount <= 0:
                continue
            self._left[free.grant] -= amount
            need -= amount
            yield CreditUse(
                pool.id,
                free.grant,
                free.name,
                charge.price_key,
                charge.line_key,
                amount,
                origin=charge.origin,
            )


def _kept(drawn: Drawn, *, amount: Decimal, of: Decimal) -> CreditUse:
    return CreditUse(
        drawn.pool,
        drawn.grant,
        drawn.name,
        drawn.price_key,
        drawn.line_key,
        amount,
        drawn=of,
        draw=drawn.draw,
        origin=drawn.origin,
    )


class Paying(NamedTuple):
    """How lines are paid: with what, in which currency, and for which corrected statement, if any.

    Where it is not ``strict``, what credit lacks is left unpaid; where it is ``metered_only``, fees
    and seats are left out.
    """

    purse: Purse
    currency: str
    origin: int | None = None
    strict: bool = True
    metered_only: bool = False


def paid_line(line: Line, *, price: rating.Price, paying: Paying) -> Line:
    """Return a line that is priced in credits, or in packs, with what its pools pay.

    Raises NotEnoughCredit, PacksExhausted where credit is short and it is strict.
    """
    charge = Charge(paying.origin, line.price_key, line.line_key, line.meter)
    if price.credit is not None:
        return _paid_in_credits(line, charge, price=price, paying=paying)
    return _paid_in_packs(line, charge, price=price, paying=paying)


def _paid_in_credits(line: Line, charge: Charge, *, price: rating.Price, paying: Paying) -> Line:
    assert price.credit is not None, "the price is in credits"
    unit, beyond = price.credit.code, price.beyond_credit_amount
    paid = paying.purse.pay(line.quantity, charge=charge, pools=paying.purse.pools_of(unit))
    if paid.short and beyond is None and paying.strict:
        raise NotEnoughCredit(
            f"{price.name} came to {_plain(line.quantity)} {unit}, and {_plain(paid.short)} of them"
            " are not in the customer's pools: grant or sell credit that takes effect before"
            f" {line.end:%Y-%m-%d %H:%M} UTC, or agree what credits beyond it cost."
        )
    amount = rating.round_money(paid.short * (beyond or _ZERO), currency=paying.currency)
    part = CreditPart(
        uses=paid.uses, unit=unit, metered=price.unit, short=paid.short, beyond_amount=beyond
    )
    return _with_credit(line, part, amount=amount)


def _paid_in_packs(line: Line, charge: Charge, *, price: rating.Price, paying: Paying) -> Line:
    size, each = price.overage.pack_size, price.overage.pack_amount
    assert size is not None, "published terms state it"
    assert each is not None, "published terms state it"
    purse = paying.purse
    paid = purse.pay(line.quantity, charge=charge, pools=purse.pools_for_packs(price.key))
    bought = [] if paying.origin else purse.purchases_for(price.key)
    count, needed = sum(one.quantity for one in bought), packs_needed(paid.short, size=size)
    if paying.strict and needed:
        _refuse_beyond_packs(price, short=paid.short, packs=count + needed, is_late=paying.origin)
    money = rating.round_money(each * needed, currency=paying.currency)
    amount = sum((one.amount for one in bought), money)
    part = CreditPart(uses=paid.uses, pack_size=size, beyond_allowance=line.quantity, needed=needed)
    line = replace(line, quantity=Decimal(count + needed), kind=CREDIT_PACK)
    return _with_credit(line, part, amount=amount)


def _refuse_beyond_packs(
    price: rating.Price, *, short: Decimal, packs: int, is_late: int | None
) -> None:
    units, most = price.unit or "units", price.overage.packs_most
    if is_late:
        raise PacksExhausted(
            f"{price.name}: {_plain(short)} {units} came late for a period that is billed, and no"
            " pack that was bought has them: grant them to the customer's pool."
        )
    if most is not None and packs > most:
        raise PacksExhausted(
            f"{price.name}: {packs} packs are needed, and the plan sells at most {most} in a"
            f" period; {_plain(short)} {units} are beyond. Grant them to the customer's pool, or"
            " agree a price for them."
        )


def _with_credit(line: Line, part: CreditPart, *, amount: Decimal) -> Line:
    return replace(line, amount=amount, explanation=replace(line.explanation, credit=part))


def purchase_lines(facts: Facts, *, purse: Purse) -> list[Line]:
    """Return a line for each pack that was bought in the period, in the order of time."""
    bought = purse.purchases_for("")
    return [
        Line(
            kind=CREDIT_PACK,
            origin=None,
            version=one.version,
            meter=None,
            price_key=one.pack_key,
            line_key=_nth(one, of=bought),
            description=one.name,
            start=one.bought_at,
            end=facts.end,
            unit="",
            usage_quantity=_ZERO,
            quantity=Decimal(one.quantity),
            amount=one.amount,
            explanation=Explanation(),
        )
        for one in bought
    ]


def _nth(one: Purchase, *, of: Sequence[Purchase]) -> str:
    """Return the line's key among those of the same pack: nothing for the first of them."""
    same = [each.id for each in of if each.pack_key == one.pack_key]
    place = same.index(one.id) + 1
    return "" if place == 1 else str(place)


def credit_lines(lines: Sequence[Line], *, facts: Facts, purse: Purse) -> list[Line]:
    """Return a line for each pool of money that pays, and one for what else is given back."""
    uses = list(_money_uses(lines, currency=facts.currency, purse=purse))
    uses += purse.returned()
    if not uses:
        return []
    version = facts.segments[-1].version
    found = []
    for pool in purse.pools_of(facts.currency):
        own = tuple(use for use in uses if use.pool == pool.id)
        uses = [use for use in uses if use.pool != pool.id]
        if own:
            found.append(_credit_line(own, facts=facts, version=version, pool=pool))
    if uses:
        found.append(_credit_line(tuple(uses), facts=facts, version=version, pool=None))
    return found


def _money_uses(lines: Iterable[Line], *, currency: str, purse: Purse) -> Iterator[CreditUse]:
    """Pay what is due, line by line; what lowers the statement lowers what credit pays, too."""
    pools = purse.pools_of(currency)
    if not pools:
        return
    billed = [line for line in lines if line.kind in (CHARGE, ADJUSTMENT)]
    due = sum((line.amount for line in billed), _ZERO)
    for line in billed:
        need = min(line.amount, due)
        if need <= 0:
            continue
        key = line.line_key if line.origin is None else f"late-{line.origin}:{line.line_key}"
        charge = Charge(None, line.price_key, key, line.meter)
        for use in purse.pay(need, charge=charge, pools=pools).uses:
            due -= use.amount
            yield use


def _credit_line(
    uses: tuple[CreditUse, ...], *, facts: Facts, version: int, pool: Pool | None
) -> Line:
    paid = sum((use.amount for use in uses), _ZERO) if pool else _ZERO
    return Line(
        kind=CREDIT,
        origin=None,
        version=version,
        meter=None,
        price_key=pool.key if pool else RETURNED,
        line_key="",
        description=f"Paid from {pool.name}" if pool else "Credit given back",
        start=facts.start,
        end=facts.end,
        unit="",
        usage_quantity=_ZERO,
        quantity=_ONE,
        amount=-paid if paid else _ZERO,
        explanation=Explanation(credit=CreditPart(uses=uses)),
    )


def changes(line: Line) -> bool:
    """Say whether a line draws credit or gives some back."""
    part = line.explanation.credit
    return part is not None and any(use.amount != use.drawn for use in part.uses)


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}" if amount else "0"
