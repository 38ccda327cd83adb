"""Two versions side by side: added, removed, changed, in words, and the effect at samples."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plans.rating.changes import Change
from plans.rating.compare import Comparison, Effect, compare
from plans.rating.flat import Flat
from plans.rating.graduated import Graduated
from plans.rating.graduated_percentage import GraduatedPercentage
from plans.rating.matrix import Matrix, MatrixRate
from plans.rating.money import total
from plans.rating.package import Package
from plans.rating.per_unit import PerUnit
from plans.rating.percentage import Percentage
from plans.rating.prices import Limit, Overage, Phase, Price, ServiceClass, Terms
from plans.rating.rate import rate
from plans.rating.samples import sample_usage, samples
from plans.rating.seats import Seats
from plans.rating.volume import Volume
from tests.unit.rating.support import D, metered, percent_tier, prices, tier

LICENCE = Price("licence", "Licence", Flat(D(49)))
CALLS = metered(Graduated((tier("10000", "0.002"), tier(None, "0.0015"))))
CLASSES = (ServiceClass("batch", "Batch", D("0.5")), ServiceClass("fast", "Fast", D(2), 5))


def usd(*prices, **given):
    return Terms("USD", prices, **given)


def changes(old, new):
    """What one price's change reads like: label, before, after."""
    (changed,) = compare(usd(old), usd(new)).changed
    return [(each.label, each.before, each.after) for each in changed.changes]


def effects(old, new):
    (changed,) = compare(usd(old), usd(new)).changed
    return [(e.sample, str(e.before), str(e.after), str(e.difference)) for e in changed.effects]


def rows(found):
    return [(each.field, each.label, each.before, each.after) for each in found]


def test_the_same_terms_compare_to_nothing():
    terms = usd(LICENCE, CALLS, features=("a",), phases=(Phase("steady", "Steady"),))
    assert compare(terms, terms) == Comparison()
    assert compare(terms, terms).is_empty
    assert not compare(terms, usd(LICENCE, CALLS)).is_empty


def test_prices_are_matched_by_key_whatever_their_order():
    assert compare(usd(LICENCE, CALLS), usd(CALLS, LICENCE)).is_empty
    assert rows_of_keys(compare(usd(LICENCE), usd(CALLS))) == (["jobs"], ["licence"], [])


def rows_of_keys(found):
    return (
        [each.key for each in found.added],
        [each.key for each in found.removed],
        [each.key for each in found.changed],
    )


def test_what_was_added_and_removed_is_said_in_words_with_its_amounts():
    found = compare(usd(LICENCE), usd(CALLS))
    (added,), (removed,) = found.added, found.removed
    assert added.words == "graduated: up to 10,000 at 0.002, above at 0.0015"
    assert [(e.sample, str(e.before), str(e.after), str(e.difference)) for e in added.effects] == [
        ("1,000 jobs", "0.00", "2.00", "2.00"),
        ("10,000 jobs", "0.00", "20.00", "20.00"),
        ("100,000 jobs", "0.00", "155.00", "155.00"),
    ]
    assert removed.words == "49.00 USD a period"
    assert removed.effects == (Effect("a period", None, D(49), D(0), D(-49)),)


