"""Draft, submitted, approved, published: frozen on the way, and never approved by an author."""

from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import ProtectedError

from plans.catalogue.document import Source
from plans.catalogue.dump import dump
from plans.catalogue.load import load_sources
from plans.models import (
    Feature,
    Limit,
    MatrixRate,
    Meter,
    Phase,
    PlanVersion,
    Price,
    ServiceClass,
    Tier,
    VersionFeature,
    VersionPin,
    VersionReview,
)
from plans.operations.drafts import (
    VersionReviewed,
    change_draft,
    delete_draft,
    move_price,
    remove_price,
    replace_contents,
    save_price,
)
from plans.operations.pins import AT_ONCE, Move, When, move_subscribers
from plans.operations.publishing import (
    EffectiveDateRefused,
    HasBegun,
    NotApproved,
    NotPublished,
    TermsChanged,
    VersionInUse,
    VersionInvalid,
    call_off_version,
    publish_version,
)
from plans.operations.reviews import (
    AlreadyApproved,
    CommentMissing,
    NotAuthor,
    NotSubmitted,
    OwnVersion,
    approve_version,
    request_changes,
    submit_version,
    withdraw_version,
)
from plans.operations.versions import (
    VersionFrozen,
    add_grants,
    add_price,
    create_plan,
    new_version_from,
    start_version,
)
from plans.queries import published_versions, versions_in_force
from plans.reviews import (
    awaiting_approval,
    awaiting_publication,
    drafts_waiting,
    sent_back_to,
    timeline,
)
from plans.terms import NO_GRANTS, GrantRows, PriceRows
from tests.integration.plans_fixtures import (
    APRIL,
    MARCH,
    MAY,
    NEW_YEAR,
    approved,
    customer,
    digest,
    draft,
    everything,
    image_meter,
    person,
    plan_in_force,
    published,
    subscribed,
)
from tests.integration.test_plans_versions import refused

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)


def written_by(*people, meter=None):
    """A draft that these people had a part in: the first created it, the others edited it."""
    plan = create_plan(key="scale", name="Scale")
    version = start_version(plan=plan, currency="USD", by=people[0])
    add_price(version=version, price=Price(key="fee", name="Fee", model="flat", amount=Decimal(20)))
    if meter is not None:
        add_price(
            version=version,
            price=Price(key="images", name="Images", model="graduated", meter=meter),
            tiers=[Tier(up_to=None, unit_amount=Decimal("0.03"))],
        )
    for editor in people[1:]:
        change_draft(version=version, currency="USD", note=f"by {editor}", by=editor)
    version.refresh_from_db()
    return version


def steps(version):
    return [(row.what, row.by.username, row.comment) for row in version.reviews.order_by("id")]


def test_from_a_draft_to_publication():
    mara, noor = person(), person("noor")
    version = written_by(mara)

    submit_version(version=version, by=mara, comment="The price rise of March", now=NEW_YEAR)
    version.refresh_from_db()
    assert version.status_at(NEW_YEAR) == "submitted"
    assert list(awaiting_approval()) == [version]

    approve_version(
        version=version, digest=digest(version), by=noor, comment="Read", tested="f00d", now=MARCH
    )
    version.refresh_from_db()
    assert version.status_at(MARCH) == "approved"
    assert (version.approved_by, version.approved_at) == (noor, MARCH)
    assert (list(awaiting_approval()), list(awaiting_publication())) == ([], [version])

    publish_version(version=version, effective_from=APRIL, by=noor, now=MARCH)
    version.refresh_from_db()
    assert version.status_at(MARCH) == "scheduled"
    assert version.status_at(APRIL) == "in force"
    assert steps(version) == [
        ("submitted", "mara", "The price rise of March"),
        ("approved", "noor", "Read"),
    ]
    approval = version.reviews.get(what="approved")
    assert (approval.digest, approval.tested) == (digest(version), "f00d")


