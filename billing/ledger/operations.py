"""Post to the ledger: many customers' transactions at once, each once for its key."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.db import connection, transaction

from billing.ledger.postings import Entry, refuse_unbalanced, reversal
from billing.locks import lock_customers
from billing.models import LedgerTransaction
from plans.errors import OperationError
from plans.rating.money import CURRENCIES, minor_units


class NewTransaction(NamedTuple):
    """A business event to post.

    ``key`` is its idempotency key, unique for the customer. ``units`` of the entries must exist,
    but for currencies, which are defined when they are first used.
    """

    customer_id: int
    key: str
    reason: str
    happened_at: datetime
    entries: tuple[Entry, ...]
    statement_id: int | None = None
    corrects_id: int | None = None
    note: str = ""
    recorded_by_id: int | None = None


class KeyTaken(OperationError):
    """Another event of the customer was posted under the key."""

    code = "ledger_key_taken"


class NothingToPost(OperationError):
    """An event that moves nothing is no transaction."""

    code = "nothing_to_post"


class AlreadyCorrected(OperationError):
    """The transaction was taken back before."""

    code = "already_corrected"


@transaction.atomic
def post(new: NewTransaction) -> LedgerTransaction:
    """Post one event, or return it where it is posted already.

    Raises Unbalanced, NothingToPost, and KeyTaken where other entries stand under the key.
    """
    if not new.entries:
        raise NothingToPost("There is nothing to post: state an amount other than zero.")
    post_all([new])
    posted = LedgerTransaction.objects.get(customer_id=new.customer_id, key=new.key)
    if entries_of(posted) != sorted(new.entries):
        raise KeyTaken(
            f"Something else was posted under “{new.key}”: give this event a key of its own.",
            field="key",
        )
    return posted


@transaction.atomic
def post_all(transactions: Sequence[NewTransaction]) -> int:
    """Post many events in a fixed number of statements; return how many are new.

    An event whose key is posted already, or stands before it in the list, or that has no entries,
    is left out. The customers are locked in the order of their ids. Raises Unbalanced; then nothing
    was posted.
    """
    once = {(new.customer_id, new.key): new for new in reversed(transactions) if new.entries}
    rows = list(reversed(once.values()))
    for new in rows:
        refuse_unbalanced(new.entries)
    if not rows:
        return 0
    lock_customers(customer_ids={new.customer_id for new in rows})
    values = {"rows": _rows_json(rows)}
    with connection.cursor() as cursor:
        units = [entry.unit for new in rows for entry in new.entries]
        cursor.execute(_CURRENCIES, [_currencies_json(units)])
        cursor.execute(_ACCOUNTS, values)
        cursor.execute(_POST, values)
        return int(cursor.fetchone()[0])


def open_accounts(*, customer_id: int, accounts: Sequence[tuple[str, str]]) -> None:
    """Open a customer's accounts, by kind and unit; those that are open stay as they are."""
    units = [unit for _, unit in accounts]
    values: list[Any] = [customer_id, [kind for kind, _ in accounts], units]
    with connection.cursor() as cursor:
        cursor.execute(_CURRENCIES, [_currencies_json(units)])
        cursor.execute(
            """INSERT INTO billing_ledgeraccount (customer_id, kind, unit_id, balance)
               SELECT %s, a.kind, a.unit, 0 FROM unnest(%s::text[], %s::text[]) AS a(kind, unit)
               ON CONFLICT DO NOTHING""",
            values,
        )


def correct(
    *, posted: LedgerTransaction, note: str, happened_at: datetime, by_id: int | None
) -> LedgerTransaction:
    """Take a transaction back by its reversal, which names it.

    Raises AlreadyCorrected.
    """
    entries = reversal(entries_of(posted))
    with transaction.atomic():
        lock_customers(customer_ids={posted.customer_id})
        if LedgerTransaction.objects.filter(corrects=posted).exists():
            raise AlreadyCorrected(f"“{posted.key}” was taken back already.")
        return post(
            NewTransaction(
                customer_id=posted.customer_id,
                key=f"correction:{posted.key}",
                reason=LedgerTransaction.Reason.CORRECTION,
                happened_at=happened_at,
                entries=tuple(entries),
                statement_id=posted.statement_id,
                corrects_id=posted.pk,
                note=note,
                recorded_by_id=by_id,
            )
        )


def entries_of(posted: LedgerTransaction) -> list[Entry]:
    """Return a transaction's entries, sorted."""
    rows = posted.entries.values_list("account__kind", "account__unit_id", "amount", "grant_id")
    return sorted(Entry(kind, unit, amount, grant or 0) for kind, unit, amount, grant in rows)


def _rows_json(rows: Sequence[NewTransaction]) -> str:
    content = [
        {
            **{name: value for name, value in new._asdict().items() if name != "entries"},
            "entries": [entry._asdict() for entry in new.entries],
        }
        for new in rows
    ]
    return msgspec.json.encode(content).decode()


def _currencies_json(units: Sequence[str]) -> str:
    found: list[dict[str, Any]] = []
    for unit in sorted(set(units)):
        decimals = _decimals(unit)
        if decimals is not None:
            found.append({"code": unit, "decimals": decimals})
    return msgspec.json.encode(found).decode()


def _decimals(unit: str) -> int | None:
    return minor_units(unit) if unit in CURRENCIES else None


_CURRENCIES = """
INSERT INTO billing_unitofaccount (code, name, kind, decimals)
SELECT u.code, u.code, 'currency', u.decimals
FROM jsonb_to_recordset(%s::jsonb) AS u(code text, decimals int)
ON CONFLICT DO NOTHING
"""

_STATED = """
    jsonb_to_recordset(%(rows)s::jsonb) AS t(
        customer_id bigint, key text, reason text, happened_at timestamptz, entries jsonb,
        statement_id bigint, corrects_id bigint, note text, recorded_by_id int)
"""

# `OFFSET 0` has each entry's account looked for in the index: by the number of entries that it
# guesses, the planner would read all the accounts there are.
_ACCOUNTS = f"""
INSERT INTO billing_ledgeraccount (customer_id, kind, unit_id, balance)
SELECT DISTINCT t.customer_id, e.account, e.unit, 0
FROM {_STATED}, jsonb_to_recordset(t.entries) AS e(account text, unit text)
WHERE NOT EXISTS (SELECT FROM billing_ledgeraccount a
                  WHERE a.customer_id = t.customer_id AND a.kind = e.account
                    AND a.unit_id = e.unit OFFSET 0)
ON CONFLICT DO NOTHING
"""  # noqa: S608 - made of constants

_POST = f"""
WITH stated AS (SELECT * FROM {_STATED}),
posted AS (
    INSERT INTO billing_ledgertransaction (customer_id, key, reason, happened_at, statement_id,
        corrects_id, note, recorded_by_id)
    SELECT customer_id, key, reason, happened_at, statement_id, corrects_id, note, recorded_by_id
    FROM stated
    ON CONFLICT DO NOTHING RETURNING id, customer_id, key),
entered AS (
    INSERT INTO billing_ledgerentry (transaction_id, account_id, amount, grant_id)
    SELECT p.id, a.id, e.amount, nullif(e."grant", 0)
    FROM posted p JOIN stated t ON t.customer_id = p.customer_id AND t.key = p.key,
         jsonb_to_recordset(t.entries)
             AS e(account text, unit text, amount numeric, "grant" bigint),
         billing_ledgeraccount a
    WHERE a.customer_id = p.customer_id AND a.kind = e.account AND a.unit_id = e.unit)
SELECT count(*) FROM posted
"""  # noqa: S608 - made of constants