def test_a_changed_price_says_what_it_was_and_is_and_what_samples_cost():
    cheaper = replace(
        CALLS, model=Graduated((tier("10000", "0.002"), tier(None, "0.001", "3"))), minimum=D(5)
    )
    assert changes(CALLS, cheaper) == [
        ("last tier", "at 0.0015", "at 0.001 + 3 flat"),
        ("least in a period", "", "5.00 USD"),
    ]
    assert effects(CALLS, cheaper) == [
        ("1,000 jobs", "2.00", "5.00", "3.00"),
        ("10,000 jobs", "20.00", "20.00", "0.00"),
        ("100,000 jobs", "155.00", "113.00", "-42.00"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (LICENCE, replace(LICENCE, model=Flat(D(59))), [("fee", "49.00 USD", "59.00 USD")]),
        (LICENCE, replace(LICENCE, once=True), [("due", "a period", "once")]),
        (
            LICENCE,
            replace(LICENCE, every_months=12, name="Yearly"),
            [("name", "Licence", "Yearly"), ("due", "a period", "every 12 months, in advance")],
        ),
        (
            metered(PerUnit(D("0.5"), D(1000))),
            metered(PerUnit(D("0.004"))),
            [("price", "0.50 USD", "0.004 USD"), ("units for one price", "1,000", "1")],
        ),
        (
            metered(PerUnit(D("0.5"))),
            metered(Volume((tier(None, "0.4"),))),
            [("price", "0.5 USD per 1 jobs", "volume: all at 0.4")],
        ),
        (
            metered(Package(D(5), D(1000))),
            metered(Package(D(6), D(500), D(10))),
            [
                ("price of a package", "5.00 USD", "6.00 USD"),
                ("units in a package", "1,000", "500"),
                ("units before the first package", "0", "10"),
            ],
        ),
        (
            metered(Graduated((tier("10", "1"), tier("20", "2"), tier(None, "3")))),
            metered(Graduated((tier("10", "1"), tier("30", "2"), tier(None, "3")))),
            [("tier up to 20", "at 2", ""), ("tier up to 30", "", "at 2")],
        ),
        (
            metered(GraduatedPercentage((percent_tier(None, "2.9"),))),
            metered(GraduatedPercentage((percent_tier(None, "2.5"),))),
            [("last tier", "at 2.9%", "at 2.5%")],
        ),
        (
            metered(Percentage(D("2.9"), free_transactions=3)),
            metered(Percentage(D(3), D("0.30"), minimum_per_transaction=D(1))),
            [
                ("percentage", "2.9", "3"),
                ("fee for each transaction", "0.00 USD", "0.30 USD"),
                ("free transactions", "3", "0"),
                ("least for each transaction", "", "1.00 USD"),
            ],
        ),
        (
            metered(Seats(D(89))),
            metered(Seats(D(89), "by_day")),
            [("a seat that is given up is paid", "to the period's end", "by the day")],
        ),
        (
            metered(PerUnit(D(1)), allowance="100"),
            metered(PerUnit(D(1)), allowance="50", allowance_per="workspace"),
            [("included", "100 jobs included", "50 jobs included for each workspace")],
        ),
        (
            metered(PerUnit(D(1)), allowance="100"),
            metered(PerUnit(D(1)), allowance="100", overage=Overage("upgrade", upgrade_to="pro")),
            [
                (
                    "beyond what is included",
                    "more is billed",
                    "with more, the customer moves to the plan “pro”",
                )
            ],
        ),
        (
            metered(PerUnit(D(1)), discount_percent="10", maximum="99.5", phases=("a",)),
            metered(PerUnit(D(1)), prorated=False),
            [
                ("discount", "10%", ""),
                ("most in a period", "99.50 USD", ""),
                ("for a part of a period", "in proportion", "in full"),
                ("holds", "in a only", "in all phases"),
            ],
        ),
    ],
)
def test_field_by_field_in_words(old, new, expected):
    assert changes(old, new) == expected


def test_rates_of_a_matrix_are_matched_by_their_values():
    old = Matrix((MatrixRate(("a", None), D(1)), MatrixRate(("b", None), D(2))), None)
    new = Matrix((MatrixRate(("b", None), D(3), "B"), MatrixRate(("c", None), D(1))), D(9))
    before = metered(old, dimensions=("model", "way"))
    after = metered(new, dimensions=("model", "way"))
    assert changes(before, after) == [
        ("rate of a / *", "1", ""),
        ("rate of b / *", "2", "3, named B"),
        ("rate of c / *", "", "1"),
        ("rate of all others", "refused", "9.00 USD"),
    ]
    assert effects(before, after) == [
        ("10,000 jobs, b / any other", "20000.00", "30000.00", "10000.00"),
        ("10,000 jobs, c / any other", "None", "10000.00", "None"),
        ("10,000 jobs, any other / any other", "None", "90000.00", "None"),
        ("10,000 jobs, a / any other", "10000.00", "90000.00", "80000.00"),
    ]
    (changed,) = compare(usd(before), usd(after)).changed
    assert "No rate and no default for 10000 with model=c" in changed.effects[1].problem
    assert changed.effects[0].problem == ""


def test_another_order_of_rates_is_a_change_since_the_allowance_follows_it():
    rates = (MatrixRate(("a",), D(1)), MatrixRate(("b",), D(2)))
    before = metered(Matrix(rates, None), dimensions=("x",))
    after = metered(Matrix(rates[::-1], None), dimensions=("x",))
    assert changes(before, after) == [("order", "rate of a, rate of b", "rate of b, rate of a")]


def test_a_price_per_unit_that_becomes_a_matrix_is_shown_rate_by_rate():
    old = metered(PerUnit(D(2)), dimensions=("x",))
    new = metered(Matrix((MatrixRate(("a",), D(1)),), D(3)), dimensions=("x",))
    assert effects(old, new) == [
        ("10,000 jobs, a", "20000.00", "10000.00", "-10000.00"),
        ("10,000 jobs, any other", "20000.00", "30000.00", "10000.00"),
    ]


def test_a_multiplier_changes_the_prices_by_service_class():
    classed = metered(PerUnit(D(1)), dimensions=("queue",), class_dimension="queue")
    slower = (replace(CLASSES[0], multiplier=D("0.4")), CLASSES[1])
    old = usd(replace(classed, classes=CLASSES), service_classes=CLASSES)
    new = usd(replace(classed, classes=slower), service_classes=slower)
    found = compare(old, new)
    row = ("service class batch", "Batch, price x 0.5", "Batch, price x 0.4")
    assert found.service_classes == (Change("service_classes", *row),)
    (changed,) = found.changed
    assert changed.changes == (Change("classes", *row),)
    assert [(e.sample, str(e.difference)) for e in changed.effects] == [
        ("10,000 jobs, Batch", "-1000.00"),
        ("10,000 jobs, Fast", "0.00"),
    ]