def test_changes_are_requested_and_the_draft_is_submitted_again():
    mara, noor = person(), person("noor")
    version = written_by(mara)
    submit_version(version=version, by=mara, now=NEW_YEAR)
    refused(CommentMissing, request_changes, version=version, by=noor, comment="  ", now=MARCH)

    request_changes(version=version, by=noor, comment="20 is too low.", now=MARCH)

    version.refresh_from_db()
    assert version.is_draft
    assert [each.asked for each in sent_back_to(author_id=mara.pk)] == ["noor: 20 is too low."]
    assert list(sent_back_to(author_id=noor.pk)) == []
    assert list(drafts_waiting()) == []
    version.prices.update(amount=25)
    submit_version(version=version, by=mara, now=MARCH)
    approve_version(version=version, digest=digest(version), by=noor, now=MARCH)
    request_changes(version=version, by=noor, comment="After all, 24.", now=APRIL)
    version.refresh_from_db()
    assert version.status_at(APRIL) == "draft"
    assert (version.approved_at, version.approved_by) == (None, None)
    assert [step.what for step in timeline(version)[:-1]] == [
        "Submitted", "Changes requested", "Submitted", "Approved", "Changes requested",
    ]  # fmt: skip
    assert timeline(version)[-1].what == "Created", "rows keep the real time of their creation"


def test_an_author_withdraws_and_nobody_else():
    mara, noor = person(), person("noor")
    version = written_by(mara)
    refused(NotSubmitted, withdraw_version, version=version, by=mara, now=MARCH)
    submit_version(version=version, by=mara, now=MARCH)
    refused(NotAuthor, withdraw_version, version=version, by=noor, now=MARCH)

    withdraw_version(version=version, by=mara, comment="A typing error", now=MARCH)

    version.refresh_from_db()
    assert version.is_draft
    assert steps(version)[-1] == ("withdrawn", "mara", "A typing error")
    assert list(drafts_waiting()) == [version]


def test_a_draft_that_cannot_be_billed_is_not_submitted():
    mara = person()
    version = start_version(plan=create_plan(key="a", name="A"), currency="USD", by=mara)
    error = refused(VersionInvalid, submit_version, version=version, by=mara, now=MARCH)
    assert error.problems[0].code == "no_prices"


def test_steps_out_of_order_are_refused():
    mara, noor = person(), person("noor")
    version = written_by(mara)
    read = digest(version)
    refused(NotSubmitted, approve_version, version=version, digest=read, by=noor, now=MARCH)
    refused(NotSubmitted, request_changes, version=version, by=noor, comment="No", now=MARCH)
    approved(version, author=mara, approver=noor)
    refused(VersionFrozen, submit_version, version=version, by=mara, now=MARCH)
    refused(AlreadyApproved, approve_version, version=version, digest=read, by=noor, now=MARCH)
    publish_version(version=version, effective_from=MARCH, by=noor, now=MARCH)
    refused(VersionFrozen, withdraw_version, version=version, by=mara, now=MARCH)
    refused(VersionFrozen, request_changes, version=version, by=noor, comment="No", now=MARCH)
    refused(VersionFrozen, approve_version, version=version, digest=read, by=noor, now=MARCH)


# Self-approval --------------------------------------------------------------------------------


def _replaced(version, by):
    rows = [PriceRows(Price(key="fee", name="Fee", model="flat", amount=Decimal(3)))]
    replace_contents(version=version, currency="USD", note="", rows=rows, grants=NO_GRANTS, by=by)


