"""The pages by which a version takes effect, ends, is called off, and gets its subscribers."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from unfold.decorators import action
from unfold.enums import ActionVariant

from plans.admin.actions import ActionPage, already, answer, sent
from plans.admin.base import HouseAdmin
from plans.admin.version_forms import MoveForm, PublishForm, ReasonForm, RetireForm
from plans.admin.version_words import hindrances, named, next_midnight, on, page_of
from plans.models import PlanVersion
from plans.operations.pins import move_subscribers
from plans.operations.publishing import call_off_version, publish_version, retire_version
from plans.pricelist import PriceCard, price_cards, version_before
from plans.subscribers import subscribers_of

_SUBSCRIBERS: Final = "admin/plans/planversion/_subscribers.html"
_NAMED: Final = 50


class PublishingPages(HouseAdmin):
    """Publish, retire, call off, move subscribers."""

    def has_publish_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the person may publish and retire versions."""
        return request.user.has_perm("plans.publish_planversion")

    @action(
        description="Publish", url_path="publish", permissions=["publish"],
        variant=ActionVariant.PRIMARY,
    )  # fmt: skip
    def publish(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Publish an approved version from a time on."""
        version = get_object_or_404(self.get_queryset(request), pk=object_id)
        if version.published_at is not None:
            message = f"{named(version)} was published on {on(version.published_at)} UTC."
            return already(request, message, back=page_of(version))
        return answer(self, request, self._publish_page(request, version))

    def _publish_page(self, request: HttpRequest, version: PlanVersion) -> ActionPage:
        now, before, cards = timezone.now(), version_before(version), price_cards(version)
        starts = _proposed_start(before, now=now)
        form = PublishForm(sent(request), initial={"effective_from": starts})

        def run(cleaned: dict[str, Any]) -> str:
            at = cleaned["effective_from"] or now
            publish_version(
                version=version,
                effective_from=at,
                by=request.user,  # type: ignore[arg-type]
                now=now,
                existing=form.move,
            )
            message = f"{named(version)} is published, in force from {on(at)} UTC."
            self.log_change(request, version, message)
            return message

        return ActionPage(
            title=f"Publish {named(version)}?",
            button="Publish",
            form=form,
            effects=_publish_effects(version, before, cards),
            hindrances=hindrances(version, cards),
            include=_SUBSCRIBERS,
            shown=_touched(request, version, at=max(starts, now)),
            run=run,
            back=page_of(version),
        )

    @action(description="Move subscribers", url_path="move", permissions=["publish"])
    def move(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Move subscribers of other versions to this one."""
        version = get_object_or_404(self.get_queryset(request), pk=object_id)
        now, form = timezone.now(), MoveForm(sent(request))

        def run(cleaned: dict[str, Any]) -> str:
            moved = move_subscribers(
                version=version, move=form.move, customer_ids=cleaned["customers"], now=now
            )
            if not moved:
                return f"Nobody was to be moved to {named(version)}."
            who = "1 customer moves" if moved == 1 else f"{moved:,} customers move"
            message = f"{who} to {named(version)}."
            self.log_change(request, version, message)
            return message

        page = ActionPage(
            title=f"Move subscribers to {named(version)}?",
            button="Move them",
            form=form,
            effects=(
                (
                    f"Usage of those who move is priced by version {version.number} from then on; "
                    "what was used before keeps its price."
                ),
                "What keeps them on another version ends.",
            ),
            include=_SUBSCRIBERS,
            shown=_touched(request, version, at=now),
            run=run,
            back=page_of(version),
        )
        return answer(self, request, page)

    @action(description="Retire", url_path="retire", permissions=["publish"])
    def retire(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End a published version without a successor."""
        version = get_object_or_404(self.get_queryset(request), pk=object_id)
        if version.effective_until is not None:
            message = f"{named(version)} ends on {on(version.effective_until)} UTC already."
            return already(request, message, back=page_of(version))
        now = timezone.now()

        def run(cleaned: dict[str, Any]) -> str:
            retire_version(version=version, at=cleaned["at"], now=now)
            message = f"{named(version)} ends on {on(cleaned['at'])} UTC."
            self.log_change(request, version, message)
            return message

        page = ActionPage(
            title=f"Retire {named(version)}?",
            button="Retire",
            danger=True,
            form=RetireForm(sent(request), initial={"at": next_midnight(now)}),
            effects=(
                (
                    f"From then on {version.plan.name} has no price in {version.currency}, and "
                    "nobody can be put on it."
                ),
                "This is final. To change prices, make a new version instead.",
            ),
            run=run,
            back=page_of(version),
        )
        return answer(self, request, page)

    @action(description="Call off", url_path="call-off", permissions=["publish"])
    def call_off(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take back a scheduled version before it begins."""
        version = get_object_or_404(self.get_queryset(request), pk=object_id)
        if version.effective_until == version.effective_from:
            return already(request, f"{named(version)} was called off.", back=page_of(version))
        now, before = timezone.now(), version_before(version)

        def run(cleaned: dict[str, Any]) -> str:
            by: Any = request.user
            call_off_version(version=version, by=by, comment=cleaned["comment"], now=now)
            message = f"{named(version)} is called off and never takes effect."
            self.log_change(request, version, message)
            return message

        page = ActionPage(
            title=f"Call off {named(version)}?",
            button="Call it off",
            danger=True,
            form=ReasonForm(sent(request)),
            effects=(
                f"It does not take effect on {on(version.effective_from)} UTC, nor later.",
                f"Version {before.number} stays in force." if before else "Nothing else changes.",
                "This is final. A new version can be made from it.",
            ),
            run=run,
            back=page_of(version),
        )
        return answer(self, request, page)


def _touched(request: HttpRequest, version: PlanVersion, *, at: datetime) -> dict[str, Any]:
    search = request.GET.get("q", "").strip()[:100]
    found = subscribers_of(version=version, at=at, search=search, limit=_NAMED)
    return {"subscribers": found, "search": search, "at": at, "version": version}


def _publish_effects(
    version: PlanVersion, before: PlanVersion | None, cards: list[PriceCard]
) -> list[str]:
    prices = "The one price" if len(cards) == 1 else f"All {len(cards)} prices"
    effects = [
        f"{prices} in {version.currency} and everything else in this version is frozen for ever.",
        f"Usage of {version.plan.name} from the time below on is priced by this version.",
    ]
    if before is not None and before.effective_until is None:
        effects.append(f"Version {before.number}, in force now, ends at that time.")
    if before is None:
        effects.append(
            "Nobody is subscribed yet, so it may begin in the past: then customers can start "
            "on the first of this month, whatever their time zone."
        )
    return effects


def _proposed_start(before: PlanVersion | None, *, now: datetime) -> datetime:
    """Propose the start of last month for a plan's first version, else the next midnight."""
    if before is None:
        this_month = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return (this_month - timedelta(days=1)).replace(day=1)
    return next_midnight(max(now, before.effective_from or now))
