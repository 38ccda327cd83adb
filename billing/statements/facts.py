"""Load what statements are built from, for many customers at once in a fixed number of queries."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from django.db import connection
from msgspec import UNSET

from billing.statements.credit_facts import CreditSpan, load_credit
from billing.statements.cutting import NoVersionInForce, Stretch, pieces, stretches
from billing.statements.late import NOTHING_LATE, Late, load_late
from billing.statements.promises import Asked, Promises, Whose
from billing.statements.reading import Priced, UsageReader
from billing.statements.substitution import IN_FORCE, Substitution
from billing.statements.values import Facts, LatePeriod, Line, Segment
from plans import rating
from plans.arrays import array
from plans.grant_values import plain
from plans.models import PlanVersion
from plans.overrides import (
    AgreedPrice,
    Agreement,
    TermsBook,
    agreed_prices,
    agreements_of,
)
from plans.terms import VersionTerms, phases_of, terms_of
from usage.horizon import current_horizon

_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class Period(NamedTuple):
    """One statement to load facts for: a customer and a span, under the statement's id."""

    id: int
    customer_id: int
    customer_key: str
    currency: str
    zone: str
    start: datetime
    end: datetime


class Loaded(NamedTuple):
    """Facts by statement id, the errors of those that have none, and what they were read with.

    ``terms`` are keyed by plan version id, ``agreed`` prices by their id. All usage stored before
    ``horizon`` is in; some stored since may be, so it is what later readings compare with.
    """

    facts: dict[int, Facts]
    errors: dict[int, rating.RatingError]
    terms: dict[int, VersionTerms]
    horizon: int
    agreed: Mapping[int, AgreedPrice] = MappingProxyType({})

    def meter_id(self, line: Line) -> int | None:
        """Return the id of the meter that a line's price reads, if it reads one."""
        if line.meter is None:
            return None
        meters = self.terms[line.version].meters
        if line.meter in meters:
            return meters[line.meter].id
        assert line.explanation.agreed is not None, "no price of the version reads the meter"
        meter = self.agreed[line.explanation.agreed].meter
        assert meter is not None, "the agreed price reads the line's meter"
        return meter.id


class _Slice(NamedTuple):
    """A span in which one version prices one subscription in one phase; see ``Segment``."""

    ref: int
    version: int
    start: datetime
    end: datetime
    whole: rating.Period
    opens: bool
    phase: str
    subscribed: datetime
    agreed: tuple[int, ...]
    upgraded_beyond: Decimal | None


def load_facts(
    periods: Sequence[Period],
    *,
    usage_until: datetime | None = None,
    instead: Substitution | None = None,
) -> Loaded:
    """Return the facts of many statements, with the usage before ``usage_until`` where it is said.

    With a substitution, corrections of earlier periods are left out: nothing is billed by it.
    A period whose subscriptions are not priced throughout gets NoVersionInForce in ``errors``.
    """
    horizon = current_horizon()
    slices, errors = slices_of(periods, instead=instead)
    late = NOTHING_LATE if instead else load_late([period.customer_id for period in periods])
    terms = terms_of({item.version for item in slices} | late.versions)
    agreed = agreed_prices({one for item in slices for one in item.agreed} | late.agreed)
    segments, unpriced = _segments(
        slices, periods=periods, book=TermsBook(terms, agreed), usage_until=usage_until
    )
    late_of = {p.id: late.of(p.customer_id, before=p.start) for p in periods}
    promises = promises_of(periods, late=[each for found in late_of.values() for each in found])
    credit = load_credit([credit_span(each, late=late) for each in periods], until=usage_until)
    facts = {
        period.id: Facts(
            customer=period.customer_key,
            currency=period.currency,
            zone=period.zone,
            start=period.start,
            end=period.end,
            segments=tuple(segments.get(period.id, ())),
            unpriced=tuple(sorted(unpriced.get(period.id, {}).items())),
            late=late_of[period.id],
            promises=promises.of(asked_by(period, late=late_of[period.id])) or UNSET,
            credit=credit.get(period.id, UNSET),
        )
        for period in periods
        if period.id not in errors
    }
    return Loaded(facts=facts, errors=errors, terms=terms, horizon=horizon, agreed=agreed)


def promises_of(periods: Sequence[Period], *, late: Sequence[LatePeriod] = ()) -> Promises:
    """Return the commitments of the periods' customers."""
    customers = {Whose(period.customer_id, period.zone) for period in periods}
    return Promises(customers, origins={each.origin for each in late})


