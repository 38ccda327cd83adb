"""`/api/v1/outcomes` as a service calls it: claims once each, faults at the field, steps."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from plans.operations.customers import create_customer
from tests.fixtures.outcomes import contract
from tests.fixtures.world import EVER, World
from usage.models import Event, Outcome, OutcomeStep
from usage.operations.api_keys import issue_key

HAPPENED = (datetime.now(UTC) - timedelta(days=2)).replace(microsecond=0)
EVIDENCE = [{"name": "accuracy", "kind": "number"}, {"name": "note", "kind": "text",
             "required": False}]  # fmt: skip


def sent(id="c1", **said):
    return {
        "id": id, "contract": "support", "subject": "acme", "happened_at": HAPPENED.isoformat(),
        "evidence": {"accuracy": 0.995},
    } | said  # fmt: skip


@pytest.fixture
def plan(db):
    world = World()
    plan = world.plan(prices=({"key": "fee", "model": "flat", "amount": 1},))
    world.subscribe(world.customer(workspaces=("studio",)), plan, starts_at=EVER)
    return plan


@pytest.fixture
def api(plan):
    _, secret = issue_key(name="the agent", scopes=["outcomes"], now=EVER)

    def call(path, body=None, method="post"):
        client = Client(headers={"Authorization": f"Bearer {secret}"})
        answer = getattr(client, method)(
            f"/api/v1/outcomes{path}", json.dumps(body), content_type="application/json"
        ) if method == "post" else client.get(f"/api/v1/outcomes{path}")  # fmt: skip
        return answer.status_code, answer.json()

    return call


def by_rule(plan, **said):
    return contract(
        plan=plan, evidence=EVIDENCE, success="accuracy > 0.9", effective_from=EVER, **said
    )


def test_a_claim_is_stored_once_and_verified_by_rule(api, plan):
    by_rule(plan)
    status, first = api("", sent())
    (outcome,) = Outcome.objects.all()
    assert (status, first["accepted"], first["outcomes"]) == (
        200, 1, [{"index": 0, "id": "c1", "outcome": outcome.pk, "state": "verified"}],
    )  # fmt: skip
    (event,) = Event.objects.filter(source="tollgate/outcomes")
    assert (event.time, event.properties) == (
        HAPPENED, {"outcome": "c1", "step": "verified", "count": 1},
    )  # fmt: skip

    again = sent(evidence={"accuracy": "0.9950"})
    status, second = api("", [sent(), sent(), again | {"evidence": {"accuracy": 0.995}}])
    assert (status, second["accepted"], second["duplicates"]) == (200, 0, 3)
    status, third = api("", sent(evidence={"accuracy": 0.999}))
    assert (status, third["code"], third["rejected"][0]["field"]) == (400, "conflict", "id")
    assert Outcome.objects.count() == Event.objects.count() == 1
    assert [step.what for step in OutcomeStep.objects.order_by("number")] == ["claim", "verify"]


@pytest.mark.parametrize(
    ("said", "code", "field"),
    [
        ({"evidence": {}}, "missing_evidence", "evidence.accuracy"),
        ({"evidence": {"accuracy": "high"}}, "invalid_evidence", "evidence.accuracy"),
        ({"evidence": {"accuracy": True}}, "invalid_evidence", "evidence.accuracy"),
        ({"evidence": {"accuracy": 1, "note": 5}}, "invalid_evidence", "evidence.note"),
        ({"evidence": {"accuracy": 1, "speed": 5}}, "unknown_evidence", "evidence.speed"),
        ({"value": "-1"}, "invalid_value", "value"),
        ({"value": "1e5"}, "invalid_value", "value"),
        ({"contract": "nothing"}, "unknown_contract", "contract"),
        ({"subject": "nobody"}, "unknown_subject", "subject"),
        ({"subject": "other"}, "not_on_plan", "subject"),
        ({"happened_at": "2019-01-01T00:00:00Z"}, "contract_not_in_force", "happened_at"),
        ({"happened_at": "2999-01-01T00:00:00Z"}, "time_out_of_range", "happened_at"),
        ({"happened_at": "2026-01-01T00:00:00"}, "invalid_time", "happened_at"),
        ({"claimed_at": "2021-01-01T00:00:00Z"}, "invalid_time", "claimed_at"),
        ({"id": ""}, "missing_field", "id"),
        ({"id": "x" * 201}, "id_too_long", "id"),
        ({"id": 5}, "malformed", "id"),
        ({"colour": "red"}, "malformed", "colour"),
        ({"evidence": {"accuracy": 1, "note": "a\0b"}}, "invalid_data", "evidence"),
        ({"attempt": 0}, "invalid_data", "attempt"),
    ],
)
def test_a_fault_is_told_with_its_field_and_stops_no_other(api, plan, said, code, field):
    create_customer(key="other", name="Other")
    by_rule(plan)
    status, body = api("", [sent(**({"id": "bad"} | said)), sent("good")])
    assert status == 207
    (rejected,) = body["rejected"]
    assert (rejected["index"], rejected["code"], rejected["field"]) == (0, code, field)
    assert list(Outcome.objects.values_list("key", flat=True)) == ["good"]


def test_no_success_is_rejected_at_once_with_the_reason_and_never_billed(api, plan):
    by_rule(plan)
    _, body = api("", sent(evidence={"accuracy": "0.9"}))
    assert body["outcomes"][0]["state"] == "rejected"
    _, found = api(f"/{body['outcomes'][0]['outcome']}", method="get")
    assert found["steps"][1]["reason"] == (
        "It is no success: that needs accuracy is more than 0.9."
    )
    assert not Event.objects.exists()


def test_verify_reject_and_dispute(api, plan):
    by_rule(plan, verification={"by": "customer", "window_hours": 96, "silence": "verified"},
            dispute_days=10)  # fmt: skip
    _, body = api("", [sent(f"c{n}", claimed_at=HAPPENED.isoformat()) for n in range(4)])
    a, b, c, d = (each["outcome"] for each in body["outcomes"])
    assert not Event.objects.exists()

    status, found = api(f"/{a}/verify", {})
    assert (status, found["state"], found["is_billable"]) == (200, "verified", True)
    assert found["amount"] == {"amount": "10.00", "currency": "USD"}
    assert api(f"/{a}/verify", {})[0] == 200
    assert Event.objects.count() == 1

    assert api(f"/{b}/reject", {})[1]["code"] == "reason_missing"
    status, found = api(f"/{b}/reject", {"reason": "Reopened."})
    assert (status, found["state"], found["steps"][1]["who"]) == (200, "rejected", "the agent")
    assert api(f"/{b}/verify", {})[1]["code"] == "wrong_state"
    assert api(f"/{b}/dispute", {"reason": "No."})[1]["code"] == "wrong_state"

    late = (HAPPENED + timedelta(hours=97)).isoformat()
    assert api(f"/{c}/verify", {"at": late})[1]["code"] == "invalid_time"  # it lies ahead
    early = (HAPPENED - timedelta(hours=1)).isoformat()
    assert api(f"/{c}/verify", {"at": early})[1]["code"] == "invalid_time"
    assert api(f"/{c}/verify", {"at": (HAPPENED + timedelta(hours=1)).isoformat()})[0] == 200

    status, found = api(f"/{a}/dispute", {"reason": "It was not solved."})
    assert (status, found["state"]) == (200, "disputed")
    assert Event.objects.count() == 2
    assert api(f"/{d}")[0] == 405
    assert api("/999999", method="get")[1]["code"] == "unknown_outcome"


def test_a_key_needs_the_scope(plan, client):
    _, secret = issue_key(name="reader", scopes=["read"], now=EVER)
    answer = client.post(
        "/api/v1/outcomes", "[]", content_type="application/json",
        headers={"Authorization": f"Bearer {secret}"},
    )  # fmt: skip
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
