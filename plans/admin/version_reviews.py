"""The pages by which a version is submitted, approved, sent back and withdrawn."""

from collections.abc import Callable, Sequence
from typing import Any

from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from unfold.decorators import action
from unfold.enums import ActionVariant

from plans.admin.actions import ActionPage, Hindrance, already, answer, sent
from plans.admin.base import HouseAdmin
from plans.admin.comparing import comparison_with
from plans.admin.evidence import Evidence, latest_evidence
from plans.admin.version_forms import ApproveForm, ChangesForm, SubmitForm, WithdrawForm
from plans.admin.version_words import hindrances, named, page_of
from plans.models import PlanVersion
from plans.operations.reviews import (
    approve_version,
    request_changes,
    submit_version,
    withdraw_version,
)
from plans.pricelist import price_cards, version_before
from plans.terms import terms_of

_APPROVE = "admin/plans/planversion/_approve.html"


class ReviewPages(HouseAdmin):
    """Submit, approve, request changes, withdraw."""

    def has_submit_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the person may submit versions, and withdraw them."""
        return request.user.has_perm("plans.change_planversion")

    def has_approve_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the person may approve versions, and send them back."""
        return request.user.has_perm("plans.publish_planversion")

    @action(
        description="Submit", url_path="submit", permissions=["submit"],
        variant=ActionVariant.PRIMARY,
    )  # fmt: skip
    def submit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Submit a draft for approval."""
        version = get_object_or_404(self.get_queryset(request), pk=object_id)
        if not version.is_draft:
            return _is_no_draft(request, version)
        return self._ask(
            request,
            version,
            title=f"Submit {named(version)} for approval?",
            button="Submit",
            form=SubmitForm(sent(request)),
            effects=(
                "Nothing in it can be changed until it is withdrawn or sent back.",
                "Someone who had no part in it reads it and approves it, or asks for changes.",
            ),
            hindrances=hindrances(version, price_cards(version)),
            work=submit_version,
            done=f"{named(version)} is submitted.",
        )

    @action(
        description="Approve", url_path="approve", permissions=["approve"],
        variant=ActionVariant.PRIMARY,
    )  # fmt: skip
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Approve what was submitted, beside what it changes and how it was tried."""
        version = get_object_or_404(self.get_queryset(request), pk=object_id)
        if version.approved_at is not None:
            by = version.approved_by
            return already(
                request, f"{named(version)} was approved by {by} already.", back=page_of(version)
            )
        evidence = latest_evidence(version)
        tested = evidence.fingerprint if evidence and evidence.is_current else ""
        digest = terms_of([version.pk])[version.pk].digest
        return self._ask(
            request,
            version,
            title=f"Approve {named(version)}?",
            button="Approve",
            form=ApproveForm(sent(request), tested=tested, digest=digest),
            effects=_approval_effects(version),
            work=approve_version,
            done=f"{named(version)} is approved and can be published.",
            include=_APPROVE,
            shown=_approval_shown(version, evidence),
        )

    @action(description="Request changes", url_path="request-changes", permissions=["approve"])
    def request_changes(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send a version back to its authors."""
        version = get_object_or_404(self.get_queryset(request), pk=object_id)
        return self._ask(
            request,
            version,
            title=f"Request changes of {named(version)}?",
            button="Request changes",
            form=ChangesForm(sent(request)),
            effects=("It is a draft again. Its authors change it and submit it once more.",),
            work=request_changes,
            done=f"{named(version)} went back to its authors.",
        )

    @action(description="Withdraw", url_path="withdraw", permissions=["submit"])
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take one's own version back."""
        version = get_object_or_404(self.get_queryset(request), pk=object_id)
        return self._ask(
            request,
            version,
            title=f"Withdraw {named(version)}?",
            button="Withdraw",
            form=WithdrawForm(sent(request)),
            effects=("It is a draft again and can be changed. An approval is lost.",),
            work=withdraw_version,
            done=f"{named(version)} is a draft again.",
        )

    def _ask(
        self,
        request: HttpRequest,
        version: PlanVersion,
        *,
        title: str,
        button: str,
        form: Form,
        effects: Sequence[str],
        work: Callable[..., PlanVersion],
        done: str,
        hindrances: Sequence[Hindrance] = (),
        include: str = "",
        shown: dict[str, Any] | None = None,
    ) -> HttpResponse:
        now = timezone.now()

        def run(cleaned: dict[str, Any]) -> str:
            work(version=version, by=request.user, now=now, **cleaned)
            self.log_change(request, version, done)
            return done

        page = ActionPage(
            title=title,
            button=button,
            form=form,
            effects=effects,
            run=run,
            back=page_of(version),
            hindrances=hindrances,
            include=include,
            shown=shown or {},
        )
        return answer(self, request, page)


def _is_no_draft(request: HttpRequest, version: PlanVersion) -> HttpResponse:
    status = version.status_at(timezone.now())
    return already(request, f"{named(version)} is {status} already.", back=page_of(version))


def _approval_effects(version: PlanVersion) -> list[str]:
    before = version_before(version)
    effects = ["It can be published then, with exactly these terms."]
    if before is not None:
        effects.append(f"It is to follow version {before.number}, to which it is compared below.")
    else:
        effects.append(f"{version.plan.name} has no other version in {version.currency} yet.")
    return effects


def _approval_shown(version: PlanVersion, evidence: Evidence | None) -> dict[str, Any]:
    before = version_before(version)
    return {
        "version": version,
        "cards": price_cards(version),
        "evidence": evidence,
        "comparison": comparison_with(before, version),
    }
