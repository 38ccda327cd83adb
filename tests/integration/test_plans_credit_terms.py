"""Credit and job terms against PostgreSQL: documents, drafts and copies, what is frozen."""

import copy
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse

from billing.staff import EDITOR, SUPPORT
from plans.catalogue import yaml_text
from plans.catalogue.document import Source
from plans.catalogue.dump import dump, dump_version
from plans.catalogue.load import load_sources
from plans.catalogue.preview import preview
from plans.catalogue.problems import CatalogueInvalid
from plans.job_classes import ClassSaid, ClassUsage, class_said
from plans.models import (
    CreditAllotment,
    CreditPack,
    CreditUnit,
    JobClass,
    JobTerms,
    Plan,
    PlanVersion,
    VersionChange,
)
from plans.operations.credit_units import (
    CreditCodeTaken,
    CreditUnitFrozen,
    change_credit_unit,
    create_credit_unit,
)
from plans.operations.currencies import converted_amounts, new_version_in_currency
from plans.operations.job_classes import change_job_class, create_job_class
from plans.operations.publishing import publish_version
from plans.operations.versions import (
    PlanInvalid,
    UnknownCreditUnit,
    VersionFrozen,
    add_grants,
    create_plan,
    new_version_from,
    start_version,
)
from plans.rating import CreditUnit as UnitValue
from plans.rating import Matrix
from plans.terms import GrantRows, terms_of
from tests.integration.plans_fixtures import APRIL, MARCH, everything

pytestmark = pytest.mark.django_db

CREDIT = {
    "meters": [
        {
            "key": "tokens",
            "name": "Tokens",
            "event_type": "completion",
            "aggregation": "sum",
            "property": "tokens",
            "dimensions": ["model"],
            "unit": "tokens",
        }
    ],
    "credit_units": [{"code": "TOKN", "name": "Token credits"}],
    "job_classes": [
        {
            "key": "render",
            "name": "Render",
            "input_unit": "frame",
            "silence_seconds": 600,
            "usage": [{"meter": "tokens", "low": "10", "expected": "20", "high": "50.5"}],
        }
    ],
    "plans": [
        {
            "key": "credit",
            "name": "Credit",
            "currency": "USD",
            "effective_from": "2026-03-01T00:00:00Z",
            "packs": [
                {
                    "key": "small",
                    "name": "1,000 credits",
                    "unit": "TOKN",
                    "credits": "1000",
                    "amount": "10",
                    "expires_months": 12,
                    "needs_payment": True,
                    "priority": 80,
                },
                {
                    "key": "large",
                    "name": "100,000 credits",
                    "unit": "TOKN",
                    "credits": "100000",
                    "amount": "700",
                },
            ],
            "allotments": [
                {
                    "key": "free",
                    "name": "Free credits",
                    "unit": "TOKN",
                    "amount": "500",
                    "rollover_percent": "50",
                    "rollover_months": 2,
                    "rollovers": 2,
                    "job_classes": ["render"],
                },
                {"key": "money", "name": "Money", "amount": "5", "meters": ["tokens"]},
            ],
            "jobs": {
                "bill_input_failures": True,
                "bill_cancelled": False,
                "above_hold": "cap",
                "grace_amount": "2.5",
                "late_start_most": "0",
            },
            "prices": [
                {
                    "key": "tokens",
                    "name": "Tokens",
                    "model": "matrix",
                    "meter": "tokens",
                    "credit": "TOKN",
                    "maximum": "5000",
                    "beyond_credit": "0.01",
                    "attribution": "completion",
                    "rates": [{"match": {"model": "gpt-4o"}, "unit": "5"}],
                    "default": "1",
                    "unit_size": "1000",
                },
                {"key": "fee", "name": "Fee", "model": "flat", "amount": "20"},
            ],
        }
    ],
}


def said(**changes):
    """The document, with values of its only plan set or, where None, left out."""
    content = copy.deepcopy(CREDIT)
    for name, value in changes.items():
        content["plans"][0][name] = value
        if value is None:
            del content["plans"][0][name]
    return content


