"""The pages of a version's life: who may take which step, what they ask, and what they show."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing.staff import APPROVER, EDITOR, SUPPORT
from plans.admin import evidence
from plans.catalogue.editing import content_of, revision_of
from plans.models import Limit, MatrixRate, PlanVersion, Price, Tier, VersionPin, VersionReview
from plans.operations.currencies import (
    BadFactor,
    SameCurrency,
    converted_amounts,
    new_version_in_currency,
)
from plans.operations.meters import define_meter
from plans.operations.publishing import publish_version
from plans.operations.reviews import submit_version
from plans.operations.versions import add_grants, add_price, create_plan, start_version
from plans.terms import GrantRows
from tests.integration.plans_fixtures import (
    MARCH,
    NEW_YEAR,
    approved,
    customer,
    digest,
    draft,
    image_meter,
    person,
    published,
    subscribed,
)
from tests.integration.test_admin_plans import page, said
from tests.integration.test_plans_versions import refused

pytestmark = pytest.mark.django_db

LAST_YEAR = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def people(staff):
    """An editor, an approver and a supporter."""
    return {group: staff(group) for group in (EDITOR, APPROVER, SUPPORT)}


@pytest.fixture
def version(people):
    """The editor's draft, version 2, after a version in force."""
    plan = create_plan(key="scale", name="Scale")
    meter = image_meter()
    published(plan, meter=meter, effective_from=LAST_YEAR, now=LAST_YEAR)
    row = start_version(plan=plan, currency="USD", by=people[EDITOR])
    add_price(version=row, price=Price(key="fee", name="Monthly fee", model="flat", amount=25))
    add_price(
        version=row,
        price=Price(key="images", name="Images", model="graduated", meter=meter),
        tiers=[
            Tier(up_to=Decimal(1000), unit_amount=Decimal("0.05")),
            Tier(up_to=None, unit_amount=Decimal("0.03")),
        ],
    )
    return row


@pytest.fixture
def enter(client, people):
    """A function that signs a person of a group in."""

    def sign_in(group):
        client.force_login(people[group])
        return client

    return sign_in


def step(client, verb, version, **sent):
    return client.post(page(f"plans_planversion_{verb}", version.pk), sent)


def status(version):
    version.refresh_from_db()
    return version.status_at(timezone.now())


def submitted(version, people):
    return submit_version(version=version, by=people[EDITOR], now=timezone.now())


def approve(client, version, **sent):
    given = {"digest": digest(version), "tested": "", "comment": ""}
    return step(client, "approve", version, **(given | sent))


# Who takes which step -------------------------------------------------------------------------


def test_the_whole_life_by_its_pages(enter, version):
    editor = enter(EDITOR)
    assert "is submitted" in said(step(editor, "submit", version, comment="Prices of spring"))
    assert "is submitted already" in said(step(editor, "submit", version))
    approver = enter(APPROVER)
    assert status(version) == "submitted"

    sent_back = step(approver, "request_changes", version, comment="The fee is too high.")
    assert "went back" in said(sent_back)
    editor = enter(EDITOR)
    home = editor.get(page("index")).content.decode()
    assert "finance-approver: The fee is too high." in home
    step(editor, "submit", version)

    approver = enter(APPROVER)
    assert "is approved" in said(approve(approver, version, comment="Good"))
    assert "was approved by finance-approver already" in said(approve(approver, version))
    starts = (timezone.now() + timedelta(days=30)).strftime("%Y-%m-%dT00:00")
    answer = step(approver, "publish", version, effective_from=starts, existing="at_once")
    assert "is published" in said(answer)
    assert status(version) == "scheduled"
    answer = step(approver, "call_off", version, comment="Not this spring")
    assert "never takes effect" in said(answer)
    assert "was called off" in said(step(approver, "call_off", version, comment="Again"))
    assert status(version) == "called off"
    shown = approver.get(page("plans_planversion_change", version.pk)).content.decode()
    timeline = re.sub(r"<[^>]+>|\s+", " ", shown[shown.index("What was done so far") :])
    for words in (
        "Created by finance-editor",
        "Submitted by finance-editor",
        "Prices of spring",
        "Changes requested by finance-approver",
        "Approved by finance-approver",
        "Published by finance-approver",
        "Called off by finance-approver",
    ):
        assert words in re.sub(r" +", " ", timeline), words


