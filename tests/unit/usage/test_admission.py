"""decide(): every rule alone, their order, and every combination of them."""

from datetime import UTC, datetime
from decimal import Decimal as D
from itertools import combinations

import pytest

from plans.rating import Limit
from usage.admission import (
    Admitted,
    Allowance,
    BudgetState,
    Deferred,
    Limits,
    Load,
    MoneyState,
    NotGranted,
    Refused,
    Request,
    concurrent_most,
    decide,
)

HOUR_ENDS = datetime(2026, 3, 10, 13, tzinfo=UTC)
DAY_ENDS = datetime(2026, 3, 11, tzinfo=UTC)
PERIOD_ENDS = datetime(2026, 4, 1, tzinfo=UTC)
# In the order in which they are asked, each with what makes it say no.
RULES = {
    "feature": (NotGranted, "feature_not_granted", None, None),
    "service_class": (NotGranted, "service_class_not_offered", None, None),
    "concurrent_jobs": (Deferred, "too_many_concurrent_jobs", None, 5),
    "jobs_per_hour": (Deferred, "hourly_limit_reached", HOUR_ENDS, None),
    "jobs_per_day": (Deferred, "daily_limit_reached", DAY_ENDS, None),
    "spend_per_day": (Deferred, "daily_spend_reached", DAY_ENDS, None),
    "allowance": (Refused, "allowance_used_up", PERIOD_ENDS, None),
    "budget": (Refused, "budget_exceeded", PERIOD_ENDS, None),
    "unpaid": (Refused, "unpaid_above_hold", PERIOD_ENDS, None),
    "credit": (Refused, "not_enough_credit", None, None),
}


def decision(broken: set[str]):
    """Decide on a job of 2.00 that exactly fits, but for the rules that are broken by a little."""
    cent = D("0.01")
    return decide(
        request=Request(
            job_class="render",
            service_class="fast",
            features=("gpu",),
            amount=D(2),
            credit={"TOKN": D(10)},
            quantities={"jobs": D(1)},
        ),
        limits=Limits(
            features=frozenset() if "feature" in broken else frozenset({"gpu"}),
            service_classes=frozenset() if "service_class" in broken else frozenset({"fast"}),
            limits=(
                Limit("concurrent_jobs", D(3)),
                Limit("jobs_per_hour", D(10)),
                Limit("jobs_per_day", D(20)),
                Limit("spend_per_day", D(50)),
            ),
            allowances=(
                Allowance(
                    price="jobs", most=D(100), used=D(99 + ("allowance" in broken)),
                    renewed_at=PERIOD_ENDS,
                ),
            ),
            budgets=(
                BudgetState(
                    amount=D(100), spent=D(90), held=D(8) + cent * ("budget" in broken),
                ),
            ),
        ),
        load=Load(
            running={"render": 1, "other": 1 + ("concurrent_jobs" in broken)},
            hour_jobs={"render": 9 + ("jobs_per_hour" in broken)},
            day_jobs={"render": 19 + ("jobs_per_day" in broken)},
            hour_ends_at=HOUR_ENDS,
            day_ends_at=DAY_ENDS,
        ),
        money=MoneyState(
            period_ends_at=PERIOD_ENDS,
            day_spent=D(48) + cent * ("spend_per_day" in broken),
            credit={"TOKN": D(10) - cent * ("credit" in broken)},
            unpaid=cent * ("unpaid" in broken),
        ),
    )  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_says_no_by_itself(rule):
    kind, code, retry_at, retry_after_s = RULES[rule]

    found = decision({rule})

    assert type(found) is kind
    assert (found.rule, found.code) == (rule, code)
    assert (found.retry_at, found.retry_after_s) == (retry_at, retry_after_s)
    assert found.numbers
    assert found.detail.endswith(".")


def test_what_exactly_fits_is_admitted():
    assert decision(set()) == Admitted(amount=D(2))


def test_of_every_combination_the_first_in_order_answers():
    names = list(RULES)
    seen = 0
    for size in range(1, len(names) + 1):
        for broken in combinations(names, size):
            found = decision(set(broken))
            assert isinstance(found, Deferred | Refused)
            assert found.rule == broken[0]
            seen += 1
    assert seen == 2 ** len(RULES) - 1


def test_a_limit_of_a_class_counts_its_jobs_alone():
    def ask(job_class, running):
        return decide(
            request=Request(job_class=job_class, amount=D(0)),
            limits=Limits(limits=(Limit("concurrent_jobs", D(2), "render"),)),
            load=Load(running=running, hour_jobs={}, day_jobs={}, hour_ends_at=HOUR_ENDS,
                      day_ends_at=DAY_ENDS),
            money=MoneyState(period_ends_at=PERIOD_ENDS),
        )  # fmt: skip

    found = ask("render", {"render": 2, "other": 9})
    assert isinstance(found, Deferred)
    assert found.numbers == {"limit": "2", "running": "2", "job_class": "render"}
    assert isinstance(ask("render", {"render": 1, "other": 9}), Admitted)
    assert isinstance(ask("other", {"render": 2, "other": 9}), Admitted)


@pytest.mark.parametrize(
    ("spent", "held", "most"), [("89.99", "0", 10), ("80", "10", 1), ("90", "0", 1)]
)
def test_a_budget_throttles_from_its_share_on(spent, held, most):
    budget = BudgetState(
        amount=D(100), spent=D(spent), held=D(held), throttle_percent=90, throttle_to=1
    )
    limits = Limits(limits=(Limit("concurrent_jobs", D(10)),), budgets=(budget,))

    assert concurrent_most(limits, job_class="") == most


def test_a_budget_that_does_not_stop_admits():
    budget = BudgetState(amount=D(1), spent=D(5), held=D(0), stops=False)
    found = decide(
        request=Request(job_class="render", amount=D(3)),
        limits=Limits(budgets=(budget,)),
        load=Load(running={}, hour_jobs={}, day_jobs={}, hour_ends_at=HOUR_ENDS,
                  day_ends_at=DAY_ENDS),
        money=MoneyState(period_ends_at=PERIOD_ENDS),
    )  # fmt: skip

    assert found == Admitted(amount=D(3))
