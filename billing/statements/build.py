"""Build a statement from its facts. Pure: the same facts and terms give the same lines.

The order on a line is that of ``plans.rating``; on the statement come the packs that were bought,
then the charges of the period, segment by segment and price by price, then the adjustments of
earlier periods, then the lines of commitments, and last what credit pays; see ``commitment_lines``
and ``credit_lines``.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Final, NamedTuple

from msgspec import UNSET

from billing.statements.cells import cells_by_line
from billing.statements.commitment_lines import Commitments
from billing.statements.correcting import (
    LineKey,
    billed_key,
    correction,
    line_key,
    without_packs,
)
from billing.statements.counted import counted
from billing.statements.credit_lines import (
    ADJUSTMENT,
    CHARGE,
    Paying,
    Purse,
    changes,
    credit_lines,
    paid_line,
    purchase_lines,
)
from billing.statements.credit_values import CreditUse
from billing.statements.days import day_levels
from billing.statements.late_credits import LateCredits, is_late_credit, late_starts_of
from billing.statements.outcome_corrections import in_two_steps, with_reversals_as_billed
from billing.statements.sharing import sharing_bounds
from billing.statements.upgrades import Held, given_back, held, is_fee, named_upgraded
from billing.statements.values import (
    Billed,
    Draft,
    Explanation,
    Facts,
    LatePeriod,
    Line,
    MeterUsage,
    Segment,
)
from plans import rating
from plans.rating.agreed import with_agreed

LINES_MAX = 10_000
QUANTITY_DECIMALS = 12

_NO_USAGE = MeterUsage(meter="", cells=())
_WHOLE: Final[Fraction | int] = 1
_ZERO = Decimal(0)
_LAST_DECIMAL = Decimal(1).scaleb(-QUANTITY_DECIMALS)

_NOTHING_AGREED: Final[Mapping[int, rating.Price]] = MappingProxyType({})


class TooManyLines(rating.RatingError):
    """A statement would have more lines than anyone can read; its terms are surely wrong."""

    code = "too_many_lines"


class PricedBy(NamedTuple):
    """What prices segments: terms by plan version id, agreed prices by id."""

    terms: Mapping[int, rating.Terms]
    agreed: Mapping[int, rating.Price]


class _Standing(NamedTuple):
    """A price as it stands in a segment, and its id where it is an agreed one."""

    price: rating.Price
    agreed: int | None


def build(
    facts: Facts,
    *,
    terms: Mapping[int, rating.Terms],
    agreed: Mapping[int, rating.Price] = _NOTHING_AGREED,
    strict: bool = True,
) -> Draft:
    """Return the lines and totals of a statement.

    ``terms`` are keyed by plan version id, ``agreed`` prices by their id. Raises RatingError where
    usage cannot be priced (the customer is parked with it), and KeyError where the terms of a
    version, or an agreed price, are missing. Of a period that runs credit may be pinned by jobs:
    where it is not ``strict``, credit that is short is no error.
    """
    by = PricedBy(terms, agreed)
    purse = Purse(facts.credit)
    paying = Paying(purse, facts.currency, strict=strict)
    commitments = Commitments(facts, outside=lambda line: _is_of_contract(line, by))
    listed = _segment_lines(facts.segments, facts=facts, by=by, paying=paying)
    charges = tuple(commitments.on_charges(listed))
    adjustments = tuple(
        line
        for late in facts.late
        for line in _late_lines(late, commitments, facts=facts, by=by, paying=paying)
    )
    promised = tuple(commitments.lines())
    bought = purchase_lines(facts, purse=purse)
    paid = credit_lines([*charges, *adjustments], facts=facts, purse=purse)
    lines = (*bought, *charges, *adjustments, *promised, *paid)
    if len(lines) > LINES_MAX:
        raise TooManyLines(
            f"The statement would have {len(lines)} lines; {LINES_MAX} is the most. "
            "Price fewer combinations of dimensions on one line each."
        )
    adjusted = sum((line.amount for line in adjustments), _ZERO)
    total = sum((line.amount for line in lines), _ZERO)
    return Draft(lines=lines, total=total, adjustments_total=adjusted)


def uses_so_far(
    facts: Facts,
    *,
    terms: Mapping[int, rating.Terms],
    agreed: Mapping[int, rating.Price] = _NOTHING_AGREED,
) -> list[CreditUse]:
    """Return what the usage of a running period is yet to draw of the customer's credit.

    Fees and seats are left to the statement. What the pools lack is left undrawn, and nothing is
    given back: usage that is known today may be taken back and come again. Raises RatingError.
    """
    purse = Purse(facts.credit)
    by = PricedBy(terms, agreed)
    paying = Paying(purse, facts.currency, strict=False, metered_only=True)
    listed = _segment_lines(facts.segments, facts=facts, by=by, paying=paying)
    lines = list(
        Commitments(facts, outside=lambda line: _is_of_contract(line, by)).on_charges(listed)
    )
    paid = credit_lines(lines, facts=facts, purse=purse)
    parts = (line.explanation.credit for line in [*lines, *paid])
    return [use for part in parts if part is not None for use in part.uses if not use.draw]


def _segment_lines(
    segments: Iterable[Segment], *, facts: Facts, by: PricedBy, paying: Paying
) -> Iterator[Line]:
    """Return the lines of segments; where paying is so, those of metered prices alone."""
    fees: list[Line] = []
    given = LateCredits()
    for each in held(segments):
        lines = list(_priced_lines(each, facts=facts, by=by, paying=paying, given=given))
        if each.left is not None:
            left = by.terms[each.left.version].prices
            lines = [named_upgraded(line, segment=each.segment, left=left) for line in lines]
            lines += [given_back(fee, segment=each.left) for fee in fees]
        fees = [line for line in lines if is_fee(line)]
        yield from lines


def _priced_lines(
    each: Held, *, facts: Facts, by: PricedBy, paying: Paying, given: LateCredits
) -> Iterator[Line]:
    segment, terms = each.segment, by.terms[each.segment.version]
    used = {usage.meter: usage for usage in segment.usage}
    share = _share(each, zone=facts.zone)
    found = _standing(segment, phase=(phase := _phase(terms, segment.phase)), by=by)
    sharing = sharing_bounds((each.price for each in found), used)
    for standing in found:
        price = standing.price
        if paying.metered_only and (not price.meter or isinstance(price.model, rating.Seats)):
            continue
        is_seldom = price.once or price.every_months > 1
        if is_seldom and not _is_due(price, segment, zone=facts.zone):
            continue
        usage = used.get(price.meter or "", _NO_USAGE)
        value = _usage(price, usage, segment=segment, zone=facts.zone)
        if price.credit is None and price.overage.policy != "packs":
            rated = rating.rate_beside(
                price, value, others=sharing, currency=facts.currency, share=share
            )
            kept = given.within(rated, price=price, segment=segment, terms=terms)
            yield from _lines(kept, standing, usage, segment=segment, phase=phase)
            continue
        in_credit = counted(price, value, currency=facts.currency, share=share)
        for line in _lines(in_credit, standing, usage, segment=segment, phase=phase):
            yield paid_line(line, price=price, paying=paying)


def _phase(terms: rating.Terms, key: str) -> rating.Phase:
    return next((phase for phase in terms.phases if phase.key == key), rating.WHOLE_LIFE)


def _standing(segment: Segment, *, phase: rating.Phase, by: PricedBy) -> list[_Standing]:
    """Return the prices that hold in a segment, as they stand there, in the order of the terms."""
    terms, ids = by.terms[segment.version], dict[str, int]()
    if phase is rating.WHOLE_LIFE and not segment.agreed:
        return [_Standing(price, None) for price in terms.prices if not price.phases]
    if segment.agreed:
        ids = {by.agreed[one].key: one for one in segment.agreed}
        terms = with_agreed(terms, [by.agreed[one] for one in segment.agreed])
    found = ((rating.in_phase(price, phase), ids.get(price.key)) for price in terms.prices)
    return [_Standing(price, agreed) for price, agreed in found if price is not None]


def standing_prices(segment: Segment, *, by: PricedBy) -> list[rating.Price]:
    """Return the prices that hold in a segment as they stand in its phase, agreed ones in place."""
    phase = _phase(by.terms[segment.version], segment.phase)
    return [standing.price for standing in _standing(segment, phase=phase, by=by)]


def _is_due(price: rating.Price, segment: Segment, *, zone: str) -> bool:
    """Say whether a fee that is not due in each period is due in a segment."""
    if price.once:
        return segment.opens
    assert segment.subscribed is not None, "there were no such fees when it was frozen"
    within = rating.Period(segment.start, segment.end)
    start, months = segment.subscribed, price.every_months
    return bool(rating.fee_dates(start, every_months=months, zone=zone, within=within))


def _usage(price: rating.Price, usage: MeterUsage, *, segment: Segment, zone: str) -> rating.Usage:
    cells = tuple(rating.Cell(dimensions, quantity) for dimensions, quantity in usage.cells)
    if isinstance(price.model, rating.Seats):
        return rating.Usage(days=day_levels(usage.days, segment=segment, zone=zone))
    if price.allowance_per == "workspace":
        shares = tuple(quantity for _, quantity in usage.workspaces)
        return rating.Usage(cells=cells, transactions=usage.transactions, shares=shares)
    return rating.Usage(cells=cells, transactions=usage.transactions)


def segment_share(segment: Segment, *, zone: str) -> Fraction | int:
    """Return the part of its billing period that a segment is."""
    return _share(Held(segment, segment.start, segment.end, None), zone=zone)


def _share(each: Held, *, zone: str) -> Fraction | int:
    segment = each.segment
    if each.fees_start == segment.whole_start and each.fees_end == segment.whole_end:
        return _WHOLE
    part = rating.Period(each.fees_start, each.fees_end)
    return rating.share(part, of=rating.Period(segment.whole_start, segment.whole_end), zone=zone)


def _lines(
    rated: Iterable[rating.RatedLine],
    standing: _Standing,
    usage: MeterUsage,
    *,
    segment: Segment,
    phase: rating.Phase,
) -> Iterator[Line]:
    price = standing.price
    cells = cells_by_line(price, usage)
    for line in rated:
        own = cells.get(line.key, ())
        is_credit = is_late_credit(price, line.key)
        yield Line(
            kind=CHARGE,
            origin=None,
            version=segment.version,
            meter=price.meter,
            price_key=price.key,
            line_key=line.key,
            description=line.label,
            start=segment.start,
            end=segment.end,
            unit=line.unit,
            usage_quantity=_to_column(line.usage_quantity),
            quantity=_to_column(line.quantity),
            amount=line.amount,
            explanation=Explanation(
                parts=line.parts,
                adjustments=line.adjustments,
                workspaces=_shares(price, usage),
                cells=own,
                phase=phase.name,
                agreed=standing.agreed,
                late_starts=late_starts_of(price, usage, cells=own) if is_credit else (),
            ),
        )


def _to_column(quantity: Decimal) -> Decimal:
    """Return the quantity to the 12 decimals that a line keeps; a prorated allowance has more."""
    if quantity.as_tuple().exponent >= -QUANTITY_DECIMALS:  # type: ignore[operator]
        return quantity
    return quantity.quantize(_LAST_DECIMAL, rounding=ROUND_HALF_UP)


def _shares(price: rating.Price, usage: MeterUsage) -> tuple[tuple[str, Decimal], ...]:
    """Return each workspace's share, or nothing where the customer has no workspace in it.

    Of seats the meter's quantity is their level times its duration, which is not what is billed.
    """
    if isinstance(price.model, rating.Seats):
        return ()
    if len(usage.workspaces) == 1 and not usage.workspaces[0][0]:
        return ()
    return usage.workspaces


def _late_lines(
    late: LatePeriod, commitments: Commitments, *, facts: Facts, by: PricedBy, paying: Paying
) -> Iterator[Line]:
    """Return what a finalised period comes to now, minus what was billed for it."""
    billed = {billed_key(row): row for row in late.billed}
    paying = paying._replace(origin=late.origin)
    lines = _segment_lines(late.segments, facts=facts, by=by, paying=paying)
    rated = {line_key(line): without_packs(line) for line in lines}
    between = _between(late, rated, billed=billed, facts=facts, by=by)
    for key, listed in rated.items():
        before = billed.get(key)
        line = commitments.again(listed, before, origin=late.origin)
        if key in between:
            for step, since in in_two_steps(line, between=between[key], before=before):
                yield correction(step, before=since, number=late.number, origin=late.origin)
        elif line.amount != (before.amount if before else _ZERO) or changes(line):
            yield correction(line, before=before, number=late.number, origin=late.origin)
    for key, before in billed.items():
        if key not in rated and before.amount:
            withdrawal = _withdrawal(before, late=late, by=by)
            yield commitments.withdrawn(withdrawal, origin=late.origin)


def _between(
    late: LatePeriod,
    rated: Mapping[LineKey, Line],
    *,
    billed: Mapping[LineKey, Billed],
    facts: Facts,
    by: PricedBy,
) -> dict[LineKey, Line]:
    """Return the lines of outcome contracts with no more reversals than were billed."""
    contract_lines = [line for line in rated.values() if _is_of_contract(line, by)]
    if not contract_lines:
        return {}
    segments = with_reversals_as_billed(late.segments, contract_lines=contract_lines, billed=billed)
    no_credit = Paying(Purse(UNSET), facts.currency, strict=False, metered_only=True)
    lines = _segment_lines(segments, facts=facts, by=by, paying=no_credit)
    again = {line_key(line): line for line in lines}
    keys = (line_key(line) for line in contract_lines)
    return {key: again[key] for key in keys if key in again}


def _is_of_contract(line: Line, by: PricedBy) -> bool:
    agreed = line.explanation.agreed
    return agreed is not None and bool(by.agreed[agreed].contract)


def _withdrawal(before: Billed, *, late: LatePeriod, by: PricedBy) -> Line:
    """Return the line that takes back what rating again no longer finds."""
    segment = next(
        segment
        for segment in late.segments
        if segment.version == before.version and segment.start == before.start
    )
    phase = _phase(by.terms[segment.version], segment.phase)
    price, agreed = next(
        standing
        for standing in _standing(segment, phase=phase, by=by)
        if standing.price.key == before.price_key
    )
    return Line(
        kind=ADJUSTMENT,
        origin=late.origin,
        version=before.version,
        meter=price.meter,
        price_key=before.price_key,
        line_key=before.line_key,
        description=price.name,
        start=segment.start,
        end=segment.end,
        unit=price.unit,
        usage_quantity=-before.usage_quantity,
        quantity=-before.quantity,
        amount=-before.amount,
        explanation=Explanation(
            origin_number=late.number,
            billed=before.amount,
            rated=_ZERO,
            phase=phase.name,
            agreed=agreed,
        ),
    )
