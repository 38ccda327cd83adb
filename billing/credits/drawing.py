"""Use named amounts of named grants, and give a part of an earlier use back.

A statement or a sweep that has decided which grants pay draws exactly that. A draw is a hold that
is posted in the same call, so that the journal, the slices and the recognition of cost are those of
any other use. The customer is locked first, then the pool.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec
from django.db import connection, transaction

from billing.credits.holding import HoldKeyTaken
from billing.locks import lock_customers
from billing.models import CreditPool
from plans.errors import OperationError


class CreditMoved(OperationError):
    """A grant has not that much free any more, or may not be used at the instant."""

    code = "credit_moved"


class DrawInvalid(OperationError):
    """A draw names each grant once, with an amount above zero."""

    code = "draw_invalid"


class NothingUsed(OperationError):
    """No use of the pool stands under the key."""

    code = "nothing_used"


class GivenBackTooMuch(OperationError):
    """Less was used, or is not given back yet, than was to be given back."""

    code = "given_back_too_much"


class CorrectionKeyTaken(OperationError):
    """Something else was given back under the key."""

    code = "correction_key_taken"


class Slice(NamedTuple):
    """So much of one grant."""

    grant_id: int
    amount: Decimal


class Draw(NamedTuple):
    """What is to be used of a pool, once for its key.

    The grants must be usable at ``valid_at``; None stands for the instant of the posting.
    """

    pool_id: int
    key: str
    slices: Sequence[Slice]
    valid_at: datetime | None = None


def draw(
    *,
    pool_id: int,
    key: str,
    slices: Sequence[Slice],
    now: datetime,
    valid_at: datetime | None = None,
) -> int:
    """Use exactly these slices in this order, once for the key; return the id of the hold.

    They are posted ``now``, and must be usable at ``valid_at`` (``now`` unless it is said). Raises
    CreditMoved where they are not, DrawInvalid, HoldKeyTaken; then nothing changed.
    """
    return draw_all([Draw(pool_id, key, slices, valid_at)], now=now)[0]


@transaction.atomic
def draw_all(draws: Sequence[Draw], *, now: datetime) -> list[int]:
    """Draw from many pools in a fixed number of statements; return the ids of the holds.

    All of it or nothing: raises CreditMoved, DrawInvalid, HoldKeyTaken for the first that cannot
    be. Draws from one pool are made in the order of the list.
    """
    for each in draws:
        _refuse_invalid(each)
    pools = CreditPool.objects.filter(pk__in={each.pool_id for each in draws})
    lock_customers(customer_ids=set(pools.values_list("customer_id", flat=True)))
    order = sorted(range(len(draws)), key=lambda number: draws[number].pool_id)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT * FROM billing_draw_all(%s::jsonb, %s)",
            [_draws_json([draws[number] for number in order]), now],
        )
        answers = cursor.fetchall()
    found = [0] * len(draws)
    for number, (outcome, hold_id) in zip(order, answers, strict=True):
        _refuse(draws[number], outcome=outcome)
        found[number] = hold_id
    return found


def give_back(
    *, pool_id: int, key: str, of_key: str, amount: Decimal, now: datetime, note: str = ""
) -> None:
    """Take back a part of what the hold ``of_key`` used, once for the key.

    It returns to the grants of the hold's last slices first, with the revenue that was recognised
    for it; in a grant that has expired it is breakage at once. Raises NothingUsed,
    GivenBackTooMuch, CorrectionKeyTaken; then nothing changed.
    """
    if amount <= 0:
        raise GivenBackTooMuch(f"Nothing is given back by {amount}: state more.", field="amount")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT * FROM billing_give_back(%s, %s, %s, %s, %s, %s)",
            [pool_id, key, of_key, amount, now, note],
        )
        outcome, possible = cursor.fetchone()
    if outcome == "unknown":
        raise NothingUsed(f"“{of_key}” used nothing of this pool.", field="of_key")
    if outcome == "taken":
        raise CorrectionKeyTaken(
            f"Something else was given back under “{key}”: give this a key of its own.",
            field="key",
        )
    if outcome == "too_much":
        raise GivenBackTooMuch(
            f"Of “{of_key}” {possible.normalize():f} can be given back: state no more.",
            field="amount",
        )


def _refuse_invalid(wanted: Draw) -> None:
    grants = [each.grant_id for each in wanted.slices]
    if not grants or len(set(grants)) < len(grants):
        raise DrawInvalid(f"“{wanted.key}” names no grant, or one twice.", field="slices")
    if any(each.amount <= 0 for each in wanted.slices):
        raise DrawInvalid(f"“{wanted.key}” draws nothing of a grant: leave it out.", field="slices")


def _refuse(wanted: Draw, *, outcome: str) -> None:
    if outcome == "taken":
        raise HoldKeyTaken(f"“{wanted.key}” holds something else already.", field="key")
    if outcome == "moved":
        raise CreditMoved(
            f"The credit for “{wanted.key}” was used or expired meanwhile: choose again.",
            field="slices",
        )


def _draws_json(draws: Sequence[Draw]) -> str:
    content = [
        {
            "pool_id": each.pool_id,
            "key": each.key,
            "grants": [part.grant_id for part in each.slices],
            "amounts": [str(part.amount) for part in each.slices],
            "valid_at": each.valid_at,
        }
        for each in draws
    ]
    return msgspec.json.encode(content).decode()
