"""Commitments in the admin: written, approved by another person, watched, ended early."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from billing.queries.commitments import bar_of, counted_on, pace_of
from billing.wording import Money, day
from plans.admin.action_forms import DateInput
from plans.admin.actions import ActionPage, answer, sent
from plans.admin.base import HouseAdmin, NumberInput, add_refusal
from plans.commitments import commitment_value
from plans.errors import OperationError
from plans.models import Commitment, Customer
from plans.operations.commitments import (
    CommitmentTerms,
    approve_commitment,
    change_commitment,
    delete_commitment,
    draft_commitment,
    end_commitment,
)
from plans.rating.commitments import Instalment

_INSTALMENT: Final = re.compile(r"^(\d{1,3})\s*(?:months?)?\s*[:x]?\s+([\d,]+(?:\.\d+)?)$")


class CommitmentForm(forms.Form):
    """What a commitment says; amounts are in the customer's currency."""

    customer = forms.ModelChoiceField(
        Customer.objects.order_by("name"), widget=UnfoldAdminSelectWidget
    )
    key = forms.CharField(max_length=100, widget=UnfoldAdminTextInputWidget)
    name = forms.CharField(
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text="As it stands on the statement.",
    )
    kind = forms.ChoiceField(choices=Commitment.Kind.choices, widget=UnfoldAdminSelectWidget)
    start = forms.DateField(
        label="Starts on", widget=DateInput, help_text="A day in the customer's time zone."
    )
    instalments = forms.CharField(
        widget=UnfoldAdminTextareaWidget,
        help_text="One a line, months and amount: “12 months: 50000” is a year; four lines of "
        "“3 months: …” are quarters or a ramp.",
    )
    measured_by = forms.ChoiceField(
        label="Measured against", choices=Commitment.MeasuredBy.choices,
        widget=UnfoldAdminSelectWidget,
        help_text="At its end the shortfall is billed, or unused credit lapses.",
    )  # fmt: skip
    counts = forms.ChoiceField(choices=Commitment.Counts.choices, widget=UnfoldAdminSelectWidget)
    discount_percent = forms.DecimalField(
        label="Committed discount, %", initial=0, max_digits=12, decimal_places=6,
        widget=NumberInput,
    )  # fmt: skip
    beyond_percent = forms.DecimalField(
        label="Discount beyond, %", required=False, max_digits=12, decimal_places=6,
        widget=NumberInput, help_text="Empty: the committed discount. 0: list prices.",
    )  # fmt: skip
    meters = forms.CharField(
        required=False, widget=UnfoldAdminTextInputWidget,
        help_text="Keys of the meters whose usage counts, with commas. Empty: all.",
    )  # fmt: skip
    rollover_percent = forms.DecimalField(
        label="Rollover, %", initial=0, max_digits=12, decimal_places=6, widget=NumberInput,
        help_text="Of a prepaid amount, at most so much is carried on when it lapses.",
    )  # fmt: skip
    rollover_months = forms.IntegerField(
        required=False, min_value=1, max_value=120, widget=NumberInput,
        help_text="For how long. Empty: for ever.",
    )  # fmt: skip

    def clean_instalments(self) -> list[Instalment]:
        """Read the lines of the schedule."""
        found = []
        for line in self.cleaned_data["instalments"].splitlines():
            if not line.strip():
                continue
            read = _INSTALMENT.match(line.strip())
            if read is None:
                message = f"“{line.strip()}” is no instalment: write “12 months: 50000”."
                raise forms.ValidationError(message, code="no_instalment")
            found.append(Instalment(int(read[1]), Decimal(read[2].replace(",", ""))))
        return found

    def clean_meters(self) -> list[str]:
        """Read the keys of the meters."""
        return [key for key in re.split(r"[\s,]+", self.cleaned_data["meters"]) if key]

    @property
    def terms(self) -> CommitmentTerms:
        """Return what the form says, once it is valid."""
        said = self.cleaned_data
        return CommitmentTerms(**{name: said[name] for name in CommitmentTerms._fields})


class EndForm(forms.Form):
    """When a commitment ends early, and why."""

    ends_on = forms.DateField(label="First day without it", widget=DateInput)
    shortfall_due = forms.BooleanField(
        label="Bill what was still promised", required=False, widget=UnfoldBooleanSwitchWidget
    )
    reason = forms.CharField(widget=UnfoldAdminTextInputWidget)


