"""Load what statements are built from, for many customers at once in a fixed number of queries."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from django.db import connection

from billing.statements.late import NOTHING_LATE, load_late
from billing.statements.reading import UsageReader
from billing.statements.substitution import IN_FORCE, Substitution
from billing.statements.values import Facts, Segment
from plans import rating
from plans.terms import VersionTerms, terms_of
from usage.horizon import current_horizon
from usage.queries import Window


class Period(NamedTuple):
    """One statement to load facts for: a customer and a span, under the statement's id."""

    id: int
    customer_id: int
    customer_key: str
    currency: str
    zone: str
    start: datetime
    end: datetime


class NoVersionInForce(rating.RatingError):
    """A subscription's plan has no published version for a part of the period."""

    code = "no_version_in_force"


class Loaded(NamedTuple):
    """Facts by statement id, the errors of those that have none, and what they were read with.

    ``terms`` are keyed by plan version id. All usage stored before ``horizon`` is in; some stored
    since may be, so it is what later readings compare with.
    """

    facts: dict[int, Facts]
    errors: dict[int, rating.RatingError]
    terms: dict[int, VersionTerms]
    horizon: int


class _Slice(NamedTuple):
    """A span in which one version is in force for one subscription."""

    ref: int
    version: int
    start: datetime
    end: datetime
    whole: rating.Period
    opens: bool


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
    segments, unpriced = _segments(slices, periods=periods, terms=terms, usage_until=usage_until)
    facts = {
        period.id: Facts(
            customer=period.customer_key,
            currency=period.currency,
            zone=period.zone,
            start=period.start,
            end=period.end,
            segments=tuple(segments.get(period.id, ())),
            unpriced=tuple(sorted(unpriced.get(period.id, {}).items())),
            late=late.of(period.customer_id, before=period.start),
        )
        for period in periods
        if period.id not in errors
    }
    return Loaded(facts=facts, errors=errors, terms=terms, horizon=horizon)


_SLICES = """
SELECT w.ref, s.id, s.anchor_date, v.id,
       greatest(s.starts_at, w.start, v.effective_from) AS since,
       least(coalesce(s.ends_at, 'infinity'), w."end", coalesce(v.effective_until, 'infinity')),
       coalesce(v.effective_from, 'infinity') <= greatest(s.starts_at, w.start),
       coalesce(v.effective_until, 'infinity') >= least(coalesce(s.ends_at, 'infinity'), w."end"),
       s.starts_at = greatest(s.starts_at, w.start, v.effective_from)
FROM unnest(%(ids)s::bigint[], %(customers)s::bigint[], %(currencies)s::text[],
            %(starts)s::timestamptz[], %(ends)s::timestamptz[])
     AS w(ref, customer_id, currency, start, "end")
JOIN plans_subscription s ON s.customer_id = w.customer_id AND s.starts_at < w."end"
     AND (s.ends_at IS NULL OR s.ends_at > w.start)
LEFT JOIN {versions} v ON v.plan_id = s.plan_id AND v.published_at IS NOT NULL
     AND v.currency = w.currency AND v.effective_until IS DISTINCT FROM v.effective_from
     AND v.effective_from < least(coalesce(s.ends_at, 'infinity'), w."end")
     AND (v.effective_until IS NULL OR v.effective_until > greatest(s.starts_at, w.start))
ORDER BY w.ref, s.starts_at, v.effective_from
"""

_SliceRow = tuple[int, int, date | None, int | None, datetime, datetime, bool, bool, bool]


def slices_of(
    periods: Sequence[Period], *, instead: Substitution | None = None
) -> tuple[list[_Slice], dict[int, rating.RatingError]]:
    """Cut each period where a subscription or a version begins or ends.

    It is one query, and another for the periods of a substitution.
    """
    zones = {period.id: period.zone for period in periods}
    found: list[_Slice] = []
    errors: dict[int, rating.RatingError] = {}
    for ref, rows in groupby(_slice_rows(periods, instead), key=lambda row: row[0]):
        try:
            for _, group in groupby(rows, key=lambda row: row[1]):
                found.extend(_subscription_slices(list(group), zone=zones[ref]))
        except NoVersionInForce as error:
            errors[ref] = error
    return [item for item in found if item.ref not in errors], errors


def _slice_rows(periods: Sequence[Period], instead: Substitution | None) -> list[_SliceRow]:
    if instead is None:
        return _query_slices(periods, versions=IN_FORCE, values={})
    as_it_is = [period for period in periods if period.id not in instead.periods]
    proposed = [period for period in periods if period.id in instead.periods]
    return [
        *_query_slices(as_it_is, versions=IN_FORCE, values={}),
        *_query_slices(proposed, versions=instead.versions, values=instead.values),
    ]


def _query_slices(
    periods: Sequence[Period], *, versions: str, values: Mapping[str, int]
) -> list[_SliceRow]:
    with connection.cursor() as cursor:
        cursor.execute(
            _SLICES.format(versions=versions),
            {
                "ids": [period.id for period in periods],
                "customers": [period.customer_id for period in periods],
                "currencies": [period.currency for period in periods],
                "starts": [period.start for period in periods],
                "ends": [period.end for period in periods],
                **values,
            },
        )
        rows: list[_SliceRow] = cursor.fetchall()
        return rows


def _subscription_slices(rows: Sequence[_SliceRow], *, zone: str) -> Iterator[_Slice]:
    """Return the slices of one subscription; together they must fill its part of the period."""
    reached = None
    for ref, _, anchor, version, start, end, is_first, _, opens in rows:
        follows = is_first if reached is None else start == reached
        if version is None or not follows:
            raise _gap(reached or start)
        yield _Slice(ref, version, start, end, _whole(anchor, zone, start), opens)
        reached = end
    *_, end, _, is_last, _ = rows[-1]
    if not is_last:
        raise _gap(end)


def _gap(at: datetime) -> NoVersionInForce:
    return NoVersionInForce(
        f"No published version of the plan is in force at {at:%Y-%m-%d %H:%M} UTC. "
        "Publish one that covers that time, or end the subscription before it."
    )


@lru_cache(maxsize=4096)
def _whole(anchor: date | None, zone: str, at: datetime) -> rating.Period:
    return rating.billing_period(anchor=anchor, zone=zone, at=at)


def _segments(
    slices: Sequence[_Slice],
    *,
    periods: Sequence[Period],
    terms: Mapping[int, VersionTerms],
    usage_until: datetime | None,
) -> tuple[dict[int, list[Segment]], dict[int, dict[str, Decimal]]]:
    """Return the segments with their usage, and the unpriced usage, by statement id."""
    customers = {period.id: period.customer_id for period in periods}
    windows = [
        Window(index, customers[item.ref], item.start, min(item.end, usage_until or item.end))
        for index, item in enumerate(slices)
    ]
    usage = UsageReader(windows, versions=[item.version for item in slices], terms=terms)
    segments: dict[int, list[Segment]] = {}
    unpriced: dict[int, dict[str, Decimal]] = {}
    for index, item in enumerate(slices):
        segments.setdefault(item.ref, []).append(
            Segment(
                version=item.version,
                digest=terms[item.version].digest,
                start=item.start,
                end=item.end,
                whole_start=item.whole.start,
                whole_end=item.whole.end,
                opens=item.opens,
                usage=usage.priced(index, version=item.version),
            )
        )
        for key, quantity in usage.unpriced(index, version=item.version):
            sums = unpriced.setdefault(item.ref, {})
            sums[key] = sums.get(key, Decimal(0)) + quantity
    return segments, unpriced
