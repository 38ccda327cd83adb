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
from plans.models import Feature, Meter, Plan, PlanVersion, Price
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
    max_examples=12,
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


FEATURES = [{"key": "sso", "name": "SSO"}]
PACKS = {"policy": "packs", "size": 100, "amount": "5"}
BAD_TERMS = [
    # what is changed; then the path, the code and the cause of each problem
    ({"plans.0.features": ["sso"]},
     ("plans[0].features[0]", "unknown_feature", "There is no feature “sso”.")),
    ({"features": FEATURES, "plans.0.features": ["sso", "sso"]},
     ("plans[0].features[1]", "duplicate_feature",
      "The feature 'sso' is granted already: remove one of the two.")),
    ({"features": [*FEATURES, {"key": "sso", "name": "Other"}]},
     ("features[1].key", "feature_twice", "The feature “sso” is defined twice, differently.")),
    ({f"{PRICE}.allowance": 9, f"{PRICE}.overage": {"policy": "upgrade", "plan": "scale"}},
     ("plans[0].prices[1].overage.plan", "unknown_plan", "There is no plan “scale” to move to.")),
    ({f"{PRICE}.overage": {"policy": "upgrade"}},
     ("plans[0].prices[1].overage.plan", "missing", "It is missing.")),
    ({f"{PRICE}.overage": {"policy": "block"}},
     ("plans[0].prices[1].overage.policy", "unknown_value", "“block” is not known here.")),
    ({f"{PRICE}.overage": PACKS | {"amount": 0.5}},
     ("plans[0].prices[1].overage.amount", "float",
      "0.5 is a number with a point, which YAML does not keep exactly.")),
    ({f"{PRICE}.overage": PACKS | {"months": 0}},
     ("plans[0].prices[1].overage.months", "out_of_range", "0 is out of range.")),
    ({f"{PRICE}.overage": PACKS | {"plan": "api"}},
     ("plans[0].prices[1].overage.plan", "unknown_field", "“plan” is not a field here.")),
    ({f"{PRICE}.allowance_per": "team"},
     ("plans[0].prices[1].allowance_per", "unknown_value", "“team” is not known here.")),
    ({f"{PRICE}.phases": "trial"},
     ("plans[0].prices[1].phases", "wrong_type", "“trial” is not a list.")),
    ({"plans.0.prices.0.every_months": "12"},
     ("plans[0].prices[0].every_months", "wrong_type", "“12” is not a whole number.")),
    ({"plans.0.prices.0.every_months": 121},
     ("plans[0].prices[0].every_months", "out_of_range", "121 is out of range.")),
    ({"plans.0.prices.0.amount": None},
     ("plans[0].prices[0].amount", "missing", "It is missing.")),
    ({f"{PRICE}.tiers": []}, ("plans[0].prices[1].tiers", "empty", "It is empty.")),
    ({f"{MATRIX}.rates": []}, ("plans[0].prices[2].rates", "empty", "It is empty.")),
    ({"plans.0.unfinished": True},
     ("plans[0].effective_from", "unfinished_dated", "An unfinished version cannot take effect.")),
    ({"plans.0.limits": [{"kind": "jobs", "value": 1}]},
     ("plans[0].limits[0].kind", "unknown_value", "“jobs” is not known here.")),
    ({"plans.0.limits": [{"kind": "jobs_per_day", "value": 1.5}]},
     ("plans[0].limits[0].value", "float",
      "1.5 is a number with a point, which YAML does not keep exactly.")),
    ({"plans.0.limits": [{"kind": "jobs_per_day", "value": 1}] * 2},
     ("plans[0].limits[1].kind", "duplicate_limit",
      "There is a limit on jobs in a day already: remove one of them.")),
    ({"plans.0.service_classes": [{"key": "fast", "name": "Fast", "multiplier": 1.5}]},
     ("plans[0].service_classes[0].multiplier", "float",
      "1.5 is a number with a point, which YAML does not keep exactly.")),
    ({"plans.0.service_classes": [{"key": "fast"}]},
     ("plans[0].service_classes[0].name", "missing", "It is missing.")),
    ({"plans.0.phases": [{"key": "trial", "name": "Trial", "weeks": 2}]},
     ("plans[0].phases[0].weeks", "unknown_field", "“weeks” is not a field here.")),
    ({"plans.0.phases": [{"key": "trial", "name": "Trial", "days": 0}]},
     ("plans[0].phases[0].days", "out_of_range", "0 is out of range.")),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), BAD_TERMS, ids=str)
def test_bad_terms_are_refused_with_the_place_and_the_cause(changes, expected):
    problems = refused(good(**changes))
    assert [(one.path, one.code, one.cause) for one in problems] == [expected]


def test_what_a_column_cannot_hold_is_refused_at_its_place():
    """Whatever else is said there: a limit of nothing, and two phases of one key."""
    phase = {"key": "trial", "name": "Trial"}
    for changes, path in (
        ({"plans.0.limits": [{"kind": "jobs_per_day", "value": 0}]}, "plans[0].limits[0].value"),
        ({"plans.0.phases": [phase | {"days": 9}, phase]}, "plans[0].phases[1].key"),
    ):
        assert path in [one.path for one in refused(good(**changes))]


def test_what_stands_twice_in_an_unfinished_draft_is_refused_too():
    limit, phase = {"kind": "jobs_per_day", "value": 1}, {"key": "trial", "name": "Trial"}
    said = good(**{
        "features": FEATURES, "plans.0.effective_from": DELETED, "plans.0.unfinished": True,
        "plans.0.features": ["sso", "sso"], "plans.0.limits": [limit, limit],
        "plans.0.phases": [phase, phase],
    })  # fmt: skip
    assert [(one.path, one.code, one.cause) for one in refused(said)] == [
        ("plans[0].features[1]", "twice", "The feature “sso” is granted twice."),
        ("plans[0].phases[1].key", "twice", "The key “trial” stands twice."),
        ("plans[0].limits[1].kind", "twice",
         "The same limit of the same job class stands twice."),
    ]  # fmt: skip


