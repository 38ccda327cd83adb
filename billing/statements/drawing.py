"""Draw what statements and running periods use of credit, exactly as their facts say."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec
from django.db.models import F
from msgspec import UNSET, UnsetType

from billing.credits.drawing import CreditMoved, Draw, Slice, draw_all, give_back
from billing.locks import lock_customers
from billing.models import CreditDraw, CreditPurchase, Statement, StatementLine
from billing.statements.credit_facts import CreditSpan, last_instant, load_credit
from billing.statements.credit_values import CreditFacts, CreditUse
from billing.statements.facts import Period
from billing.statements.values import Explanation, Facts, facts_from


class Drawing(NamedTuple):
    """What a period draws: the facts that say so, and the uses. Until where, if it still runs."""

    period: Period
    facts: Facts
    uses: tuple[CreditUse, ...]
    until: datetime | None = None
    statement_id: int | None = None


def has_credit(facts: str) -> bool:
    """Say of stored facts whether the customer has credit, without reading them."""
    return '"credit":{' in facts


def draw_for_statements(
    stored: Mapping[int, tuple[Period, str]], *, now: datetime
) -> dict[int, Decimal]:
    """Draw what stored statements say, given as period and facts by id, as ``draw_uses`` does.

    Return what the packs on each cost.
    """
    packs: dict[int, Decimal] = {}
    uses: dict[int, list[CreditUse]] = {}
    rows = StatementLine.objects.filter(statement_id__in=stored).order_by("position")
    for statement_id, kind, amount, why in rows.values_list(
        "statement_id", "kind", "amount", "explanation"
    ):
        if kind == Statement.LineKind.CREDIT_PACK:
            packs[statement_id] = packs.get(statement_id, Decimal(0)) + amount
        part = msgspec.convert(why, Explanation).credit
        uses.setdefault(statement_id, []).extend(part.uses if part else ())
        if part and part.needed:
            raise CreditMoved("A pack that is needed is yet to be bought.")
    draw_uses(
        [
            Drawing(period, facts_from(facts), tuple(uses.get(ref, ())), statement_id=ref)
            for ref, (period, facts) in stored.items()
        ],
        now=now,
    )
    return packs


def draw_uses(drawings: Sequence[Drawing], *, now: datetime) -> None:
    """Give back and draw what the uses say, in a transaction that must be open.

    Raises CreditMoved where a customer's credit is not what the facts say any more: then the
    period is to be built again. One that was drawn meanwhile is so, too: nothing is drawn twice.
    """
    lock_customers(customer_ids={one.period.customer_id for one in drawings})
    for one in drawings:
        if _credit_now(one) != one.facts.credit:
            raise CreditMoved(f"The credit of {one.facts.customer} moved since it was looked at.")
    for one in drawings:
        _give_back(one, now=now)
        _draw(one, now=now)
    _mark_billed(drawings)


def _credit_now(one: Drawing) -> CreditFacts | UnsetType:
    period = one.period
    origins = tuple(late.origin for late in one.facts.late)
    span = CreditSpan(period.id, period.customer_id, period.start, period.end, origins)
    return load_credit([span], until=one.until).get(period.id, UNSET)


def _give_back(one: Drawing, *, now: datetime) -> None:
    back: dict[int, Decimal] = {}
    for use in one.uses:
        if use.amount < use.drawn:
            back[use.draw] = back.get(use.draw, Decimal(0)) + use.drawn - use.amount
    for row in CreditDraw.objects.filter(pk__in=back).select_related("hold"):
        amount = back[row.pk]
        give_back(
            pool_id=row.hold.pool_id,
            key=f"{row.hold.key}:{(row.returned + amount).normalize():f}",
            of_key=row.hold.key,
            amount=amount,
            now=now,
            note=f"Less was used of {row.price_key} than was drawn.",
        )
        CreditDraw.objects.filter(pk=row.pk).update(returned=F("returned") + amount)


_Key = tuple[int, int | None, str, str]


def _draw(one: Drawing, *, now: datetime) -> None:
    new: dict[_Key, list[tuple[int, Decimal]]] = {}
    for use in one.uses:
        if not use.draw and use.amount:
            key = (use.pool, use.origin, use.price_key, use.line_key)
            new.setdefault(key, []).append((use.grant, use.amount))
    if not new:
        return
    valid_at = last_instant(one.period.end, until=one.until)
    draws = [
        Draw(key[0], _hold_key(one, key), _merged(slices), valid_at) for key, slices in new.items()
    ]
    starts = _starts(one, origins={key[1] for key in new if key[1] is not None})
    holds = draw_all(draws, now=now)
    CreditDraw.objects.bulk_create(
        CreditDraw(
            customer_id=one.period.customer_id,
            period_start=starts[origin],
            price_key=price_key,
            line_key=line_key,
            hold_id=hold_id,
            amount=sum((amount for _, amount in slices), Decimal(0)),
            statement_id=one.statement_id,
            drawn_at=now,
        )
        for ((_, origin, price_key, line_key), slices), hold_id in zip(
            new.items(), holds, strict=True
        )
    )


def _merged(slices: Iterable[tuple[int, Decimal]]) -> tuple[Slice, ...]:
    """Return the slices with those of one grant together."""
    found: dict[int, Decimal] = {}
    for grant, amount in slices:
        found[grant] = found.get(grant, Decimal(0)) + amount
    return tuple(Slice(grant, amount) for grant, amount in found.items())


def _hold_key(one: Drawing, key: _Key) -> str:
    """Return a key that no other draw for the line has: it names what was drawn for it before."""
    assert not isinstance(one.facts.credit, UnsetType), "who has no credit draws none"
    last = max((drawn.draw for drawn in one.facts.credit.drawn), default=0)
    _, origin, price_key, line_key = key
    text = f"{price_key}\n{line_key}\n{origin}\n{last}\n{one.period.start.isoformat()}"
    mark = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{price_key}:{one.period.start:%Y-%m-%d}:{mark}"


def _starts(one: Drawing, *, origins: set[int]) -> dict[int | None, datetime]:
    """Return where the periods begin whose usage is drawn for: its own, and those corrected."""
    found: dict[int | None, datetime] = {None: one.period.start}
    if origins:
        rows = Statement.objects.filter(pk__in=origins).values_list("pk", "period_start")
        found.update(rows)
    return found


def _mark_billed(drawings: Sequence[Drawing]) -> None:
    for one in drawings:
        if one.statement_id is None or isinstance(one.facts.credit, UnsetType):
            continue
        ids = [purchase.id for purchase in one.facts.credit.purchases]
        if ids:
            CreditPurchase.objects.filter(pk__in=ids).update(billed_on_id=one.statement_id)