def test_samples_lie_around_what_is_included_and_an_end_of_billing_says_why():
    old = metered(PerUnit(D("0.05")), allowance="10000")
    new = replace(old, overage=Overage("refuse"))
    assert effects(old, new) == [
        ("5,000 jobs", "0.00", "0.00", "0.00"),
        ("10,000 jobs", "0.00", "0.00", "0.00"),
        ("12,500 jobs", "125.00", "None", "None"),
        ("20,000 jobs", "500.00", "None", "None"),
    ]
    (changed,) = compare(usd(old), usd(new)).changed
    assert changed.effects[2].problem.startswith("Jobs: 12,500 jobs were used")


def test_seats_are_shown_by_the_seat():
    old, new = (replace(metered(Seats(D(fee))), unit="") for fee in (89, 99))
    assert effects(old, new)[:2] == [
        ("1 seat", "89.00", "99.00", "10.00"),
        ("10 seats", "890.00", "990.00", "100.00"),
    ]


def test_what_does_not_count_the_same_has_no_effect_to_show():
    other = replace(metered(PerUnit(D(1))), meter="tokens")
    assert changes(metered(PerUnit(D(1))), other) == [("meter", "jobs", "tokens")]
    assert effects(metered(PerUnit(D(1))), other) == []


def test_what_a_version_grants_row_by_row():
    trial = Phase("trial", "Trial", days=14, discount_percent=D(100))
    intro, steady = Phase("intro", "Introductory", months=1), Phase("steady", "Steady")
    old = usd(
        phases=(trial, steady),
        features=("batch", "standard"),
        limits=(Limit("jobs_per_hour", D(100)), Limit("spend_per_day", D(50))),
        service_classes=CLASSES,
    )
    new = usd(
        phases=(replace(trial, days=30), intro, steady),
        features=("standard", "realtime"),
        limits=(Limit("jobs_per_hour", D(1000)), Limit("concurrent_jobs", D(5), "video")),
        service_classes=CLASSES[::-1],
    )
    found = compare(old, new)
    assert rows(found.phases) == [
        ("phases", "phase trial", "Trial, 14 days, 100% off", "Trial, 30 days, 100% off"),
        ("phases", "phase intro", "", "Introductory, 1 month"),
    ]
    assert rows(found.features) == [
        ("features", "feature batch", "granted", ""),
        ("features", "feature realtime", "", "granted"),
    ]
    assert rows(found.limits) == [
        ("limits", "jobs in an hour", "100", "1,000"),
        ("limits", "spend in a day", "50.00 USD", ""),
        ("limits", "jobs at the same time of class video", "", "5"),
    ]
    assert rows(found.service_classes) == [
        (
            "service_classes",
            "order",
            "service class batch, service class fast",
            "service class fast, service class batch",
        )
    ]


def test_another_currency_shows_both_amounts_and_no_difference():
    found = compare(usd(CALLS, LICENCE), Terms("JPY", (CALLS, replace(LICENCE, model=Flat(D(7))))))
    assert rows(found.terms) == [("currency", "currency", "USD", "JPY")]
    calls, licence = found.changed
    assert calls.changes == ()
    assert calls.effects[0] == Effect("1,000 jobs", D(1000), D("2.00"), D(2), None)
    assert [(c.before, c.after) for c in licence.changes] == [("49.00 USD", "7 JPY")]


price_lists = st.lists(prices(), max_size=4).map(
    lambda found: tuple(replace(each, key=f"p{index}") for index, each in enumerate(found))
)


@settings(max_examples=50)
@given(price_lists)
def test_terms_compared_with_themselves_differ_in_nothing(found):
    assert compare(usd(*found), usd(*found)).is_empty


@settings(max_examples=50)
@given(prices(), prices())
def test_two_prices_differ_in_words_if_they_differ_and_the_effect_is_what_rate_says(old, new):
    found = compare(usd(old), usd(new))
    assert bool(found.changed) == (old != new)
    for changed in found.changed:
        assert changed.changes
        for effect in changed.effects:
            amounts = [
                total(
                    line.amount
                    for line in rate(p, sample_usage(p, effect.quantity), currency="USD")
                )
                for p in (old, new)
            ]
            assert [effect.before, effect.after] == amounts
            assert effect.difference == amounts[1] - amounts[0]
    forth = [(c.label, c.before, c.after) for each in found.changed for c in each.changes]
    back = compare(usd(new), usd(old)).changed
    assert sorted((c.label, c.after, c.before) for each in back for c in each.changes) == sorted(
        forth
    )


@settings(max_examples=50)
@given(prices())
def test_samples_can_be_rated_and_are_told_apart(price):
    found = samples(price)
    assert len(set(found)) == len(found) >= 2
    for sample in found:
        usage = sample_usage(price, sample.quantity, dimensions=sample.dimensions)
        assert usage.quantity == sample.quantity
        rate(price, usage, currency="USD")
