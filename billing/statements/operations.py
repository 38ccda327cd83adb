"""Write statements: open what is due, store drafts, finalise, approve. Sets, not single rows."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction

from billing.ledger import postings
from billing.ledger.operations import NewTransaction, post_all
from billing.locks import Claimed
from billing.models import LedgerTransaction, Statement
from billing.statements.drawing import draw_for_statements, has_credit
from billing.statements.facts import Loaded, Period
from billing.statements.values import Draft, Facts, canonical
from billing.webhooks.telling import tell_of_statements
from plans.arrays import array
from plans.errors import OperationError


class Built(NamedTuple):
    """A statement that was built and is to be stored."""

    period: Period
    facts: Facts
    draft: Draft


class Content(NamedTuple):
    """What a finalised statement's hash covers, in this order."""

    number: str
    customer: str
    currency: str
    start: datetime
    end: datetime
    total: Decimal
    facts_hash: str
    lines_hash: str
    previous_hash: str


class NotInReview(OperationError):
    """Only a statement in review can be approved."""

    code = "not_in_review"


def sha256(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, as hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def content_hash(content: Content) -> str:
    """Return the hash of a finalised statement, which chains it to the one before."""
    return sha256(canonical(content))


class ClaimLost(OperationError):
    """Another worker has taken over what this one held for too long; nothing was stored."""

    code = "claim_lost"


def store_drafts(
    built: Sequence[Built],
    *,
    loaded: Loaded,
    claimed: Sequence[Claimed],
    now: datetime,
    release: bool = True,
) -> None:
    """Store drafts and their lines in place of older ones, and give up the claims or keep them.

    Raises ClaimLost where a statement is no longer ours; then nothing of the chunk was stored.
    """
    claims = {item.period.id: item for item in claimed}
    held = [claims[item.period.id] for item in built]
    values: dict[str, Any] = {
        "rows": canonical([_draft_row(item) for item in built]),
        "horizon": loaded.horizon,
        "now": now,
        "until": held[0].until,
        "kept": None if release else held[0].until,
    }
    stale = [item.period.id for item in held if item.line_count]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_STORE_DRAFTS, values)
        _refuse_lost(cursor.rowcount, expected=len(built))
        if stale:
            delete = "DELETE FROM billing_statementline WHERE statement_id = ANY(%s)"
            cursor.execute(delete, [stale])
        _copy_lines(built, loaded=loaded)


# `status || ''` keeps the planner from thinking, by statistics of the month before, that hardly any
# row has the status: it would then read the whole table and compare each row with each that is
# written.
_STORE_DRAFTS = """
UPDATE billing_statement s
SET status = 'draft', total = d.total, adjustments_total = d.adjustments, line_count = d.lines,
    facts = d.facts, lines_hash = d.lines_hash, horizon = %(horizon)s, drafted_at = %(now)s,
    claimed_until = %(kept)s, parked_at = NULL, parked_code = '', parked_reason = ''
FROM jsonb_to_recordset(%(rows)s::jsonb) AS d(
    id bigint, total numeric, adjustments numeric, lines int, facts text, lines_hash text)
WHERE s.id = d.id AND s.status || '' IN ('due', 'draft') AND s.claimed_until = %(until)s
"""


def _refuse_lost(stored: int, *, expected: int) -> None:
    if stored != expected:
        raise ClaimLost(f"{expected - stored} of {expected} statements were taken over meanwhile.")


def _draft_row(item: Built) -> dict[str, Any]:
    return {
        "id": item.period.id,
        "total": item.draft.total,
        "adjustments": item.draft.adjustments_total,
        "lines": len(item.draft.lines),
        "facts": canonical(item.facts),
        "lines_hash": sha256(canonical(item.draft.lines)),
    }


_COPY_LINES = """
COPY billing_statementline (statement_id, position, kind, origin_id, version_id, meter_id,
    price_key, line_key, description, period_start, period_end, unit, usage_quantity, quantity,
    amount, explanation) FROM STDIN
"""


# Most lines of a chunk begin and end together.
_said = lru_cache(maxsize=1024)(datetime.isoformat)


def _copy_lines(built: Sequence[Built], *, loaded: Loaded) -> None:
    with connection.cursor() as cursor, cursor.copy(_COPY_LINES) as copy:
        for item in built:
            for position, line in enumerate(item.draft.lines, start=1):
                copy.write_row(
                    (
                        item.period.id,
                        position,
                        line.kind,
                        line.origin,
                        line.version,
                        loaded.meter_id(line),
                        line.price_key,
                        line.line_key,
                        line.description,
                        _said(line.start),
                        _said(line.end),
                        line.unit,
                        line.usage_quantity,
                        line.quantity,
                        line.amount,
                        canonical(line.explanation),
                    )
                )