def load(content, *, publish=True):
    sources = [Source("credit.yaml", yaml_text.write(content))]
    return [str(one) for one in load_sources(sources, publish=publish, by=None, now=MARCH)]


def version():
    return PlanVersion.objects.get(plan__key="credit")


def the_terms(of=None):
    of = of or version()
    return terms_of([of.pk])[of.pk]


def test_a_document_becomes_terms_with_all_that_it_says():
    assert load(said()) == [
        "meter tokens: created",
        "credit TOKN: created",
        "job class render: created",
        "plan credit: version 1 published",
    ]
    terms = the_terms().terms
    tokn = UnitValue("TOKN", 0)
    price = terms.prices[0]
    assert isinstance(price.model, Matrix)
    assert (price.credit, price.beyond_credit_amount, price.maximum) == (
        tokn,
        Decimal("0.01"),
        Decimal(5000),
    )
    assert price.attribution == "completion"
    assert [(pack.key, pack.credits, pack.amount) for pack in terms.packs] == [
        ("small", 1000, 10),
        ("large", 100000, 700),
    ]
    assert (terms.packs[0].expires_months, terms.packs[0].needs_payment) == (12, True)
    assert [each.unit for each in terms.allotments] == [tokn, UnitValue("USD", 2)]
    assert terms.allotments[0].job_classes == ("render",)
    assert (terms.jobs.above_hold, terms.jobs.bill_cancelled) == ("cap", False)
    assert (terms.jobs.grace_amount, terms.jobs.late_start_most) == (Decimal("2.5"), 0)
    assert class_said(JobClass.objects.get()) == ClassSaid(
        "render",
        "Render",
        "frame",
        600,
        (ClassUsage("tokens", Decimal(10), Decimal(20), Decimal("50.5")),),
    )


def test_the_same_again_changes_nothing_and_a_dump_says_the_same():
    load(said())
    before, digest = everything(), the_terms().digest
    assert load(said()) == [
        "meter tokens: unchanged",
        "credit TOKN: unchanged",
        "job class render: unchanged",
        "plan credit: version 1 unchanged",
    ]
    assert everything() == before
    for text in (dump(), dump(keys=["credit"]), dump_version(version_id=version().pk)):
        content = yaml_text.parse(text, name="dump")
        assert content["plans"][0]["packs"] == CREDIT["plans"][0]["packs"]
        assert content["plans"][0]["allotments"] == CREDIT["plans"][0]["allotments"]
        assert content["plans"][0]["jobs"] == CREDIT["plans"][0]["jobs"]
        assert content["credit_units"] == CREDIT["credit_units"]
        assert content["job_classes"] == CREDIT["job_classes"]
        load(content)
        assert everything() == before
    assert the_terms().digest == digest


REFUSED = [
    ("packs.0.unit", "GOLD", "packs[0].unit", "unknown_credit_unit"),
    ("packs.0.unit", "tokn", "packs[0].unit", "not_a_credit"),
    ("packs.0.credits", "0", "packs[0].credits", "credit_not_positive"),
    ("packs.0.credits", "0.5", "packs[0].credits", "finer_than_unit"),
    ("packs.0.amount", "9.995", "packs[0].amount", "finer_than_unit"),
    ("packs.1.key", "small", "packs[1].key", "duplicate_key"),
    ("packs.0.expires_months", 0, "packs[0].expires_months", "out_of_range"),
    ("allotments.0.unit", "GOLD", "allotments[0].unit", "unknown_credit_unit"),
    ("allotments.0.job_classes", ["train"], "allotments[0].job_classes[0]", "unknown_job_class"),
    ("allotments.1.meters", ["calls"], "allotments[1].meters[0]", "unknown_meter"),
    ("allotments.1.job_classes", ["render"], "allotments[1].job_classes", "money_over_job_classes"),
    (
        "allotments.0.rollover_percent",
        "100.5",
        "allotments[0].rollover_percent",
        "percent_out_of_range",
    ),
    (
        "allotments.0.rollover_percent",
        "0",
        "allotments[0].rollover_months",
        "rollover_without_share",
    ),
    ("allotments.1.rollovers", 2, "allotments[1].rollovers", "rollovers_without_months"),
    ("jobs.grace_amount", "-1", "jobs.grace_amount", "not_an_amount"),
    ("jobs.above_hold", "stop", "jobs.above_hold", "unknown_value"),
    ("prices.0.credit", "GOLD", "prices[0].credit", "unknown_credit_unit"),
    ("prices.1.beyond_credit", "1", "prices[1].beyond_credit", "beyond_credit_without_credit"),
    ("prices.1.attribution", "start", "prices[1].attribution", "unknown_field"),
]


