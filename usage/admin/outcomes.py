"""Outcomes: the list with its verification queue and disputes, and the steps that staff take."""

import json
from functools import partial
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display
from unfold.widgets import UnfoldAdminExpandableTextareaWidget

from plans.admin.actions import ActionPage, answer, sent
from plans.admin.base import HouseAdmin
from plans.words import money
from usage.models import Outcome, OutcomeState, StepVia
from usage.operations.outcome_steps import Actor, take_step
from usage.outcome_amounts import amounts
from usage.outcome_queries import UnknownOutcome, outcome_page, plain_value, who_took
from usage.outcome_states import MOVES, Action

_REVIEW: Final = "usage.review_outcome"
_DECIDE: Final = "usage.decide_outcome"
# What staff does with an outcome: its title, who may, and what it does to the amount.
_STEPS: Final[dict[Action, tuple[str, str, str]]] = {
    "verify": ("Verify", _REVIEW, "{amount} is billed, on the next statement at the latest."),
    "reject": ("Reject", _REVIEW, "{amount} is not billed."),
    "dispute": ("Open a dispute", _REVIEW, "{amount} is shown as contested until it is decided."),
    "uphold": ("Uphold the dispute", _DECIDE, "{amount} is taken off: the customer is right."),
    "dismiss": ("Dismiss the dispute", _DECIDE, "{amount} stays billed."),
    "reverse": ("Reverse", _DECIDE, "{amount} is taken off, on the next statement if billed."),
}  # fmt: skip


class ReasonForm(forms.Form):
    """Why a step is taken."""

    reason = forms.CharField(
        max_length=2000, required=False, widget=UnfoldAdminExpandableTextareaWidget,
        help_text="Kept with the outcome; the customer reads it.",
    )  # fmt: skip


@admin.register(Outcome)
class OutcomeAdmin(HouseAdmin):
    """Outcomes by state; each with its evidence, its steps, and what can be done with it."""

    list_display = (
        "key", "contract", "customer", "where", "amount", "happened_at", "verify_by", "dispute_by",
    )  # fmt: skip
    list_filter = ("state", "is_sampled", "contract")
    search_fields = ("key", "customer__key", "customer__name", "job")
    ordering = ("-id",)
    list_select_related = ("contract", "customer", "version__contract")
    fields = (
        "steps_offered", "where", "amount", "contract", "version", "customer", "workspace",
        "happened_at", "claimed_at", "recorded_at", "verify_by", "dispute_by", "release_at",
        "released_at", "value_shown", "has_bonus", "is_sampled", "job", "attempt", "evidence_shown",
        "log_shown",
    )  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Leave claims to services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep what was claimed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep what was claimed."""
        return False

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Outcome | None:
        """Remember who looks, for the steps that are offered."""
        found: Any = super().get_object(request, object_id, from_field)
        if found is not None:
            found.viewer = request.user
        outcome: Outcome | None = found
        return outcome

    def get_urls(self) -> list[URLPattern]:
        """Add a page for each step."""
        view = self.admin_site.admin_view
        return [
            *(
                path(
                    f"<int:outcome_id>/{action}/",
                    view(partial(self.step, action=action)),
                    name=f"usage_outcome_{action}",
                )
                for action in _STEPS
            ),
            *super().get_urls(),
        ]

    @display(description="Value")
    def value_shown(self, outcome: Outcome) -> str:
        """Return the value, where the claim has one."""
        return plain_value(outcome.value) if outcome.value else "—"

    @display(
        description="State",
        label={"Pending": "warning", "Disputed": "danger", "Verified": "success"},
    )
    def where(self, outcome: Outcome) -> str:
        """Say where the outcome stands."""
        return outcome.get_state_display()

    @display(description="Amount by itself")
    def amount(self, outcome: Outcome) -> str:
        """Return what the outcome comes to by itself, and whether that is billed."""
        found = amounts([outcome])[outcome.pk]
        said = money(found.amount, currency=found.currency)
        note = {"pending": ", unbilled", "disputed": ", contested"}.get(outcome.state, "")
        return f"{said}{note}"

    @display(description="What can be done")
    def steps_offered(self, outcome: Any) -> str:
        """Link the steps that the person may take now."""
        offered = [
            (title, reverse(f"admin:usage_outcome_{action}", args=[outcome.pk]))
            for action, (title, permission, _) in _STEPS.items()
            if outcome.state in MOVES[action][0] and outcome.viewer.has_perm(permission)
        ]
        return render_to_string("admin/usage/outcome_steps.html", {"steps": offered})

    @display(description="Evidence")
    def evidence_shown(self, outcome: Outcome) -> str:
        """Return the evidence, indented."""
        text = json.dumps(outcome.evidence, indent=2, ensure_ascii=False)
        return format_html('<pre class="whitespace-pre-wrap">{}</pre>', text)

    @display(description="Steps")
    def log_shown(self, outcome: Outcome) -> str:
        """Return who did what, when and why."""
        steps = [(step, who_took(step)) for step in outcome_page(outcome.pk).steps]
        return render_to_string("admin/usage/outcome_log.html", {"steps": steps})

    def step(self, request: HttpRequest, outcome_id: int, *, action: Action) -> HttpResponse:
        """Take a step with an outcome: who may, what it does to the amount, and why."""
        title, permission, effect = _STEPS[action]
        if not request.user.has_perm(permission):
            raise PermissionDenied
        try:
            page = outcome_page(outcome_id)
        except UnknownOutcome as error:
            raise Http404 from error
        outcome = page.outcome
        amount = money(page.amount.amount, currency=page.amount.currency)
        form = ReasonForm(sent(request))
        form.fields["reason"].required = action != "verify"

        def run(cleaned: dict[str, Any]) -> str:
            by: Any = request.user
            row = take_step(
                outcome=outcome, action=action, actor=Actor(StepVia.STAFF, by=by),
                reason=cleaned["reason"], now=outcome.customer.clock_at or timezone.now(),
            )  # fmt: skip
            return f"“{row.key}” of {outcome.customer.name} is {OutcomeState(row.state).label}."

        return answer(
            self,
            request,
            ActionPage(
                title=f"{title}: “{outcome.key}” of {outcome.customer.name}?",
                button=title,
                danger=action in ("reject", "uphold", "reverse"),
                form=form,
                effects=(
                    effect.format(amount=amount),
                    "By itself, at the terms of its own period; a cap or tiers may change that.",
                    "The reason and your name are kept.",
                ),
                run=run,
                back=reverse("admin:usage_outcome_change", args=[outcome.pk]),
            ),
        )
