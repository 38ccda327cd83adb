"""What the actions ask. Times carry their zone in the label; dates are the customer's own."""

from datetime import datetime
from typing import Any

from django import forms
from django.db.models import Exists, OuterRef
from unfold.widgets import (
    DATETIME_CLASSES,
    UnfoldAdminEmailInputWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from plans.models import Customer, Plan, PlanVersion
from plans.rating import local_midnight


class DateInput(forms.DateInput):
    """The browser's own date field, which the keyboard reaches."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__(attrs={"class": " ".join(DATETIME_CLASSES)}, format="%Y-%m-%d")


class DateTimeInput(forms.DateTimeInput):
    """The browser's own field for a date with a time."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(attrs={"class": " ".join(DATETIME_CLASSES)}, format="%Y-%m-%dT%H:%M")


class ConfirmForm(forms.Form):
    """Nothing to ask."""


class SubscribeForm(forms.Form):
    """A plan, its start, and how its periods are counted."""

    plan = forms.ModelChoiceField(
        queryset=Plan.objects.none(), widget=UnfoldAdminSelectWidget, empty_label="Choose a plan"
    )
    start_date = forms.DateField(label="Starts", widget=DateInput)
    anchor_date = forms.DateField(
        label="Months are counted from",
        widget=DateInput,
        required=False,
        help_text="Empty: a statement for each calendar month. A date: months from that date on.",
    )

    def __init__(self, *args: Any, customer: Customer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.zone = customer.time_zone
        published = PlanVersion.objects.sold().filter(
            plan=OuterRef("pk"), currency=customer.currency
        )
        plan: Any = self.fields["plan"]
        plan.queryset = Plan.objects.filter(Exists(published)).order_by("name")
        plan.help_text = f"Published plans that bill in {customer.currency}."
        self.fields["start_date"].help_text = f"At the start of that day in {self.zone}."

    @property
    def starts_at(self) -> datetime:
        """Return the start of the chosen day in the customer's billing zone."""
        return local_midnight(self.cleaned_data["start_date"], zone=self.zone)


class EndForm(forms.Form):
    """The first day without the plan."""

    end_date = forms.DateField(label="First day without the plan", widget=DateInput)

    def __init__(self, *args: Any, customer: Customer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.zone = customer.time_zone
        self.fields["end_date"].help_text = f"It ends at the start of that day in {self.zone}."

    @property
    def ends_at(self) -> datetime:
        """Return the start of the chosen day in the customer's billing zone."""
        return local_midnight(self.cleaned_data["end_date"], zone=self.zone)


class PortalUserForm(forms.Form):
    """A person of the customer's, who may enter the portal and see nothing else."""

    username = forms.CharField(label="User name", max_length=150, widget=UnfoldAdminTextInputWidget)
    email = forms.EmailField(label="E-mail", widget=UnfoldAdminEmailInputWidget)
    password = forms.CharField(
        strip=False,
        widget=UnfoldAdminPasswordWidget({"autocomplete": "new-password"}),
        help_text="At least 8 characters. Hand it over by another way than this address.",
    )
    password_again = forms.CharField(
        label="Password again",
        strip=False,
        widget=UnfoldAdminPasswordWidget({"autocomplete": "new-password"}),
    )

    def clean_password_again(self) -> str:
        """Refuse a typing error."""
        again: str = self.cleaned_data["password_again"]
        if again != self.cleaned_data.get("password"):
            raise forms.ValidationError("The two passwords differ.")
        return again
