"""The plans side of the admin: who may do what, what bad input answers, and how much it reads."""

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.messages import get_messages
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing.models import Statement
from billing.staff import APPROVER, APPS, EDITOR, ROLES, SUPPORT, ensure_groups, remove_groups
from plans.models import Customer, Meter, Plan, PlanVersion, Price, Subscription, Workspace
from plans.operations.reviews import submit_version
from plans.operations.versions import add_price, create_plan, start_version
from tests.integration import plans_fixtures as fixtures

pytestmark = pytest.mark.django_db

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
NO_WORKSPACES = {"workspaces-TOTAL_FORMS": 0, "workspaces-INITIAL_FORMS": 0}


@pytest.fixture
def draft(db):
    """A draft of the plan Scale with one price of 0.04 for each call."""
    plan = create_plan(key="scale", name="Scale")
    version = start_version(plan=plan, currency="EUR")
    meter = Meter.objects.create(
        key="calls", name="API calls", event_type="call", aggregation="count", unit="calls"
    )
    row = Price(key="calls", name="API calls", model="per_unit", meter=meter, amount="0.04")
    add_price(version=version, price=row)
    return version


@pytest.fixture
def published(draft, world):
    """The draft, in force since January 2026."""
    from plans.operations.publishing import publish_version

    return publish_version(version=draft, effective_from=JANUARY, by=None, now=JANUARY)


@pytest.fixture
def approved(draft):
    """The draft, submitted by Mara and approved by Noor."""
    return fixtures.approved(
        draft, author=fixtures.person(), approver=fixtures.person("noor"), now=JANUARY
    )


@pytest.fixture
def acme(world):
    return world.customer("acme", currency="EUR", time_zone="Europe/Berlin")


@pytest.fixture
def sign_in(client, staff):
    """A function that signs a person of a group in: `client = sign_in(EDITOR)`."""

    def enter(group):
        client.force_login(staff(group))
        return client

    return enter


def page(name, *args):
    return reverse(f"admin:{name}", args=args)


def said(response):
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


# Groups ---------------------------------------------------------------------------------------


def test_the_migration_made_the_groups_with_their_permissions():
    assert set(Group.objects.values_list("name", flat=True)) >= {role.group for role in ROLES}
    before = {group.name: set(group.permissions.all()) for group in Group.objects.all()}

    ensure_groups()

    assert {group.name: set(group.permissions.all()) for group in Group.objects.all()} == before


def test_the_groups_can_be_removed_and_made_again():
    remove_groups()
    assert not Group.objects.exists()

    ensure_groups()

    assert Group.objects.count() == len(ROLES)


@pytest.mark.parametrize(
    ("group", "may", "may_not"),
    [
        (
            EDITOR,
            ["plans.change_price", "plans.add_subscription", "billing.view_statement"],
            ["plans.publish_planversion", "billing.finalise_statement", "auth.change_user"],
        ),
        (
            APPROVER,
            ["plans.publish_planversion", "billing.finalise_statement", "usage.view_event"],
            ["plans.change_price", "plans.add_planversion", "plans.change_customer"],
        ),
        (
            SUPPORT,
            ["plans.view_customer", "billing.view_statement", "usage.view_quarantinedevent"],
            ["plans.change_customer", "plans.publish_planversion", "billing.finalise_statement"],
        ),
        (None, [], ["plans.view_customer", "billing.view_statement"]),
    ],
)
def test_what_each_group_may_do(staff, group, may, may_not):
    person = staff(group)

    assert [name for name in may if not person.has_perm(name)] == []
    assert [name for name in may_not if person.has_perm(name)] == []


def test_support_reads_everything_and_writes_nothing(staff):
    permissions = staff(SUPPORT).get_all_permissions()

    assert {name.split(".")[0] for name in permissions} == set(APPS)
    assert all(name.split(".")[1].startswith("view_") for name in permissions)