def asked_by(period: Period, *, late: Sequence[LatePeriod] = ()) -> Asked:
    """Return what a period asks of its customer's commitments."""
    return Asked(period.customer_id, period.start, period.end, late)


def credit_span(period: Period, *, late: Late = NOTHING_LATE) -> CreditSpan:
    """Return what of a customer's credit concerns a period and what it corrects."""
    corrected = late.of(period.customer_id, before=period.start)
    origins = tuple(one.origin for one in corrected)
    return CreditSpan(period.id, period.customer_id, period.start, period.end, origins)


# The columns of _Row. Versions that have no pin and no gap are all that most subscriptions have.
_SLICES = """
SELECT w.ref, s.id, s.plan_id, s.anchor_date, s.starts_at, s.phases_from, s.setup_waived,
       s.upgraded_beyond, v.id,
       nullif(greatest(s.starts_at, w.start, v.effective_from), w.start),
       nullif(least(s.ends_at, w."end", v.effective_until), w."end"),
       nullif(greatest(s.starts_at, w.start), w.start),
       nullif(least(s.ends_at, w."end"), w."end")
FROM unnest(%(ids)s::bigint[], %(customers)s::bigint[], %(currencies)s::text[],
            %(starts)s::timestamptz[], %(ends)s::timestamptz[])
     AS w(ref, customer_id, currency, start, "end")
JOIN plans_subscription s ON s.customer_id = w.customer_id AND s.starts_at < w."end"
     AND (s.ends_at IS NULL OR s.ends_at > w.start)
LEFT JOIN {versions} v ON v.plan_id = s.plan_id AND v.published_at IS NOT NULL
     AND v.currency = w.currency AND v.effective_until IS DISTINCT FROM v.effective_from
     AND v.effective_from < least(s.ends_at, w."end")
     AND (v.effective_until IS NULL OR v.effective_until > greatest(s.starts_at, w.start))
ORDER BY w.ref, s.starts_at, v.effective_from
"""


class _Row(NamedTuple):
    """A version in force for a subscription in a period; no version where there is none at all.

    The subscription's part of the period is ``start`` to ``end``, and the version's part of that is
    ``since`` to ``until``. They are said where they are not the period's own: most rows have no
    time to read but one.
    """

    ref: int
    subscription: int
    plan: int
    anchor: date | None
    subscribed: datetime
    phases_from: datetime | None
    setup_waived: bool
    upgraded_beyond: Decimal | None
    version: int | None
    since: datetime | None
    until: datetime | None
    start: datetime | None
    end: datetime | None


def slices_of(
    periods: Sequence[Period], *, instead: Substitution | None = None
) -> tuple[list[_Slice], dict[int, rating.RatingError]]:
    """Cut each period where a subscription, a version, a pin or a phase begins or ends.

    In four queries, whatever the number of periods, and two more with a substitution. The errors
    are by the period's id.
    """
    rows = [_Row(*row) for row in _slice_rows(periods, instead)]
    pins = _pins({row.subscription for row in rows})
    known = {row.version for row in rows if row.version is not None}
    known.update(pin.version for found in pins.values() for pin in found)
    phases = phases_of(known)
    agreements = agreements_of([period.customer_id for period in periods])
    elsewhere = _periods_on_another_plan(instead)
    by_id = {period.id: period for period in periods}
    slices: list[_Slice] = []
    errors: dict[int, rating.RatingError] = {}
    for (ref, subscription), group in groupby(rows, key=lambda row: row[:2]):
        period, kept = by_id[ref], pins.get(subscription, ())
        agreed = agreements.get(period.customer_id, ())
        found = list(group)
        if ref in elsewhere and instead is not None and found[0].plan == instead.plan_id:
            kept, agreed = (), ()
        try:
            slices += _subscription_slices(
                found, period=period, pins=kept, phases=phases, agreed=agreed
            )
        except NoVersionInForce as error:
            errors.setdefault(ref, error)
    return [item for item in slices if item.ref not in errors], errors


def _slice_rows(periods: Sequence[Period], instead: Substitution | None) -> list[tuple[Any, ...]]:
    if instead is None:
        return _query_slices(periods, versions=IN_FORCE, values={})
    as_it_is = [period for period in periods if period.id not in instead.periods]
    proposed = [period for period in periods if period.id in instead.periods]
    return [
        *_query_slices(as_it_is, versions=IN_FORCE, values={}),
        *_query_slices(proposed, versions=instead.versions, values=instead.values),
    ]


