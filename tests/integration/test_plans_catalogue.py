"""Plans as documents, against PostgreSQL: what is refused, what is stored, and back again."""

import io
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from hypothesis import HealthCheck, given, settings

from plans.catalogue import yaml_text
from plans.catalogue.document import Source, read_sources
from plans.catalogue.dump import UnknownPlan, dump
from plans.catalogue.load import load_sources
from plans.catalogue.problems import CatalogueInvalid
from plans.models import Meter, Plan, PlanVersion
from plans.operations.publishing import publish_version, retire_version
from plans.terms import terms_of
from tests.integration.plans_fixtures import (
    APRIL,
    MARCH,
    MAY,
    customer,
    everything,
    plan_in_force,
    subscribed,
)
from tests.unit.catalogue.documents import DELETED, documents, good

pytestmark = pytest.mark.django_db

NOW = MARCH


def load(*contents, publish=True, now=NOW):
    sources = [
        Source(f"{number}.yaml", yaml_text.write(content))
        for number, content in enumerate(contents, start=1)
    ]
    return [str(one) for one in load_sources(sources, publish=publish, by=None, now=now)]


def digests():
    """The digest of each version's terms, by plan and number."""
    found = terms_of(PlanVersion.objects.values_list("id", flat=True)).values()
    return {(terms.plan_key, terms.number): terms.digest for terms in found}


def refused(*contents, **said):
    before = everything()
    with pytest.raises(CatalogueInvalid) as refusal:
        load(*contents, **said)
    assert everything() == before
    return refusal.value.found


