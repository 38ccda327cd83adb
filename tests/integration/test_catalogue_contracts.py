"""Outcome contracts as documents: stored, written again without loss, refused at their place."""

import copy
from contextlib import contextmanager

import pytest
from django.db import transaction

from plans.catalogue import yaml_text
from plans.catalogue.document import Source
from plans.catalogue.dump import dump
from plans.catalogue.load import load_sources
from plans.catalogue.preview import load_as_shown, preview
from plans.catalogue.problems import CatalogueInvalid
from plans.contracts import terms_of_version
from plans.models import OutcomeContract, OutcomeContractVersion, PriceOverride
from plans.operations.contracts import (
    create_contract,
    publish_contract,
    save_contract_version,
    start_contract_version,
)
from plans.rating.money import ZERO
from tests.fixtures.world import EVER, World, at
from tests.integration.plans_fixtures import everything
from tests.unit.catalogue.documents import DELETED, put

pytestmark = pytest.mark.django_db

NOW = at(2026, 3, 1)
FULL = {
    "unit": "hours", "success": "accuracy > 0.99 and (reopened is no or hours >= 72)",
    "evidence": [
        {"name": "accuracy", "kind": "number"}, {"name": "hours", "kind": "number"},
        {"name": "reopened", "kind": "yes_no", "required": False},
    ],
    "verification": {
        "by": "sample", "window_hours": 72, "silence": "rejected", "sample_percent": "12.5",
        "apply_rate": False,
    },
    "dispute_days": 30,
    "fee": {
        "kind": "share", "percent": "40", "rate": "50", "quantity_field": "hours",
        "bonus_amount": "2.5", "bonus_when": "reopened is no", "risk_premium_percent": "18",
        "holdback_percent": "20", "holdback_days": 60, "cap": "2500", "floor": "10",
    },
}  # fmt: skip
TIERS = {
    "unit": "leads",
    "fee": {"kind": "tiered_count", "volume": True,
            "tiers": [{"up_to": "100", "unit": "5", "flat": "1"}, {"unit": "3.125"}]},
}  # fmt: skip
PLAN = {
    "key": "team", "name": "Team", "currency": "USD", "effective_from": "2020-01-01T00:00:00Z",
    "prices": [{"key": "fee", "name": "Fee", "model": "flat", "amount": "1"}],
}  # fmt: skip


def document():
    """A plan with a contract of two versions, and a contract of one customer."""
    return copy.deepcopy({
        "plans": [PLAN],
        "contracts": [
            {"key": "leads", "name": "Leads", "currency": "USD", "plan": "team", "versions": [
                {"effective_from": "2026-04-01T00:00:00Z", "note": "The first.", **TIERS},
                {"effective_from": "2026-05-01T00:00:00Z", **FULL},
            ]},
            {"key": "own", "name": "Own", "currency": "EUR", "customer": "acme", **FULL},
        ],
    })  # fmt: skip


def load(content, *, publish=True):
    sources = [Source("c.yaml", content if isinstance(content, str) else yaml_text.write(content))]
    return [str(one) for one in load_sources(sources, publish=publish, by=None, now=NOW)]


@contextmanager
def taken_back():
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def acme():
    return World().customer("acme", currency="EUR")


def test_contracts_are_loaded_once_and_written_as_they_were(acme):
    with taken_back():
        assert load(document(), publish=False)[1:] == [
            "contract leads: version 1 draft", "contract leads: version 2 draft",
            "contract own: version 1 draft",
        ]  # fmt: skip
        assert not PriceOverride.objects.exists()
    assert load(document())[1:] == [
        "contract leads: version 1 published", "contract leads: version 2 published",
        "contract own: version 1 draft",
    ]  # fmt: skip
    before, text = everything(), dump()
    assert load(text)[-3:] == [
        "contract leads: version 1 unchanged", "contract leads: version 2 unchanged",
        "contract own: version 1 unchanged",
    ]  # fmt: skip
    assert everything() == before
    written = yaml_text.parse(text, name="dump")["contracts"]
    assert written == document()["contracts"]
    assert yaml_text.parse(dump(keys=["team"]), name="dump")["contracts"] == written[:1]
    first, second = OutcomeContractVersion.objects.filter(contract__key="leads").order_by("number")
    assert (first.effective_until, second.note) == (second.effective_from, "")
    assert (first.author_ids, first.note) == ([], "The first.")


