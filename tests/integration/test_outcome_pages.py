"""The admin's pages of outcome contracts and outcomes, as an editor and an approver use them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from plans.models import OutcomeContract, OutcomeContractVersion
from tests.fixtures.outcomes import claim, contract, step
from tests.fixtures.world import EVER, World, at
from usage.models import Event, Outcome

ADD = "/admin/plans/outcomecontract/add/"
TYPED = {
    "key": "leads", "name": "Qualified leads", "currency": "USD", "plan": "", "customer": "",
    "unit": "leads", "evidence": "score: number\nnote: text, optional", "success": "score >= 5",
    "by": "customer", "window_hours": "72", "silence": "rejected", "sample_percent": "",
    "dispute_days": "30", "kind": "per_outcome", "amount": "40", "percent": "", "rate": "",
    "quantity_field": "", "tiers": "", "bonus_amount": "", "bonus_when": "",
    "risk_premium_percent": "18", "holdback_percent": "", "holdback_days": "", "cap": "",
    "floor": "", "note": "", "examples": "score=7\nscore=3\nscore=9\nspeed=1",
}  # fmt: skip

pytestmark = pytest.mark.django_db


@pytest.fixture
def plan():
    world = World()
    plan = world.plan(prices=({"key": "fee", "model": "flat", "amount": 1},))
    world.subscribe(world.customer(), plan, starts_at=EVER)
    return plan


@pytest.fixture
def editor(staff, client):
    client.force_login(staff("Finance editor"))
    return client


def test_a_contract_is_tried_saved_submitted_approved_and_published(staff, client, plan):
    editor, approver = staff("Finance editor"), staff("Finance approver")
    client.force_login(editor)
    assert client.get(ADD).status_code == 200
    typed = TYPED | {"plan": plan.pk}
    shown = client.post(ADD, typed | {"step": "preview"}, headers={"HX-Request": "true"})
    text = shown.content.decode()
    for said in (
        "It is a success where score is at least 5.",
        "The customer verifies within 72 hours; silence means rejected.",
        "A verified outcome can be disputed for 30 days.",
        "47.20 USD", "94.40 USD", "Refused at evidence.speed", "It is no success",
    ):  # fmt: skip
        assert said in text, said
    assert not OutcomeContract.objects.exists()

    client.post(ADD, typed | {"step": "do"})
    version = OutcomeContractVersion.objects.get()
    assert version.content["evidence"] == [
        {"name": "score", "kind": "number"}, {"name": "note", "kind": "text", "required": False},
    ]  # fmt: skip
    assert version.author_ids == [editor.pk]
    page = reverse("admin:plans_outcomecontract_change", args=[version.contract_id])
    client.post(page, typed | {"amount": "41", "step": "do"})
    version.refresh_from_db()
    assert version.content["fee"]["amount"] == "41"

    def take(name, **said):
        address = reverse(f"admin:plans_outcomecontract_{name}", args=[version.pk])
        return client.post(address, said)

    assert take("submit", comment="Please.").status_code == 302
    assert take("approve").status_code == 403
    client.post(page, typed | {"amount": "1", "step": "do"})
    version.refresh_from_db()
    assert version.content["fee"]["amount"] == "41"

    client.force_login(approver)
    assert take("approve", comment="Fine.").status_code == 302
    assert take("publish", effective_date="2030-01-01").status_code == 302
    version.refresh_from_db()
    assert version.effective_from == at(2030, 1, 1)
    text = client.get(page).content.decode()
    assert "Scheduled, from 01 January 2030" in text
    assert "Approved by" in text
    assert "Save the draft" not in text
    client.force_login(editor)
    assert take("next").status_code == 302
    assert OutcomeContractVersion.objects.count() == 2
    assert client.get("/admin/plans/outcomecontract/").status_code == 200


@pytest.mark.parametrize(
    ("typed", "label", "said"),
    [
        ({"success": "speed > 1"}, "success", "At character 1: there is no evidence field"),
        ({"success": "score > yes"}, "success", "At character 9: “score” is compared with a num"),
        ({"success": "score > 5 and score < 4"}, "success", "can never be so"),
        ({"evidence": "score: colour"}, "evidence", "Line 1: Choose one of"),
        ({"amount": "1,5"}, "amount", "State a number of zero or more."),
        ({"amount": ""}, "amount", "The fee needs it: state it."),
        ({"window_hours": ""}, "window_hours", "Say how long there is to verify."),
        ({"kind": "tiered_count", "amount": "", "tiers": "10; 5\n5; 4"}, "tiers", "Line 2: "),
        ({"key": "a b"}, "key", "Use 1 to 100 letters"),
        ({"plan": ""}, "plan", "choose one of them"),
    ],
)
def test_what_cannot_be_is_said_at_the_field_and_stays_typed(editor, plan, typed, label, said):
    answer = editor.post(ADD, TYPED | {"plan": plan.pk, "step": "do"} | typed)
    assert answer.status_code == 200
    forms = (answer.context["form"], answer.context["new"])
    errors = [error for form in forms for error in form.errors.get(label, ())]
    assert any(said in error for error in errors), [form.errors for form in forms]
    assert not OutcomeContract.objects.exists()


def test_outcomes_are_verified_disputed_and_decided_by_those_who_may(staff, client, plan):
    contract(
        plan=plan, dispute_days=30,
        verification={"by": "reviewer", "window_hours": 800, "silence": "rejected"},
    )  # fmt: skip
    claim("a", "b", at=datetime.now(UTC) - timedelta(days=1))
    a, b = Outcome.objects.order_by("key")

    def take(action, outcome, **said):
        address = reverse(f"admin:usage_outcome_{action}", args=[outcome.pk])
        return client.post(address, said)

    client.force_login(staff("Support"))
    assert take("verify", a).status_code == 403
    client.force_login(staff("Finance editor"))
    home = client.get("/admin/").content.decode()
    assert "Outcomes to verify" in home
    page = client.get(reverse("admin:usage_outcome_change", args=[a.pk])).content.decode()
    assert "10.00 USD, unbilled" in page
    assert take("verify", a).status_code == 302
    assert take("reject", b).status_code == 200  # a reason is asked for
    assert take("reject", b, reason="Not ours.").status_code == 302
    assert take("dispute", a, reason="They called.").status_code == 302
    assert take("uphold", a, reason="So it is.").status_code == 403

    client.force_login(staff("Finance approver"))
    assert "Disputes to decide" in client.get("/admin/").content.decode()
    page = client.get(reverse("admin:usage_outcome_change", args=[a.pk])).content.decode()
    assert "10.00 USD, contested" in page
    assert take("uphold", a, reason="So it is.").status_code == 302
    assert take("uphold", a, reason="So it is.").status_code == 302
    a.refresh_from_db()
    assert a.state == "upheld"
    assert [event.properties["count"] for event in Event.objects.order_by("event_id")] == [1, -1]
    text = client.get("/admin/usage/outcome/").content.decode()
    assert "Dispute upheld" in text


def test_the_list_asks_as_often_for_many_as_for_few(
    staff, client, plan, django_assert_max_num_queries
):
    contract(plan=plan)
    claim(*[f"k{number}" for number in range(40)], at=at(2026, 6, 1))
    client.force_login(staff("Finance editor"))
    with django_assert_max_num_queries(14):
        assert client.get("/admin/usage/outcome/").status_code == 200


def test_a_second_step_of_the_same_kind_changes_nothing(plan):
    contract(plan=plan)
    claim("a", at=at(2026, 6, 1))
    step("reverse", "a", now=at(2026, 6, 2))
    step("reverse", "a", now=at(2026, 6, 3))
    assert Event.objects.count() == 2