PRICE = "plans.0.prices.1"
MATRIX = "plans.0.prices.2"
BAD = [
    # the path that is changed, the value; then the problem's path, its code and its cause
    ("plans.0.currency", "DM", "plans[0].currency", "unknown_value", "“DM” is not known here."),
    ("plans.0.currency", DELETED, "plans[0].currency", "missing", "It is missing."),
    ("plans.0.name", "", "plans[0].name", "empty", "It is empty."),
    ("plans.0.key", "a b", "plans[0].key", "not_a_key", "“a b” is not a key."),
    ("plans.0.price", [], "plans[0].price", "unknown_field", "“price” is not a field here."),
    ("plans.0.prices", [], "plans[0].prices", "empty", "It is empty."),
    ("plans.0.prices", "all", "plans[0].prices", "wrong_type", "“all” is not a list."),
    (
        "plans.0.effective_from", "1 March", "plans[0].effective_from", "not_a_time",
        "“1 March” is not a time.",
    ),
    (
        "plans.0.effective_from", "2026-13-01T00:00:00Z", "plans[0].effective_from",
        "not_a_time", "“2026-13-01T00:00:00Z” is not a time.",
    ),
    (
        "plans.0.effective_until", "2025-01-01T00:00:00Z", "plans[0].effective_until",
        "effective_order", "A version ends after it takes effect.",
    ),
    (f"{PRICE}.model", "tiered", "plans[0].prices[1].model", "unknown_value",
     "“tiered” is not known here."),
    (f"{PRICE}.meter", "calls", "plans[0].prices[1].meter", "unknown_meter",
     "There is no meter “calls”."),
    (f"{PRICE}.meter", DELETED, "plans[0].prices[1].meter", "missing", "It is missing."),
    (f"{PRICE}.amount", "1", "plans[0].prices[1].amount", "unknown_field",
     "“amount” is not a field here."),
    (f"{PRICE}.tiers.0.unit", 0.04, "plans[0].prices[1].tiers[0].unit", "float",
     "0.04 is a number with a point, which YAML does not keep exactly."),
    (f"{PRICE}.tiers.0.unit", "0,04", "plans[0].prices[1].tiers[0].unit", "not_an_amount",
     "“0,04” is not an amount of 0 or more."),
    (f"{PRICE}.tiers.0.unit", "-1", "plans[0].prices[1].tiers[0].unit", "not_an_amount",
     "“-1” is not an amount of 0 or more."),
    (f"{PRICE}.tiers.0.unit", -1, "plans[0].prices[1].tiers[0].unit", "out_of_range",
     "-1 is out of range."),
    (f"{PRICE}.tiers.0.unit", "NaN", "plans[0].prices[1].tiers[0].unit", "not_an_amount",
     "“NaN” is not an amount of 0 or more."),
    (f"{PRICE}.tiers.0.unit", "0.0000000000001", "plans[0].prices[1].tiers[0].unit",
     "not_an_amount", "“0.0000000000001” is not an amount of 0 or more."),
    (f"{PRICE}.tiers.0.unit", True, "plans[0].prices[1].tiers[0].unit", "wrong_type",
     "“true” is not text or a whole number."),
    (f"{PRICE}.tiers.0.up_to", None, "plans[0].prices[1].tiers[0].up_to", "open_tier_not_last",
     "Only the last tier can be open: state up to which quantity this one goes."),
    (f"{PRICE}.tiers.1.up_to", 2000, "plans[0].prices[1].tiers[1].up_to", "last_tier_not_open",
     "Nothing is priced above 2000: leave the last tier's bound empty."),
    (f"{PRICE}.tiers.0.up_to", DELETED, "plans[0].prices[1].tiers[0].up_to", "missing",
     "It is missing."),
    (f"{PRICE}.key", "fee", "plans[0].prices[1].key", "duplicate_key",
     "Two prices have the key 'fee': give this one another."),
    (f"{PRICE}.discount_percent", "101", "plans[0].prices[1].discount_percent",
     "percent_out_of_range", "A discount of 101% is over 100%: state 0 to 100."),
    (f"{PRICE}.discount_percent", "a third", "plans[0].prices[1].discount_percent",
     "not_a_percentage", "“a third” is not a percentage."),
    (f"{PRICE}.unit_size", 0, "plans[0].prices[1].unit_size", "size_not_positive",
     "A size of 0 is no size: use 1 or more."),
    (f"{MATRIX}.default", DELETED, "plans[0].prices[2].default", "missing", "It is missing."),
    (f"{MATRIX}.default", "none", "plans[0].prices[2].default", "not_an_amount",
     "“none” is not an amount."),
    (f"{MATRIX}.rates.0.match", {"gpu": "a"}, "plans[0].prices[2].rates[0].match.gpu",
     "unknown_dimension", "The meter “tokens” has no dimension “gpu”."),
    (f"{MATRIX}.rates", [{"match": {"model": "a"}, "unit": 1}] * 2,
     "plans[0].prices[2].rates[1].match", "duplicate_rate",
     "Rate 1 matches the same values, a / any: remove one."),
    ("plans.0.prices.0.meter", "tokens", "plans[0].prices[0].meter", "unknown_field",
     "“meter” is not a field here."),
    ("meters.0.property", DELETED, "meters[0].property", "value_property_unless_count",
     "A count of events takes no value property; every other aggregation needs one."),
    ("meters.0.aggregation", "median", "meters[0].aggregation", "unknown_value",
     "“median” is not known here."),
    ("meters.0.filters", {"status": "ok"}, "meters[0].filters.status", "wrong_type",
     "“ok” is not a list."),
    ("meters.0.filters", {"status": []}, "meters[0].filters.status", "empty", "It is empty."),
    ("meters.0.rounding_multiple", "0", "meters[0].rounding_multiple", "min_value",
     "Ensure this value is greater than or equal to 1E-12."),
    ("customers", [], "customers", "unknown_field", "“customers” is not a field here."),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "where", "code", "cause"), BAD, ids=str)
def test_a_bad_document_is_refused_with_the_place_and_the_cause(path, value, where, code, cause):
    problems = refused(good(**{path: value}))
    assert [(one.file, one.path, one.code, one.cause) for one in problems] == [
        ("1.yaml", where, code, cause)
    ]