@pytest.mark.parametrize(("path", "value", "where", "code"), REFUSED, ids=str)
def test_what_makes_no_sense_is_refused_at_its_place_and_nothing_is_stored(
    path, value, where, code
):
    content = said()
    *above, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    target = content["plans"][0]
    for part in above:
        target = target[part]
    target[last] = value
    before = everything()
    with pytest.raises(CatalogueInvalid) as refusal:
        load(content)
    assert (f"plans[0].{where}", code) in [(one.path, one.code) for one in refusal.value.found]
    assert all(one.cause for one in refusal.value.found)
    assert everything() == before


def test_packs_of_overage_are_refused_on_a_price_in_credits():
    content = said()
    overage = {"policy": "packs", "size": "1000", "amount": "10"}
    content["plans"][0]["prices"][0] |= {"allowance": "100", "overage": overage}
    with pytest.raises(CatalogueInvalid) as refusal:
        load(content)
    (found,) = refusal.value.found
    assert (found.path, found.code) == ("plans[0].prices[0].overage.policy", "packs_on_credit")
    assert "sell packs of TOKN instead" in found.cause


def test_a_credit_or_a_job_class_that_is_defined_twice_differently_is_refused():
    content = said()
    content["credit_units"].append({"code": "TOKN", "name": "Token credits", "decimals": 2})
    content["job_classes"].append({"key": "render", "name": "Other"})
    with pytest.raises(CatalogueInvalid) as refusal:
        load(content)
    assert [(one.path, one.code) for one in refusal.value.found] == [
        ("credit_units[1].code", "credit_unit_twice"),
        ("job_classes[1].key", "job_class_twice"),
    ]
    assert not CreditUnit.objects.exists()


def test_a_job_class_states_its_usage_in_order_of_meters_that_there_are():
    content = said()
    content["job_classes"][0]["usage"] = [
        {"meter": "tokens", "low": "3", "expected": "2", "high": "9"},
        {"meter": "calls", "low": "1", "expected": "2", "high": "3"},
    ]
    with pytest.raises(CatalogueInvalid) as refusal:
        load(content)
    assert [(one.path, one.code) for one in refusal.value.found] == [
        ("job_classes[0].usage[1].expected", "usage_out_of_order"),
        ("job_classes[0].usage[1].meter", "unknown_meter"),
    ] or [one.code for one in refusal.value.found] == ["usage_out_of_order", "unknown_meter"]


def test_a_preview_shows_credits_packs_and_jobs_row_by_row():
    load(said())
    content = said()
    content["credit_units"][0]["name"] = "Tokens of credit"
    content["plans"][0]["packs"][1]["amount"] = "650"
    content["plans"][0]["jobs"]["above_hold"] = "charge"
    shown = preview([Source("credit.yaml", yaml_text.write(content))])
    changed = {section.title: section for section in shown.sections if section.kind != "same"}
    assert set(changed) == {"Credit TOKN", "Plan credit, version 2 in USD"}
    moved = {
        (part.title, row.name, row.before, row.after)
        for part in changed["Plan credit, version 2 in USD"].parts
        for row in part.moved
    }
    assert ("Pack large", "amount", "700", "650") in moved
    assert ("Jobs", "above hold", "cap", "") in moved


