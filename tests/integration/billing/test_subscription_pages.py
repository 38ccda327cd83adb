"""The pages about subscriptions: nothing is done that was not shown, and it is done once."""

import re
from datetime import datetime, timedelta
from decimal import Decimal as D
from types import SimpleNamespace

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from billing.staff import APPROVER, EDITOR, SUPPORT
from plans.models import Subscription
from plans.operations.subscriptions import subscribe
from tests.fixtures.world import World, at

NOON = at(2025, 1, 31, 12)
FEBRUARY = at(2025, 2, 1)


def fee(amount, **said):
    return {"key": "fee", "name": "Fee", "model": "flat", "amount": D(amount), **said}


@pytest.fixture
def world(db):
    """A world whose steps are undone with the test: nothing here depends on commits."""
    return World()


@pytest.fixture
def plans(world: World):
    """Acme on Starter (31.00) since 8 January 2025; Scale costs 310.00, and 50.00 once."""
    setup = fee(50, key="setup", name="Setup", once=True)
    starter = world.plan("starter", prices=(fee(31),))
    scale = world.plan("scale", prices=(fee(310), setup))
    acme = world.customer()
    subscription = subscribe(
        customer=acme, plan=starter, starts_at=at(2025, 1, 8), now=at(2025, 1, 8)
    )
    return SimpleNamespace(starter=starter, scale=scale, acme=acme, subscription=subscription)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands at noon of 31 January until it is set."""
    hands = SimpleNamespace(at=NOON)
    timezone = SimpleNamespace(now=lambda: hands.at)
    for module in (
        "billing.admin.money_page", "billing.admin.subscriptions", "plans.admin.customers",
    ):  # fmt: skip
        monkeypatch.setattr(f"{module}.timezone", timezone)
    return hands


@pytest.fixture
def editor(client, staff):
    client.force_login(staff(EDITOR))
    return client


def page(name, plans, *, subscription=None):
    ids = [plans.acme.pk]
    if name != "subscribe":
        ids.append((subscription or plans.subscription).pk)
    return reverse(f"admin:plans_customer_{name}", args=ids)


def shown(answer):
    """The text of a page, and what its button would send along."""
    text = answer.content.decode()
    hidden = dict(re.findall(r'name="(as_of|shown)" value="([^"]*)"', text))
    return text, hidden


def look(client, address, **said):
    """Fill the form in, and return the preview alone."""
    return shown(client.post(address, {"step": "preview", **said}, headers={"HX-Request": "true"}))


def do(client, address, hidden, **said):
    return client.post(address, {"step": "do", "reason": "Asked for it", **said, **hidden})


def held():
    rows = Subscription.objects.order_by("starts_at").select_related("plan")
    return [(row.plan.key, row.starts_at, row.ends_at) for row in rows]


BEFORE = [("starter", at(2025, 1, 8), None)]


def test_a_change_is_shown_with_its_money_and_then_done(editor, plans, clock):
    address = page("change_plan", plans)
    assert "Choose another plan" in editor.get(address).content.decode()
    said = {"to_plan": plans.scale.pk, "when": "now"}

    text, hidden = look(editor, address, **said)
    for words in (
        "Acme leaves Starter on 31 January 2025, 12:00 (UTC)",
        "Scale charges once: Setup, $50.00.",
        "This period: January 2025",
        "$54.50 more",
        "$23.50", "$5.00", "$310.00",
        "Change to Scale",
        "With the usage of this period until 31 January 2025, 12:00 (UTC)",
    ):  # fmt: skip
        assert words in text, words
    assert "<html" not in text
    assert held() == BEFORE

    clock.at += timedelta(minutes=4)
    answer = do(editor, address, hidden, **said)
    assert answer.status_code == 302
    assert held() == [("starter", at(2025, 1, 8), NOON), ("scale", NOON, None)]
    log = LogEntry.objects.get().change_message
    assert log.endswith("Why: Asked for it")
    again = do(editor, address, hidden, **said)
    assert "ended on 31 January 2025" in again.content.decode()
    assert len(held()) == 2


def test_nothing_is_done_that_was_not_shown(editor, plans, clock):
    address = page("change_plan", plans)
    _, hidden = look(editor, address, to_plan=plans.scale.pk, when="now")

    other = do(editor, address, hidden, to_plan=plans.scale.pk, when="period_end")
    assert "Something differs from what was shown" in other.content.decode()
    assert held() == BEFORE
    text, hidden = shown(other)
    assert "1 February 2025, 00:00" in text

    clock.at += timedelta(minutes=16)
    late = do(editor, address, hidden, to_plan=plans.scale.pk, when="now")
    assert "too old" in late.content.decode()
    assert held() == BEFORE


def test_no_reason_no_change(editor, plans, clock):
    address = page("cancel", plans)
    _, hidden = shown(editor.get(address))
    answer = do(editor, address, hidden, when="period_end", reason="")
    assert "This field is required" in answer.content.decode()
    assert held() == BEFORE


def test_cancelled_at_the_periods_end_and_resumed_on_the_customers_page(editor, plans, clock):
    text, hidden = shown(editor.get(page("cancel", plans)))
    assert "The period until then is charged in full." in text
    do(editor, page("cancel", plans), hidden, when="period_end")
    assert held() == [("starter", at(2025, 1, 8), FEBRUARY)]

    customer_page = reverse("admin:plans_customer_change", args=[plans.acme.pk])
    overview = editor.get(customer_page).content.decode()
    assert page("resume", plans) in overview
    assert page("cancel", plans) not in overview

    text, hidden = shown(editor.get(page("resume", plans)))
    assert "Acme stays on Starter beyond 1 February 2025, 00:00 (UTC), without an end." in text
    assert do(editor, page("resume", plans), hidden).status_code == 302
    assert held() == BEFORE


def test_a_change_on_a_date_is_taken_back(editor, plans, clock):
    address = page("change_plan", plans)
    said = {"to_plan": plans.scale.pk, "when": "date", "date": "2025-03-16"}
    text, hidden = look(editor, address, **said)
    assert "A full period from then on: April 2025" in text
    do(editor, address, hidden, **said)
    assert held()[1] == ("scale", at(2025, 3, 16), None)

    text, hidden = shown(editor.get(page("resume", plans)))
    assert "The change to Scale, which was to begin then, is taken back." in text
    do(editor, page("resume", plans), hidden)
    assert held() == BEFORE


def test_a_scheduled_plan_is_withdrawn_and_the_end_stays(editor, plans, clock):
    address = page("change_plan", plans)
    said = {"to_plan": plans.scale.pk, "when": "period_end", "setup_waived": "on"}
    text, hidden = look(editor, address, **said)
    assert "What Scale charges once is waived: Setup, $50.00." in text
    do(editor, address, hidden, **said)
    scale = Subscription.objects.get(plan=plans.scale)
    assert scale.setup_waived

    address = page("withdraw", plans, subscription=scale)
    text, hidden = shown(editor.get(address))
    assert "Acme still leaves Starter then." in text
    do(editor, address, hidden)
    assert held() == [("starter", at(2025, 1, 8), FEBRUARY)]


def test_resumed_after_the_end_with_nothing_charged_for_the_time_between(editor, plans, clock):
    Subscription.objects.update(ends_at=at(2025, 1, 20))
    address = page("resume", plans)
    text, hidden = shown(editor.get(address))
    assert "Nothing is charged for the time since 20 January 2025, 00:00 (UTC)" in text
    assert "January 2025: $0.50 more" in text
    do(editor, address, hidden)
    assert held() == [("starter", at(2025, 1, 8), at(2025, 1, 20)), ("starter", NOON, None)]


def test_a_customer_is_subscribed_after_seeing_what_it_costs(editor, plans, clock, world):
    other = world.customer("globex")
    address = reverse("admin:plans_customer_subscribe", args=[other.pk])
    assert "Choose a plan and its first day" in editor.get(address).content.decode()
    said = {"plan": plans.scale.pk, "start_date": "2025-01-17", "anchor_date": ""}
    text, hidden = look(editor, address, **said)
    assert "$200.00 more" in text
    assert "currency and time zone are fixed" in text
    do(editor, address, hidden, **said)
    assert Subscription.objects.get(customer=other).starts_at == at(2025, 1, 17)


def test_a_start_that_is_billed_already_is_refused(editor, plans, clock, world):
    Subscription.objects.update(ends_at=at(2025, 1, 20))
    world.close(now=at(2025, 2, 5))
    clock.at = at(2025, 2, 10)
    address = page("subscribe", plans)
    said = {"plan": plans.scale.pk, "start_date": "2025-01-25"}
    text, hidden = look(editor, address, **said)
    assert "Finalised statements cover the time until 1 February 2025, 00:00 (UTC)" in text
    assert hidden == {}
    do(editor, address, hidden, **said)
    assert len(held()) == 1


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"when": "date"}, "Choose the day."),
        ({"when": "date", "date": "2025-01-30"}, "has passed, and may have been billed"),
        ({"when": "date", "date": "9999-12-31"}, "more than five years ahead"),
        ({"when": "now", "date": "yesterday"}, "Enter a valid date."),
        ({"when": "sometime"}, "Select a valid choice"),
    ],
)
def test_what_cannot_be_done_is_said_and_offers_no_button(editor, plans, clock, said, words):
    text, hidden = look(editor, page("cancel", plans), **said)
    assert words in text
    assert hidden == {}
    assert held() == BEFORE


def test_a_plan_of_another_currency_is_not_offered(editor, plans, clock, world):
    euro = world.plan("euro", prices=(fee(9),), currency="EUR")
    text, hidden = look(editor, page("change_plan", plans), to_plan=euro.pk, when="now")
    assert "Select a valid choice" in text
    assert hidden == {}


@pytest.mark.parametrize("group", [APPROVER, SUPPORT, None])
@pytest.mark.parametrize("name", ["subscribe", "change_plan", "cancel", "resume", "withdraw"])
def test_only_an_editor_changes_subscriptions(client, staff, plans, clock, group, name):
    client.force_login(staff(group))
    answer = client.post(page(name, plans), {"step": "do", "reason": "x", "when": "now"})
    assert answer.status_code == 403
    assert held() == BEFORE
    overview = client.get(reverse("admin:plans_customer_change", args=[plans.acme.pk]))
    assert page("cancel", plans) not in overview.content.decode()


def test_days_are_those_of_the_customers_zone(editor, plans, clock, world):
    tokyo = world.customer("tokyo", time_zone="Asia/Tokyo")
    address = reverse("admin:plans_customer_subscribe", args=[tokyo.pk])
    said = {"plan": plans.scale.pk, "start_date": "2025-02-01"}
    _, hidden = look(editor, address, **said)
    do(editor, address, hidden, **said)
    assert Subscription.objects.get(customer=tokyo).starts_at == datetime.fromisoformat(
        "2025-01-31T15:00:00Z"
    )
