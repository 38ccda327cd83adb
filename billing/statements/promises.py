"""The commitments of many customers as facts, with what earlier statements counted for them.

Customers without a commitment cost one query for all, and nothing else.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple

from django.db import connection

from billing.statements.values import CountedBefore, LatePeriod, Measured, Promise
from plans.commitments import commitments_of
from plans.rating.commitments import (
    Commitment,
    instalment_stretches,
    shortfall,
    stretches,
)
from plans.rating.periods import local_midnight


class Whose(NamedTuple):
    """Whose commitments are looked for, and in which zone their days begin."""

    id: int
    zone: str


class Asked(NamedTuple):
    """A statement's span, and the late periods that it corrects."""

    customer_id: int
    start: datetime
    end: datetime
    late: Sequence[LatePeriod] = ()


class _Noted(NamedTuple):
    """What one finalised statement says of one stretch of a commitment, in sum."""

    statement_start: datetime
    stretch: datetime
    counted: Decimal
    billed: Decimal
    fee: int


_Sums = Mapping[int, Sequence[_Noted]]


class Promises:
    """The commitments of some customers; reads all when it is made.

    ``origins`` are the statements that late usage came into.
    """

    def __init__(self, customers: Collection[Whose], *, origins: Collection[int] = ()) -> None:
        zones = {each.id: each.zone for each in customers}
        self._commitments = commitments_of(zones)
        self._zones = zones
        ids = [each for found in self._commitments.values() for each, _ in found]
        self._noted = _noted(list(self._commitments), ids) if ids else {}
        self._before = _before(ids, origins) if ids and origins else {}

    def of(self, asked: Asked) -> tuple[Promise, ...]:
        """Return what a statement has to do with its customer's commitments, oldest first.

        What later statements counted is left out: a statement stands on those before it.
        """
        return tuple(self._promises(asked))

    def stretches_of(self, commitment_id: int, asked: Asked) -> tuple[Measured, ...]:
        """Return all stretches of a commitment as they stand before a span; none of a draft."""
        for found, terms in self._commitments.get(asked.customer_id, ()):
            if found == commitment_id:
                noted = self._noted.get(commitment_id, ())
                before = [each for each in noted if each.statement_start < asked.start]
                return tuple(_measured(terms, before, zone=self._zones[asked.customer_id]))
        return ()

    def _promises(self, asked: Asked) -> Iterator[Promise]:
        for commitment_id, terms in self._commitments.get(asked.customer_id, ()):
            noted = [
                each
                for each in self._noted.get(commitment_id, ())
                if each.statement_start < asked.start
            ]
            promise = self._promise(commitment_id, terms, noted, asked=asked)
            if _matters(promise, asked):
                yield promise

    def _promise(
        self, commitment_id: int, terms: Commitment, noted: Sequence[_Noted], *, asked: Asked
    ) -> Promise:
        zone = self._zones[asked.customer_id]
        charged = {each.fee for each in noted}
        fees: tuple[int, ...] = ()
        if terms.kind == "prepaid":
            fees = tuple(
                number
                for number, each in enumerate(instalment_stretches(terms), start=1)
                if number not in charged
                and each.start < terms.until
                and _midnight(each.start, zone) < asked.end
            )
        origins = {late.origin for late in asked.late}
        before = self._before.get(commitment_id, ())
        return Promise(
            id=commitment_id,
            terms=terms,
            stretches=tuple(_measured(terms, noted, zone=zone)),
            fees=fees,
            before=tuple(each for each in before if each.origin in origins),
        )


def _measured(terms: Commitment, noted: Sequence[_Noted], *, zone: str) -> Iterator[Measured]:
    for each in stretches(terms):
        start = _midnight(each.start, zone)
        here = [one for one in noted if one.stretch == start]
        yield Measured(
            start=start,
            end=_midnight(each.end, zone),
            months=each.months,
            amount=each.amount,
            promised=each.promised,
            counted=sum((one.counted for one in here), Decimal(0)),
            billed=sum((one.billed for one in here), Decimal(0)),
        )


def _matters(promise: Promise, asked: Asked) -> bool:
    """Say whether a statement counts for a commitment, or has a line of it."""
    if promise.fees or promise.before:
        return True
    if any(each.start < asked.end and asked.start < each.end for each in promise.stretches):
        return True
    return bool(asked.late) or any(
        each.end <= asked.end
        and shortfall(promised=each.promised, counted=each.counted) != each.billed
        for each in promise.stretches
        if each.start < asked.end
    )


_NOTED: Final = """
SELECT n.commitment, s.period_start, n.stretch, trim_scale(sum(n.counted)),
       trim_scale(sum(n.billed)), max(n.fee)
FROM billing_statement s JOIN billing_statementline l ON l.statement_id = s.id,
     jsonb_to_record(l.explanation -> 'commitment') AS n(
         commitment bigint, stretch timestamptz, counted numeric, billed numeric, fee int)
WHERE s.customer_id = ANY(%s) AND s.status = 'finalised' AND l.explanation ? 'commitment'
  AND n.commitment = ANY(%s)
GROUP BY 1, 2, 3, coalesce(n.fee, 0) ORDER BY 1, 2, 3
"""


def _noted(customer_ids: list[int], commitment_ids: list[int]) -> dict[int, list[_Noted]]:
    found: dict[int, list[_Noted]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_NOTED, [customer_ids, commitment_ids])
        for commitment, start, stretch, counted, billed, fee in cursor.fetchall():
            noted = _Noted(start, stretch, counted or Decimal(0), billed or Decimal(0), fee or 0)
            found[commitment].append(noted)
    return found


_BEFORE: Final = """
SELECT n.commitment, coalesce(l.origin_id, l.statement_id), l.version_id, l.price_key,
       l.line_key, l.period_start, trim_scale(sum(n.within)), trim_scale(sum(n.beyond))
FROM billing_statementline l JOIN billing_statement s ON s.id = l.statement_id,
     jsonb_to_record(l.explanation -> 'commitment') AS n(
         commitment bigint, within numeric, beyond numeric)
WHERE s.status = 'finalised' AND l.kind IN ('charge', 'adjustment')
  AND l.explanation ? 'commitment' AND n.commitment = ANY(%s)
  AND (l.origin_id = ANY(%s) OR (l.origin_id IS NULL AND l.statement_id = ANY(%s)))
GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6
"""


def _before(commitment_ids: list[int], origins: Collection[int]) -> dict[int, list[CountedBefore]]:
    """Return how the lines of late periods were split, with the corrections made since."""
    found: dict[int, list[CountedBefore]] = defaultdict(list)
    ids = sorted(origins)
    with connection.cursor() as cursor:
        cursor.execute(_BEFORE, [commitment_ids, ids, ids])
        for row in cursor.fetchall():
            commitment, origin, version, price, line, start, within, beyond = row
            found[commitment].append(
                CountedBefore(
                    origin=origin,
                    version=version,
                    price_key=price,
                    line_key=line,
                    start=start,
                    within=within or Decimal(0),
                    beyond=beyond or Decimal(0),
                )
            )
    return found


@lru_cache(maxsize=1024)
def _midnight(day: date, zone: str) -> datetime:
    return local_midnight(day, zone=zone)