def test_every_problem_of_every_file_is_listed():
    bad = good(**{"plans.0.currency": "DM", f"{PRICE}.tiers.0.unit": 0.04})
    problems = refused(bad, good(**{"plans.0.name": ""}), ["no", "catalogue"])
    float_refused = (
        "0.04 is a number with a point, which YAML does not keep exactly. "
        'Write it in quotes: "0.04".'
    )
    assert [str(problem) for problem in problems] == [
        "1.yaml, plans[0].currency: “DM” is not known here. Use USD, EUR, JPY, …",
        f"1.yaml, plans[0].prices[1].tiers[0].unit: {float_refused}",
        "2.yaml, plans[0].name: It is empty. Write at least one.",
        "3.yaml: A list is not a group of fields. Write a group of fields.",
    ]


def test_a_plan_or_a_meter_is_defined_once():
    problems = refused(good(), good(**{"meters.0.unit": "kilotokens"}))
    assert [(one.file, one.path, one.code) for one in problems] == [
        ("2.yaml", "meters[0].key", "meter_twice"),
        ("2.yaml", "plans[0].key", "plan_twice"),
    ]


def test_the_same_document_again_changes_nothing():
    assert load(good()) == ["meter tokens: created", "plan api: version 1 published"]
    version = PlanVersion.objects.get()
    assert (version.number, version.published_at) == (1, NOW)
    before = everything()
    for publish in (True, False):
        assert load(good(), publish=publish, now=MAY) == [
            "meter tokens: unchanged",
            "plan api: version 1 unchanged",
        ]
        assert everything() == before


def test_a_document_is_a_draft_until_it_is_published():
    assert load(good(), publish=False)[1] == "plan api: version 1 draft"
    assert load(good(), publish=False)[1] == "plan api: version 1 unchanged"
    assert load(good())[1] == "plan api: version 1 published"
    assert PlanVersion.objects.count() == 1


def test_a_draft_that_finance_published_is_recognised():
    load(good(), publish=False)
    version = PlanVersion.objects.get()
    publish_version(version=version, effective_from=APRIL, by=None, now=MARCH)
    before = everything()
    assert load(good())[1] == "plan api: version 1 unchanged"
    assert everything() == before


def test_a_changed_plan_becomes_a_new_version():
    load(good())
    changed = good(**{f"{PRICE}.tiers.1.unit": "0.02", "plans.0.name": "API, cheaper"})
    assert load(changed, publish=False)[1] == "plan api: version 2 draft"
    assert Plan.objects.get().name == "API, cheaper"
    (problem,) = refused(changed)
    assert (problem.path, problem.code) == ("plans[0].effective_from", "effective_date_refused")
    assert problem.cause.startswith("Version 2 must take effect after version 1")

    later = good(
        **{f"{PRICE}.tiers.1.unit": "0.02", "plans.0.effective_from": "2026-05-01T00:00:00Z"}
    )
    assert load(later)[1] == "plan api: version 2 published"
    first, second = PlanVersion.objects.order_by("number")
    assert first.effective_until == second.effective_from == MAY
    assert load(later)[1] == "plan api: version 2 unchanged"


def test_an_old_price_may_come_back():
    load(good())
    second = good(
        **{f"{PRICE}.tiers.1.unit": "1", "plans.0.effective_from": "2026-05-01T00:00:00Z"}
    )
    load(second)
    third = good(**{"plans.0.effective_from": "2026-06-01T00:00:00Z"})
    assert load(third)[1] == "plan api: version 3 published"
    assert digests()["api", 1] == digests()["api", 3] != digests()["api", 2]