@pytest.mark.parametrize(
    ("group", "verbs"),
    [
        (EDITOR, ["approve", "request_changes", "publish", "move", "retire", "call_off"]),
        (APPROVER, ["submit", "withdraw", "copy", "in_currency"]),
        (SUPPORT, ["submit", "approve", "request_changes", "withdraw", "publish", "copy", "move"]),
    ],
)
def test_who_may_not_take_a_step_is_refused_and_nothing_changes(
    enter, people, version, group, verbs
):
    submitted(version, people)
    client = enter(group)
    for verb in verbs:
        address = page(f"plans_planversion_{verb}", version.pk)
        assert client.get(address).status_code == 403, verb
        assert client.post(address, {"comment": "x"}).status_code == 403, verb
    assert status(version) == "submitted"
    assert VersionReview.objects.count() == 1
    assert PlanVersion.objects.count() == 2


def test_an_approver_who_wrote_it_is_not_offered_the_approval_and_refused(enter, people, version):
    noor = people[APPROVER]
    add_price(version=version, price=Price(key="x", name="X", model="flat", amount=1), by=noor)
    submitted(version, people)
    client = enter(APPROVER)

    shown = client.get(page("plans_planversion_change", version.pk)).content.decode()
    assert page("plans_planversion_approve", version.pk) not in shown
    assert "You had a part in it: someone else approves it." in shown
    answer = approve(client, version)

    assert "You had a part in version 2" in answer.content.decode()
    assert status(version) == "submitted"


def test_a_comment_is_asked_where_it_matters(enter, people, version):
    submitted(version, people)
    client = enter(APPROVER)
    answer = step(client, "request_changes", version, comment=" ")
    assert "This field is required" in answer.content.decode()
    assert status(version) == "submitted"


def test_what_is_submitted_cannot_be_changed_by_any_form(enter, people, version):
    submitted(version, people)
    client = enter(EDITOR)
    save = page("plans_planversion_save", version.pk)
    answer = client.post(save, {"content": {}, "revision": ""}, content_type="application/json")
    assert answer.status_code == 403
    change = page("plans_planversion_change", version.pk)
    assert client.post(change, {"currency": "EUR", "note": ""}).status_code in {403, 405}
    client.post(page("plans_planversion_delete", version.pk), {"post": "yes"})
    assert status(version) == "submitted"
    assert version.prices.count() == 2


def test_home_shows_each_person_what_waits_for_them(enter, people, version):
    name = "Scale, version 2"
    assert name in enter(EDITOR).get(page("index")).content.decode()
    assert name not in enter(APPROVER).get(page("index")).content.decode()
    submitted(version, people)
    assert name not in enter(EDITOR).get(page("index")).content.decode()
    home = enter(APPROVER).get(page("index")).content.decode()
    assert name in home
    assert "by finance-editor" in home
    assert name not in enter(SUPPORT).get(page("index")).content.decode()


@pytest.mark.parametrize(
    ("chosen", "number"),
    [("draft", 0), ("submitted", 2), ("approved", 0), ("in_force", 1), ("called_off", 0)],
)
def test_the_list_is_filtered_by_status(enter, people, version, chosen, number):
    submitted(version, people)
    shown = enter(SUPPORT).get(page("plans_planversion_changelist"), {"status": chosen})
    found = [row.number for row in shown.context["cl"].result_list]
    assert found == ([number] if number else [])


# Evidence -------------------------------------------------------------------------------------


def tried(monkeypatch, *, fingerprint="f00d" * 16, is_current=True):
    found = evidence.Evidence(
        fingerprint=fingerprint,
        is_current=is_current,
        totals="12 customers, 310.00 USD more.",
        tested_at=MARCH,
        link="/admin/",
    )
    monkeypatch.setattr(evidence, "EVIDENCE", [lambda version: found])


