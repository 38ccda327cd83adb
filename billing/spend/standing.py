"""A customer's usage so far with the terms that price it, from the row of spend where it is fresh.

The row is seconds old where usage comes. The terms it names are published, so they never change;
that they are still those in force is looked up where the row is older than ``TRUSTED_FOR``.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from billing.models import Spend
from billing.spend.margin import Standing
from billing.spend.periods import running_periods
from billing.spend.values import running_segments, segments_from
from billing.statements.build import PricedBy
from billing.statements.facts import Period, load_facts, slices_of
from billing.statements.preview import NoSubscription
from billing.statements.values import Segment
from plans import rating
from plans.models import Customer
from plans.models.meters import Aggregation
from plans.overrides import TermsBook, agreed_prices
from plans.terms import VersionTerms, terms_of

TRUSTED_FOR = timedelta(minutes=1)


class RatedRow(Protocol):
    """What a row of spend knows of the usage that it was rated from."""

    @property
    def usage(self) -> str:
        """Return the segments of the running period, as `segments_from` reads them."""

    @property
    def rated_at(self) -> datetime | None:
        """Return when they were rated."""


def rated_standing(*, customer: Customer, at: datetime, spend: RatedRow) -> Standing:
    """Return the usage that the row's amounts were rated from, and the terms by which they were.

    What jobs hold is priced on this: usage that was stored since is either pending or not theirs,
    and would count twice. Where the row knows nothing of the instant that is no usage, on the terms
    that hold then.
    Raises NoSubscription, and RatingError where the period is not priced throughout.
    """
    if segments_at(spend, at=at):
        return _rated(spend.usage, customer.currency, customer.time_zone)
    read = _read(_period(customer, at), at=at)
    return _standing(
        tuple(replace(segment, usage=()) for segment in read),
        currency=customer.currency, zone=customer.time_zone,
    )  # fmt: skip


def segments_at(row: RatedRow, *, at: datetime) -> tuple[Segment, ...]:
    """Return the segments that a row was rated from where they hold an instant, or nothing."""
    segments = _segments(row.usage)
    if row.rated_at is None or not all(each.start <= at < each.end for each in segments):
        return ()
    return segments


def standing_of(*, customer: Customer, at: datetime, spend: RatedRow | None = None) -> Standing:
    """Return what a customer has used in the period that holds the instant, and on which terms.

    ``spend`` is the customer's row where it was read already. Raises NoSubscription, and
    RatingError where the period is not priced throughout.
    """
    row = spend or Spend.objects.filter(pk=customer.pk).first()
    if row and _from_row(row, customer=customer, at=at):
        return _rated(row.usage, customer.currency, customer.time_zone)
    segments = _read(_period(customer, at), at=at)
    return _standing(segments, currency=customer.currency, zone=customer.time_zone)


# A row says the same until it is rated again, and its customer's jobs ask several times each.
@lru_cache(maxsize=2048)
def _segments(text: str) -> tuple[Segment, ...]:
    return segments_from(text)


@lru_cache(maxsize=2048)
def _rated(text: str, currency: str, zone: str) -> Standing:
    return _standing(_segments(text), currency=currency, zone=zone)


def _standing(segments: tuple[Segment, ...], *, currency: str, zone: str) -> Standing:
    known = [_known(each.version, each.agreed, each.digest) for each in segments]
    return Standing(
        segments=segments,
        by=PricedBy(
            {each.version: one.terms for each, one in zip(segments, known, strict=True)},
            {key: price for one in known for key, price in one.agreed},
        ),
        currency=currency,
        zone=zone,
        highest=frozenset[str]().union(*(one.highest for one in known)),
    )


def _from_row(row: RatedRow, *, customer: Customer, at: datetime) -> tuple[Segment, ...]:
    """Return the row's segments where they hold the instant on the terms in force, or nothing."""
    segments = segments_at(row, at=at)
    if not segments or row.rated_at is None or at - row.rated_at <= TRUSTED_FOR:
        return segments
    return segments if _in_force(segments, customer=customer, at=at) else ()


def _in_force(segments: Iterable[Segment], *, customer: Customer, at: datetime) -> bool:
    slices, _ = slices_of([_period(customer, at)])
    now = {(each.version, each.phase, each.agreed, each.start) for each in slices
           if each.start <= at < each.end}  # fmt: skip
    return now == {(each.version, each.phase, each.agreed, each.start) for each in segments}


def _period(customer: Customer, at: datetime) -> Period:
    period = running_periods(customer_ids=[customer.pk], now=at).get(customer.pk)
    if period is None:
        raise NoSubscription(f"{customer.name} has no subscription at {at:%Y-%m-%d %H:%M} UTC.")
    return period


def _read(period: Period, *, at: datetime) -> tuple[Segment, ...]:
    loaded = load_facts([period], usage_until=at)
    if period.id in loaded.errors:
        raise loaded.errors[period.id]
    return running_segments(loaded.facts[period.id], at=at)


class _Known(NamedTuple):
    terms: rating.Terms
    agreed: tuple[tuple[int, rating.Price], ...]
    highest: frozenset[str]


@lru_cache(maxsize=2048)
def _known(version: int, agreed: tuple[int, ...], _digest: str) -> _Known:
    """Return terms by what names them; the digest tells them from others under the same id."""
    terms, prices = terms_of({version}), agreed_prices(agreed)
    book = TermsBook(terms, prices)
    return _Known(
        terms=terms[version].terms,
        agreed=tuple(book.agreed.items()),
        highest=_highest(book.of(version, agreed)),
    )


def _highest(terms: VersionTerms) -> frozenset[str]:
    return frozenset(
        key for key, meter in terms.meters.items() if meter.aggregation == Aggregation.MAX
    )
