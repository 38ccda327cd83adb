"""What more usage costs on top of a period's usage so far. Pure: no database and no clock.

The price of a job at the margin is what rating says with it minus what it says without it, price
by price: so tiers, an allowance, a minimum and a maximum count as they stand. The amounts of jobs
that are added one after the other come to what rating says of all of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from typing import Any, NamedTuple

from billing.spend.pieces import Piece, along, at
from billing.statements.build import PricedBy, segment_share, standing_prices
from billing.statements.values import MeterUsage, Segment
from plans import rating
from plans.rating.money import EXACT, ONE, ZERO, minus, plus, round_money, times, total
from plans.rating.prices import RATED, unit_of
from plans.rating.straight import FOR_EVER, straight_until
from usage.comparable_sample import added
from usage.job_quantities import Cell

_REMEMBERED_MOST = 16


class Used(NamedTuple):
    """A quantity of a meter, with the values of its dimensions in the meter's order."""

    meter: str
    dimensions: tuple[str, ...]
    quantity: Decimal


class MarginAmount(NamedTuple):
    """What usage adds to one price: money in the terms' currency, or credits of ``credit``.

    ``exact`` is not rounded; ``rounded`` is the difference of what the lines come to.
    """

    price_key: str
    credit: str
    exact: Decimal
    rounded: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A customer's usage so far in the segments that run, one a subscription, with their terms.

    ``highest`` are the keys of meters that keep their highest value; all others add up. With
    ``rates_beyond`` usage beyond an allowance is priced even where the plan admits none. ``prices``
    are those that hold in the segments, agreed ones in their place, and ``bounded`` those of them
    beyond whose allowance not everything is rated. What the usage so far costs is
    rated once a meter, and ``rated`` remembers it; ``estimates`` holds what `remember` keeps of the
    last estimates that were made on it.
    """

    segments: tuple[Segment, ...]
    by: PricedBy
    currency: str
    zone: str
    highest: frozenset[str] = frozenset()
    rates_beyond: bool = False
    prices: tuple[rating.Price, ...] = field(init=False, compare=False, repr=False)
    bounded: tuple[rating.Price, ...] = field(init=False, compare=False, repr=False)
    rated: "dict[tuple[str, bool, bool], tuple[_Base, ...]]" = field(
        default_factory=dict, compare=False, repr=False
    )
    estimates: dict[Any, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Look up the prices once: each job asks for them several times."""
        found = (standing_prices(segment, by=self.by) for segment in self.segments)
        prices = tuple(price for prices in found for price in prices)
        bounded = tuple(price for price in prices if price.overage.policy != "rate")
        object.__setattr__(self, "prices", prices)
        object.__setattr__(self, "bounded", bounded)

    def remember(self, asked: Any, estimated: Any) -> None:
        """Keep what was estimated for those that ask for the same, as most of a batch do."""
        if len(self.estimates) >= _REMEMBERED_MOST:
            self.estimates.clear()
        self.estimates[asked] = estimated


class _Base(NamedTuple):
    """A price with what is used of it so far: ``cells`` are told apart only where it does so.

    ``credit`` is the code of the credit that it is in, "" where that is money; ``keeps_highest``
    says that its meter does not add up. ``lines`` are the amounts of its lines by their keys, exact
    and rounded. ``pieces`` remembers what more of a cell costs, as far as that was asked, and
    ``keys`` on which line that is.
    """

    price: rating.Price
    meter: str
    credit: str
    tells_apart: bool
    keeps_highest: bool
    share: Fraction | int
    cells: dict[tuple[str, ...], Decimal]
    shares: dict[str, Decimal]
    transactions: tuple[Decimal, ...]
    exact: Decimal
    rounded: Decimal
    lines: dict[str, tuple[Decimal, Decimal]]
    pieces: dict[tuple[str, ...], tuple[Piece, ...]]
    keys: dict[tuple[str, ...], str]

    @property
    def used(self) -> Decimal:
        """Return what is used of the price."""
        return total(self.cells.values())


_Columns = Mapping[tuple[str, ...], list[Decimal]]


class JobAmounts(NamedTuple):
    """What jobs come to by unit, a column each, and why some of them are left out."""

    by_unit: Mapping[str, list[Decimal]]
    refusals: tuple[rating.RatingError, ...]


def _by_cell(used: Iterable[Used]) -> dict[tuple[str, ...], Decimal]:
    cells: dict[tuple[str, ...], Decimal] = {}
    for _, cell, quantity in used:
        cells[cell] = plus(cells[cell], quantity) if cell in cells else quantity
    return cells


