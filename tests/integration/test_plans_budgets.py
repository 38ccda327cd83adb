"""Setting, changing and removing budgets: what is refused, and what history keeps."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal as D

import pytest
from django.db import connection

from plans.acting import acting
from plans.models import Budget
from plans.operations.budgets import (
    BudgetInvalid,
    BudgetTaken,
    BudgetTerms,
    NoBudget,
    Scope,
    UnknownSubject,
    remove_budget,
    scope_of,
    set_budget,
)
from plans.operations.customers import create_customer, create_workspace
from plans.timeline import timeline


@pytest.fixture
def acme(db):
    customer = create_customer(key="acme", name="Acme")
    create_workspace(customer=customer, key="film", name="Film")
    return customer


def test_a_budget_is_set_changed_and_removed_and_its_history_stays(acme, django_user_model):
    olga = django_user_model.objects.create_user("olga")
    scope = Scope(customer=acme)
    with acting(by=olga, reason="A new project."):
        set_budget(scope=scope, terms=BudgetTerms(amount=D(1000), alert_percents=(90, 50, 90)))
    assert Budget.objects.get().alert_percents == [50, 90]

    with acting(by=olga, reason="It grows."):
        set_budget(scope=scope, terms=BudgetTerms(amount=D(2000), alert_percents=(50, 90)))
        set_budget(scope=scope, terms=BudgetTerms(amount=D(2000), alert_percents=(90, 50)))
    with acting(by=olga, reason="It is over."):
        remove_budget(scope=scope)

    assert not Budget.objects.exists()
    told = [(each.title, each.reason, each.by) for each in timeline(acme) if "budget" in each.title]
    assert told == [
        ("A budget was removed", "It is over.", "olga"),
        ("A budget was changed", "It grows.", "olga"),
        ("A budget was set", "A new project.", "olga"),
    ]


@pytest.mark.parametrize(
    ("said", "field", "code"),
    [
        ({"amount": D(0)}, "amount", "budget_positive"),
        ({"amount": D(-1)}, "amount", "budget_positive"),
        ({"amount": D("NaN")}, "amount", "budget_positive"),
        ({"amount": D("10.005")}, "amount", "too_many_decimals"),
        ({"amount": D("1e40")}, "amount", "max_digits"),
        ({"alert_percents": (0,)}, "alert_percents", "alert_out_of_range"),
        ({"alert_percents": (1001,)}, "alert_percents", "alert_out_of_range"),
        ({"alert_percents": tuple(range(1, 12))}, "alert_percents", "too_many_alerts"),
        ({"throttle_percent": 101}, "throttle_percent", "max_value"),
        ({"throttle_to": 0}, "throttle_to", "throttle_to_nothing"),
        ({"email": "nobody"}, "email", "invalid"),
    ],
)
def test_what_cannot_be_is_refused_and_the_budget_stays(acme, said, field, code):
    scope = Scope(customer=acme)
    set_budget(scope=scope, terms=BudgetTerms(amount=D(77)))

    with pytest.raises(BudgetInvalid) as refused:
        set_budget(scope=scope, terms=BudgetTerms(**{"amount": D(1000), **said}))

    assert [(each.field, each.code) for each in refused.value.problems] == [(field, code)]
    assert Budget.objects.get().amount == D(77)
    assert Budget.history.count() == 1


def test_a_workspace_has_its_own_and_only_its_customers(acme):
    film = acme.workspaces.get()
    set_budget(scope=scope_of(key="film"), terms=BudgetTerms(amount=D(5)))
    set_budget(scope=scope_of(key="acme"), terms=BudgetTerms(amount=D(50)))

    assert Budget.objects.get(workspace=film).amount == D(5)
    assert Budget.objects.get(workspace=None).amount == D(50)
    other = create_customer(key="other", name="Other")
    with pytest.raises(BudgetInvalid, match="no workspace of Other"):
        set_budget(scope=Scope(customer=other, workspace=film), terms=BudgetTerms(amount=D(5)))
    with pytest.raises(UnknownSubject):
        scope_of(key="nobody")
    with pytest.raises(NoBudget):
        remove_budget(scope=Scope(customer=other))


@pytest.mark.django_db(transaction=True)
def test_two_at_once_leave_one_budget():
    acme = create_customer(key="acme", name="Acme")

    def put(amount):
        try:
            set_budget(scope=Scope(customer=acme), terms=BudgetTerms(amount=D(amount)))
        except BudgetTaken:
            return "taken"
        else:
            return "set"
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(put, range(1, 13)))

    assert "set" in answers
    assert Budget.objects.count() == 1
