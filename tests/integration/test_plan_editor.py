"""The editor's server side: what it shows, what it answers to what is typed, what it stores."""

import copy
import json
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing.staff import APPROVER, EDITOR, SUPPORT
from plans.catalogue import editing
from plans.catalogue.document import Source, read_sources
from plans.catalogue.editing import content_of, revision_of
from plans.models import Feature, Meter, Price, Tier
from plans.operations.features import define_feature
from plans.operations.meters import define_meter
from plans.operations.publishing import publish_version
from plans.operations.versions import create_plan, start_version
from plans.terms import terms_of
from tests.integration.plans_fixtures import NEW_YEAR, approved, everything, person

pytestmark = pytest.mark.django_db

FEE = {"key": "fee", "name": "Monthly fee", "model": "flat", "amount": "99"}
TASKS = {
    "key": "tasks", "name": "Tasks", "model": "graduated", "meter": "tasks",
    "tiers": [{"up_to": "1,000,000", "unit": "0"}, {"up_to": "", "unit": "0.006", "flat": ""}],
}  # fmt: skip


@pytest.fixture
def draft(db):
    """A draft of the plan Scale without a price, and meters that it may read."""
    define_meter(key="tasks", name="Tasks", event_type="t", aggregation="count", unit="tasks")
    define_meter(
        key="tokens", name="Tokens", event_type="t", aggregation="sum", value_property="n",
        dimensions=["model", "direction"], unit="tokens",
    )  # fmt: skip
    return start_version(plan=create_plan(key="scale", name="Scale"), currency="EUR")


@pytest.fixture
def editor(client, staff):
    client.force_login(staff(EDITOR))
    return client


def address(what, version):
    return reverse(f"admin:plans_planversion_{what}", args=[version.pk])


def send(client, what, version, **body):
    return client.post(address(what, version), json.dumps(body), content_type="application/json")


def typed(*prices, **said):
    return {"currency": "EUR", "note": "", "prices": list(copy.deepcopy(prices)), **said}


def save(client, version, *prices, revision=None, **said):
    revision = revision or revision_of(content_of(version))
    return send(client, "save", version, content=typed(*prices, **said), revision=revision)


def preview(client, version, *prices, details=(), quantities=None, **said):
    body = {"content": typed(*prices, **said), "prices": list(details)}
    if quantities is not None:
        body["quantities"] = quantities
    answer = send(client, "preview", version, **body)
    assert answer.status_code == 200, answer.content
    return answer.json()


def paths(answer):
    return {problem["path"]: problem["code"] for problem in answer["problems"]}


# Saving ---------------------------------------------------------------------------------------


def test_a_version_is_stored_as_it_was_typed(editor, draft):
    answer = save(
        editor, draft, FEE, TASKS,
        note="  New prices\0 ", currency="USD", features=[],
        limits=[{"kind": "concurrent_jobs", "value": " 20 ", "job_class": ""}],
        service_classes=[{"key": "fast", "name": "Fast", "multiplier": "1.5",
                          "start_within_minutes": "5", "late_start_percent": " 50 %"}],
        phases=[{"key": "trial", "name": "Trial", "days": "14", "discount_percent": "100%"},
                {"key": "steady", "name": "Steady", "discount_percent": ""}],
    )  # fmt: skip

    assert answer.status_code == 200
    assert answer.json()["problems"] == []
    assert answer.json()["revision"] == revision_of(content_of(draft))
    assert content_of(draft) == {
        "currency": "USD",
        "note": "New prices",
        "limits": [{"kind": "concurrent_jobs", "value": "20"}],
        "service_classes": [
            {"key": "fast", "name": "Fast", "multiplier": "1.5", "start_within_minutes": 5,
             "late_start_percent": "50"}
        ],
        "phases": [
            {"key": "trial", "name": "Trial", "days": 14, "discount_percent": "100"},
            {"key": "steady", "name": "Steady"},
        ],
        "prices": [
            FEE,
            {
                "key": "tasks", "name": "Tasks", "model": "graduated", "meter": "tasks",
                "tiers": [{"up_to": "1000000", "unit": "0"}, {"up_to": None, "unit": "0.006"}],
            },
        ],
    }  # fmt: skip


def test_saving_again_replaces_everything_and_keeps_nothing_of_before(editor, draft):
    save(editor, draft, FEE, TASKS, phases=[{"key": "one", "name": "One"}])

    answer = save(editor, draft, {**FEE, "amount": "100"})

    assert answer.status_code == 200
    assert content_of(draft)["prices"] == [{**FEE, "amount": "100"}]
    assert Price.objects.count() == 1
    assert not Tier.objects.exists()
    assert not draft.phases.exists()