def test_repricing_inside_a_period_is_a_list_of_versions():
    plan = good()["plans"][0]
    versions = [
        {"currency": "USD", "effective_from": at, "prices": plan["prices"][:count]}
        for at, count in [("2026-01-01T00:00:00Z", 1), ("2026-01-15T00:00:00Z", 2)]
    ]
    content = {
        "meters": good()["meters"],
        "plans": [{"key": "api", "name": "API", "versions": versions}],
    }
    assert load(content, now=MAY)[1:] == [
        "plan api: version 1 published",
        "plan api: version 2 published",
    ]
    before = everything()
    assert load(content, now=MAY)[1:] == [
        "plan api: version 1 unchanged",
        "plan api: version 2 unchanged",
    ]
    assert everything() == before
    versions.reverse()
    (problem,) = refused(content)
    assert problem.path == "plans[0].versions[1].effective_from"


def test_a_price_of_the_past_stays_while_customers_use_it():
    load(good())
    plan = Plan.objects.get()
    subscribed(customer(), plan, starts_at=MARCH)
    changed = good(
        **{f"{PRICE}.tiers.1.unit": "1", "plans.0.effective_from": "2026-04-01T00:00:00Z"}
    )
    (problem,) = refused(changed, now=APRIL + timedelta(seconds=1))
    assert "customers are subscribed to the plan" in problem.cause


def test_a_stored_meter_is_not_redefined():
    load(good())
    problems = refused(good(**{"meters.0.property": "n", "meters.0.rounding": "up"}))
    assert [(one.path, one.code, one.cause) for one in problems] == [
        ("meters[0].property", "meter_differs",
         "The stored meter “tokens” has “tokens” here, not “n”."),
        ("meters[0].rounding", "meter_differs",
         "The stored meter “tokens” has “none” here, not “up”."),
    ]  # fmt: skip


def test_a_price_may_read_a_stored_meter():
    load({"meters": good()["meters"]})
    assert load({"plans": good()["plans"]}) == ["plan api: version 1 published"]


@contextmanager
def taken_back():
    """Do something and take it back, so that it can be done anew."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def test_what_retired_stays_retired():
    with taken_back():
        load(good())
        retire_version(version=PlanVersion.objects.get(), at=MAY, now=MARCH)
        content = yaml_text.parse(dump(), name="dump")
    assert content["plans"][0]["effective_until"] == "2026-05-01T00:00:00Z"
    load(content)
    assert PlanVersion.objects.get().effective_until == MAY
    before = everything()
    assert load(content)[1] == "plan api: version 1 unchanged"
    assert everything() == before


def stored():
    """What a catalogue comes to in the database, without the rows' ids."""
    return (
        digests(),
        list(Meter.objects.order_by("key").values_list("key", "name", "filters", "unit")),
        sorted(
            PlanVersion.objects.values_list(
                "plan__key", "number", "effective_from", "effective_until", "note"
            )
        ),
    )


@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(documents())
def test_dump_and_load_are_each_others_inverse(db, content):
    with taken_back():
        load(content)
        said, first, before = dump(), stored(), everything()
        load(yaml_text.parse(said, name="dump"))
        assert everything() == before
    with taken_back():
        load(yaml_text.parse(said, name="dump"))
        assert stored() == first
        assert dump() == said


def test_a_dump_names_plans():
    plan_in_force("starter")
    plan_in_force("scale")
    assert [plan["key"] for plan in yaml_text.parse(dump(keys=["scale"]), name="d")["plans"]] == [
        "scale"
    ]
    with pytest.raises(UnknownPlan, match="There is no plan gold"):
        dump(keys=["gold", "scale"])


def test_the_commands(tmp_path):
    path, out = tmp_path / "plans.yaml", io.StringIO()
    path.write_text(yaml_text.write(good()))
    call_command("load_catalogue", path, publish=True, stdout=out)
    assert out.getvalue() == "meter tokens: created\nplan api: version 1 published\n"
    out = io.StringIO()
    call_command("dump_catalogue", stdout=out)
    read_sources([Source("dump", out.getvalue())])
    path.write_text("plans: [")
    before = everything()
    with pytest.raises(CommandError, match=r"Nothing was stored.\n.*plans.yaml, line 1, column 9"):
        call_command("load_catalogue", path)
    assert everything() == before
