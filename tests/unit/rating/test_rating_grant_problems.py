"""What is wrong with what a version grants, with overage and with recurring fees, by field."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.rating.event_amount import EventAmount
from plans.rating.flat import Flat
from plans.rating.graduated import Graduated
from plans.rating.job_terms import JobTerms
from plans.rating.matrix import Matrix, MatrixRate
from plans.rating.package import Package
from plans.rating.per_unit import PerUnit
from plans.rating.percentage import Percentage
from plans.rating.prices import Limit, Overage, Phase, Price, ServiceClass, Terms
from plans.rating.seats import Seats
from plans.rating.validation import problems, problems_in_terms, warnings_in_terms
from tests.unit.rating.support import D, metered, tier

FLAT = Price("fee", "Fee", Flat(D(49)))
PER_UNIT = metered(PerUnit(D(1)), dimensions=("model", "queue"))
TRIAL = Phase("trial", "Trial", days=14, discount_percent=D(100))
STEADY = Phase("steady", "Steady")
BATCH = ServiceClass("batch", "Batch", D("0.5"))
PRIORITY = ServiceClass("priority", "Priority", D("1.5"), start_within_minutes=5)
LIMIT = Limit("concurrent_jobs", D(5))
SPEND = Limit("spend_per_day", D("99.50"))
PACKS = Overage("packs", pack_size=D(1000), pack_amount=D(5), packs_most=3, pack_months=12)


def found(price):
    return [(problem.code, problem.field) for problem in problems(price)]


def in_terms(*prices, **given):
    terms = Terms("USD", prices, **given)
    return [(problem.code, problem.field) for problem in problems_in_terms(terms)]


def test_everything_a_plan_can_say_can_be_sound():
    by_class = replace(PER_UNIT, class_dimension="queue", phases=("trial", "steady"))
    capped = metered(PerUnit(D(1)), allowance="5", allowance_per="workspace", overage=PACKS)
    found = in_terms(
        replace(FLAT, key="setup", once=True),
        replace(FLAT, key="yearly", every_months=12),
        replace(by_class, key="classed"),
        replace(capped, key="capped"),
        replace(metered(Seats(D(89), "by_day")), key="seats"),
        phases=(TRIAL, Phase("intro", "Introductory", months=3), STEADY),
        service_classes=(BATCH, PRIORITY),
        limits=(LIMIT, SPEND, replace(LIMIT, job_class="video")),
        features=("batch", "realtime"),
    )
    assert found == []


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        ((STEADY,), []),
        ((replace(TRIAL, days=None), STEADY), [("open_phase_not_last", "phases[0].days")]),
        ((TRIAL,), [("last_phase_not_open", "phases[0].days")]),
        ((TRIAL, replace(STEADY, months=3)), [("last_phase_not_open", "phases[1].months")]),
        ((replace(TRIAL, months=1), STEADY), [("days_and_months", "phases[0].days")]),
        ((replace(TRIAL, days=0), STEADY), [("length_not_positive", "phases[0].days")]),
        (
            (replace(TRIAL, days=None, months=-1), STEADY),
            [("length_not_positive", "phases[0].months")],
        ),
        ((TRIAL, TRIAL, STEADY), [("duplicate_key", "phases[1].key")]),
        ((TRIAL, replace(STEADY, key="trial")), [("duplicate_key", "phases[1].key")]),
        ((replace(TRIAL, key=""), STEADY), [("no_key", "phases[0].key")]),
        ((TRIAL, replace(STEADY, name="")), [("no_name", "phases[1].name")]),
        (
            (replace(TRIAL, discount_percent=D("100.5")), STEADY),
            [("percent_out_of_range", "phases[0].discount_percent")],
        ),
        (
            (replace(TRIAL, discount_percent=D(-1)), STEADY),
            [("negative", "phases[0].discount_percent")],
        ),
        (
            (TRIAL, replace(STEADY, discount_percent=D("NaN"))),
            [("not_a_number", "phases[1].discount_percent")],
        ),
    ],
)
def test_phases(phases, expected):
    assert in_terms(FLAT, phases=phases) == expected


def test_a_price_names_phases_that_there_are():
    priced = replace(FLAT, phases=("trial", "intro", "intro"))
    expected = [("unknown_phase", "prices[0].phases")]
    assert in_terms(priced, phases=(TRIAL, STEADY)) == expected
    assert in_terms(replace(FLAT, phases=("steady",))) == expected
    (problem,) = problems_in_terms(Terms("USD", (priced,), phases=(TRIAL, STEADY)))
    assert problem.message == "There is no phase 'intro': choose of these: trial, steady."


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ((BATCH, BATCH), [("duplicate_key", "service_classes[1].key")]),
        ((replace(BATCH, key=""),), [("no_key", "service_classes[0].key")]),
        ((BATCH, replace(PRIORITY, name="")), [("no_name", "service_classes[1].name")]),
        (
            (BATCH, replace(PRIORITY, multiplier=D("-1.5"))),
            [("negative", "service_classes[1].multiplier")],
        ),
        ((replace(BATCH, multiplier=D(0)),), []),
        (
            (replace(BATCH, multiplier=D("Infinity")),),
            [("not_a_number", "service_classes[0].multiplier")],
        ),
        (
            (replace(PRIORITY, start_within_minutes=-5),),
            [("negative", "service_classes[0].start_within_minutes")],
        ),
        ((replace(PRIORITY, start_within_minutes=0),), []),
        ((replace(PRIORITY, late_start_percent=D(100)),), []),
        (
            (replace(PRIORITY, late_start_percent=D("100.5")),),
            [("percent_out_of_range", "service_classes[0].late_start_percent")],
        ),
        (
            (replace(PRIORITY, late_start_percent=D(-1)),),
            [("negative", "service_classes[0].late_start_percent")],
        ),
        (
            (replace(PRIORITY, late_start_percent=D(50), start_within_minutes=None),),
            [("no_promised_start", "service_classes[0].late_start_percent")],
        ),
        (
            (replace(BATCH, late_start_percent=D(50), start_within_minutes=60),),
            [("no_premium", "service_classes[0].late_start_percent")],
        ),
    ],
)
def test_service_classes(classes, expected):
    assert in_terms(PER_UNIT, service_classes=classes) == expected


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (PER_UNIT, []),
        (replace(PER_UNIT, class_dimension="queue"), []),
        (
            replace(PER_UNIT, class_dimension="colour"),
            [("unknown_dimension", "prices[0].class_dimension")],
        ),
        (
            replace(PER_UNIT, class_dimension="queue", model=Package(D(1), D(10))),
            [("classes_per_unit_only", "prices[0].class_dimension")],
        ),
    ],
)
def test_a_price_by_service_class(price, expected):
    assert in_terms(price, service_classes=(BATCH,)) == expected


def test_a_price_by_service_class_tells_late_starts_apart_where_they_give_something_back():
    late = (replace(PRIORITY, late_start_percent=D(50)),)
    untold = replace(PER_UNIT, class_dimension="queue")
    told = replace(untold, dimensions=(*PER_UNIT.dimensions, "started_late"))
    assert in_terms(untold, service_classes=late) == [
        ("late_starts_not_metered", "prices[0].class_dimension")
    ]
    assert in_terms(told, service_classes=late) == []
    assert in_terms(PER_UNIT, service_classes=late) == []
    bounded = Terms("USD", (told,), jobs=JobTerms(late_start_most=D(5)))
    assert [each.code for each in warnings_in_terms(bounded)] == ["no_promised_start"]
    assert warnings_in_terms(replace(bounded, service_classes=late)) == ()


def test_a_price_by_service_class_needs_one():
    price = replace(PER_UNIT, class_dimension="queue")
    assert in_terms(price) == [("no_service_classes", "prices[0].class_dimension")]
    assert found(price) == [], "one price alone does not know the terms' classes"


def test_a_wrong_class_is_shown_once_and_not_at_each_price_it_multiplies():
    wrong = replace(BATCH, multiplier=D("NaN"))
    price = replace(PER_UNIT, class_dimension="queue", classes=(wrong,))
    assert in_terms(price, service_classes=(wrong,)) == [
        ("not_a_number", "service_classes[0].multiplier")
    ]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((replace(LIMIT, value=D(0)),), [("limit_not_positive", "limits[0].value")]),
        ((SPEND, replace(LIMIT, value=D(-3))), [("limit_not_positive", "limits[1].value")]),
        ((replace(LIMIT, value=D("2.5")),), [("limit_not_whole", "limits[0].value")]),
        ((replace(LIMIT, value=D("1E+1")),), []),
        ((replace(SPEND, value=D("NaN")),), [("not_a_number", "limits[0].value")]),
        ((LIMIT, SPEND, replace(LIMIT, value=D(9))), [("duplicate_limit", "limits[2].kind")]),
        ((LIMIT, replace(LIMIT, job_class="video")), []),
    ],
)
def test_limits(limits, expected):
    assert in_terms(FLAT, limits=limits) == expected


def test_a_duplicate_limit_says_of_what():
    limits = (replace(LIMIT, job_class="video"),) * 2
    (problem,) = problems_in_terms(Terms("USD", (FLAT,), limits=limits))
    assert problem.message == (
        "There is a limit on jobs at the same time of class video already: remove one of them."
    )


def test_features():
    assert in_terms(FLAT, features=("batch", "realtime", "batch")) == [
        ("duplicate_feature", "features[2]")
    ]


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"overage": PACKS}, []),
        ({"overage": Overage("refuse")}, []),
        ({"overage": Overage("upgrade", upgrade_to="pro")}, []),
        ({"overage": Overage("upgrade")}, [("upgrade_without_plan", "overage.plan")]),
        (
            {"overage": replace(PACKS, pack_size=None, pack_amount=None)},
            [("no_pack_size", "overage.size"), ("no_pack_amount", "overage.amount")],
        ),
        (
            {"overage": replace(PACKS, pack_size=D(0), pack_amount=D(-1))},
            [("size_not_positive", "overage.size"), ("negative", "overage.amount")],
        ),
        (
            {"overage": replace(PACKS, pack_amount=D("0.1234567890123"))},
            [("too_many_decimals", "overage.amount")],
        ),
        (
            {"overage": replace(PACKS, packs_most=0, pack_months=0)},
            [("count_not_positive", "overage.most"), ("count_not_positive", "overage.months")],
        ),
        ({"overage": replace(PACKS, pack_size=D("NaN"))}, [("not_a_number", "overage.size")]),
        (
            {"overage": Overage("refuse"), "allowance": "0"},
            [("overage_without_allowance", "overage.policy")],
        ),
    ],
)
def test_overage(terms, expected):
    assert found(metered(PerUnit(D(1)), **({"allowance": "10"} | terms))) == expected


@pytest.mark.parametrize(
    "price",
    [
        replace(FLAT, overage=Overage("refuse")),
        metered(Seats(D(89)), overage=Overage("refuse")),
        metered(Percentage(D(1), fixed_amount=D(1)), overage=Overage("refuse")),
    ],
)
def test_what_includes_no_quantity_has_nothing_beyond_it(price):
    assert found(price) == [("overage_without_allowance", "overage.policy")]


@pytest.mark.parametrize(
    "model",
    [PerUnit(D(1)), Package(D(1), D(5)), Graduated((tier(None, "1"),)), Percentage(D(1)),
     EventAmount()],
)  # fmt: skip
def test_every_other_model_may_have_an_allowance_and_a_policy_of_any_kind(model):
    price = metered(model, allowance="5", allowance_per="workspace", overage=Overage("refuse"))
    assert found(price) == []


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (
            metered(
                Matrix((MatrixRate(("a",), D(1)),), None),
                dimensions=("x",),
                allowance="5",
                allowance_per="workspace",
            ),
            ("allowance_per_workspace_on_matrix", "allowance_per"),
        ),
        (metered(Seats(D(89)), allowance="5"), ("allowance_on_seats", "allowance")),
        (metered(Seats(D(-1))), ("negative", "unit_amount")),
        (replace(FLAT, every_months=0), ("months_out_of_range", "every_months")),
        (replace(FLAT, every_months=121), ("months_out_of_range", "every_months")),
        (replace(FLAT, every_months=12, once=True), ("every_months_and_once", "every_months")),
        (metered(PerUnit(D(1)), every_months=3), ("every_months_on_metered", "every_months")),
    ],
)
def test_what_does_not_go_together(price, expected):
    assert found(price) == [expected]


phase_lists = st.lists(
    st.builds(
        Phase,
        st.sampled_from(["a", "b", "c"]),
        st.just("P"),
        st.none() | st.integers(0, 3),
        st.none() | st.integers(0, 3),
    ),
    max_size=4,
)


@given(phase_lists)
def test_phases_without_problems_can_be_told_apart_and_end_where_the_next_begins(phases):
    if in_terms(FLAT, phases=tuple(phases)):
        return
    assert len({phase.key for phase in phases}) == len(phases)
    for phase in phases[:-1]:
        assert phase.days or phase.months
        assert not (phase.days and phase.months)
    for phase in phases[-1:]:
        assert phase.days is None
        assert phase.months is None
