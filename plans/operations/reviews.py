"""Submit a draft, approve it, or send it back. From its submission on it is frozen."""

from datetime import datetime

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from plans import locks
from plans.errors import OperationError
from plans.models import PlanVersion, VersionReview
from plans.models.reviews import ReviewStep
from plans.operations.publishing import TermsChanged, refuse_unbillable
from plans.operations.versions import VersionFrozen, open_draft
from plans.terms import terms_of


class NotSubmitted(OperationError):
    """The version is a draft: there is nothing to approve, to send back or to withdraw."""

    code = "not_submitted"


class AlreadyApproved(OperationError):
    """Someone approved the version already."""

    code = "already_approved"


class OwnVersion(OperationError):
    """Nobody approves what they created, edited or submitted."""

    code = "own_version"


class NotAuthor(OperationError):
    """Only who had a part in a version withdraws it; others request changes."""

    code = "not_author"


class CommentMissing(OperationError):
    """What is to be changed must be said."""

    code = "comment_missing"


@transaction.atomic
def submit_version(
    *, version: PlanVersion, by: AbstractBaseUser, comment: str = "", now: datetime
) -> PlanVersion:
    """Submit a draft for approval; who does is one of its authors.

    Raises VersionFrozen, and VersionInvalid for what could not be published.
    """
    draft = open_draft(version_id=version.pk, by=by)
    locks.meters_of(version_id=draft.pk)
    locks.credit_units_of(version_id=draft.pk)
    refuse_unbillable(draft)
    draft.submitted_at, draft.submitted_by_id = now, by.pk
    draft.save(update_fields=["submitted_at", "submitted_by"])
    _note(draft, ReviewStep.SUBMITTED, by=by, comment=comment, now=now)
    return draft


@transaction.atomic
def approve_version(
    *,
    version: PlanVersion,
    digest: str,
    by: AbstractBaseUser,
    comment: str = "",
    tested: str = "",
    now: datetime,
) -> PlanVersion:
    """Approve the terms with this digest, as they were read, so that they can be published.

    ``tested`` is the fingerprint of the dry run that was shown with them. Raises NotSubmitted,
    AlreadyApproved, VersionFrozen, OwnVersion, and TermsChanged where the version has other terms.
    """
    row = _submitted(version)
    if row.approved_at is not None:
        raise AlreadyApproved(f"Version {row.number} is approved already.")
    if by.pk in row.author_ids:
        raise OwnVersion(
            f"You had a part in version {row.number}. Someone else must approve it.", field="by"
        )
    locks.meters_of(version_id=row.pk)
    locks.credit_units_of(version_id=row.pk)
    if terms_of([row.pk])[row.pk].digest != digest:
        raise TermsChanged(
            f"Version {row.number} changed since this page was opened. Read it again."
        )
    row.approved_at, row.approved_by_id = now, by.pk
    row.save(update_fields=["approved_at", "approved_by"])
    _note(row, ReviewStep.APPROVED, by=by, comment=comment, now=now, tested=tested)
    return row


@transaction.atomic
def request_changes(
    *, version: PlanVersion, by: AbstractBaseUser, comment: str, now: datetime
) -> PlanVersion:
    """Send a submitted or approved version back to its authors; it is a draft again.

    Raises CommentMissing, NotSubmitted, VersionFrozen.
    """
    if not comment.strip():
        raise CommentMissing("Say what is to be changed.", field="comment")
    row = _submitted(version)
    return _back_to_draft(row, ReviewStep.CHANGES_REQUESTED, by=by, comment=comment, now=now)


@transaction.atomic
def withdraw_version(
    *, version: PlanVersion, by: AbstractBaseUser, comment: str = "", now: datetime
) -> PlanVersion:
    """Take a submitted or approved version back; it is a draft again.

    Raises NotSubmitted, VersionFrozen, and NotAuthor for who had no part in it.
    """
    row = _submitted(version)
    if by.pk not in row.author_ids:
        raise NotAuthor(
            f"You had no part in version {row.number}. Request changes instead.", field="by"
        )
    return _back_to_draft(row, ReviewStep.WITHDRAWN, by=by, comment=comment, now=now)


def _submitted(version: PlanVersion) -> PlanVersion:
    row = locks.version(version_id=version.pk)
    if row.published_at is not None:
        raise VersionFrozen(
            f"Version {row.number} is published and frozen: make a new version from it."
        )
    if row.submitted_at is None:
        raise NotSubmitted(f"Version {row.number} is a draft. It must be submitted first.")
    return row


def _back_to_draft(
    row: PlanVersion, what: ReviewStep, *, by: AbstractBaseUser, comment: str, now: datetime
) -> PlanVersion:
    row.submitted_at = row.submitted_by_id = None
    row.approved_at = row.approved_by_id = None
    row.save(update_fields=["submitted_at", "submitted_by", "approved_at", "approved_by"])
    _note(row, what, by=by, comment=comment, now=now)
    return row


def _note(
    row: PlanVersion,
    what: ReviewStep,
    *,
    by: AbstractBaseUser,
    comment: str,
    now: datetime,
    tested: str = "",
) -> None:
    VersionReview.objects.create(
        version=row,
        what=what,
        by_id=by.pk,
        at=now,
        comment=comment.strip(),
        digest=terms_of([row.pk])[row.pk].digest,
        tested=tested,
    )
