"""What the portal asks about a budget."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from django import forms

from plans.operations.budgets import BudgetTerms

_THOUSANDS: Final = re.compile(r"\d{1,3}([, ]\d{3})+(\.\d*)?")


class BudgetForm(forms.Form):
    """How much, at which shares to alert whom, and what happens at the limit."""

    amount = forms.CharField(max_length=40, widget=forms.TextInput({"inputmode": "decimal"}))
    alerts = forms.CharField(
        required=False,
        max_length=100,
        label="Alert at",
        help_text="Percent of the budget, separated by commas. Empty: no alerts.",
    )
    email = forms.EmailField(
        required=False, label="Send alerts to", help_text="Empty: the address of your account."
    )
    stops = forms.BooleanField(
        required=False, label="Admit no further job when the budget is used up"
    )
    throttle_percent = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=100,
        label="Slow down from",
        help_text="Percent of the budget from which fewer jobs run at once. Empty: never.",
    )
    throttle_to = forms.IntegerField(
        required=False, min_value=1, initial=1, label="Jobs at once then"
    )
    reason = forms.CharField(
        required=False, max_length=500, label="Why", help_text="Kept in the history. Optional."
    )

    def __init__(self, data: Any = None, *, terms: BudgetTerms | None, currency: str) -> None:
        super().__init__(data, initial=_initial(terms))
        self.fields["amount"].label = f"Budget for each period, in {currency}"

    def clean_amount(self) -> Decimal:
        """Read an amount as people type it: 1000, 1,000.50 or 1 000.50."""
        text = self.cleaned_data["amount"].strip()
        if _THOUSANDS.fullmatch(text):
            text = text.replace(",", "").replace(" ", "")
        try:
            return Decimal(text)
        except InvalidOperation as error:
            raise forms.ValidationError("Write a number, such as 1000 or 1,000.50.") from error

    def clean_alerts(self) -> tuple[int, ...]:
        """Read whole percentages."""
        words = self.cleaned_data["alerts"].replace("%", " ").replace(",", " ").split()
        if not all(word.isascii() and word.isdigit() and len(word) < 5 for word in words):
            raise forms.ValidationError("Write whole percentages, such as 50, 75, 90, 100.")
        return tuple(sorted({int(word) for word in words}))

    @property
    def terms(self) -> BudgetTerms:
        """Return what was typed."""
        said = self.cleaned_data
        return BudgetTerms(
            amount=said["amount"],
            alert_percents=said["alerts"],
            stops=said["stops"],
            throttle_percent=said["throttle_percent"],
            throttle_to=said["throttle_to"] or 1,
            email=said["email"],
        )


def _initial(terms: BudgetTerms | None) -> dict[str, Any]:
    if terms is None:
        return {"alerts": "50, 75, 90, 100", "stops": True, "throttle_to": 1}
    return {
        "amount": f"{terms.amount.normalize():f}",
        "alerts": ", ".join(map(str, terms.alert_percents)),
        "email": terms.email,
        "stops": terms.stops,
        "throttle_percent": terms.throttle_percent,
        "throttle_to": terms.throttle_to,
    }