def test_decimals_of_a_published_credit_are_frozen_in_the_operation_and_in_the_database():
    load(said(), publish=False)
    unit = CreditUnit.objects.get()
    change_credit_unit(unit=unit, name="Token credits", decimals=2)
    assert the_terms().terms.packs[0].unit == UnitValue("TOKN", 2)
    publish_version(version=version(), effective_from=APRIL, by=None, now=MARCH)
    with pytest.raises(CreditUnitFrozen, match="define another credit"):
        change_credit_unit(unit=unit, name="Token credits", decimals=0)
    with pytest.raises(IntegrityError, match="Published terms are in TOKN"), transaction.atomic():
        CreditUnit.objects.filter(pk="TOKN").update(decimals=0)
    assert CreditUnit.objects.get().decimals == 2
    assert change_credit_unit(unit=unit, name="Tokens", decimals=2).name == "Tokens"
    with pytest.raises(CatalogueInvalid, match="Published terms are in TOKN"):
        load(said())


def test_a_credit_has_a_code_of_its_own():
    create_credit_unit(code="TOKN", name="Tokens", decimals=0)
    with pytest.raises(CreditCodeTaken):
        create_credit_unit(code="TOKN", name="Others", decimals=1)
    with pytest.raises(PlanInvalid, match="no currency"):
        create_credit_unit(code="USD", name="Dollars", decimals=2)
    assert CreditUnit.objects.count() == 1


def test_a_published_versions_packs_allotments_and_job_terms_are_frozen():
    load(said())
    pack, allotment = CreditPack.objects.first(), CreditAllotment.objects.first()
    for change in (
        lambda: CreditPack.objects.filter(pk=pack.pk).update(amount=1),
        lambda: CreditAllotment.objects.filter(pk=allotment.pk).delete(),
        lambda: JobTerms.objects.update(above_hold="charge"),
    ):
        with pytest.raises(IntegrityError, match="published and frozen"), transaction.atomic():
            change()
    with pytest.raises(VersionFrozen):
        add_grants(version=version(), grants=GrantRows(jobs=JobTerms()))


def test_a_copy_says_the_same_and_keeps_its_own_rows():
    load(said())
    draft = new_version_from(version=version(), by=None)
    assert the_terms(draft).digest == the_terms(PlanVersion.objects.get(number=1)).digest
    assert CreditPack.objects.filter(version=draft).count() == 2
    entry = VersionChange.objects.filter(version=draft).get()
    assert entry.after["jobs"]["above_hold"] == "cap"
    assert [pack["key"] for pack in entry.after["packs"]] == ["small", "large"]


def test_in_another_currency_money_converts_and_credits_do_not():
    load(said())
    factor = Decimal("0.9")
    amounts = converted_amounts(version=version(), factor=factor, places=2)
    assert [(one.field, str(one.old), str(one.new)) for one in amounts] == [
        ("prices[0].beyond_credit_amount", "0.01", "0.01"),
        ("prices[1].amount", "20", "18"),
        ("packs[0].amount", "10", "9"),
        ("packs[1].amount", "700", "630"),
        ("allotments[1].amount", "5", "4.5"),
        ("jobs.grace_amount", "2.5", "2.25"),
    ]
    draft = new_version_in_currency(
        version=version(), currency="EUR", factor=factor, places=2, by=None
    )
    terms = the_terms(draft).terms
    assert (terms.prices[0].maximum, terms.packs[0].credits) == (5000, 1000)
    assert terms.prices[0].model.rates[0].unit_amount == 5
    assert (terms.allotments[0].amount, terms.allotments[1].amount) == (500, Decimal("4.5"))
    assert terms.allotments[1].unit == UnitValue("EUR", 2)


