"""Credit that is moved by hand, and above a set amount only with a second person."""

from decimal import Decimal as D
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction

from billing.credits.granting import CreditInvalid
from billing.credits.moving import NotSoMuchFree
from billing.credits.requests import (
    OwnRequest,
    RequestDecided,
    RequestKeyTaken,
    approve_credit_request,
    decline_credit_request,
    request_expiry,
    request_grant,
    request_transfer,
)
from billing.ledger.checks import check_ledger
from billing.models import CreditGrant, CreditPool, CreditRequest, LedgerTransaction
from tests.fixtures.world import World
from tests.integration.billing.test_credits import HOUR, NOW, balance, everything, grant, pool_of

TERMS = {"source": "promotion", "priority": 5, "cost": D("2.50"), "expires_at": NOW + 9 * HOUR}


@pytest.fixture
def pool(world: World) -> CreditPool:
    """Acme's pool of TOKN; more than 100 by hand need a second person."""
    found = pool_of(world)
    found.unit.approval_above = D(100)
    found.unit.save(update_fields=["approval_above"])
    return found


@pytest.fixture
def people(world: World) -> tuple[int, int]:
    """Mara, who asks, and Noor, who approves."""
    users = get_user_model().objects
    return tuple(users.create_user(name).pk for name in ("mara", "noor"))  # type: ignore[return-value]


def asked(pool: CreditPool, by: int, amount: str | int, **said: Any) -> CreditRequest | None:
    given = {"key": "ticket 1", "terms": TERMS, "reason": "An outage.", "now": NOW, **said}
    return request_grant(pool=pool, amount=D(amount), by_id=by, **given)


def test_up_to_the_amount_one_person_is_enough(pool: CreditPool, people: tuple[int, int]) -> None:
    assert asked(pool, people[0], 100) is None
    assert asked(pool, people[0], 100) is None
    assert balance(pool).available == D(100)
    assert not CreditRequest.objects.exists()


def test_above_it_a_second_one_approves(pool: CreditPool, people: tuple[int, int]) -> None:
    mara, noor = people
    request = asked(pool, mara, "100.01")
    assert request is not None
    assert asked(pool, mara, "100.01") == request
    assert (balance(pool).settled, LedgerTransaction.objects.count()) == (D(0), 0)
    with pytest.raises(RequestKeyTaken):
        asked(pool, mara, 101)
    with pytest.raises(OwnRequest):
        approve_credit_request(request=request, now=NOW, by_id=mara)
    with pytest.raises(IntegrityError), transaction.atomic():
        CreditRequest.objects.update(status="approved", approved_by=mara, decided_at=NOW)
    assert balance(pool).settled == D(0)

    request = CreditRequest.objects.get()
    approve_credit_request(request=request, now=NOW + HOUR, by_id=noor)
    made = CreditGrant.objects.get()
    assert (made.amount, made.cost, made.priority, made.source) == (
        D("100.01"), D("2.50"), 5, "promotion",
    )  # fmt: skip
    assert (made.effective_at, made.expires_at) == (NOW + HOUR, NOW + 9 * HOUR)
    assert (made.note, made.created_by_id) == ("An outage.", mara)
    request.refresh_from_db()
    assert (request.status, request.approved_by_id) == ("approved", noor)
    before = everything()
    for decide in (
        lambda: approve_credit_request(request=request, now=NOW, by_id=noor),
        lambda: decline_credit_request(request=request, answer="No.", now=NOW, by_id=noor),
    ):
        with pytest.raises(RequestDecided):
            decide()
    assert everything() == before
    assert list(check_ledger()) == []


def test_what_is_declined_or_impossible_does_nothing(
    pool: CreditPool, people: tuple[int, int]
) -> None:
    mara, noor = people
    with pytest.raises(CreditInvalid):
        asked(pool, mara, "100.001")
    request = asked(pool, mara, 500)
    assert request is not None
    decline_credit_request(request=request, answer="Ask sales.", now=NOW, by_id=noor)
    request.refresh_from_db()
    assert (request.status, request.declined_by_id, request.answer) == (
        "declined", noor, "Ask sales.",
    )  # fmt: skip
    assert not CreditGrant.objects.exists()


def test_transfers_and_expiries_go_the_same_way(
    pool: CreditPool, people: tuple[int, int], world: World
) -> None:
    mara, noor = people
    other = pool_of(world, key="second")
    pack = grant(pool, "pack", 500)
    said = {"reason": "Moved.", "now": NOW, "by_id": mara}
    assert request_transfer(from_grant=pack, to_pool=other, amount=D(100), key="a", **said) is None
    with pytest.raises(NotSoMuchFree):
        request_transfer(from_grant=pack, to_pool=other, amount=D(401), key="b", **said)
    move = request_transfer(from_grant=pack, to_pool=other, amount=D(200), key="b", **said)
    pack.refresh_from_db()
    end = request_expiry(grant=pack, key="c", **said)
    assert move is not None
    assert end is not None
    assert (balance(pool).settled, balance(other).settled) == (D(400), D(100))
    assert (move.amount, end.amount) == (D(200), D(400))
    for request in (move, end):
        approve_credit_request(request=request, now=NOW, by_id=noor)
    assert (balance(pool).settled, balance(other).settled) == (D(0), D(300))
    assert list(check_ledger()) == []


def test_what_has_gone_meanwhile_cannot_be_approved(
    pool: CreditPool, people: tuple[int, int], world: World
) -> None:
    mara, noor = people
    pack = grant(pool, "pack", 200)
    said = {"reason": "Moved.", "now": NOW, "by_id": mara}
    to = pool_of(world, key="second")
    move = request_transfer(from_grant=pack, to_pool=to, amount=D(200), key="b", **said)
    assert move is not None
    assert request_transfer(from_grant=pack, to_pool=to, amount=D(1), key="c", **said) is None
    before = everything()
    with pytest.raises(NotSoMuchFree):
        approve_credit_request(request=move, now=NOW, by_id=noor)
    move.refresh_from_db()
    assert move.status == "requested"
    assert everything() == before