@admin.register(Commitment)
class CommitmentAdmin(HouseAdmin):
    """Commitments by customer; a page shows how each stands."""

    list_display = ("name", "customer_name", "kind", "amount_words", "term", "state")
    list_filter = ("kind",)
    list_select_related = ("customer",)
    search_fields = ("customer__name", "customer__key", "key", "name")
    ordering = ("-start_date", "pk")
    actions_detail = ("approve", "end")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Commitment]:
        """Load customers and instalments of a page at once."""
        rows: QuerySet[Commitment] = super().get_queryset(request)
        return rows.select_related("customer").prefetch_related("instalments")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Let the customer's page link to its commitments."""
        return lookup == "customer__id__exact" or super().lookup_allowed(lookup, value, request)

    def has_approve_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the person may approve and end commitments."""
        return request.user.has_perm("plans.approve_commitment")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let drafts be deleted alone."""
        may = bool(super().has_delete_permission(request, obj))
        return may and (obj is None or obj.approved_at is None)

    def delete_model(self, request: HttpRequest, obj: Commitment) -> None:
        """Delete a draft by its operation."""
        delete_commitment(commitment=obj)

    @display(description="Customer", ordering="customer__name")
    def customer_name(self, row: Commitment) -> str:
        """Return the customer's name."""
        return row.customer.name

    @display(description="Committed")
    def amount_words(self, row: Commitment) -> str:
        """Return the amount of the whole term."""
        return str(Money(commitment_value(row).amount, row.currency))

    @display(description="Term", ordering="start_date")
    def term(self, row: Commitment) -> str:
        """Return the first day and the day after the last."""
        return f"{day(row.start_date)} to before {day(row.until_date)}"

    @display(description="State")
    def state(self, row: Commitment) -> str:
        """Say whether it is a draft, in force, or ended early."""
        if row.approved_at is None:
            return "Draft"
        return "Ended early" if row.ended_on else "Approved"

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:  # fmt: skip
        """Show the form of a draft, or how an approved one stands."""
        if object_id is None:
            return self._write(request, None)
        row = get_object_or_404(self.get_queryset(request), pk=object_id)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if row.approved_at is None and self.has_change_permission(request, row):
            return self._write(request, row)
        return self._show(request, row, now=row.customer.clock_at or timezone.now())

    def _write(self, request: HttpRequest, row: Commitment | None) -> HttpResponse:
        if row is None and not self.has_add_permission(request):
            raise PermissionDenied
        form = CommitmentForm(sent(request), initial=_initial(row))
        if row is not None:
            form.fields["customer"].disabled = form.fields["key"].disabled = True
        if form.is_valid():
            try:
                saved = _save(form, row, by=request.user)
            except OperationError as refusal:
                add_refusal(form, refusal)
            else:
                messages.success(request, f"{saved.name} is a draft. Someone else approves it.")
                return HttpResponseRedirect(_page_of(saved))
        return self._page(request, row, {"form": form})

    def _show(self, request: HttpRequest, row: Commitment, *, now: datetime) -> HttpResponse:
        paces = pace_of(row, now=now)
        return self._page(
            request, row, {"paces": [(each, bar_of(each)) for each in paces],
                           "counted": counted_on(row)}
        )  # fmt: skip

    def _page(
        self, request: HttpRequest, row: Commitment | None, said: dict[str, Any]
    ) -> HttpResponse:
        form: forms.Form | None = said.get("form")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": row.name if row else "Add commitment",
            "row": row,
            "state": self.state(row) if row else "",
            "terms": _terms_words(row) if row else [],
            "instalments": _instalments(row) if row else [],
            "may_approve": row is not None and self.has_approve_permission(request),
            "media": self.media + form.media if form else self.media,
            **said,
        }
        return TemplateResponse(request, "admin/billing/commitment.html", context)

    @action(
        description="Approve", url_path="approve", permissions=["approve"],
        variant=ActionVariant.PRIMARY,
    )  # fmt: skip
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Approve a commitment that others wrote."""
        row = get_object_or_404(self.get_queryset(request), pk=object_id)

        def run(_: dict[str, Any]) -> str:
            by: Any = request.user
            approve_commitment(commitment=row, by=by, now=timezone.now())
            return f"{row.name} is approved: it is in force from {day(row.start_date)} on."

        page = ActionPage(
            title=f"Approve {row.name} of {row.customer.name}",
            button="Approve",
            form=forms.Form(sent(request)),
            effects=[*_terms_words(row), "It is frozen then: it can be ended, and not be changed."],
            run=run,
            back=_page_of(row),
        )
        return answer(self, request, page)

    @action(description="End early", url_path="end", permissions=["approve"])
    def end(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End a commitment early, with the money shown first."""
        row = get_object_or_404(self.get_queryset(request), pk=object_id)
        now = row.customer.clock_at or timezone.now()

        def run(cleaned: dict[str, Any]) -> str:
            by: Any = request.user
            end_commitment(commitment=row, by=by, now=now, **cleaned)
            return f"{row.name} ends before {day(cleaned['ends_on'])}."

        page = ActionPage(
            title=f"End {row.name} of {row.customer.name} early",
            button="End it",
            form=EndForm(sent(request)),
            effects=_end_effects(row, now=now),
            run=run,
            back=_page_of(row),
            danger=True,
        )
        return answer(self, request, page)


