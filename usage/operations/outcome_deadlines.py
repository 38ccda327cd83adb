"""What time does with outcomes: silence decides, a sample's rate is applied, holdbacks are due."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby
from typing import Final, NamedTuple

from django.db import connection, transaction

from usage.models import StepVia
from usage.operations.outcome_steps import Actor, Version, load_versions, move, release
from usage.outcome_claims import share_of

CHUNK: Final = 1000
PER_RUN: Final = 50_000
# Claims of the past come with decisions of the past: they are left this long to arrive.
GRACE: Final = timedelta(minutes=15)

_DUE = """
SELECT o.id, o.version_id, o.customer_id, o.key, o.verify_by, o.is_sampled,
    date_trunc('month', o.happened_at AT TIME ZONE c.time_zone)::date
FROM usage_outcome o JOIN plans_customer c ON c.id = o.customer_id
WHERE o.state = 'pending' AND o.verify_by <= %(now)s
    AND (o.recorded_at <= %(recorded)s OR o.customer_id = ANY(%(customers)s))
    AND (%(all)s OR o.customer_id = ANY(%(customers)s))
ORDER BY o.version_id, o.customer_id, 7, o.id LIMIT %(limit)s
"""
# Of a contract version, a customer and a month: how many of the sample were verified and rejected,
# and how many of the rest. What is rejected by the contract's own conditions was no part of it.
_MEASURED = """
SELECT count(*) FILTER (WHERE o.is_sampled AND o.state NOT IN ('pending', 'rejected')),
    count(*) FILTER (WHERE o.is_sampled AND o.state <> 'pending'),
    count(*) FILTER (WHERE s.via = 'sample' AND s.what = 'verify'),
    count(*) FILTER (WHERE s.via = 'sample')
FROM usage_outcome o JOIN plans_customer c ON c.id = o.customer_id
LEFT JOIN usage_outcomestep s ON s.outcome_id = o.id AND s.number = 2
WHERE o.version_id = %s AND o.customer_id = %s
    AND date_trunc('month', o.happened_at AT TIME ZONE c.time_zone)::date = %s
"""


class _Due(NamedTuple):
    id: int
    version: int
    customer: int
    key: str
    verify_by: datetime
    is_sampled: bool
    month: date


class SettleReport(NamedTuple):
    """How many outcomes time decided, and of how many it released what was held back."""

    decided: int
    released: int

    @property
    def is_done(self) -> bool:
        """Say whether nothing was left for another run."""
        return self.decided < PER_RUN and self.released < PER_RUN


def settle_due(*, now: datetime, customers: Sequence[int] | None = None) -> SettleReport:
    """Decide what is pending beyond its window, and release what was held back; bounded.

    Where customers are named, only theirs, and without grace for decisions still to arrive. Safe
    to run twice and beside another: a state moves once.
    """
    return SettleReport(_decide_due(customers, now=now), _release_due(customers, now=now))


def _decide_due(customers: Sequence[int] | None, *, now: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            _DUE,
            {"now": now, "recorded": now - GRACE, "all": customers is None,
             "customers": list(customers or ()), "limit": PER_RUN},
        )  # fmt: skip
        due = [_Due(*row) for row in cursor.fetchall()]
    versions = load_versions({each.version for each in due})
    # The sample's silence first: the rate rests on it.
    rest = [each for each in due if _is_rest(each, versions)]
    for each in _in_chunks([one for one in due if not _is_rest(one, versions)]):
        said = {one.id: versions[one.version].terms.verification.silence for one in each}
        for what in ("verified", "rejected"):
            _apply([one.id for one in each if said[one.id] == what], what, StepVia.SILENCE, now=now)
    for _, group in groupby(rest, key=lambda one: (one.version, one.customer, one.month)):
        group_ = list(group)
        silence = versions[group_[0].version].terms.verification.silence
        _apply_rate(group_, contract=versions[group_[0].version].contract, silence=silence, now=now)
    return len(due)


def _is_rest(due: _Due, versions: dict[int, Version]) -> bool:
    return versions[due.version].terms.verification.by == "sample" and not due.is_sampled


def _apply_rate(due: Sequence[_Due], *, contract: str, silence: str, now: datetime) -> None:
    """Verify as many of the rest as the sample's rate makes, counted over all that came yet."""
    first = due[0]
    with connection.cursor() as cursor:
        cursor.execute(_MEASURED, [first.version, first.customer, first.month])
        good, sampled, verified, settled = cursor.fetchone()
    if not sampled:
        for each in _in_chunks(due):
            _apply([one.id for one in each], silence, StepVia.SILENCE, now=now)
        return
    rate = Decimal(good) / Decimal(sampled)
    wanted = (rate * (settled + len(due))).to_integral_value(ROUND_HALF_UP) - verified
    ordered = sorted(due, key=lambda one: share_of(contract, one.key))
    count = max(0, min(len(due), int(wanted)))
    said = f"{good} of {sampled} in the sample were verified."
    for part, what in ((ordered[:count], "verified"), (ordered[count:], "rejected")):
        for each in _in_chunks(part):
            _apply([one.id for one in each], what, StepVia.SAMPLE, reason=said, now=now)


def _apply(ids: Sequence[int], what: str, via: StepVia, *, reason: str = "", now: datetime) -> None:
    if not ids:
        return
    said = reason or "Nobody decided in time; the contract says what that means."
    with transaction.atomic():
        move(
            ids, action="verify" if what == "verified" else "reject", actor=Actor(via),
            reason=said, at=now, now=now,
        )  # fmt: skip


def _in_chunks(due: Sequence[_Due]) -> list[Sequence[_Due]]:
    return [due[start : start + CHUNK] for start in range(0, len(due), CHUNK)]


def _release_due(customers: Sequence[int] | None, *, now: datetime) -> int:
    done = 0
    while done < PER_RUN:
        found = release(customers=customers, limit=CHUNK, now=now)
        done += found
        if found < CHUNK:
            break
    return done