# Who reaches what -----------------------------------------------------------------------------


@pytest.mark.parametrize("group", [EDITOR, APPROVER, SUPPORT])
def test_every_group_reads_the_pages(sign_in, group, published, acme):
    client = sign_in(group)
    price = published.prices.get()

    for address in (
        page("index"),
        page("plans_customer_changelist"),
        page("plans_customer_change", acme.pk),
        page("plans_meter_changelist"),
        page("plans_meter_change", price.meter_id),
        page("plans_plan_changelist"),
        page("plans_plan_change", published.plan_id),
        page("plans_planversion_changelist"),
        page("plans_planversion_change", published.pk),
    ):
        assert client.get(address).status_code == 200, address


def test_a_stranger_sees_nothing(sign_in, published, acme):
    client = sign_in(None)

    assert "Scale" not in client.get(page("index")).content.decode()
    for address in (
        page("plans_customer_change", acme.pk),
        page("plans_planversion_change", published.pk),
    ):
        assert client.get(address).status_code in {302, 403}, address


@pytest.mark.parametrize("group", [APPROVER, SUPPORT, None])
def test_only_an_editor_changes_terms(sign_in, group, draft, acme):
    client = sign_in(group)

    for address, sent in (
        (page("plans_planversion_save", draft.pk), {}),
        (page("plans_planversion_meter", draft.pk), {}),
        (page("plans_planversion_feature", draft.pk), {}),
        (page("plans_planversion_delete", draft.pk), {"post": "yes"}),
        (page("plans_customer_change", acme.pk), {"name": "Other"} | NO_WORKSPACES),
        (page("plans_plan_add"), {"name": "New", "key": "new", "currency": "EUR"}),
        (page("plans_planversion_copy", draft.pk), {}),
        (page("plans_customer_subscribe", acme.pk), {"plan": draft.plan_id}),
        (page("plans_customer_add_portal_user", acme.pk), {}),
    ):
        assert client.post(address, sent).status_code == 403, address

    assert Price.objects.get().amount == Decimal("0.04")
    assert Plan.objects.count() == PlanVersion.objects.count() == 1
    assert Customer.objects.get().name == "Acme"


@pytest.mark.parametrize("group", [EDITOR, SUPPORT, None])
def test_only_an_approver_publishes(sign_in, group, draft):
    client = sign_in(group)

    answer = client.post(
        page("plans_planversion_publish", draft.pk), {"effective_from": "2026-01-01T00:00"}
    )

    assert answer.status_code == 403
    draft.refresh_from_db()
    assert draft.published_at is None


# Publishing -----------------------------------------------------------------------------------


def test_publishing_twice_publishes_once_and_says_so(sign_in, approved):
    client, draft = sign_in(APPROVER), approved
    address, sent = (
        page("plans_planversion_publish", draft.pk),
        {"effective_from": "2026-01-01T00:00"},
    )

    assert "in force from 01 January 2026 00:00 UTC" in said(client.post(address, sent))
    draft.refresh_from_db()
    first = draft.published_at
    assert "was published on" in said(client.post(address, sent))

    draft.refresh_from_db()
    assert draft.published_at == first
    assert draft.effective_from == JANUARY


def test_what_keeps_a_draft_from_publication_is_named_with_its_price(sign_in, draft):
    draft.prices.update(model="graduated")
    client = sign_in(APPROVER)

    shown = client.get(page("plans_planversion_publish", draft.pk)).content.decode()

    assert "API calls: tiers" in shown
    assert "There is no tier" in shown
    assert f"{page('plans_planversion_change', draft.pk)}#price-calls" in shown