def _page_of(row: Commitment) -> str:
    return reverse("admin:plans_commitment_change", args=[row.pk])


def _save(form: CommitmentForm, row: Commitment | None, *, by: Any) -> Commitment:
    if row is not None:
        return change_commitment(commitment=row, terms=form.terms, by=by)
    said = form.cleaned_data
    return draft_commitment(customer=said["customer"], key=said["key"], terms=form.terms, by=by)


def _initial(row: Commitment | None) -> dict[str, Any]:
    if row is None:
        return {}
    value = commitment_value(row)
    lines = [f"{each.months} months: {each.amount:f}" for each in value.instalments]
    return {
        **{name: getattr(row, name) for name in CommitmentTerms._fields if hasattr(row, name)},
        "customer": row.customer_id,
        "key": row.key,
        "start": row.start_date,
        "discount_percent": value.discount_percent,
        "beyond_percent": value.beyond_percent,
        "rollover_percent": value.rollover_percent,
        "instalments": "\n".join(lines),
        "meters": ", ".join(row.meters),
    }


def _terms_words(row: Commitment) -> list[str]:
    value = commitment_value(row)
    beyond = value.beyond_percent
    within = f"{value.discount_percent:f}% off while within the commitment"
    after = "the same beyond" if beyond is None else f"{beyond:f}% off beyond"
    of = f"of {', '.join(value.meters)}" if value.meters else "of all meters"
    measured = "the whole term" if row.measured_by == "term" else "each instalment alone"
    term = f"from {day(row.start_date)} to before {day(value.term_end)}"
    words = [
        f"{row.customer.name} commits to {Money(value.amount, row.currency)} {term}.",
        f"{row.get_kind_display()}.",
        f"{within}, {after}.",
        f"{row.get_counts_display()} counts, {of}, measured against {measured}.",
    ]
    if value.rollover_percent:
        months = f"for {row.rollover_months} months" if row.rollover_months else "for ever"
        words.append(f"At most {value.rollover_percent:f}% is carried on, {months}.")
    if row.ended_on:
        due = "what was still promised is billed" if row.shortfall_due else "nothing more is billed"
        words.append(f"Ended before {day(row.ended_on)}: {row.end_reason}; {due}.")
    return words


def _instalments(row: Commitment) -> list[tuple[int, Money]]:
    value = commitment_value(row)
    return [(each.months, Money(each.amount, row.currency)) for each in value.instalments]


def _end_effects(row: Commitment, *, now: datetime) -> list[str]:
    effects = [
        f"{Money(commitment_value(row).amount, row.currency)} were promised in all.",
        "Periods that begin from that day on have list prices.",
    ]
    for each in pace_of(row, now=now):
        if not each.is_over:
            effects.append(f"{each.used} of {each.amount} are used of {each.span}.")
            if row.kind == Commitment.Kind.POSTPAID:
                effects.append(
                    f"Of {each.span}, {each.remaining} would be due if it ended now, with what is "
                    "promised for later instalments."
                )
    return effects
