"""What the actions on a plan version ask."""

from decimal import Decimal
from typing import Any

from django import forms
from django.core.validators import RegexValidator
from django.http import QueryDict
from unfold.widgets import (
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from plans.admin.action_forms import DateInput, DateTimeInput
from plans.admin.base import NumberInput
from plans.models import Customer
from plans.models.fields import validate_currency
from plans.operations.currencies import PLACES_MAX
from plans.operations.pins import Move, When

_KEYS_MAX = 20_000


def _comment(*, label: str, help_text: str, required: bool) -> forms.CharField:
    return forms.CharField(
        label=label,
        required=required,
        max_length=4000,
        help_text=help_text,
        widget=UnfoldAdminTextareaWidget({"rows": 4}),
    )


class SubmitForm(forms.Form):
    """What an approver should know."""

    comment = _comment(
        label="For the approver", required=False, help_text="What changes, and why. It is kept."
    )


class WithdrawForm(forms.Form):
    """Why a version is taken back."""

    comment = _comment(label="Why", required=False, help_text="It is kept with the version.")


class ReasonForm(forms.Form):
    """Why a scheduled version is called off."""

    comment = _comment(label="Why", required=True, help_text="It is kept with the version.")


class ChangesForm(forms.Form):
    """What is to be changed."""

    comment = _comment(
        label="What is to be changed",
        required=True,
        help_text="Its authors read it on their home page.",
    )


class ApproveForm(forms.Form):
    """The terms and the dry run that were read, and what there is to say about them."""

    digest = forms.CharField(widget=forms.HiddenInput)
    tested = forms.CharField(widget=forms.HiddenInput, required=False)
    comment = _comment(label="Comment", required=False, help_text="It is kept with the version.")

    def __init__(self, sent: QueryDict | None, *, tested: str, digest: str) -> None:
        super().__init__(sent, initial={"tested": tested, "digest": digest})
        self._tested = tested

    def clean(self) -> dict[str, Any]:
        """Refuse an approval that was written beside another dry run than the latest."""
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("tested", "") != self._tested:
            raise forms.ValidationError(
                "There is another dry run since this page was opened. Read it, and approve again."
            )
        return cleaned


class PublishForm(forms.Form):
    """From when a version is in force, and when those who are subscribed move to it."""

    effective_from = forms.DateTimeField(
        label="In force from (UTC)",
        widget=DateTimeInput,
        required=False,
        help_text="Date and time in UTC; empty: now. Usage from then on is priced by this version.",
    )
    existing = forms.ChoiceField(
        label="Customers who are subscribed already move",
        choices=When.choices,
        initial=When.AT_ONCE.value,
        required=False,
        widget=UnfoldAdminRadioSelectWidget,
    )
    day = forms.DateField(
        label="On the day",
        widget=DateInput,
        required=False,
        help_text="Only for a move on a date. It begins in each customer's own time zone.",
    )

    def clean(self) -> dict[str, Any]:
        """Ask for the day of a move on a date."""
        return _with_day(self, super().clean() or {}, when="existing")

    @property
    def move(self) -> Move:
        """Return when existing subscribers move."""
        return _move(self.cleaned_data, when="existing")


class MoveForm(forms.Form):
    """Who moves to a version, and when."""

    when = forms.ChoiceField(
        label="They move",
        choices=[choice for choice in When.choices if choice[0] != When.NEVER],
        initial=When.NEXT_PERIOD.value,
        widget=UnfoldAdminRadioSelectWidget,
    )
    day = forms.DateField(
        label="On the day",
        widget=DateInput,
        required=False,
        help_text="Only for a move on a date. It begins in each customer's own time zone.",
    )
    customers = forms.CharField(
        label="Only these customers",
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 4}),
        help_text="Their keys, separated by spaces or lines. Empty: all.",
    )

    def clean_customers(self) -> list[int] | None:
        """Return the ids of the customers that are named, None for all."""
        keys = set(str(self.cleaned_data["customers"]).replace(",", " ").split())
        if not keys:
            return None
        if len(keys) > _KEYS_MAX:
            raise forms.ValidationError(f"Name at most {_KEYS_MAX} customers at once.")
        found = dict(Customer.objects.filter(key__in=keys).values_list("key", "pk"))
        unknown = sorted(keys - found.keys())
        if unknown:
            named = ", ".join(unknown[:5]) + (" and others" if len(unknown) > 5 else "")
            raise forms.ValidationError(f"There is no customer with the key {named}.")
        return list(found.values())

    def clean(self) -> dict[str, Any]:
        """Ask for the day of a move on a date."""
        return _with_day(self, super().clean() or {}, when="when")

    @property
    def move(self) -> Move:
        """Return when they move."""
        return _move(self.cleaned_data, when="when")


def _with_day(form: forms.Form, cleaned: dict[str, Any], *, when: str) -> dict[str, Any]:
    if cleaned.get(when) == When.ON_DATE and not cleaned.get("day") and "day" not in form.errors:
        form.add_error("day", "Choose the day on which they move.")
    return cleaned


def _move(cleaned: dict[str, Any], *, when: str) -> Move:
    chosen = When(cleaned[when] or When.AT_ONCE)
    return Move(chosen, cleaned["day"] if chosen == When.ON_DATE else None)


class RetireForm(forms.Form):
    """When a version ends."""

    at = forms.DateTimeField(
        label="Ends (UTC)",
        widget=DateTimeInput,
        help_text="Date and time in UTC. Usage from then on is not priced by this version.",
    )


class _CurrencyField(forms.CharField):
    """A currency, in capitals however it was typed."""

    def to_python(self, value: Any) -> str:
        return (super().to_python(value) or "").upper()


class CurrencyForm(forms.Form):
    """Another currency, and how amounts become amounts in it."""

    currency = _CurrencyField(
        max_length=3,
        min_length=3,
        validators=[validate_currency],
        widget=UnfoldAdminTextInputWidget,
        help_text="By ISO 4217: USD, EUR, JPY.",
    )
    factor = forms.CharField(
        widget=NumberInput,
        validators=[RegexValidator(r"^\d{1,9}(\.\d{1,12})?$", "Write a number such as 0.92.")],
        help_text="One unit of this version's currency is so many of the other.",
    )
    places = forms.IntegerField(
        label="Decimals",
        min_value=0,
        max_value=PLACES_MAX,
        initial=4,
        widget=NumberInput,
        help_text="Amounts are rounded to so many, half away from zero.",
    )
    agreed = forms.CharField(widget=forms.HiddenInput, required=False)

    def clean_factor(self) -> Decimal:
        """Return the factor as a number above zero."""
        factor = Decimal(self.cleaned_data["factor"])
        if not factor:
            raise forms.ValidationError("The factor is a number above zero.")
        return factor

    @property
    def said(self) -> str:
        """Return what was said, so that other amounts than those shown are shown again."""
        stated = self.cleaned_data
        return f"{stated['currency']} {stated['factor']:f} {stated['places']}"