def test_a_pack_in_a_credit_that_there_is_not_is_refused():
    draft = start_version(plan=create_plan(key="p", name="P"), currency="USD")
    pack = CreditPack(key="a", name="A", unit=CreditUnit(code="GOLD"), credits=1, amount=1)
    with pytest.raises(UnknownCreditUnit) as refusal:
        add_grants(version=draft, grants=GrantRows(packs=[pack]))
    assert refusal.value.field == "packs[0].unit"
    assert not CreditPack.objects.exists()


def test_a_job_class_is_changed_as_a_whole_and_keeps_its_key():
    load(said())
    row = JobClass.objects.get()
    change_job_class(job_class=row, said=ClassSaid("render", "Renders", usage=()))
    assert class_said(JobClass.objects.get()) == ClassSaid("render", "Renders")
    assert [each.history_type for each in row.history.order_by("history_id")] == ["+", "~"]
    with pytest.raises(PlanInvalid, match="define another one"):
        change_job_class(job_class=row, said=ClassSaid("train", "Renders"))
    unknown = ClassUsage("calls", Decimal(1), Decimal(1), Decimal(1))
    with pytest.raises(PlanInvalid, match="no meter"):
        create_job_class(said=ClassSaid("train", "Train", usage=(unknown,)))
    assert JobClass.objects.count() == 1


def test_old_documents_keep_their_digest():
    plain = said(packs=None, allotments=None, jobs=None)
    plain["plans"][0]["prices"] = [plain["plans"][0]["prices"][1]]
    load(plain)
    assert the_terms().digest == OLD_DIGEST


OLD_DIGEST = "f23fe40b601fff6d6525054bd8b72938e37eda9f66f0e955d20c527fc331ed0d"


class TestPages:
    """Credits and job classes in the admin."""

    def test_an_editor_makes_and_renames_a_credit(self, client, staff):
        client.force_login(staff(EDITOR))
        add = reverse("admin:plans_creditunit_add")
        answer = client.post(add, {"code": "TOKN", "name": "Tokens", "decimals": "2"})
        assert answer.status_code == 302
        unit = CreditUnit.objects.get()
        assert (unit.code, unit.decimals, unit.history.count()) == ("TOKN", 2, 1)
        change = reverse("admin:plans_creditunit_change", args=["TOKN"])
        client.post(change, {"name": "Token credits", "decimals": "2", "change_reason": "clearer"})
        assert CreditUnit.objects.get().name == "Token credits"
        assert (
            "clearer"
            in client.get(reverse("admin:plans_creditunit_history", args=["TOKN"])).content.decode()
        )

    def test_a_published_credit_shows_its_decimals_and_asks_only_for_its_name(self, client, staff):
        load(said())
        client.force_login(staff(EDITOR))
        page = client.get(reverse("admin:plans_creditunit_change", args=["TOKN"])).content.decode()
        assert 'name="name"' in page
        assert 'name="decimals"' not in page

    def test_an_editor_makes_a_job_class_with_its_usage(self, client, staff):
        load(said())
        client.force_login(staff(EDITOR))
        meter = Plan.objects.get().versions.get().prices.first().meter_id
        form = {
            "key": "train", "name": "Train", "input_unit": "epoch", "silence_seconds": "60",
            "usage-TOTAL_FORMS": "1", "usage-INITIAL_FORMS": "0", "usage-0-meter": str(meter),
            "usage-0-low": "1", "usage-0-expected": "2", "usage-0-high": "4",
        }  # fmt: skip
        answer = client.post(reverse("admin:plans_jobclass_add"), form)
        assert answer.status_code == 302
        assert class_said(JobClass.objects.get(key="train")) == ClassSaid(
            "train", "Train", "epoch", 60,
            (ClassUsage("tokens", Decimal(1), Decimal(2), Decimal(4)),),
        )  # fmt: skip

    def test_support_reads_and_changes_nothing(self, client, staff):
        load(said())
        client.force_login(staff(SUPPORT))
        assert client.get(reverse("admin:plans_creditunit_changelist")).status_code == 200
        assert client.get(reverse("admin:plans_creditunit_add")).status_code == 403
        assert client.get(reverse("admin:plans_jobclass_add")).status_code == 403
