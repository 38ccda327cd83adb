"""Put a version into force, take it out, and call off what has not begun."""

from collections.abc import Sequence
from datetime import datetime

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from plans import locks, rating
from plans.errors import OperationError, Problem
from plans.models import PlanVersion, VersionEvent, VersionPin, VersionReview
from plans.models.reviews import ReviewStep
from plans.operations.history import recorded
from plans.operations.pins import AT_ONCE, Move, keep_subscribers
from plans.operations.versions import VersionFrozen
from plans.queries import plans_sold_in, subscribers_after
from plans.rating.validation import problems_in_terms
from plans.terms import terms_of


class VersionInvalid(OperationError):
    """The version's prices cannot be billed; ``problems`` lists all that is wrong with them."""

    code = "version_invalid"


class NotApproved(OperationError):
    """What a person had a part in is published once another person approved it."""

    code = "not_approved"


class TermsChanged(OperationError):
    """What a meter measures, and so the terms, changed after it was read."""

    code = "terms_changed"


class HasBegun(OperationError):
    """The version is in force, or was: usage has its price."""

    code = "has_begun"


class EffectiveDateRefused(OperationError):
    """The version cannot take effect, or end, at that time."""

    code = "effective_date_refused"


class NotPublished(OperationError):
    """The version is a draft: there is nothing to retire."""

    code = "not_published"


class VersionInUse(OperationError):
    """Customers are subscribed for longer than the version would stand."""

    code = "version_in_use"


@transaction.atomic
def publish_version(
    *,
    version: PlanVersion,
    effective_from: datetime,
    by: AbstractBaseUser | None,
    now: datetime,
    existing: Move = AT_ONCE,
) -> PlanVersion:
    """Freeze a version and put it into force at a time; the one before in its currency ends then.

    ``existing`` says when those who are subscribed already move to it. A version that anybody wrote
    must be approved. A time in the past is accepted only while no customer is subscribed to the
    plan then or later, since it would change what usage that may have been billed costs. Raises
    VersionFrozen, NotApproved, TermsChanged, VersionInvalid, EffectiveDateRefused, MoveDateRefused.
    """
    locks.plan(plan_id=version.plan_id)
    versions = locks.versions_of(plan_id=version.plan_id)
    draft = next(row for row in versions if row.pk == version.pk)
    locks.meters_of(version_id=draft.pk)
    locks.credit_units_of(version_id=draft.pk)
    _refuse_unapproved(draft, by=by)
    refuse_unbillable(draft)
    previous = _last_of(versions, currency=draft.currency)
    if previous is not None:
        _refuse_date(draft, previous=previous, effective_from=effective_from, now=now)
        _end_at(previous, effective_from, by=by)
    draft.published_at = now
    draft.published_by_id = by.pk if by else None
    draft.effective_from = effective_from
    with recorded(version=draft, what=VersionEvent.PUBLISHED, by=by):
        draft.save(update_fields=["published_at", "published_by", "effective_from"])
    if previous is not None and previous.effective_until == effective_from:
        keep_subscribers(on=previous, at=effective_from, move=existing, now=now)
    return draft


@transaction.atomic
def call_off_version(
    *, version: PlanVersion, by: AbstractBaseUser | None, comment: str, now: datetime
) -> PlanVersion:
    """Take back a published version that has not begun: it never takes effect.

    The version that it was to follow stays in force, and who was to be kept on that one needs no
    keeping. Only the last of several is called off. Raises NotPublished, HasBegun,
    EffectiveDateRefused, and VersionInUse where customers moved to it early, or where
    subscriptions would be left without a price.
    """
    locks.plan(plan_id=version.plan_id)
    versions = locks.versions_of(plan_id=version.plan_id)
    row = next(each for each in versions if each.pk == version.pk)
    starts = _refuse_begun(row, now=now)
    before = next(
        (
            each
            for each in versions
            if each.currency == row.currency
            and each.effective_until == starts
            and each.effective_from != starts
        ),
        None,
    )
    _refuse_kept_on(row, now=now)
    if before is None:
        _refuse_in_use(row, at=starts, now=now)
    _end_at(row, starts, by=by)
    VersionPin.objects.filter(version=row, starts_at__gt=now).delete()
    if before is not None:
        VersionPin.objects.filter(version=before, starts_at=starts).delete()
        before.effective_until = None
        with recorded(version=before, by=by):
            before.save(update_fields=["effective_until"])
    VersionReview.objects.create(
        version=row,
        what=ReviewStep.CALLED_OFF,
        by_id=by.pk if by else None,
        at=now,
        comment=comment,
        digest=terms_of([row.pk])[row.pk].digest,
    )
    return row


@transaction.atomic
def retire_version(*, version: PlanVersion, at: datetime, now: datetime) -> PlanVersion:
    """End a published version at a time without a successor.

    Raises NotPublished, EffectiveDateRefused, and VersionInUse while subscriptions to the plan
    last longer, since usage then would have no price.
    """
    locks.plan(plan_id=version.plan_id)
    row = locks.version(version_id=version.pk)
    if row.effective_from is None:
        raise NotPublished(f"Version {row.number} is a draft. Only a published version can end.")
    if row.effective_until is not None:
        raise EffectiveDateRefused(
            f"Version {row.number} ends on {_on(row.effective_until)} already.", field="at"
        )
    if at <= row.effective_from:
        raise EffectiveDateRefused(
            f"Version {row.number} can only end after it takes effect on "
            f"{_on(row.effective_from)}.",
            field="at",
        )
    _refuse_in_use(row, at=at, now=now)
    _end_at(row, at)
    return row


