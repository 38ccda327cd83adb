"""What the pages about subscriptions ask. Dates are days in the customer's billing time zone."""

from datetime import date, datetime
from typing import Any, Final

from django import forms
from unfold.widgets import (
    UnfoldAdminExpandableTextareaWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldBooleanWidget,
)

from billing.wording import moment
from plans.admin.action_forms import DateInput
from plans.models import Customer, Plan, Subscription
from plans.operations.subscriptions import MAX_AHEAD, MAX_BACKDATING
from plans.pricelist import plans_on_sale
from plans.queries import period_of
from plans.rating import local_midnight

NOW: Final = "now"
PERIOD_END: Final = "period_end"
DATE: Final = "date"


class MoneyForm(forms.Form):
    """What every such page asks: why. It is not needed to see what a change costs."""

    reason = forms.CharField(
        label="Why",
        max_length=1000,
        widget=UnfoldAdminExpandableTextareaWidget,
        help_text="Kept in the customer's history.",
    )

    def __init__(self, *args: Any, customer: Customer, as_of: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.customer = customer
        self.as_of = as_of
        self.order_fields([*(name for name in self.fields if name != "reason"), "reason"])

    def clean(self) -> dict[str, Any]:
        """Refuse days that no calendar of billing reaches."""
        cleaned = super().clean() or {}
        first, last = self.as_of - 2 * MAX_BACKDATING, self.as_of + MAX_AHEAD
        for name, value in list(cleaned.items()):
            if isinstance(value, date) and not first.date() <= value <= last.date():
                self.add_error(
                    name, "That is more than five years ahead, or long past. Choose another day."
                )
        return cleaned

    def is_enough(self) -> bool:
        """Say whether all is there that a preview needs: everything but the reason."""
        return not self.errors.keys() - {"reason"}

    def midnight(self, name: str) -> datetime:
        """Return the start of the day in a field, in the customer's zone."""
        return local_midnight(self.cleaned_data[name], zone=self.customer.time_zone)


class StartForm(MoneyForm):
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
    setup_waived = forms.BooleanField(
        label="Waive setup fees", required=False, widget=UnfoldBooleanWidget
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer_plans(self.fields["plan"], customer=self.customer)
        self.fields["start_date"].help_text = f"At midnight in {self.customer.time_zone}."


class WhenForm(MoneyForm):
    """Now, at the end of the running period, or on a date."""

    when = forms.ChoiceField(label="When", widget=UnfoldAdminRadioSelectWidget)
    date = forms.DateField(label="On", widget=DateInput, required=False)

    def __init__(self, *args: Any, subscription: Subscription, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zone = self.customer.time_zone
        self.period_end = period_of(subscription=subscription, at=self.as_of).end
        when: Any = self.fields["when"]
        when.choices = [
            (NOW, f"Now ({moment(self.as_of, zone=zone)})"),
            (PERIOD_END, f"At the end of this period ({moment(self.period_end, zone=zone)})"),
            (DATE, "On a date"),
        ]
        self.fields["date"].help_text = f"At midnight in {zone}."

    def clean(self) -> dict[str, Any]:
        """Ask for the date where that was chosen."""
        cleaned = super().clean()
        if cleaned.get("when") == DATE and not cleaned.get("date") and "date" not in self.errors:
            self.add_error("date", "Choose the day.")
        return cleaned

    @property
    def at(self) -> datetime:
        """Return the chosen time."""
        if self.cleaned_data["when"] == NOW:
            return self.as_of
        if self.cleaned_data["when"] == PERIOD_END:
            return self.period_end
        return self.midnight("date")


class ChangeForm(WhenForm):
    """Another plan, and from when."""

    to_plan = forms.ModelChoiceField(
        label="To the plan",
        queryset=Plan.objects.none(),
        widget=UnfoldAdminSelectWidget,
        empty_label="Choose a plan",
    )
    setup_waived = forms.BooleanField(
        label="Waive setup fees", required=False, widget=UnfoldBooleanWidget
    )
    phases_begin_anew = forms.BooleanField(
        label="Begin the new plan's phases anew, its trial too",
        required=False,
        widget=UnfoldBooleanWidget,
    )
    field_order = ("to_plan", "when", "date", "setup_waived", "phases_begin_anew", "reason")

    def __init__(self, *args: Any, subscription: Subscription, **kwargs: Any) -> None:
        super().__init__(*args, subscription=subscription, **kwargs)
        offer_plans(self.fields["to_plan"], customer=self.customer, but_not=subscription.plan_id)


class CancelForm(WhenForm):
    """When the plan ends."""


class ResumeForm(MoneyForm):
    """An end that is still to come is taken back: there is nothing to choose."""


class StartAgainForm(MoneyForm):
    """The plan starts again after its end."""

    setup_again = forms.BooleanField(
        label="Charge setup fees again", required=False, widget=UnfoldBooleanWidget
    )


def offer_plans(field: Any, *, customer: Customer, but_not: int = 0) -> None:
    """Offer the published plans that bill in the customer's currency."""
    field.queryset = plans_on_sale(currency=customer.currency).exclude(pk=but_not)
    field.help_text = f"Published plans that bill in {customer.currency}."