def test_a_published_version_cannot_be_changed_by_any_form(sign_in, published):
    client = sign_in(EDITOR)

    assert client.post(page("plans_planversion_save", published.pk), {}).status_code == 403
    changed = client.post(page("plans_planversion_change", published.pk), {"currency": "USD"})
    assert changed.status_code == 405
    deleted = client.post(page("plans_planversion_delete", published.pk), {"post": "yes"})
    assert "is published: it stays" in said(deleted)
    plan_deleted = client.post(page("plans_plan_delete", published.plan_id), {"post": "yes"})
    assert plan_deleted.status_code in {302, 403}

    assert PlanVersion.objects.get().currency == "EUR"
    assert Price.objects.get().amount == Decimal("0.04")


def test_a_new_version_is_a_copy_and_the_published_one_stays(sign_in, published):
    client = sign_in(EDITOR)

    client.post(page("plans_planversion_copy", published.pk))

    copy = PlanVersion.objects.get(number=2)
    assert copy.published_at is None
    assert copy.prices.get().amount == Decimal("0.04")
    assert copy.created_by.username == "finance-editor"


# Customers and meters -------------------------------------------------------------------------


def customer_input(**given):
    return {
        "name": "Beta", "key": "beta", "email": "", "currency": "EUR", "time_zone": "UTC",
        "grace_hours": "48",
    } | NO_WORKSPACES | given  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"key": "acme"}, "The key “acme” is taken by another customer or workspace."),
        ({"key": "research"}, "The key “research” is taken by another customer or workspace."),
        ({"time_zone": "Mars"}, "“Mars” is not a known time zone"),
        ({"currency": "XYZ"}, "“XYZ” is not a known currency"),
        ({"grace_hours": "900"}, "less than or equal to 672"),
    ],
)
def test_a_bad_customer_is_refused_at_its_field(sign_in, world, sent, message):
    world.customer("acme", workspaces=("research",))
    client = sign_in(EDITOR)
    workspaces = {
        "workspaces-TOTAL_FORMS": 1, "workspaces-INITIAL_FORMS": 0,
        "workspaces-0-name": "Team", "workspaces-0-key": "team",
    }  # fmt: skip

    answer = client.post(page("plans_customer_add"), customer_input(**workspaces) | sent)

    assert message in answer.content.decode()
    assert Customer.objects.count() == Workspace.objects.count() == 1


def test_a_workspace_with_its_customers_own_new_key_stores_neither(sign_in):
    client = sign_in(EDITOR)
    workspaces = {
        "workspaces-TOTAL_FORMS": 1, "workspaces-INITIAL_FORMS": 0,
        "workspaces-0-name": "Team", "workspaces-0-key": "beta",
    }  # fmt: skip

    answer = client.post(page("plans_customer_add"), customer_input(**workspaces))

    assert "The key “beta” is taken" in said(answer)
    assert not Customer.objects.exists()


def test_a_customer_is_subscribed_from_the_start_of_a_day_in_its_own_zone(sign_in, published, acme):
    client, address = sign_in(EDITOR), page("plans_customer_subscribe", acme.pk)
    sent = {"plan": published.plan_id, "start_date": "2026-02-01", "anchor_date": ""}
    shown = client.post(address, sent).content.decode()
    sent |= dict(re.findall(r'name="(as_of|shown)" value="([^"]*)"', shown))
    sent |= {"step": "do", "reason": "They signed."}

    client.post(address, sent)
    again = client.post(address, sent)

    assert "another subscription at that time" in again.content.decode()
    assert Subscription.objects.get().starts_at == datetime(2026, 1, 31, 23, tzinfo=UTC)
    shown = client.get(page("plans_customer_change", acme.pk)).content.decode()
    assert "01 February 2026 (Europe/Berlin)" in shown
    assert 'name="currency"' not in shown, "currency and zone are fixed by the subscription"


def test_a_subscription_that_no_version_covers_is_refused(sign_in, published, acme):
    client = sign_in(EDITOR)
    sent = {"plan": published.plan_id, "start_date": "2026-01-01"}

    answer = client.post(page("plans_customer_subscribe", acme.pk), sent)

    assert "has no version in force on 31 December 2025 23:00 UTC" in answer.content.decode()
    assert not Subscription.objects.exists()