def _periods_on_another_plan(instead: Substitution | None) -> Collection[int]:
    """Return the periods in which customers are tried on another plan than they are on.

    Their pins and agreed prices are of the plan that they would leave.
    """
    if instead is None:
        return ()
    own = PlanVersion.objects.filter(id=instead.version_id, plan_id=instead.plan_id)
    return () if own.exists() else instead.periods


def _query_slices(
    periods: Sequence[Period], *, versions: str, values: Mapping[str, int]
) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            _SLICES.format(versions=versions),
            {
                "ids": array([period.id for period in periods]),
                "customers": array([period.customer_id for period in periods]),
                "currencies": [period.currency for period in periods],
                "starts": array([period.start for period in periods]),
                "ends": array([period.end for period in periods]),
                **values,
            },
        )
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _pins(subscriptions: Collection[int]) -> dict[int, list[Stretch]]:
    """Return what subscriptions are kept on, by subscription, in the order of time."""
    found: dict[int, list[Stretch]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT subscription_id, version_id, starts_at, ends_at FROM plans_versionpin
               WHERE subscription_id = ANY(%s::bigint[]) ORDER BY starts_at""",
            [array(subscriptions)],
        )
        for subscription, version, start, end in cursor.fetchall():
            found.setdefault(subscription, []).append(Stretch(version, start, end or _NEVER))
    return found


def _subscription_slices(
    rows: Sequence[_Row],
    *,
    period: Period,
    pins: Sequence[Stretch],
    phases: Mapping[int, tuple[rating.Phase, ...]],
    agreed: Sequence[Agreement],
) -> Iterator[_Slice]:
    """Return the slices of one subscription; together they fill its part of the period."""
    said, zone = rows[0], period.zone
    in_force = [
        Stretch(row.version, row.since or period.start, row.until or period.end)
        for row in rows
        if row.version is not None
    ]
    found = stretches(
        start=said.start or period.start, end=said.end or period.end, in_force=in_force, pins=pins
    )
    for version, start, end, phase in pieces(
        found, phases=phases, phases_from=said.phases_from or said.subscribed, zone=zone
    ):
        yield _Slice(
            ref=said.ref,
            version=version,
            start=start,
            end=end,
            whole=_whole(said.anchor, zone, start),
            opens=start == said.subscribed and not said.setup_waived,
            phase=phase,
            subscribed=said.subscribed,
            agreed=tuple(one.id for one in agreed if one.holds_at(start, plan_id=said.plan)),
            upgraded_beyond=said.upgraded_beyond if start == said.subscribed else None,
        )


@lru_cache(maxsize=4096)
def _whole(anchor: date | None, zone: str, at: datetime) -> rating.Period:
    return rating.billing_period(anchor=anchor, zone=zone, at=at)


def _segments(
    slices: Sequence[_Slice],
    *,
    periods: Sequence[Period],
    book: TermsBook,
    usage_until: datetime | None,
) -> tuple[dict[int, list[Segment]], dict[int, dict[str, Decimal]]]:
    """Return the segments with their usage, and the unpriced usage, by statement id."""
    by_id = {period.id: period for period in periods}
    priced = [_priced(item, period=by_id[item.ref], book=book) for item in slices]
    usage = UsageReader(priced, until=usage_until)
    segments: dict[int, list[Segment]] = {}
    unpriced: dict[int, dict[str, Decimal]] = {}
    for index, item in enumerate(slices):
        segments.setdefault(item.ref, []).append(usage.segment(index))
        for key, quantity in usage.unpriced(index):
            sums = unpriced.setdefault(item.ref, {})
            sums[key] = sums.get(key, Decimal(0)) + quantity
    return segments, unpriced


def _priced(item: _Slice, *, period: Period, book: TermsBook) -> Priced:
    terms = book.of(item.version, item.agreed)
    segment = Segment(
        version=item.version,
        digest=terms.digest,
        start=item.start,
        end=item.end,
        whole_start=item.whole.start,
        whole_end=item.whole.end,
        opens=item.opens,
        usage=(),
        phase=item.phase,
        subscribed=item.subscribed,
        agreed=item.agreed,
        upgraded_beyond=None if item.upgraded_beyond is None else plain(item.upgraded_beyond),
    )
    return Priced(period.customer_id, period.zone, segment, terms)
