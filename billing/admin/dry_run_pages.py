"""What the pages of dry runs ask, and the histogram as plain numbers that a template draws."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminExpandableTextareaWidget,
    UnfoldAdminSelectWidget,
)

from billing.dry_runs.months import Months, ended_months
from billing.queries.dry_runs import Bar
from plans.models import Plan, PlanVersion

MONTHS_OFFERED = 36
SLOT, BAR_WIDTH, HIGHEST, TOP, BOTTOM = 80, 52, 140, 24, 28


class StartForm(forms.Form):
    """Which months, whose subscribers, which of them."""

    first_month = forms.ChoiceField(label="First month", widget=UnfoldAdminSelectWidget)
    last_month = forms.ChoiceField(
        label="Last month",
        widget=UnfoldAdminSelectWidget,
        help_text="Calendar months in each customer's own time zone. A month that is counted from "
        "another day belongs to the one in which it ends.",
    )
    plan = forms.ModelChoiceField(
        label="Subscribers of",
        queryset=Plan.objects.order_by("name"),
        widget=UnfoldAdminSelectWidget,
        empty_label=None,
    )
    customer_keys = forms.CharField(
        label="Only these customers",
        required=False,
        widget=UnfoldAdminExpandableTextareaWidget,
        help_text="Their keys, separated by spaces, commas or lines. Empty: all subscribers.",
    )

    def __init__(self, data: Any, *, version: PlanVersion, now: datetime) -> None:
        months = ended_months(now=now, most=MONTHS_OFFERED)
        initial = {
            "first_month": months[0].isoformat(),
            "last_month": months[0].isoformat(),
            "plan": version.plan_id,
        }
        super().__init__(data, initial=initial)
        for name in ("first_month", "last_month"):
            field: Any = self.fields[name]
            field.choices = [(month.isoformat(), f"{month:%B %Y}") for month in months]
        self.fields["plan"].help_text = (
            f"Their usage is rated by this version. Only customers billed in {version.currency}; "
            "the others are counted."
        )

    @property
    def months(self) -> Months:
        """Return the chosen months."""
        first, last = self.cleaned_data["first_month"], self.cleaned_data["last_month"]
        return Months(date.fromisoformat(first), date.fromisoformat(last))

    def clean_customer_keys(self) -> list[str]:
        """Return the keys one by one."""
        return [key for key in re.split(r"[\s,;]+", self.cleaned_data["customer_keys"]) if key]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnBar:
    """A bar: where it stands, and what it says."""

    x: int
    y: int
    height: int
    middle: int
    label: str
    kind: str
    count: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Bars in a box of ``width`` by ``height``, with their base and the labels' line."""

    width: int
    height: int
    base: int
    label_y: int
    bar_width: int
    bars: tuple[DrawnBar, ...]
    words: str


def chart_of(bars: Sequence[Bar]) -> Chart | None:
    """Return the histogram, scaled to the highest bar; None where there is nothing to show."""
    highest = max((bar.customers for bar in bars), default=0)
    if not highest:
        return None
    base = TOP + HIGHEST
    return Chart(
        width=len(bars) * SLOT,
        height=base + BOTTOM,
        base=base,
        label_y=base + 18,
        bar_width=BAR_WIDTH,
        bars=tuple(_drawn(index, bar, highest=highest) for index, bar in enumerate(bars)),
        words="Customers by the change of what they pay: "
        + "; ".join(_words(bar) for bar in bars if bar.customers)
        + ".",
    )


def _drawn(index: int, bar: Bar, *, highest: int) -> DrawnBar:
    height = -(-bar.customers * HIGHEST // highest)
    x = index * SLOT + (SLOT - BAR_WIDTH) // 2
    return DrawnBar(
        x=x,
        y=TOP + HIGHEST - height,
        height=height,
        middle=index * SLOT + SLOT // 2,
        label=bar.label,
        kind=bar.kind,
        count=f"{bar.customers:,}" if bar.customers else "",
        words=_words(bar),
    )


def _words(bar: Bar) -> str:
    return f"{bar.label}: {bar.customers:,} customer{'' if bar.customers == 1 else 's'}"
