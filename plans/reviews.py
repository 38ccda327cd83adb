"""What waits for an author or an approver, and what became of a version so far."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from django.db.models import CharField, Exists, F, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Concat

from plans.models import PlanVersion, Price, VersionReview
from plans.models.reviews import ReviewStep


class Step(NamedTuple):
    """One step of a version's life: what was done, when, by whom, and what was said."""

    what: str
    at: datetime
    by: str
    comment: str = ""
    tested: str = ""


def awaiting_approval() -> QuerySet[PlanVersion]:
    """Return what is submitted and not approved yet, oldest first."""
    rows = PlanVersion.objects.filter(submitted_at__isnull=False, approved_at=None)
    return rows.select_related("plan", "submitted_by").order_by("submitted_at")


def awaiting_publication() -> QuerySet[PlanVersion]:
    """Return what is approved and not published yet, oldest first."""
    rows = PlanVersion.objects.filter(approved_at__isnull=False, published_at=None)
    return rows.select_related("plan", "approved_by").order_by("approved_at")


def sent_back_to(*, author_id: int) -> QuerySet[PlanVersion]:
    """Return a person's drafts that came back, oldest first, with ``asked``: who said what."""
    return _drafts(came_back=True).filter(author_ids__contains=[author_id])


def drafts_waiting() -> QuerySet[PlanVersion]:
    """Return the drafts with prices that did not come back, oldest first: to be submitted."""
    priced = Price.objects.filter(version=OuterRef("pk"))
    return _drafts(came_back=False).filter(Exists(priced))


def timeline(version: PlanVersion) -> list[Step]:
    """Return what was done with a version, oldest first, in two queries."""
    users = PlanVersion.objects.filter(pk=version.pk).values_list(
        "created_by__username", "published_by__username"
    )
    creator, publisher = users.get()
    steps = [Step("Created", version.created_at, creator or "")]
    steps += _reviews(version)
    if version.published_at is not None:
        steps.append(Step("Published", version.published_at, publisher or ""))
    return sorted(steps, key=lambda step: step.at)


def _reviews(version: PlanVersion) -> Iterator[Step]:
    rows = VersionReview.objects.filter(version=version).select_related("by").order_by("id")
    for row in rows:
        by = row.by.get_username() if row.by else ""
        yield Step(row.get_what_display(), row.at, by, row.comment, row.tested)


def _drafts(*, came_back: bool) -> QuerySet[PlanVersion]:
    last = VersionReview.objects.filter(version=OuterRef("pk")).order_by("-id")
    said = Concat(F("by__username"), Value(": "), F("comment"), output_field=CharField())
    last_step = Coalesce(Subquery(last.values("what")[:1]), Value(""))
    rows = PlanVersion.objects.filter(published_at=None, submitted_at=None)
    rows = rows.select_related("plan", "created_by").order_by("created_at")
    asked = ReviewStep.CHANGES_REQUESTED
    if not came_back:
        return rows.alias(last_step=last_step).exclude(last_step=asked)
    annotated = rows.annotate(asked=Subquery(last.annotate(said=said).values("said")[:1]))
    return annotated.alias(last_step=last_step).filter(last_step=asked)