PARTS = {
    "created": lambda version, by: None,
    "edited": lambda version, by: change_draft(version=version, currency="USD", note="x", by=by),
    "saved a price": lambda version, by: save_price(
        version=version, price=version.prices.get(), tiers=(), rates=(), by=by
    ),
    "added a price": lambda version, by: add_price(
        version=version, price=Price(key="x", name="X", model="flat", amount=1), by=by
    ),
    "removed a price": lambda version, by: remove_price(
        price=add_price(version=version, price=Price(key="x", name="X", model="flat", amount=1)),
        by=by,
    ),
    "moved a price": lambda version, by: move_price(price=version.prices.get(), places=1, by=by),
    "granted": lambda version, by: add_grants(
        version=version, grants=GrantRows(phases=[Phase(key="all", name="All")]), by=by
    ),
    "replaced": _replaced,
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_who_had_any_part_in_a_version_does_not_approve_it(part):
    mara, ines = person(), person("ines")
    by = mara if part is PARTS["created"] else ines
    version = written_by(mara)
    part(version, by)
    submit_version(version=version, by=mara, now=MARCH)

    error = refused(
        OwnVersion, approve_version, version=version, digest=digest(version), by=by, now=MARCH
    )

    assert error.message == "You had a part in version 1. Someone else must approve it."


def test_who_submitted_a_version_does_not_approve_it():
    mara, noor = person(), person("noor")
    version = written_by(mara)
    submit_version(version=version, by=noor, now=MARCH)
    refused(
        OwnVersion, approve_version, version=version, digest=digest(version), by=noor, now=MARCH
    )


def approvals(version, by):
    """Ways to approve a version past the operation."""
    return {
        "orm": lambda: PlanVersion.objects.filter(pk=version.pk).update(
            approved_at=MARCH, approved_by=by
        ),
        "sql": lambda: _sql(
            "UPDATE plans_planversion SET approved_at = now(), approved_by_id = %s", by.pk
        ),
        "sql without the authors": lambda: _sql(
            "UPDATE plans_planversion SET author_ids = '{}', submitted_by_id = NULL,"
            " approved_at = now(), approved_by_id = %s", by.pk
        ),
        "sql in the name of nobody": lambda: _sql(
            "UPDATE plans_planversion SET approved_at = now()"
        ),
        "published at once": lambda: _sql(
            "UPDATE plans_planversion SET approved_at = now(), approved_by_id = %s,"
            " published_at = now(), effective_from = now()", by.pk
        ),
    }  # fmt: skip


def _sql(statement, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


@pytest.mark.parametrize(
    "way",
    ["orm", "sql", "sql without the authors", "sql in the name of nobody", "published at once"],
)
@pytest.mark.parametrize("who", ["creator", "editor", "submitter"])
def test_the_database_refuses_self_approval(way, who):
    people = {"creator": person(), "editor": person("ines"), "submitter": person("sam")}
    version = written_by(people["creator"], people["editor"])
    submit_version(version=version, by=people["submitter"], now=MARCH)
    with pytest.raises(DatabaseError), transaction.atomic():
        approvals(version, people[who])[way]()
    version.refresh_from_db()
    assert version.approved_at is None
    assert version.author_ids == [each.pk for each in people.values()]


def test_an_author_cannot_be_taken_away_by_sql():
    mara = person()
    version = written_by(mara)
    for statement in (
        "UPDATE plans_planversion SET author_ids = '{}'",
        "UPDATE plans_planversion SET created_by_id = NULL",
    ):
        with pytest.raises(DatabaseError, match="its author"), transaction.atomic():
            _sql(statement)
    with pytest.raises(DatabaseError, match="Who created version 2"), transaction.atomic():
        PlanVersion.objects.create(plan=version.plan, number=2, created_by=mara)


# Publishing what is not approved --------------------------------------------------------------


def test_what_a_person_wrote_is_published_once_it_is_approved():
    mara, noor = person(), person("noor")
    version = written_by(mara)
    for by in (None, mara, noor):
        error = refused(
            NotApproved, publish_version,
            version=version, effective_from=MARCH, by=by, now=MARCH,
        )  # fmt: skip
        assert "It is submitted by who wrote it, and approved by someone else" in error.message
    submit_version(version=version, by=mara, now=MARCH)
    refused(NotApproved, publish_version, version=version, effective_from=MARCH, by=noor, now=MARCH)


def test_what_nobody_wrote_is_published_by_nobody_only():
    version = draft(create_plan(key="a", name="A"))
    noor = person("noor")
    refused(NotApproved, publish_version, version=version, effective_from=MARCH, by=noor, now=MARCH)
    publish_version(version=version, effective_from=MARCH, by=None, now=MARCH)


UNAPPROVED = {
    "written": "UPDATE plans_planversion SET published_at = now(), effective_from = now()",
    "in a name": "UPDATE plans_planversion SET published_at = now(), effective_from = now(),"
    " published_by_id = (SELECT max(id) FROM auth_user)",
    "without its authors": "UPDATE plans_planversion SET published_at = now(),"
    " effective_from = now(), author_ids = '{}', created_by_id = NULL",
}


@pytest.mark.parametrize("submitted", [False, True])
@pytest.mark.parametrize("statement", UNAPPROVED.values(), ids=UNAPPROVED)
def test_the_database_refuses_to_publish_what_is_not_approved(statement, submitted):
    mara = person()
    version = written_by(mara)
    if submitted:
        submit_version(version=version, by=mara, now=MARCH)
    with pytest.raises(DatabaseError), transaction.atomic():
        _sql(statement)
    with pytest.raises(DatabaseError), transaction.atomic():
        PlanVersion.objects.update(published_at=MARCH, effective_from=MARCH)
    version.refresh_from_db()
    assert version.published_at is None


def test_nobody_publishes_in_a_persons_name_what_nobody_wrote():
    version = draft(create_plan(key="a", name="A"))
    with pytest.raises(DatabaseError, match="approved_when_published"), transaction.atomic():
        PlanVersion.objects.filter(pk=version.pk).update(
            published_at=MARCH, effective_from=MARCH, published_by=person()
        )


def test_what_is_approved_is_what_was_read():
    mara, noor = person(), person("noor")
    version = written_by(mara, meter=image_meter())
    submit_version(version=version, by=mara, now=MARCH)
    read = digest(version)
    withdraw_version(version=version, by=mara, now=MARCH)
    change = Price.objects.get(version=version, key="fee")
    change.amount = Decimal(200)
    save_price(version=version, price=change, tiers=(), rates=(), by=mara)
    submit_version(version=version, by=mara, now=MARCH)

    error = refused(TermsChanged, approve_version, version=version, digest=read, by=noor, now=MARCH)

    assert "changed since this page was opened" in error.message


def test_a_meter_that_changes_after_the_approval_keeps_the_version_from_publication():
    mara, noor = person(), person("noor")
    version = written_by(mara, meter=image_meter())
    approved(version, author=mara, approver=noor)
    Meter.objects.update(rounding="up")
    refused(
        TermsChanged, publish_version, version=version, effective_from=MARCH, by=noor, now=MARCH
    )


# Frozen ---------------------------------------------------------------------------------------

OPERATIONS = {
    "changed": lambda v, by: change_draft(version=v, currency="EUR", note="", by=by),
    "price added": lambda v, by: add_price(
        version=v, price=Price(key="x", name="X", model="flat", amount=1), by=by
    ),
    "price saved": lambda v, by: save_price(
        version=v, price=v.prices.get(key="fee"), tiers=(), rates=(), by=by
    ),
    "price removed": lambda v, by: remove_price(price=v.prices.get(key="fee"), by=by),
    "price moved": lambda v, by: move_price(price=v.prices.get(key="fee"), places=1, by=by),
    "granted": lambda v, by: add_grants(version=v, grants=NO_GRANTS, by=by),
    "replaced": _replaced,
    "deleted": lambda v, by: delete_draft(version=v),
}
ORM = {
    "version": lambda v: PlanVersion.objects.filter(pk=v.pk).update(note="other"),
    "currency": lambda v: PlanVersion.objects.filter(pk=v.pk).update(currency="EUR"),
    "an author more": lambda v: PlanVersion.objects.filter(pk=v.pk).update(
        author_ids=[*v.author_ids, 9]
    ),
    "withdrawn and changed": lambda v: PlanVersion.objects.filter(pk=v.pk).update(
        submitted_at=None, submitted_by=None, approved_at=None, approved_by=None, note="other"
    ),
    "price": lambda v: v.prices.update(name="Other"),
    "price deleted": lambda v: v.prices.all().delete(),
    "price added": lambda v: Price.objects.create(
        version=v, key="x", name="X", model="flat", amount=1
    ),
    "tier": lambda v: Tier.objects.filter(price__version=v).update(unit_amount=9),
    "tier deleted": lambda v: Tier.objects.filter(price__version=v).delete(),
    "rate added": lambda v: MatrixRate.objects.create(
        price=v.prices.get(key="images"), match=["a"], unit_amount=1
    ),
    "phase": lambda v: Phase.objects.create(version=v, key="x", name="X"),
    "class": lambda v: ServiceClass.objects.create(version=v, key="x", name="X"),
    "limit": lambda v: Limit.objects.create(version=v, kind="jobs_per_day", value=1),
    "feature": lambda v: VersionFeature.objects.create(
        version=v, feature=Feature.objects.create(key="sso", name="SSO")
    ),
}
SQL = {
    "version": "UPDATE plans_planversion SET currency = 'EUR'",
    "submitted at another time": "UPDATE plans_planversion SET submitted_at = now()",
    "version deleted": "DELETE FROM plans_planversion",
    "price": "UPDATE plans_price SET amount = 1",
    "tier": "UPDATE plans_tier SET unit_amount = 5",
    "tier deleted": "DELETE FROM plans_tier",
}


@pytest.fixture(params=["submitted", "approved", "published"])
def frozen(request):
    """A version of Mara's that is frozen, in each way that there is."""
    mara, noor = person(), person("noor")
    version = written_by(mara, meter=image_meter())
    submit_version(version=version, by=mara, now=NEW_YEAR)
    if request.param != "submitted":
        approve_version(version=version, digest=digest(version), by=noor, now=NEW_YEAR)
    if request.param == "published":
        publish_version(version=version, effective_from=MARCH, by=noor, now=NEW_YEAR)
    version.refresh_from_db()
    return version


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_no_operation_changes_what_is_frozen(frozen, operation):
    error = refused(VersionFrozen, partial(operation, frozen, person("ines")))
    assert "frozen" in error.message


@pytest.mark.parametrize("change", ORM.values(), ids=ORM)
def test_the_database_refuses_a_change_by_the_orm(frozen, change):
    before = digest(frozen)
    with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
        change(frozen)
    assert digest(frozen) == before


@pytest.mark.parametrize("statement", SQL.values(), ids=SQL)
def test_the_database_refuses_a_change_by_sql(frozen, statement):
    before = digest(frozen)
    with pytest.raises(DatabaseError), transaction.atomic():
        _sql(statement)
    assert digest(frozen) == before


def test_an_approval_is_not_put_in_another_name():
    mara, noor, sam = person(), person("noor"), person("sam")
    version = approved(written_by(mara), author=mara, approver=noor)
    with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
        PlanVersion.objects.filter(pk=version.pk).update(approved_by=sam)


def test_reviews_are_only_added():
    mara = person()
    version = written_by(mara)
    submit_version(version=version, by=mara, now=MARCH)
    for change in (
        lambda: VersionReview.objects.update(comment="other"),
        lambda: VersionReview.objects.all().delete(),
        lambda: _sql("DELETE FROM plans_versionreview"),
    ):
        with pytest.raises(DatabaseError, match="a review stays"), transaction.atomic():
            change()
    withdraw_version(version=version, by=mara, now=MARCH)
    version.refresh_from_db()
    error = refused(VersionReviewed, delete_draft, version=version)
    assert "its reviews are kept" in error.message
    with pytest.raises(ProtectedError):
        version.delete()


# Scheduled, and called off --------------------------------------------------------------------


def in_force_at(plan, at):
    return [row.version_id for row in versions_in_force(
        plan_ids=[plan.pk], start=at, end=at + SECOND
    )]  # fmt: skip


def test_a_scheduled_version_is_called_off_and_the_one_before_stays():
    plan = plan_in_force()
    first = plan.versions.get()
    subscribed(customer(), plan, starts_at=MARCH)
    second = draft(plan)
    publish_version(
        version=second, effective_from=MAY, by=None, now=MARCH, existing=Move(When.NEVER)
    )
    assert VersionPin.objects.get().version == first

    call_off_version(version=second, by=None, comment="Too soon", now=APRIL)

    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.effective_until, second.effective_until) == (None, MAY)
    assert second.status_at(APRIL) == second.status_at(MAY) == "called off"
    assert in_force_at(plan, MAY) == [first.pk]
    assert published_versions(plan_id=plan.pk) == [first]
    assert not VersionPin.objects.exists()
    assert [row.what for row in second.reviews.all()] == ["called_off"]
    third = published(plan, effective_from=MAY, now=APRIL)
    assert in_force_at(plan, MAY) == [third.pk]
    assert in_force_at(plan, MAY - SECOND) == [first.pk]


def test_what_was_called_off_makes_room_for_an_earlier_one():
    plan = plan_in_force()
    call_off_version(
        version=published(plan, effective_from=MAY, now=MARCH), by=None, comment="", now=MARCH
    )
    third = published(plan, effective_from=APRIL, now=MARCH)
    assert in_force_at(plan, MAY) == [third.pk]
    assert new_version_from(version=plan.versions.get(number=2), by=None).number == 4


def test_what_was_called_off_is_in_no_document():
    plan = plan_in_force()
    call_off_version(
        version=published(plan, effective_from=MAY, now=MARCH), by=None, comment="", now=MARCH
    )
    text = dump(keys=[plan.key])
    before = everything()

    loaded = load_sources([Source("a.yaml", text)], publish=True, by=None, now=MARCH)

    assert [str(each) for each in loaded] == ["plan starter: version 1 unchanged"]
    assert everything() == before


def test_what_has_begun_is_not_called_off():
    plan = plan_in_force()
    first = plan.versions.get()
    for now in (NEW_YEAR, MARCH):
        error = refused(HasBegun, call_off_version, version=first, by=None, comment="", now=now)
        assert error.message.startswith("Version 1 took effect on 01 January 2026 00:00")
    refused(NotPublished, call_off_version, version=draft(plan), by=None, comment="", now=MARCH)


def test_the_last_scheduled_version_is_called_off_first_and_once():
    plan = plan_in_force()
    second = published(plan, effective_from=APRIL, now=MARCH)
    third = published(plan, effective_from=MAY, now=MARCH)
    arguments = {"by": None, "comment": "", "now": MARCH}
    second.refresh_from_db()
    refused(EffectiveDateRefused, call_off_version, version=second, **arguments)
    call_off_version(version=third, **arguments)
    refused(EffectiveDateRefused, call_off_version, version=third, **arguments)
    call_off_version(version=second, **arguments)
    assert in_force_at(plan, MAY) == [plan.versions.get(number=1).pk]


def test_a_first_version_is_not_called_off_under_who_waits_for_it():
    plan = plan_in_force(effective_from=APRIL)
    version = plan.versions.get()
    subscribed(customer(), plan, starts_at=MAY)
    refused(VersionInUse, call_off_version, version=version, by=None, comment="", now=MARCH)


def test_who_moved_early_is_moved_back_before_a_version_is_called_off():
    plan = plan_in_force()
    first = plan.versions.get()
    subscribed(customer(), plan, starts_at=MARCH)
    second = published(plan, effective_from=MAY, now=MARCH)
    move_subscribers(version=second, move=AT_ONCE, now=MARCH)
    arguments = {"version": second, "by": None, "comment": ""}
    error = refused(VersionInUse, call_off_version, **arguments, now=APRIL)
    assert error.message.startswith("1 customer(s) moved to version 2 before")

    move_subscribers(version=first, move=AT_ONCE, now=APRIL)
    call_off_version(**arguments, now=APRIL)

    kept = VersionPin.objects.order_by("starts_at").values_list("version", "starts_at", "ends_at")
    assert list(kept) == [(second.pk, MARCH, APRIL)], "what it priced, it priced"


def test_an_end_is_not_opened_by_sql_while_another_version_follows():
    plan = plan_in_force()
    published(plan, effective_from=APRIL, now=MARCH)
    with pytest.raises(DatabaseError, match="Version 1 is published"), transaction.atomic():
        _sql("UPDATE plans_planversion SET effective_until = NULL WHERE number = 1")