def test_an_approval_keeps_the_dry_run_that_was_shown(enter, people, version, monkeypatch):
    submitted(version, people)
    client, address = enter(APPROVER), page("plans_planversion_approve", version.pk)
    assert "This version was not tried" in client.get(address).content.decode()
    tried(monkeypatch, is_current=False)
    assert "not the terms that were tried" in client.get(address).content.decode()
    tried(monkeypatch)
    shown = client.get(address).content.decode()
    assert "310.00 USD more" in shown

    answer = approve(client, version, tested="")
    assert "another dry run since this page was opened" in answer.content.decode()
    assert status(version) == "submitted"
    approve(client, version, tested="f00d" * 16)

    assert VersionReview.objects.get(what="approved").tested == "f00d" * 16


def test_what_changed_since_the_page_was_opened_is_not_approved(enter, people, version):
    submitted(version, people)
    answer = approve(enter(APPROVER), version, digest="0" * 64)
    assert "changed since this page was opened" in answer.content.decode()
    assert status(version) == "submitted"


# Moving ---------------------------------------------------------------------------------------


def test_publishing_shows_who_is_touched_and_keeps_them(enter, people, version):
    for name in ("acme", "beni"):
        subscribed(customer(name), version.plan)
    approved(version, author=people[EDITOR], approver=people[APPROVER])
    client, address = enter(APPROVER), page("plans_planversion_publish", version.pk)

    shown = client.get(address).content.decode()
    assert "2 subscribers of Scale in USD" in shown
    found = client.get(address, {"q": "BEN"}).content.decode()
    assert "Beni" in found
    assert "Acme" not in found
    starts = (timezone.now() + timedelta(days=40)).strftime("%Y-%m-%dT00:00")
    sent = {"effective_from": starts, "existing": "on_date"}
    assert "Choose the day" in client.post(address, sent).content.decode()
    early = client.post(address, sent | {"day": "2026-01-01"}).content.decode()
    assert "choose that day or a later one" in early
    assert status(version) == "approved"

    client.post(address, sent | {"existing": "never"})

    assert status(version) == "scheduled"
    assert VersionPin.objects.filter(version__number=1, ends_at=None).count() == 2


def test_chosen_customers_move_from_the_page(enter, version, people):
    for name in ("acme", "beni"):
        subscribed(customer(name), version.plan)
    first = version.plan.versions.get(number=1)
    approved(version, author=people[EDITOR], approver=people[APPROVER])
    now = timezone.now()
    publish_version(version=version, effective_from=now, by=people[APPROVER], now=now)
    client, address = enter(APPROVER), page("plans_planversion_move", first.pk)

    unknown = client.post(address, {"when": "at_once", "customers": "acme nobody"})
    assert "There is no customer with the key nobody." in unknown.content.decode()
    past = client.post(address, {"when": "on_date", "day": "2026-01-01"})
    assert "That day has begun" in past.content.decode()
    assert not VersionPin.objects.exists()

    moved = client.post(address, {"when": "at_once", "customers": "acme"})

    assert "1 customer moves to Scale, version 1." in said(moved)
    assert VersionPin.objects.get().subscription.customer.key == "acme"
    again = client.post(address, {"when": "at_once", "customers": "acme"})
    assert "Nobody was to be moved" in said(again)


# Another currency -----------------------------------------------------------------------------


def test_a_version_in_another_currency_is_shown_before_it_is_started(enter, version):
    client, address = enter(EDITOR), page("plans_planversion_in_currency", version.pk)
    sent = {"currency": "eur", "factor": "0.92", "places": "3"}

    shown = client.post(address, sent).content.decode()

    assert PlanVersion.objects.count() == 2
    assert "Monthly fee: amount" in shown
    assert ">0.046<" in shown
    other = client.post(address, sent | {"factor": "0.5", "agreed": "EUR 0.92 3"})
    assert ">0.025<" in other.content.decode(), "other amounts are shown first"
    assert PlanVersion.objects.count() == 2
    client.post(address, sent | {"agreed": "EUR 0.92 3"})
    started = PlanVersion.objects.get(number=3)
    assert (started.currency, started.note) == ("EUR", "Version 2 (USD) times 0.92.")
    assert started.prices.get(key="fee").amount == Decimal(23)
    tiers = Tier.objects.filter(price__version=started).order_by("up_to")
    assert [(tier.up_to, tier.unit_amount) for tier in tiers] == [
        (Decimal(1000), Decimal("0.046")),
        (None, Decimal("0.028")),
    ]