def outcomes(loaded):
    """What became of each plan's version."""
    return [one.rpartition(" ")[2] for one in loaded if one.startswith("plan")]


def upgrading(*, to="scale", key="api"):
    said = good(**{f"{PRICE}.allowance": 10, f"{PRICE}.overage": {"policy": "upgrade", "plan": to}})
    said["plans"][0]["key"] = key
    return said


def test_a_plan_may_move_customers_to_one_that_stands_later_or_in_another_file():
    scale = good(**{"plans.0.key": "scale"})
    both = upgrading()
    both["plans"] += scale["plans"]
    with taken_back():
        assert load(both)[1:] == [
            "plan api: version 1 published",
            "plan scale: version 1 published",
        ]
        before = everything()
        assert load(both)[1:] == [
            "plan api: version 1 unchanged",
            "plan scale: version 1 unchanged",
        ]
        assert everything() == before
    assert load(upgrading(), scale)[1:] == [
        "plan api: version 1 published", "plan scale: version 1 published",
    ]  # fmt: skip
    assert Price.objects.get(version__plan__key="api", key="tokens").upgrade_to.key == "scale"
    said = dump()
    with taken_back():
        load(yaml_text.parse(said, name="d"))
        assert dump() == said


def test_plans_that_move_customers_in_a_circle_cannot_be_published():
    circle = upgrading()
    circle["plans"] += upgrading(to="api", key="scale")["plans"]
    assert {one.code for one in refused(circle)} == {"upgrade_not_sold"}
    assert load(circle, publish=False)[1:] == [
        "plan api: version 1 draft",
        "plan scale: version 1 draft",
    ]


def in_currencies(*versions):
    """The good plan with versions as (currency, from, until, fee)."""
    said = good()
    head = said["plans"][0]
    said["plans"] = [{"key": "api", "name": "API", "versions": [
        {"currency": currency, "prices": [head["prices"][0] | {"amount": fee}]}
        | ({"effective_from": f"2026-{start}-01T00:00:00Z"} if start else {})
        | ({"effective_until": f"2026-{end}-01T00:00:00Z"} if end else {})
        for currency, start, end, fee in versions
    ]}]  # fmt: skip
    return said


def test_an_end_is_stated_unless_a_version_in_the_same_currency_begins_then():
    said = in_currencies(
        ("USD", "01", "03", 1), ("EUR", "01", None, 2), ("EUR", "03", None, 3),
        ("USD", "04", None, 4),
    )  # fmt: skip
    load(said)
    versions = yaml_text.parse(dump(), name="d")["plans"][0]["versions"]
    assert [(one["currency"], one.get("effective_until")) for one in versions] == [
        ("USD", "2026-03-01T00:00:00Z"), ("EUR", None), ("EUR", None), ("USD", None),
    ]  # fmt: skip
    before = everything()
    load(yaml_text.parse(dump(), name="d"))
    assert everything() == before


def test_versions_of_each_currency_that_finance_published_are_recognised():
    said = in_currencies(("USD", "01", None, 1), ("EUR", "01", None, 2))
    load(said, publish=False)
    for version in PlanVersion.objects.all():
        publish_version(version=version, effective_from=APRIL, by=None, now=MARCH)
    before = everything()
    assert load(said)[1:] == ["plan api: version 1 unchanged", "plan api: version 2 unchanged"]
    assert everything() == before


def test_a_draft_that_was_published_before_an_older_one_is_dumped_in_the_order_of_effect():
    load(in_currencies(("USD", None, None, 1), ("USD", None, None, 2)), publish=False)
    older, younger = PlanVersion.objects.order_by("number")
    publish_version(version=younger, effective_from=APRIL, by=None, now=MARCH)
    publish_version(version=older, effective_from=MAY, by=None, now=MARCH)
    said, before = dump(), everything()
    content = yaml_text.parse(said, name="d")
    load(content)
    assert everything() == before
    fees = [one["prices"][0]["amount"] for one in content["plans"][0]["versions"]]
    assert fees == ["2", "1"]


def test_an_unfinished_draft_comes_back_unfinished():
    said = good(**{
        "plans.0.effective_from": DELETED, "plans.0.unfinished": True,
        "plans.0.prices.0.amount": None, f"{PRICE}.tiers": [], f"{MATRIX}.rates": [],
    })  # fmt: skip
    load(said)
    price = Price.objects.get(key="fee")
    assert price.amount is None
    assert yaml_text.parse(dump(), name="d")["plans"][0]["unfinished"] is True
    before = everything()
    assert load(yaml_text.parse(dump(), name="d"))[1] == "plan api: version 1 unchanged"
    assert everything() == before


def test_a_changed_feature_is_renamed_and_versions_stay():
    said = good(**{"features": FEATURES, "plans.0.features": ["sso"]})
    assert load(said)[1] == "feature sso: created"
    said["features"] = [{"key": "sso", "name": "Single sign-on", "description": "By SAML"}]
    assert load(said)[1:] == ["feature sso: changed", "plan api: version 1 unchanged"]
    feature = Feature.objects.get()
    assert (feature.name, feature.description) == ("Single sign-on", "By SAML")


def test_a_price_with_more_digits_than_a_computer_likes_keeps_them_all():
    exact = "123456789012345678.123456789012"
    load(good(**{"plans.0.prices.0.amount": exact}))
    assert yaml_text.parse(dump(), name="d")["plans"][0]["prices"][0]["amount"] == exact


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
