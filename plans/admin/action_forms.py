"""What the actions ask. Times carry their zone in the label; dates are the customer's own."""

from django import forms
from unfold.widgets import (
    DATETIME_CLASSES,
    UnfoldAdminEmailInputWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextInputWidget,
)


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


class PublishForm(forms.Form):
    """From when a version is in force."""

    effective_from = forms.DateTimeField(
        label="In force from (UTC)",
        widget=DateTimeInput,
        help_text="Date and time in UTC. Usage from then on is priced by this version.",
    )


class RetireForm(forms.Form):
    """When a version ends."""

    at = forms.DateTimeField(
        label="Ends (UTC)",
        widget=DateTimeInput,
        help_text="Date and time in UTC. Usage from then on is not priced by this version.",
    )


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