def test_every_amount_is_converted_and_no_quantity():
    meter = define_meter(
        key="value", name="Value", event_type="sale", aggregation="sum", value_property="value",
        dimensions=["kind"],
    )  # fmt: skip
    version = start_version(plan=create_plan(key="a", name="A"), currency="USD")
    add_price(
        version=version,
        price=Price(
            key="share", name="Share", model="percentage", meter=meter, percent=3,
            fixed_amount=Decimal("0.3"), free_amount=100, minimum_per_transaction=1,
            maximum_per_transaction=10, allowance=7, minimum=20, maximum=200,
        ),
    )  # fmt: skip
    add_price(
        version=version,
        price=Price(key="bands", name="Bands", model="graduated_percentage", meter=meter),
        tiers=[Tier(up_to=1000, percent=2, flat_amount=5), Tier(up_to=None, percent=1)],
    )
    add_price(
        version=version,
        price=Price(
            key="kinds", name="Kinds", model="matrix", meter=meter, default_amount=3,
            unit_size=1000,
        ),
        rates=[MatrixRate(match=["a"], unit_amount=4, label="A")],
    )  # fmt: skip
    limits = [Limit(kind="spend_per_day", value=500), Limit(kind="jobs_per_day", value=9)]
    add_grants(version=version, grants=GrantRows(limits=limits))

    found = converted_amounts(version=version, factor=Decimal(2), places=2)
    euros = new_version_in_currency(
        version=version, currency="EUR", factor=Decimal(2), places=2, by=None
    )

    assert all(amount.new == 2 * amount.old for amount in found)
    assert [amount.where for amount in found] == [
        "Share: fixed amount", "Share: free amount", "Share: minimum per transaction",
        "Share: maximum per transaction", "Share: minimum", "Share: maximum",
        "Bands, tier 1: up to", "Bands, tier 1: flat amount", "Kinds: default amount", "Kinds, A",
        "Limit: spend in a day",
    ]  # fmt: skip
    share, bands, kinds = euros.prices.order_by("position")
    assert (share.percent, share.allowance, share.maximum) == (3, 7, 400)
    assert bands.tiers.get(up_to__isnull=False).up_to == 2000
    assert (kinds.unit_size, kinds.default_amount) == (1000, 6)
    assert dict(euros.limits.values_list("kind", "value")) == {
        "spend_per_day": 1000, "jobs_per_day": 9,
    }  # fmt: skip


def test_amounts_are_rounded_half_away_from_zero_and_never_away(version):
    found = converted_amounts(version=version, factor=Decimal("0.5"), places=2)
    assert [(amount.old, amount.new) for amount in found] == [
        (Decimal(25), Decimal("12.5")),
        (Decimal("0.05"), Decimal("0.03")),
        (Decimal("0.03"), Decimal("0.02")),
    ]
    arguments = {"version": version, "currency": "JPY", "factor": Decimal("0.5"), "by": None}
    error = refused(BadFactor, new_version_in_currency, **arguments, places=0)
    assert error.message == (
        "Images, tier 1: unit amount, 0.05, would be rounded to 0. Take more decimals than 0."
    )
    refused(SameCurrency, new_version_in_currency, **(arguments | {"currency": "USD"}), places=2)
    refused(BadFactor, new_version_in_currency, **(arguments | {"factor": Decimal(0)}), places=2)


# Comparison -----------------------------------------------------------------------------------