def test_an_empty_draft_and_one_that_makes_no_sense_yet_are_stored_with_their_problems(
    editor, draft
):
    empty = save(editor, draft)
    assert paths(empty.json()) == {"prices": "no_prices"}

    answer = save(editor, draft, {**FEE, "minimum": "200", "maximum": "100"})

    assert answer.status_code == 200
    assert paths(answer.json()) == {"prices[0].minimum": "minimum_above_maximum"}
    assert draft.prices.get().maximum == Decimal(100)


@pytest.mark.parametrize(
    ("prices", "said", "found"),
    [
        ([{**FEE, "amount": ""}], {}, {"prices[0].amount": "missing"}),
        ([{**FEE, "amount": "abc"}], {}, {"prices[0].amount": "not_an_amount"}),
        ([{**FEE, "amount": "-1"}], {}, {"prices[0].amount": "not_an_amount"}),
        ([{**FEE, "amount": 1.5}], {}, {"prices[0].amount": "float"}),
        ([{**FEE, "key": "", "name": ""}], {}, {"prices[0].name": "missing"}),
        ([{**FEE, "key": "a b"}], {}, {"prices[0].key": "not_a_key"}),
        ([FEE, FEE], {}, {"prices[1].key": "duplicate_key"}),
        ([{"key": "", "name": "", "model": ""}], {}, {"prices[0].model": "missing"}),
        ([{**FEE, "every_months": "0"}], {}, {"prices[0].every_months": "out_of_range"}),
        ([{**TASKS, "meter": ""}], {}, {"prices[0].meter": "missing"}),
        ([{**TASKS, "meter": "gone"}], {}, {"prices[0].meter": "unknown_meter"}),
        (
            [{**TASKS, "tiers": [{"up_to": "", "unit": ""}]}], {},
            {"prices[0].tiers[0].unit": "missing"},
        ),
        (
            [FEE, {**TASKS, "tiers": [{"up_to": "10", "unit": "1"}, {"up_to": "5", "unit": "1"},
                                      {"up_to": "", "unit": "1"}]}], {},
            {"prices[1].tiers[1].up_to": "bounds_not_rising"},
        ),
        (
            [{**TASKS, "tiers": [{"up_to": "", "unit": "1"}, {"up_to": "", "unit": "1"}]}], {},
            {"prices[0].tiers[0].up_to": "open_tier_not_last"},
        ),
        (
            [{**TASKS, "allowance": "5", "overage": {"policy": "packs", "size": "10"}}], {},
            {"prices[0].overage.amount": "missing"},
        ),
        (
            [{**TASKS, "allowance": "5", "overage": {"policy": "upgrade", "plan": "none"}}], {},
            {"prices[0].overage.plan": "unknown_plan"},
        ),
        (
            [{"key": "t", "name": "T", "model": "matrix", "meter": "tokens", "default": "refuse",
              "rates": [{"match": {"model": "", "direction": ""}, "unit": ""}]}], {},
            {"prices[0].rates[0].unit": "missing"},
        ),
        (
            [{"key": "t", "name": "T", "model": "matrix", "meter": "tokens", "default": "",
              "rates": [{"match": {}, "unit": "1"}]}], {},
            {"prices[0].default": "missing"},
        ),
        ([FEE], {"currency": "XXL"}, {"currency": "unknown_value"}),
        ([FEE], {"limits": [{"kind": "jobs_per_day"}]}, {"limits[0].value": "missing"}),
        ([FEE], {"phases": [{"key": "", "name": ""}]}, {"phases[0].name": "missing"}),
        ([FEE], {"features": ["none"]}, {"features[0]": "unknown_feature"}),
        ([FEE], {"prices": "none"}, {"prices": "wrong_type"}),
        (["fee"], {}, {"prices[0]": "wrong_type"}),
        ([FEE], {"phases": [{"key": "a", "name": "A", "days": "5", "months": "1"},
                            {"key": "b", "name": "B"}]},
         {"phases[0].days": "days_and_months"}),
        ([FEE], {"service_classes": [{"key": "a", "name": "A"}, {"key": "a", "name": "B"}]},
         {"service_classes[1].key": "duplicate_key"}),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_as_typed_is_refused_at_its_place_and_nothing_is_stored(
    editor, draft, prices, said, found
):
    save(editor, draft, FEE, note="before")
    before = everything()

    answer = save(editor, draft, *prices, **said)

    assert answer.status_code == 422
    assert answer.json()["code"] == "cannot_be_stored"
    assert paths(answer.json()) == found
    assert all(problem["message"] for problem in answer.json()["problems"])
    assert everything() == before


def test_what_the_database_alone_refuses_is_said_in_its_words(editor, draft, monkeypatch):
    rates = [{"match": {"model": "large"}, "unit": "1"}, {"match": {"model": "large"}, "unit": "2"}]
    twice = {"key": "t", "name": "T", "model": "matrix", "meter": "tokens", "default": "refuse"}
    monkeypatch.setattr(editing, "_STORABLE", editing._STORABLE | {"duplicate_rate"})
    before = everything()

    answer = save(editor, draft, {**twice, "rates": rates})

    assert answer.status_code == 422
    assert "Two rates of one price match the same values." in answer.json()["message"]
    assert everything() == before


def test_someone_else_was_faster(editor, draft):
    revision = revision_of(content_of(draft))
    save(editor, draft, {**FEE, "amount": "1"})
    before = everything()

    answer = save(editor, draft, {**FEE, "amount": "2"}, revision=revision)

    assert answer.status_code == 409
    assert answer.json()["code"] == "version_changed"
    assert "What you typed is still here" in answer.json()["message"]
    assert everything() == before


@pytest.mark.parametrize("body", ["", "[]", "{", '{"content": 5}', '"x"', "[" * 200_000])
def test_what_is_not_the_pages_own_is_refused(editor, draft, body):
    before = everything()

    answer = editor.post(address("save", draft), body, content_type="application/json")

    assert answer.status_code == 422
    assert answer.json()["code"] == "unreadable"
    assert everything() == before


def test_what_is_stored_needs_the_pages_token(staff, draft):
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff(EDITOR))

    assert save(client, draft, FEE).status_code == 403
    assert not Price.objects.exists()


# Who, and when --------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [APPROVER, SUPPORT])
def test_others_read_and_calculate_but_store_nothing(client, staff, draft, group):
    client.force_login(staff(group))
    before = everything()

    assert preview(client, draft, FEE)["summaries"] == ["99.00 EUR a period"]
    assert save(client, draft, FEE).status_code == 403
    assert send(client, "meter", draft, key="m").status_code == 403
    assert send(client, "feature", draft, key="f").status_code == 403
    shown = client.get(address("change", draft)).content.decode()
    assert '"canEdit": false' in shown
    assert "Save draft" not in shown
    assert everything() == before


def test_a_stranger_calculates_nothing(client, staff, draft):
    client.force_login(staff(None))

    assert send(client, "preview", draft, content=typed(FEE)).status_code == 403


def test_a_published_version_is_shown_and_frozen(editor, draft):
    save(editor, draft, FEE, TASKS)
    author = get_user_model().objects.get(username="finance-editor")
    approved(draft, author=author, approver=person("noor"))
    assert save(editor, draft, FEE).status_code == 403
    publish_version(version=draft, effective_from=NEW_YEAR, by=None, now=NEW_YEAR)
    before = everything()

    shown = editor.get(address("change", draft)).content.decode()
    assert '"canEdit": false' in shown
    assert "up to 1,000,000 at 0, above at 0.006" in shown.lower()
    assert save(editor, draft, FEE).status_code == 403
    assert everything() == before


# The preview ----------------------------------------------------------------------------------


def test_unsaved_prices_are_shown_in_words_and_nothing_is_stored(editor, draft):
    found = preview(editor, draft, FEE, TASKS, details=[1])

    assert found["problems"] == []
    assert found["summaries"][0] == "99.00 EUR a period"
    assert "up to 1,000,000 at 0, above at 0.006" in found["summaries"][1].lower()
    [detail] = found["details"]
    curve = detail["curve"]
    assert curve[0] == ["0", "0.00"]
    assert ["1000000", "0.00"] in curve
    assert Decimal(curve[-1][0]) == Decimal(1_500_000)
    assert Decimal(curve[-1][1]) == Decimal(3000)
    assert [(each["quantity"], each["amount"]) for each in detail["examples"]] == [
        ("1,000,000 tasks", "0.00 EUR"), ("1,500,000 tasks", "3,000.00 EUR"),
    ]  # fmt: skip
    assert detail["examples"][0].keys() == {"quantity", "amount", "words"}
    assert not Price.objects.exists()


def test_a_price_that_is_not_complete_does_not_hide_the_others(editor, draft):
    fresh = {"key": "", "name": "", "model": "", "meter": "", "tiers": []}

    found = preview(editor, draft, fresh, FEE, {**TASKS, "meter": ""}, details=[0, 1])

    assert paths(found) == {"prices[0].model": "missing", "prices[2].meter": "missing"}
    assert found["summaries"] == ["", "99.00 EUR a period", ""]
    [detail] = found["details"]
    assert (detail["price"], detail["examples"][0]["amount"]) == (1, "99.00 EUR")


def test_a_bill_at_quantities_of_ones_choice(editor, draft):
    setup = {"key": "setup", "name": "Setup", "model": "flat", "amount": "5000", "once": True}

    found = preview(
        editor, draft, setup, FEE, TASKS, quantities={"tasks": "1,200,000", "tokens": ""}
    )["bill"]

    assert [(line["label"], line["quantity"], line["amount"]) for line in found["lines"]] == [
        ("Setup", "", "5,000.00 EUR"),
        ("Monthly fee", "", "99.00 EUR"),
        ("Tasks", "1,200,000 tasks", "1,200.00 EUR"),
    ]
    assert found["total"] == "6,299.00 EUR"


def test_a_quantity_that_is_no_number_and_a_price_that_is_not_complete_give_no_total(editor, draft):
    wrong = preview(editor, draft, TASKS, quantities={"tasks": "many"})["bill"]
    part = preview(editor, draft, FEE, {**TASKS, "meter": ""}, quantities={})["bill"]

    assert paths(wrong) == {"quantities.tasks": "not_a_quantity"}
    assert (wrong["total"], part["total"], part["lines"]) == ("", "", [])


# Meters and features on the way --------------------------------------------------------------


def test_a_meter_is_made_on_the_page(editor, draft):
    sent = {
        "key": "gpu", "name": "GPU hours", "event_type": "job", "aggregation": "sum",
        "value_property": "hours", "unit": "hours", "dimensions": "model, ,queue",
    }  # fmt: skip

    made = send(editor, "meter", draft, **sent)
    again = send(editor, "meter", draft, **sent)
    wrong = send(editor, "meter", draft, **{**sent, "key": "x", "value_property": ""})

    assert made.json()["meter"] == {
        "key": "gpu", "name": "GPU hours", "unit": "hours", "dimensions": ["model", "queue"],
        "aggregation": "Sum of a property", "event": "job", "property": "hours",
    }  # fmt: skip
    assert paths(again.json()) == {"key": "meter_key_taken"}
    assert paths(wrong.json()) == {"value_property": "value_property_unless_count"}
    assert Meter.objects.filter(name="GPU hours").count() == 1


def test_a_feature_is_made_on_the_page_and_none_is_overwritten(editor, draft):
    define_feature(key="sso", name="Single sign-on")

    made = send(editor, "feature", draft, key="audit", name="Audit log")
    taken = send(editor, "feature", draft, key="sso", name="Other")

    assert made.json() == {"feature": {"key": "audit", "name": "Audit log"}}
    assert paths(taken.json()) == {"key": "feature_key_taken"}
    assert dict(Feature.objects.values_list("key", "name")) == {
        "sso": "Single sign-on", "audit": "Audit log",
    }  # fmt: skip


# The same terms as a document -------------------------------------------------------------------


def test_what_the_page_stores_has_the_digest_of_the_document(editor, draft):
    text = """
meters:
  - {key: tasks, name: Tasks, event_type: t, aggregation: count, unit: tasks}
plans:
  - key: doc
    name: Document
    currency: EUR
    prices:
      - {key: fee, name: Monthly fee, model: flat, amount: "99"}
      - key: tasks
        name: Tasks
        model: graduated
        meter: tasks
        tiers: [{up_to: 1000000, unit: "0"}, {up_to: null, unit: "0.006"}]
"""
    save(editor, draft, FEE, TASKS)

    document = read_sources([Source("doc.yaml", text)]).plans[0].versions[0]
    assert terms_of([draft.pk])[draft.pk].digest == document.digest


# Size -------------------------------------------------------------------------------------------

MOST_PRICES, MOST_TIERS = 40, 200


def many_prices():
    tiers = [{"up_to": str(bound), "unit": "0.01"} for bound in (10, 100, 1000, 10_000)]
    return [
        {**TASKS, "key": f"p{place}", "name": "Price", "tiers": [*tiers, TASKS["tiers"][1]]}
        for place in range(MOST_PRICES)
    ]  # fmt: skip


def counted(run):
    run()
    with CaptureQueriesContext(connection) as queries:
        run()
    return len(queries)


@pytest.mark.parametrize("what", ["page", "preview", "save"])
def test_the_queries_are_as_many_for_40_prices_as_for_one(editor, draft, what):
    def run(prices):
        if what == "page":
            editor.get(address("change", draft))
        elif what == "preview":
            preview(editor, draft, *prices, details=[0], quantities={})
        else:
            assert save(editor, draft, *prices).status_code == 200

    save(editor, draft, TASKS)
    one = counted(lambda: run([TASKS]))
    save(editor, draft, *many_prices())
    assert Tier.objects.count() == MOST_TIERS
    many = counted(lambda: run(many_prices()))

    assert many == one
