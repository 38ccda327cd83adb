"""Who changed what, when and why: of every object, by whatever road, and never rewritten."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing.staff import EDITOR, SUPPORT
from plans.acting import acting
from plans.models import Customer, Feature, Meter, Plan, PlanVersion, Price, Tier, VersionChange
from plans.operations.customers import (
    CustomerRow,
    add_portal_user,
    create_customers,
    create_workspace,
)
from plans.operations.drafts import (
    change_draft,
    delete_draft,
    move_price,
    remove_price,
    replace_contents,
    save_price,
)
from plans.operations.features import define_feature
from plans.operations.publishing import publish_version, retire_version
from plans.operations.subscriptions import end_subscription, subscribe, subscribe_many
from plans.operations.versions import (
    VersionFrozen,
    create_plan,
    describe_plan,
    new_version_from,
    start_version,
)
from plans.terms import NO_GRANTS, PriceRows
from plans.timeline import MOST, Move, timeline
from tests.integration.plans_fixtures import (
    APRIL,
    MARCH,
    MAY,
    NEW_YEAR,
    customer,
    everything,
    image_meter,
    person,
    plan_in_force,
)
from usage.models import ApiKey
from usage.operations.api_keys import issue_key, revoke_key, use_key

pytestmark = pytest.mark.django_db


def told(row, **said):
    """The timeline, newest first, as (who, what, why, moves)."""
    return [(e.by, e.title, e.reason, e.moves) for e in timeline(row, **said)]


def titles(row):
    return [entry.title for entry in timeline(row)]


def fee(amount="20", key="fee"):
    return Price(key=key, name="Fee", model="flat", amount=Decimal(amount))


# Plain objects --------------------------------------------------------------------------------


def test_a_change_names_the_person_the_reason_and_both_values():
    mara, acme = person(), customer()
    acme.name, acme.grace_hours, acme.requires_review = "Acme Inc", 72, True
    with acting(by=mara, reason="  As agreed by mail "):
        acme.save()
    assert told(acme)[0] == (
        "mara", "The customer was changed", "As agreed by mail",
        (
            Move("name", "Acme", "Acme Inc"),
            Move("statements are reviewed", "no", "yes"),
            Move("grace hours", "48", "72"),
        ),
    )  # fmt: skip
    assert told(acme)[1][:3] == ("", "The customer was created", "")


def test_a_save_that_changes_nothing_is_not_told():
    acme = customer()
    acme.save()
    assert titles(acme) == ["The customer was created"]


def test_a_customers_timeline_has_all_that_hangs_on_it(django_user_model):
    plan, acme = plan_in_force(), customer(time_zone="Europe/Berlin")
    film = create_workspace(customer=acme, key="film", name="Film")
    user = django_user_model.objects.create_user("ada", first_name="Ada", last_name="Lovelace")
    member = add_portal_user(customer=acme, user=user)
    held = subscribe(customer=acme, plan=plan, starts_at=MARCH, now=MARCH)
    end_subscription(subscription=held, ends_at=MAY, now=APRIL)
    member.delete()
    film.delete()
    other = customer("globex")
    create_workspace(customer=other, key="glob", name="Glob")

    found = told(acme)
    assert [(title, moves) for _, title, _, moves in found][:-1] == [
        ("The workspace “Film” was removed", ()),
        ("A portal user was removed", ()),
        ("A subscription was changed", (Move("ends at", "", "01 May 2026 02:00 (Europe/Berlin)"),)),
        (
            "A subscription was started",
            (
                Move("plan", "", "Starter"),
                Move("starts at", "", "01 March 2026 01:00 (Europe/Berlin)"),
                Move("setup fees are waived", "", "no"),
            ),
        ),
        ("A portal user was added", (Move("user", "", "Ada Lovelace"),)),
        ("The workspace “Film” was added", (Move("key", "", "film"), Move("name", "", "Film"))),
    ]
    assert found[-1][1] == "The customer was created"


def test_meters_plans_and_features():
    meter = image_meter()
    Meter.objects.filter(pk=meter.pk).update(unit="pictures")  # not by an operation
    meter.name = "Pictures"
    meter.save(update_fields=["name"])
    assert told(meter)[0][1:] == (
        "The meter was changed", "", (Move("name", "Images", "Pictures"),),
    )  # fmt: skip
    plan = create_plan(key="a", name="A")
    describe_plan(plan=plan, name="B", description="Better")
    assert told(plan)[0][3] == (Move("name", "A", "B"), Move("description", "", "Better"))
    define_feature(key="sso", name="SSO")
    define_feature(key="sso", name="SSO")
    define_feature(key="sso", name="Single sign-on")
    feature = Feature.objects.get()
    assert told(feature) == [
        ("", "The feature was changed", "", (Move("name", "SSO", "Single sign-on"),)),
        ("", "The feature was created", "", (Move("key", "", "sso"), Move("name", "", "SSO"))),
    ]


def test_api_keys_keep_no_secret():
    mara = person()
    with acting(by=mara, reason="For the render farm"):
        key, secret = issue_key(name="renderer", scopes=["ingest"], now=MARCH)
    use_key(secret=secret, now=APRIL)
    with acting(by=mara, reason="It leaked"):
        assert revoke_key(key_id=key.pk, now=MAY)
        assert not revoke_key(key_id=key.pk, now=MAY)
    assert [(who, what, why) for who, what, why, _ in told(key)] == [
        ("mara", "The key was changed", "It leaked"),
        ("mara", "The key was issued", "For the render farm"),
    ]
    assert told(key)[0][3] == (Move("revoked at", "", "01 May 2026 00:00 (UTC)"),)
    columns = {field.name for field in ApiKey.history.model._meta.get_fields()}
    assert not columns & {"digest", "secret", "last_used_at"}


# In bulk --------------------------------------------------------------------------------------


def test_customers_and_subscriptions_in_bulk_have_their_beginning(django_assert_num_queries):
    mara, plan = person(), plan_in_force()
    old = customer("old")
    rows = [CustomerRow("old", "Old"), *(CustomerRow(f"c{n}", f"C {n}") for n in range(30))]
    with acting(by=mara, reason="Moved from the old system"):
        with django_assert_num_queries(7):  # two savepoints, and: rows, ids, history
            ids = create_customers(rows=rows)
        assert subscribe_many(customer_ids=ids.values(), plan=plan, starts_at=MARCH) == {
            *ids.values()
        }
    new = Customer.objects.get(key="c7")
    assert [each[:3] for each in told(new)] == [
        ("mara", "A subscription was started", "Moved from the old system"),
        ("mara", "The customer was created", "Moved from the old system"),
    ]
    assert [each[:2] for each in told(old)] == [
        ("mara", "A subscription was started"), ("", "The customer was created"),
    ]  # fmt: skip
    with acting(by=mara):
        create_customers(rows=rows)
    assert Customer.history.model.objects.count() == 31


# Versions -------------------------------------------------------------------------------------


def changes(version):
    rows = VersionChange.objects.filter(version_id=version.pk).order_by("pk")
    return [(row.what, row.by and row.by.username) for row in rows]


def test_each_operation_on_a_draft_is_one_entry_with_its_difference():
    mara, noor = person(), person("noor")
    plan, meter = create_plan(key="starter", name="Starter"), image_meter()
    draft = start_version(plan=plan, currency="USD", by=mara)
    tiers = [Tier(up_to=Decimal(1000), unit_amount=Decimal("0.04")), Tier(unit_amount=Decimal(1))]
    images = Price(key="images", name="Images", model="graduated", meter=meter)
    with acting(by=noor, reason="First prices"):
        save_price(version=draft, price=fee(), tiers=[], rates=[], by=noor)
        save_price(version=draft, price=images, tiers=tiers, rates=[], by=noor)
    tiers[0].unit_amount = Decimal("0.035")
    save_price(version=draft, price=images, tiers=tiers, rates=[], by=None)
    save_price(version=draft, price=images, tiers=tiers, rates=[], by=None)  # the same again
    move_price(price=images, places=-1, by=None)
    remove_price(price=draft.prices.get(key="fee"), by=None)
    change_draft(version=draft, currency="EUR", note="For Europe", by=None)

    found = told(draft)
    assert [each[1] for each in found] == ["The version was changed"] * 6 + [
        "The version was started"
    ]
    moves = [each[3] for each in found]
    assert moves[0] == (Move("currency", "USD", "EUR"), Move("note", "", "For Europe"))
    assert moves[1] == (
        Move("Price fee: name", "Fee", ""), Move("Price fee: model", "flat", ""),
        Move("Price fee: amount", "20", ""),
    )  # fmt: skip
    assert moves[2] == (Move("order of prices", "fee, images", "images, fee"),)
    assert moves[3] == (Move("Price images: tier up to 1000", "unit 0.04", "unit 0.035"),)
    assert found[5][::3] == ("noor", (
        Move("Price fee: name", "", "Fee"), Move("Price fee: model", "", "flat"),
        Move("Price fee: amount", "", "20"),
    ))  # fmt: skip
    assert found[5][2] == "First prices"
    assert found[6][0] == "mara"


def test_replacing_all_contents_is_one_entry():
    draft = start_version(plan=create_plan(key="a", name="A"), currency="USD")
    for amount in ("20", "20", "30"):
        rows = [PriceRows(fee(amount))]
        replace_contents(
            version=draft, currency="USD", note="", rows=rows, grants=NO_GRANTS, by=None
        )
    assert [what for what, _ in changes(draft)] == ["started", "changed", "changed"]
    assert told(draft)[0][3] == (Move("Price fee: amount", "20", "30"),)


def test_publishing_ending_and_copying():
    mara, plan = person(), create_plan(key="a", name="A")
    first = start_version(plan=plan, currency="USD", rows=[PriceRows(fee())])
    with acting(by=mara):
        publish_version(version=first, effective_from=NEW_YEAR, by=None, now=NEW_YEAR)
        second = new_version_from(version=first, by=None)
        publish_version(version=second, effective_from=APRIL, by=None, now=MARCH)
    with acting(by=mara, reason="No longer sold"):
        retire_version(version=second, at=MAY, now=MARCH)
    assert changes(first) == [("started", None), ("published", "mara"), ("ended", "mara")]
    assert changes(second) == [("started", "mara"), ("published", "mara"), ("ended", "mara")]
    assert told(second)[0][1:] == (
        "The version was given an end", "No longer sold",
        (Move("effective until", "", "01 May 2026 00:00 UTC"),),
    )  # fmt: skip
    assert titles(plan)[:2] == ["Version 2 was given an end", "Version 2 was published"]


def test_a_deleted_draft_stays_in_the_plans_history():
    mara, plan = person(), create_plan(key="a", name="A")
    draft = start_version(plan=plan, currency="USD", by=mara)
    with acting(by=mara):
        delete_draft(version=draft)
    assert told(plan)[0] == ("mara", "Version 1 was deleted", "", ())


def test_a_version_from_before_its_history_was_kept_tells_what_it_knows():
    plan = create_plan(key="a", name="A")
    version = PlanVersion.objects.create(
        plan=plan, number=1, published_at=MARCH, effective_from=MARCH
    )
    assert [entry[:2] for entry in told(version)] == [
        ("", "The version was started"), ("", "The version was published"),
    ]  # fmt: skip


def test_a_refusal_leaves_no_history():
    plan = plan_in_force()
    version = plan.versions.get()
    before = everything()
    for refused in (
        lambda: change_draft(version=version, currency="EUR", note="", by=None),
        lambda: delete_draft(version=version),
        lambda: save_price(version=version, price=fee("1", key="b"), tiers=[], rates=[], by=None),
        lambda: remove_price(price=version.prices.get(), by=None),
    ):
        with pytest.raises(VersionFrozen):
            refused()
    assert everything() == before


# The database ---------------------------------------------------------------------------------

HISTORY = (
    "plans_historicalcustomer", "plans_historicalworkspace", "plans_historicalmembership",
    "plans_historicalmeter", "plans_historicalplan", "plans_historicalfeature",
    "plans_historicalsubscription", "plans_historicalpriceoverride", "plans_versionchange",
    "plans_historicalbudget", "plans_historicalcommitment", "plans_historicalcreditunit",
    "plans_historicaljobclass", "plans_historicaloutcomecontract", "usage_historicalapikey",
    "billing_historicallowbalance", "billing_historicalpoollimit", "billing_historicaltopup",
    "billing_historicalwebhookendpoint",
)  # fmt: skip


def test_every_history_is_frozen_by_the_database():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT event_object_table FROM information_schema.triggers"
            " WHERE trigger_name = 'history_frozen' GROUP BY 1 HAVING count(*) = 2"
        )
        assert {row[0] for row in cursor.fetchall()} == set(HISTORY)


@pytest.mark.parametrize("statement", ["UPDATE {} SET history_type = '-'", "DELETE FROM {}"])
def test_history_is_neither_changed_nor_deleted(statement):
    customer()
    start_version(plan=create_plan(key="a", name="A"), currency="USD")
    changed = statement.replace("history_type", "what").format("plans_versionchange")
    for sql in (statement.format("plans_historicalcustomer"), changed):
        refused = pytest.raises(IntegrityError, match="History is never changed or deleted")
        with refused, transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)
    assert Customer.history.model.objects.get().history_type == "+"
    assert VersionChange.objects.get().what == "started"


def test_a_person_who_made_history_stays():
    mara = person()
    with acting(by=mara):
        customer()
    with pytest.raises(ProtectedError):
        mara.delete()
    assert get_user_model().objects.filter(username="mara").exists()


# The page -------------------------------------------------------------------------------------


def history_of(row):
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_history"
    return reverse(name, args=[row.pk])


def test_the_page_of_every_object_and_who_may_read_it(client, staff):
    plan = plan_in_force()
    key, _ = issue_key(name="renderer", scopes=["ingest"], now=MARCH)
    define_feature(key="sso", name="SSO")
    rows = [customer(), image_meter(), plan, plan.versions.get(), key, Feature.objects.get()]
    client.force_login(staff(SUPPORT))
    for row in rows:
        page = client.get(history_of(row))
        assert (page.status_code, page.templates[0].name) == (200, "admin/plans/history.html")
        assert page.context["entries"]
    assert client.get(history_of(rows[0]), {"until": "yesterday"}).status_code == 404
    assert client.get(history_of(rows[0]).replace(str(rows[0].pk), "999999")).status_code == 404
    client.force_login(staff())
    for row in rows:
        assert client.get(history_of(row)).status_code in {302, 403}


def test_a_form_asks_for_the_reason(client, staff):
    editor, acme = staff(EDITOR), customer()
    meter, plan = image_meter(), create_plan(key="a", name="A")
    client.force_login(editor)
    nothing = {"workspaces-TOTAL_FORMS": 0, "workspaces-INITIAL_FORMS": 0}
    sent = {
        acme: {"name": "Acme Inc", "key": "acme", "currency": "USD", "time_zone": "UTC",
               "grace_hours": 48} | nothing,
        meter: {"name": "Pictures", "key": "images", "event_type": "job.completed",
                "aggregation": "sum", "value_property": "images", "rounding": "none",
                "rounding_multiple": "1", "filters": '{"status": ["succeeded"]}',
                "unit": "images", "dimensions": ""},
        plan: {"name": "B", "description": ""},
    }  # fmt: skip
    for row, said in sent.items():
        name = f"admin:plans_{row._meta.model_name}_change"
        address = reverse(name, args=[row.pk])
        assert b"Reason for the change" in client.get(address).content
        answer = client.post(address, said | {"change_reason": "As asked"})
        assert answer.status_code == 302, answer.context["errors"]
        (newest, *_) = told(row)
        assert newest[0::2][0] == editor.username
        assert newest[2] == "As asked"
        assert len(newest[3]) == 1


def test_a_long_history_is_read_page_by_page(client, staff):
    acme = customer()
    for number in range(MOST + 4):
        acme.name = f"Acme {number}"
        acme.save()
    client.force_login(staff(SUPPORT))
    first = client.get(history_of(acme))
    assert len(first.context["entries"]) == MOST
    second = client.get(history_of(acme), {"until": first.context["older"]})
    shown = [
        entry.moves[0].after
        for entry in (*first.context["entries"], *second.context["entries"][:-1])
    ]
    assert shown == [f"Acme {number}" for number in reversed(range(MOST + 4))]
    assert second.context["older"] == ""


def test_the_page_takes_a_fixed_number_of_queries(client, staff):
    draft = start_version(plan=create_plan(key="a", name="A"), currency="USD")
    client.force_login(staff(SUPPORT))

    def queries():
        with CaptureQueriesContext(connection) as counted:
            client.get(history_of(draft))
        return len(counted)

    few = queries()
    for amount in range(12):
        price = fee(str(amount), key=f"f{amount}")
        save_price(version=draft, price=price, tiers=[], rates=[], by=None)
    assert queries() == few


def test_what_was_there_before_begins_its_history_with_the_migration():
    from importlib import import_module

    seed = import_module("plans.migrations.0007_history").SEED
    Customer.objects.bulk_create([Customer(key="old", name="Old")])
    Plan.objects.bulk_create([Plan(key="old", name="Old")])
    with connection.cursor() as cursor:
        cursor.execute(seed)
    for row in (Customer.objects.get(), Plan.objects.get()):
        (entry,) = timeline(row)
        assert entry.title.endswith("stood like this when its history began")
        assert Move("name", "", "Old") in entry.moves
        assert abs(entry.at - datetime.now(tz=UTC)).total_seconds() < 600