def test_a_portal_user_belongs_to_a_customer_and_stays_out_of_the_admin(sign_in, acme, client):
    editor = sign_in(EDITOR)
    address = page("plans_customer_add_portal_user", acme.pk)
    sent = {"username": "ann", "email": "ann@acme.example", "password": "correct horse",
            "password_again": "correct horse"}  # fmt: skip

    weak = editor.post(address, sent | {"password": "123", "password_again": "123"})
    assert "too short" in weak.content.decode()
    assert not User.objects.filter(username="ann").exists()
    assert "ann may now sign in" in said(editor.post(address, sent))
    assert "is taken" in editor.post(address, sent).content.decode()

    ann = User.objects.get(username="ann")
    assert ann.membership.customer == acme
    client.force_login(ann)
    assert client.get(page("index")).status_code == 302


def test_a_meter_in_a_published_price_keeps_all_but_its_name(sign_in, published):
    client, meter = sign_in(EDITOR), Meter.objects.get()

    client.post(page("plans_meter_change", meter.pk), {"name": "Calls", "event_type": "other"})

    meter.refresh_from_db()
    assert (meter.name, meter.event_type) == ("Calls", "call")


def test_a_bad_meter_is_refused_at_its_field(sign_in):
    client = sign_in(EDITOR)
    sent = {"name": "T", "key": "t", "event_type": "t", "aggregation": "sum", "value_property": "v",
            "rounding": "none", "rounding_multiple": "1", "dimensions": "a,a", "filters": "{}",
    }  # fmt: skip

    twice = client.post(page("plans_meter_add"), sent).content.decode()
    without = client.post(page("plans_meter_add"), sent | {"value_property": ""}).content.decode()

    assert "A dimension is named twice." in twice
    assert "every other aggregation needs one" in without
    assert not Meter.objects.exists()


# Home and lists -------------------------------------------------------------------------------


def test_home_shows_the_work_and_tries_a_parked_customer_again(sign_in, draft, acme):
    submit_version(version=draft, by=fixtures.person(), now=JANUARY)
    parked = Statement.objects.create(
        customer=acme, period_start=JANUARY, period_end=datetime(2026, 2, 1, tzinfo=UTC),
        currency="EUR", draft_due_at=JANUARY, finalise_due_at=JANUARY, parked_at=JANUARY,
        parked_code="unmatched_usage", parked_reason="No rate for model=huge.",
    )  # fmt: skip
    client = sign_in(APPROVER)

    shown = client.get(page("index")).content.decode()
    assert "Scale, version 1" in shown
    assert "No rate for model=huge." in shown
    retry = page("billing_statement_retry", parked.pk)
    assert retry in shown
    client.post(retry, {"csrfmiddlewaretoken": "x"})

    parked.refresh_from_db()
    assert parked.parked_at is None


@pytest.mark.parametrize(
    "name",
    [
        "plans_customer_changelist", "plans_meter_changelist", "plans_plan_changelist",
        "plans_planversion_changelist", "index",
    ],
)  # fmt: skip
def test_lists_read_the_same_number_of_queries_whatever_their_length(sign_in, draft, acme, name):
    client = sign_in(EDITOR)
    client.get(page(name))

    with CaptureQueriesContext(
        connection,
    ) as one:
        client.get(page(name))
    for number in range(12):
        Customer.objects.create(key=f"c{number}", name=f"Customer {number}", currency="EUR")
        plan = create_plan(key=f"p{number}", name=f"Plan {number}")
        version = start_version(plan=plan, currency="EUR")
        add_price(version=version, price=Price(key="fee", name="Fee", model="flat", amount=1))
        Meter.objects.create(
            key=f"m{number}", name=f"Meter {number}", event_type="e", aggregation="count"
        )
    with CaptureQueriesContext(connection) as many:
        client.get(page(name))

    assert len(many) <= len(one)
