"""Which drafts may have other facts by now: asked without reading all their usage again."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec import UNSET, UnsetType

from billing.statements.credit_facts import load_credit
from billing.statements.credit_values import CreditFacts
from billing.statements.facts import Period, credit_span, slices_of
from billing.statements.late import customers_with_late_usage
from billing.statements.values import Facts, facts_from
from usage.queries import Span, touched_since


class Drafted(NamedTuple):
    """A draft as it is stored: its facts as canonical JSON, and the horizon they were read at."""

    period: Period
    facts: str
    horizon: int


_Slice = tuple[
    int, datetime, datetime, datetime, datetime, bool, str, datetime | None, tuple[int, ...]
]


def find_stale(drafts: Sequence[Drafted]) -> set[int]:
    """Return the ids of the statements whose facts may differ from those that are stored.

    May name one whose facts are the same, but leaves out only those for which nothing was stored
    since: no usage of the period or of an earlier one, no other subscription, version, pin, phase,
    agreed price, credit or customer.
    """
    periods = [draft.period for draft in drafts]
    late = customers_with_late_usage([period.customer_id for period in periods])
    touched = touched_since(
        [Span(p.id, p.customer_id, p.start, p.end, draft.horizon)
         for p, draft in zip(periods, drafts, strict=True)]
    )  # fmt: skip
    now = _slices_now(periods)
    credit = load_credit([credit_span(period) for period in periods])
    return {
        draft.period.id
        for draft in drafts
        if draft.period.id in touched
        or draft.period.customer_id in late
        or not _agrees(
            facts_from(draft.facts),
            draft.period,
            now[draft.period.id],
            credit=credit.get(draft.period.id, UNSET),
        )
    }


def _slices_now(periods: Sequence[Period]) -> dict[int, list[_Slice]]:
    found: dict[int, list[_Slice]] = defaultdict(list)
    slices, _ = slices_of(periods)
    for one in slices:
        found[one.ref].append(
            (one.version, one.start, one.end, one.whole.start, one.whole.end, one.opens,
             one.phase, one.subscribed, one.agreed)
        )  # fmt: skip
    return found


def _agrees(
    facts: Facts, period: Period, slices: Sequence[_Slice], *, credit: CreditFacts | UnsetType
) -> bool:
    said = (facts.customer, facts.currency, facts.zone, facts.start, facts.end)
    segments = [
        (one.version, one.start, one.end, one.whole_start, one.whole_end, one.opens,
         one.phase, one.subscribed, one.agreed)
        for one in facts.segments
    ]  # fmt: skip
    same = said == period[2:] and segments == slices and credit == facts.credit
    return same and not facts.late