def test_what_was_typed_in_the_editor_is_written_without_loss(acme):
    """Empty fields, whole numbers as text, a draft beside what is published."""
    typed = {
        "unit": " leads ", "evidence": [], "success": "", "dispute_days": 0,
        "verification": {"by": "rule", "silence": "verified"},
        "fee": {"kind": "per_outcome", "amount": 40, "cap": "100.50", "floor": None},
    }  # fmt: skip
    with taken_back():
        version = create_contract(
            key="x", name="X", currency="EUR", content=typed, customer=acme, note="Typed."
        )
        publish_contract(version=version, effective_from=EVER, by=None, now=EVER)
        draft = start_contract_version(contract=version.contract, content=FULL)
        save_contract_version(version=draft, content=FULL, note="Next.", by=None)
        terms, text = [terms_of_version(each) for each in (version, draft)], dump()
    assert not OutcomeContract.objects.exists()
    with transaction.atomic():
        load(text)
        rows = OutcomeContractVersion.objects.order_by("number")
        assert [terms_of_version(each) for each in rows] == terms
        assert [(each.note, each.effective_from) for each in rows] == [
            ("Typed.", EVER), ("Next.", None),
        ]  # fmt: skip
        assert (terms[0].fee.cap, terms[0].fee.percent) == (100.5, ZERO)
        assert dump() == text


LEADS, OWN = "contracts.0", "contracts.1"
FEE = f"{LEADS}.versions.0.fee"
BAD = [
    # the path that is changed, the value; then the problem's path and its code
    (f"{LEADS}.name", DELETED, "contracts[0].name", "missing"),
    (f"{LEADS}.plan", "gold", "contracts[0].plan", "unknown_plan"),
    (f"{LEADS}.customer", "acme", "contracts[0].plan", "contract_for_whom"),
    (f"{OWN}.key", "leads", "contracts[1].key", "contract_twice"),
    (f"{OWN}.customer", "nobody", "contracts[1].customer", "unknown_customer"),
    (f"{OWN}.currency", "USD", "contracts[1].currency", "contract_differs"),
    (f"{LEADS}.versions.1.effective_from", "2026-04-01T00:00:00Z",
     "contracts[0].versions[1].effective_from", "effective_order"),
    (f"{FEE}.kind", "each", "contracts[0].versions[0].fee.kind", "unknown_value"),
    (f"{FEE}.tiers.0.unit", 0.5, "contracts[0].versions[0].fee.tiers[0].unit", "float"),
    (f"{FEE}.tiers.0.unit", DELETED, "contracts[0].versions[0].fee.tiers[0].unit", "missing_field"),
    (f"{FEE}.rate", "2", "contracts[0].versions[0].fee.rate", "unknown_field"),
    (f"{FEE}.price", "2", "contracts[0].versions[0].fee.price", "unknown_field"),
    (f"{OWN}.success", "speed > 1", "contracts[1].success", "condition_invalid"),
    (f"{OWN}.evidence.0.kind", "int", "contracts[1].evidence[0].kind", "unknown_value"),
    (f"{OWN}.verification.window_hours", "72", "contracts[1].verification.window_hours",
     "wrong_type"),
    (f"{OWN}.effective_from", "2021-01-01T00:00:00Z", "contracts[1].effective_from",
     "contract_date_refused"),
]  # fmt: skip


def test_what_is_wrong_is_named_at_its_place_and_nothing_is_stored(acme):
    world = World()
    base = world.plan("base", prices=({"key": "f", "model": "flat", "amount": 1},), currency="EUR")
    world.subscribe(acme, base, starts_at=EVER)
    before = everything()
    for path, value, place, code in BAD:
        content = document()
        put(content, path, value)
        with pytest.raises(CatalogueInvalid) as refused:
            load(content)
        assert (place, code) in {(each.path, each.code) for each in refused.value.found}, path
        assert everything() == before, path


def test_a_stored_contract_is_not_redefined(acme):
    load(document())
    before, content = everything(), document()
    content["contracts"][0]["name"] = "Sales"
    with pytest.raises(CatalogueInvalid) as refused:
        load(content)
    (problem,) = refused.value.found
    assert (problem.path, problem.code) == ("contracts[0].name", "contract_differs")
    assert "has “Leads” here, not “Sales”" in problem.cause
    assert everything() == before


def test_the_difference_is_shown_before_contracts_are_stored(acme):
    load(document())
    content = document()
    third = FULL | {"fee": FULL["fee"] | {"percent": "35"}}
    content["contracts"][0]["versions"].append(third)
    sources = [Source("c.yaml", yaml_text.write(content))]
    shown = preview(sources)
    kinds = {section.title: section.kind for section in shown.sections}
    assert kinds["Contract leads"] == kinds["Contract leads, version 2"] == "same"
    assert kinds["Contract leads, version 3"] == "new"
    (part,) = next(each.parts for each in shown.sections if each.title.endswith("version 3"))
    (moved,) = part.moved
    assert moved.name == "fee"
    assert ("percent: 40" in moved.before, "percent: 35" in moved.after) == (True, True)
    stored = load_as_shown(sources, fingerprint=shown.fingerprint, by=None, now=NOW)
    assert "contract leads: version 3 draft" in map(str, stored)