class MarginPricer:
    """Prices usage on top of what a customer has used; rates what there is only once."""

    def __init__(
        self,
        standing: Standing,
        *,
        meters: Iterable[str],
        workspace: str = "",
        late_credits: bool = False,
    ) -> None:
        """Take up the prices that read one of the meters. Raises RatingError.

        What late starts give back is left out unless ``late_credits`` are asked for: it is bound
        to a most in the period, and a hold is the most that usage can cost.
        """
        self._standing = standing
        self._workspace = workspace
        self._late_credits = late_credits
        self._bases = [base for meter in sorted(meters) for base in self._bases_of(meter)]

    def amounts(self, quantities: Sequence[Used]) -> tuple[MarginAmount, ...]:
        """Return what the usage adds to each price that reads it. Raises RatingError.

        Of a price beyond whose allowance nothing is admitted that is BeyondAllowance.
        """
        return tuple(self._amount(base, quantities) for base in self._bases)

    def of_jobs(self, cells: Mapping[Cell, list[Decimal]], *, jobs: int) -> JobAmounts:
        """Return what each of so many jobs adds by itself, by unit, not rounded; "" is money.

        Of each cell there is a column: a quantity for each job. The amounts are those of `amounts`,
        sooner: as far as a price is straight, one rating says what each unit more of it costs.
        """
        found: dict[str, list[Decimal]] = {"": [ZERO] * jobs}
        refused: dict[int, rating.RatingError] = {}
        for base in self._bases:
            own = {values: column for (meter, values), column in cells.items()
                   if meter == base.meter}  # fmt: skip
            if own:
                more = self._along_pieces(base, own)
                if more is None:
                    more = self._one_by_one(base, own, refused)
                found[base.credit] = added(found.get(base.credit), more)
        if refused:
            found = {unit: [amount for place, amount in enumerate(column) if place not in refused]
                     for unit, column in found.items()}  # fmt: skip
        return JobAmounts(found, tuple(refused.values()))

    def _bases_of(self, meter: str) -> tuple[_Base, ...]:
        key = (meter, self._late_credits, self._standing.rates_beyond)
        known = self._standing.rated.get(key)
        if known is None:
            found = (self._rated(segment, meter) for segment in self._standing.segments)
            known = tuple(base for bases in found for base in bases)
            self._standing.rated[key] = known
        return known

    def _rated(self, segment: Segment, meter: str) -> Iterator[_Base]:
        used = {usage.meter: usage for usage in segment.usage}
        share = segment_share(segment, zone=self._standing.zone)
        for price in standing_prices(segment, by=self._standing.by):
            if price.meter == meter and not isinstance(price.model, rating.Seats):
                yield self._base(price, used.get(meter, _no_usage(price)), share=share)

    def _base(self, price: rating.Price, usage: MeterUsage, *, share: Fraction | int) -> _Base:
        price = self._at_margin(price)
        base = _Base(
            price=price,
            meter=usage.meter,
            credit=price.credit.code if price.credit else "",
            tells_apart=isinstance(price.model, rating.Matrix) or bool(price.class_dimension),
            keeps_highest=usage.meter in self._standing.highest,
            share=share,
            cells={},
            shares=dict(usage.workspaces),
            transactions=usage.transactions,
            exact=ZERO,
            rounded=ZERO,
            lines={},
            pieces={},
            keys={},
        )
        cells = dict(usage.cells)
        if not base.tells_apart and not base.keeps_highest:
            cells = {(): total(cells.values())} if cells else {}
        base = base._replace(cells=cells)
        lines = self._lines(base)
        exact, rounded = _sums(lines)
        by_key = {line.key: (line.exact_amount, self._round(base, line.exact_amount))
                  for line in lines}  # fmt: skip
        return base._replace(exact=exact, rounded=rounded, lines=by_key)

    def _at_margin(self, price: rating.Price) -> rating.Price:
        price = _rated_beyond(price, always=self._standing.rates_beyond)
        return price if self._late_credits else rating.without_late_credits(price)

    def _amount(self, base: _Base, quantities: Sequence[Used]) -> MarginAmount:
        more = [each for each in quantities if each.meter == base.meter]
        added = self._added_to_lines(base, more)
        if added is None:
            exact, rounded = self._rate(self._with(base, more))
            added = minus(exact, base.exact), minus(rounded, base.rounded)
        return MarginAmount(base.price.key, base.credit, *added)

    def _added_to_lines(self, base: _Base, more: Sequence[Used]) -> tuple[Decimal, Decimal] | None:
        """Return what usage adds to the lines of a price, exact and rounded line by line.

        None where the price is not straight so far; else that is what rating says, sooner.
        """
        if base.keeps_highest or self._late_credits:
            return None
        if base.tells_apart:
            cells = _by_cell(more)
        else:
            cells = {(): total(each.quantity for each in more)} if more else {}
        on_lines: dict[str, Decimal] = {}
        for cell, quantity in cells.items():
            pieces = self._pieces(base, cell, most=quantity) if quantity > 0 else None
            if pieces is None:
                return None
            key, amount = self._line_key(base, cell), at(pieces, quantity)
            on_lines[key] = plus(on_lines[key], amount) if key in on_lines else amount
        rounded = total(self._rounded_more(base, key, each) for key, each in on_lines.items())
        return total(on_lines.values()), rounded

    def _rounded_more(self, base: _Base, key: str, added: Decimal) -> Decimal:
        """Return by how much a line's rounded amount rises with its exact one."""
        before, rounded = base.lines.get(key, (ZERO, ZERO))
        return minus(self._round(base, plus(before, added)), rounded)

    def _round(self, base: _Base, amount: Decimal) -> Decimal:
        unit = unit_of(base.price, currency=self._standing.currency)
        return round_money(amount, currency=unit)

    @staticmethod
    def _line_key(base: _Base, cell: tuple[str, ...]) -> str:
        key = base.keys.get(cell)
        if key is None:
            key = base.keys[cell] = rating.line_key(base.price, rating.Cell(cell, ONE))
        return key

    def _along_pieces(self, base: _Base, own: _Columns) -> list[Decimal] | None:
        """Return what each job adds to a price by its straight pieces, or None without these."""
        if base.keeps_highest:
            return None
        if not base.tells_apart:
            own = {(): reduce(added, own.values())}
        amounts: list[Decimal] | None = None
        for values, column in own.items():
            pieces = None if min(column) < 0 else self._pieces(base, values, most=max(column))
            if pieces is None:
                return None
            amounts = added(amounts, along(pieces, column))
        return amounts

    def _one_by_one(
        self, base: _Base, own: _Columns, refused: dict[int, rating.RatingError]
    ) -> list[Decimal]:
        """Rate each job on top of what is used, and note those that cannot be rated."""
        amounts = []
        for place, job in enumerate(zip(*own.values(), strict=True)):
            more = [Used(base.meter, values, quantity)
                    for values, quantity in zip(own, job, strict=True) if quantity]  # fmt: skip
            try:
                exact = self._rate(self._with(base, more))[0] if more else base.exact
            except rating.RatingError as error:
                refused[place], exact = error, base.exact
            amounts.append(minus(exact, base.exact))
        return amounts

    def _pieces(
        self, base: _Base, values: tuple[str, ...], *, most: Decimal
    ) -> tuple[Piece, ...] | None:
        """Return the pieces up to a quantity, or None where the price is not straight so far.

        Threads share a standing: what is remembered is replaced, and never grows under a reader.
        """
        cell = values if base.tells_apart else ()
        pieces = base.pieces.get(cell, ())
        while not pieces or pieces[-1].end < most:
            try:
                piece = self._next_piece(base, values, after=pieces[-1] if pieces else None)
            except rating.RatingError:
                return None
            if piece is None:
                return None
            pieces = base.pieces[cell] = (*pieces, piece)
        return pieces

    def _next_piece(
        self, base: _Base, values: tuple[str, ...], *, after: Piece | None
    ) -> Piece | None:
        """Rate what a power of ten of units more comes to: so the slope divides evenly."""
        start, amount = (after.end, after.at(after.end)) if after else (ZERO, ZERO)
        until = straight_until(base.price, used=plus(base.used, start), share=base.share)
        end = minus(until, base.used)
        if end <= start:
            return None
        places = 0 if end == FOR_EVER else minus(end, start).adjusted()
        sample = Used(base.meter, values, plus(start, ONE.scaleb(places, EXACT)))
        rated = minus(self._rate(self._with(base, [sample]))[0], base.exact)
        slope = minus(rated, amount).scaleb(-places, EXACT)
        return Piece(end, minus(amount, times(slope, start)), slope)

    def _rate(self, base: _Base) -> tuple[Decimal, Decimal]:
        return _sums(self._lines(base))

    def _lines(self, base: _Base) -> tuple[rating.RatedLine, ...]:
        by_workspace = base.price.allowance_per == "workspace"
        usage = rating.Usage(
            cells=tuple(rating.Cell(*cell) for cell in base.cells.items()),
            transactions=base.transactions,
            shares=tuple(base.shares.values()) if by_workspace else (),
        )
        return rating.rate(base.price, usage, currency=self._standing.currency, share=base.share)

    def _with(self, base: _Base, more: Sequence[Used]) -> _Base:
        join = max if base.keeps_highest else plus
        cells, shares = dict(base.cells), dict(base.shares)
        for each in more:
            cell = each.dimensions if base.tells_apart or base.keeps_highest else ()
            cells[cell] = join(cells.get(cell, ZERO), each.quantity)
            shares[self._workspace] = plus(shares.get(self._workspace, ZERO), each.quantity)
        transactions = (*base.transactions, *(each.quantity for each in more))
        return base._replace(cells=cells, shares=shares, transactions=transactions)


def _sums(lines: Iterable[rating.RatedLine]) -> tuple[Decimal, Decimal]:
    """Return what lines come to, exact and rounded."""
    found = list(lines)
    return total(line.exact_amount for line in found), total(line.amount for line in found)


def _no_usage(price: rating.Price) -> MeterUsage:
    return MeterUsage(meter=price.meter or "", cells=())


def _rated_beyond(price: rating.Price, *, always: bool) -> rating.Price:
    """Return the price without packs and upgrades, which cost when they are bought or happen."""
    if always or price.overage.policy in ("packs", "upgrade"):
        return replace(price, overage=RATED)
    return price
