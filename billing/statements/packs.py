"""Buy the packs that usage beyond an allowance needs, before the statement that bills them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from billing.credits.buying import ensure_packs
from billing.statements.build import build
from billing.statements.facts import Loaded, Period, load_facts
from billing.statements.values import Line
from plans import rating
from plans.models import Customer
from plans.overrides import TermsBook

INSTANT = timedelta(microseconds=1)


def with_packs(
    loaded: Loaded, *, periods: Sequence[Period], now: datetime, until: datetime | None = None
) -> Loaded:
    """Return facts, with the usage before ``until``, in which the packs needed have been bought.

    Without a price that sells packs, nothing is looked at and nothing read again. A customer's
    periods are served in their order, so that a later one finds what an earlier one bought.
    """
    book = TermsBook(loaded.terms, loaded.agreed)
    if not _sells_packs(book):
        return loaded
    if until is not None:
        now = min(now, until - INSTANT)
    moved = set[int]()
    for period in sorted(periods, key=lambda each: each.start):
        if period.id not in loaded.facts:
            continue
        seen = load_facts([period], usage_until=until) if period.customer_id in moved else loaded
        if _buy(period, loaded=seen, book=book, now=now):
            moved.add(period.customer_id)
    if not moved:
        return loaded
    again = load_facts(
        [period for period in periods if period.customer_id in moved], usage_until=until
    )
    return loaded._replace(facts={**loaded.facts, **again.facts})


def _sells_packs(book: TermsBook) -> bool:
    prices = [price for terms in book.terms.values() for price in terms.prices]
    prices += book.agreed.values()
    return any(price.overage.policy == "packs" for price in prices)


def _buy(period: Period, *, loaded: Loaded, book: TermsBook, now: datetime) -> int:
    """Buy what a period's lines say is needed; usage that cannot be priced needs nothing."""
    try:
        draft = build(loaded.facts[period.id], terms=book.terms, agreed=book.agreed)
    except rating.RatingError:
        return 0
    count = 0
    for line in draft.lines:
        part = line.explanation.credit
        if part is not None and part.needed:
            used = sum(use.amount for use in part.uses)
            count += ensure_packs(
                customer=Customer.objects.get(pk=period.customer_id),
                version_id=line.version,
                price=_price_of(line, terms=book.terms, agreed=book.agreed),
                short=part.beyond_allowance - used,
                within=period,
                now=now,
            )
    return count


def _price_of(
    line: Line, *, terms: Mapping[int, rating.Terms], agreed: Mapping[int, rating.Price]
) -> rating.Price:
    if line.explanation.agreed is not None:
        return agreed[line.explanation.agreed]
    return next(each for each in terms[line.version].prices if each.key == line.price_key)