def test_two_versions_are_compared_with_old_new_and_difference(enter, version):
    shown = enter(SUPPORT).get(page("plans_planversion_compare", version.pk)).content.decode()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", shown))
    assert "From version 1 to version 2" in text
    assert "20.00 USD 25.00 USD +5.00 USD" in text
    assert "310.00 USD 320.00 USD +10.00 USD" in text, "10,000 images"
    other = draft(version.plan, currency="EUR")
    address = page("plans_planversion_compare", other.pk)
    compared = enter(SUPPORT).get(address, {"with": "2"}).content.decode()
    assert "From version 2 to version 3" in compared
    assert "Removed" in compared


def test_an_approver_of_a_first_version_reads_all_that_it_grants(enter, people):
    row = start_version(plan=create_plan(key="new", name="New"), currency="USD")
    add_price(version=row, price=Price(key="fee", name="Fee", model="flat", amount=7))
    limit = Limit(kind="jobs_per_day", value=500)
    add_grants(version=row, grants=GrantRows(limits=[limit]))
    submitted(row, people)
    shown = enter(APPROVER).get(page("plans_planversion_approve", row.pk)).content.decode()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", shown))
    assert "From nothing to version 1" in text
    assert re.search(r"Jobs in a day — 500", text, re.IGNORECASE), text


def many(plan, *, tiers_each, prices, factor=1):
    """A version with so many prices, each with so many tiers."""
    meter = define_meter(
        key=f"m{factor}", name="M", event_type="m", aggregation="count", unit="jobs"
    )
    version = start_version(plan=plan, currency="USD")
    for number in range(prices):
        bounds = [Decimal(1000) * (place + 1) for place in range(tiers_each - 1)]
        add_price(
            version=version,
            price=Price(key=f"p{number}", name=f"P{number}", model="graduated", meter=meter),
            tiers=[
                Tier(up_to=bound, unit_amount=Decimal(factor) / 100) for bound in [*bounds, None]
            ],
        )
    return version


def test_a_comparison_of_40_prices_and_200_tiers_reads_as_much_as_any(enter):
    plan = create_plan(key="big", name="Big")
    small = [many(plan, tiers_each=2, prices=1, factor=n) for n in (1, 2)]
    big = [many(plan, tiers_each=5, prices=40, factor=n) for n in (3, 4)]
    client = enter(SUPPORT)

    def read(old, new):
        address = page("plans_planversion_compare", new.pk)
        with CaptureQueriesContext(connection) as found:
            answer = client.get(address, {"with": str(old.number)})
        assert answer.status_code == 200
        return len(found)

    read(*small)
    assert read(*big) == read(*small)


@pytest.mark.parametrize("name", ["change", "approve", "publish", "move"])
def test_pages_read_the_same_number_of_queries_whoever_is_subscribed(enter, people, version, name):
    if name == "publish":
        approved(version, author=people[EDITOR], approver=people[APPROVER], now=NEW_YEAR)
    else:
        submitted(version, people)
    client = enter(APPROVER)
    target = version.plan.versions.get(number=1) if name == "move" else version
    address = page(f"plans_planversion_{name}", target.pk)
    subscribed(customer("c0"), version.plan)
    client.get(address)
    with CaptureQueriesContext(connection) as one:
        client.get(address)
    for number in range(1, 8):
        subscribed(customer(f"c{number}"), version.plan)
    with CaptureQueriesContext(connection) as several:
        assert client.get(address).status_code == 200
    assert len(several) == len(one)


def test_the_author_is_who_edited_by_a_page(enter, version, people):
    other = person("ines")
    other.user_permissions.set(people[EDITOR].groups.get().permissions.all())
    other.is_staff = True
    other.save()
    client = enter(EDITOR)
    client.force_login(other)
    content = content_of(version)
    sent = {"content": {**content, "note": "Cheaper"}, "revision": revision_of(content)}
    save = page("plans_planversion_save", version.pk)
    assert client.post(save, sent, content_type="application/json").status_code == 200
    version.refresh_from_db()
    assert version.author_ids == [people[EDITOR].pk, other.pk]
    assert version.note == "Cheaper"