def send_to_review(claimed: Sequence[Claimed]) -> None:
    """Put drafts whose grace time is over before a person."""
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE billing_statement SET status = 'review', claimed_until = NULL
               WHERE id = ANY(%s) AND status = 'draft' AND claimed_until = %s""",
            [[item.period.id for item in claimed], claimed[0].until],
        )


def take_back_to_draft(claimed: Sequence[Claimed]) -> None:
    """Make drafts again of statements that cannot stand as they are; an approval is lost.

    The claim stays until its time is over, so that a run does not come back to them at once.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE billing_statement
               SET status = 'draft', approved_at = NULL, approved_by_id = NULL
               WHERE id = ANY(%s) AND status IN ('draft', 'review') AND claimed_until = %s""",
            [[item.period.id for item in claimed], claimed[0].until],
        )


def finalise(claimed: Sequence[Claimed], *, now: datetime) -> None:
    """Number, hash, freeze and post drafts that are stored; one of each customer at most.

    Credit is drawn as the statements say. Raises ClaimLost where a statement is no longer ours, and
    CreditMoved where the credit of one is not what it says any more; then none was finalised.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_LAST_OF_CUSTOMERS, [array([item.period.customer_id for item in claimed])])
        last: dict[int, tuple[int, str]] = {row[0]: row[1:] for row in cursor.fetchall()}
        cursor.execute(
            "SELECT id, total, facts, lines_hash FROM billing_statement"
            " WHERE id = ANY(%s::bigint[])",
            [array([item.period.id for item in claimed])],
        )
        stored = {row[0]: row[1:] for row in cursor.fetchall()}
        rows = [
            _finalised_row(item.period, stored[item.period.id], last.get(item.period.customer_id))
            for item in claimed
        ]
        until = claimed[0].until
        cursor.execute(_FINALISE, {"now": now, "rows": canonical(rows), "until": until})
        _refuse_lost(cursor.rowcount, expected=len(rows))
        with_credit = {
            item.period.id: (item.period, stored[item.period.id][1])
            for item in claimed
            if has_credit(stored[item.period.id][1])
        }
        packs = draw_for_statements(with_credit, now=now) if with_credit else {}
        numbers = {row["id"]: row["number"] for row in rows}
        post_all(
            [
                _posting(
                    item.period,
                    numbers[item.period.id],
                    stored[item.period.id][0],
                    packs=packs.get(item.period.id, Decimal(0)),
                    now=now,
                )
                for item in claimed
            ]
        )
        tell_of_statements(
            [(each.period, numbers[each.period.id], stored[each.period.id][0]) for each in claimed],
            now=now,
        )


def _posting(
    period: Period, number: str, total: Decimal, *, packs: Decimal, now: datetime
) -> NewTransaction:
    return NewTransaction(
        customer_id=period.customer_id,
        key=f"statement:{number}",
        reason=LedgerTransaction.Reason.STATEMENT,
        happened_at=now,
        entries=postings.statement_finalised(total=total, currency=period.currency, packs=packs),
        statement_id=period.id,
    )


_LAST_OF_CUSTOMERS = """
SELECT DISTINCT ON (customer_id) customer_id, sequence, content_hash FROM billing_statement
WHERE customer_id = ANY(%s::bigint[]) AND sequence IS NOT NULL ORDER BY customer_id, sequence DESC
"""

_FINALISE = """
UPDATE billing_statement s
SET status = 'finalised', finalised_at = %(now)s, claimed_until = NULL,
    sequence = d.sequence, number = d.number, previous_hash = d.previous_hash,
    content_hash = d.content_hash
FROM jsonb_to_recordset(%(rows)s::jsonb) AS d(
    id bigint, sequence int, number text, previous_hash text, content_hash text)
WHERE s.id = d.id AND s.status || '' IN ('draft', 'review') AND s.claimed_until = %(until)s
"""


def _finalised_row(
    period: Period, stored: tuple[Decimal, str, str], last: tuple[int, str] | None
) -> dict[str, Any]:
    sequence, previous = (last[0] + 1, last[1]) if last else (1, "")
    number = f"{period.customer_key}-{sequence:04d}"
    total, facts, lines_hash = stored
    content = Content(
        number=number,
        customer=period.customer_key,
        currency=period.currency,
        start=period.start,
        end=period.end,
        total=total,
        facts_hash=sha256(facts),
        lines_hash=lines_hash,
        previous_hash=previous,
    )
    return {
        "id": period.id,
        "sequence": sequence,
        "number": number,
        "previous_hash": previous,
        "content_hash": content_hash(content),
    }


def approve_statement(*, statement_id: int, by: AbstractBaseUser, now: datetime) -> None:
    """Approve a statement in review; the next run finalises it as it stands.

    Raises NotInReview, with nothing changed, if it is not in review or was approved already.
    """
    approved = Statement.objects.filter(
        id=statement_id, status=Statement.Status.REVIEW, approved_at=None
    ).update(approved_at=now, approved_by_id=by.pk)
    if not approved:
        raise NotInReview("The statement is not in review, or someone has approved it already.")