def _refuse_unapproved(version: PlanVersion, *, by: AbstractBaseUser | None) -> None:
    if version.published_at is not None:
        raise VersionFrozen(
            f"Version {version.number} is published and frozen: make a new version from it."
        )
    if version.approved_at is None:
        if by is None and not version.author_ids:
            return
        raise NotApproved(
            f"Version {version.number} is not approved. It is submitted by who wrote it, and "
            "approved by someone else."
        )
    approvals = VersionReview.objects.filter(version=version, what=ReviewStep.APPROVED)
    approved = approvals.order_by("-id").values_list("digest", flat=True).first()
    if approved != terms_of([version.pk])[version.pk].digest:
        raise TermsChanged(
            f"What version {version.number} measures changed since it was approved: request "
            "changes, and have it submitted and approved again."
        )


def _refuse_begun(version: PlanVersion, *, now: datetime) -> datetime:
    """Return when a version that has not begun takes effect."""
    starts = version.effective_from
    if starts is None:
        raise NotPublished(f"Version {version.number} is not published: there is nothing to undo.")
    if starts <= now:
        raise HasBegun(
            f"Version {version.number} took effect on {_on(starts)}. Make a new version instead."
        )
    if version.effective_until is not None:
        raise EffectiveDateRefused(
            f"Version {version.number} ends on {_on(version.effective_until)} already. Only a "
            "version without an end is called off; the last one comes first."
        )
    return starts


def _last_of(versions: Sequence[PlanVersion], *, currency: str) -> PlanVersion | None:
    """Return the version of a currency that takes effect last, called off ones aside."""
    published = [
        row
        for row in versions
        if row.currency == currency
        and row.effective_from is not None
        and row.effective_until != row.effective_from
    ]
    return max(published, key=_effective_from, default=None)


def refuse_unbillable(draft: PlanVersion) -> None:
    """Raise VersionInvalid where a version cannot be billed."""
    terms = terms_of([draft.pk])[draft.pk].terms
    found = problems_in_terms(terms)
    problems = tuple(Problem(one.code, one.field, one.message) for one in found)
    problems += upgrade_problems(terms)
    if not terms.prices:
        problems += (Problem("no_prices", "prices", "A version needs at least one price."),)
    if problems:
        listed = " ".join(f"{problem.field}: {problem.message}" for problem in problems)
        raise VersionInvalid(
            f"Version {draft.number} cannot be published. {listed}", problems=problems
        )


def upgrade_problems(terms: rating.Terms) -> tuple[Problem, ...]:
    """Return a problem for each price that moves customers to a plan without their currency."""
    targets = {price.overage.upgrade_to for price in terms.prices} - {""}
    sold = plans_sold_in(currency=terms.currency, keys=targets) if targets else set()
    return tuple(
        Problem(
            "upgrade_not_sold",
            f"prices[{index}].overage.plan",
            f"The plan “{price.overage.upgrade_to}” has no published version in {terms.currency}: "
            "publish one first, or name another plan.",
        )
        for index, price in enumerate(terms.prices)
        if price.overage.upgrade_to and price.overage.upgrade_to not in sold
    )


def _refuse_date(
    draft: PlanVersion, *, previous: PlanVersion, effective_from: datetime, now: datetime
) -> None:
    if effective_from <= _effective_from(previous):
        raise EffectiveDateRefused(
            f"Version {draft.number} must take effect after version {previous.number}, which does "
            f"so on {_on(_effective_from(previous))}.",
            field="effective_from",
        )
    if previous.effective_until is not None and effective_from < previous.effective_until:
        raise EffectiveDateRefused(
            f"Version {previous.number} stands until {_on(previous.effective_until)}; version "
            f"{draft.number} cannot take effect before.",
            field="effective_from",
        )
    if effective_from < now and _subscribers_after(draft, at=effective_from):
        raise EffectiveDateRefused(
            f"{_on(effective_from)} has passed, and customers are subscribed to the plan: what "
            "they used since then has its price already. Choose a time from now on.",
            field="effective_from",
        )


def _refuse_in_use(version: PlanVersion, *, at: datetime, now: datetime) -> None:
    subscribers = _subscribers_after(version, at=at)
    if subscribers:
        when = f"{_on(at)}, which has passed" if at < now else _on(at)
        raise VersionInUse(
            f"{subscribers} subscription(s) to the plan last beyond {when}, and what is used then "
            "would have no price. End them first, or publish a new version instead.",
            field="at",
        )


def _refuse_kept_on(version: PlanVersion, *, now: datetime) -> None:
    kept = VersionPin.objects.filter(version=version, starts_at__lte=now)
    early = kept.exclude(ends_at__lte=now).count()
    if early:
        raise VersionInUse(
            f"{early} customer(s) moved to version {version.number} before it takes effect for "
            "all. Move them to another version first."
        )


def _subscribers_after(version: PlanVersion, *, at: datetime) -> int:
    return subscribers_after(plan_id=version.plan_id, currency=version.currency, at=at)


def _end_at(version: PlanVersion, at: datetime, *, by: AbstractBaseUser | None = None) -> None:
    if version.effective_until is None:
        version.effective_until = at
        with recorded(version=version, what=VersionEvent.ENDED, by=by):
            version.save(update_fields=["effective_until"])


def _effective_from(version: PlanVersion) -> datetime:
    assert version.effective_from is not None
    return version.effective_from


def _on(at: datetime) -> str:
    return f"{at:%d %B %Y %H:%M %Z}"
