"""The form of an agreed price: the numbers of the list price, to be typed over."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from django import forms
from unfold.widgets import UnfoldAdminExpandableTextareaWidget, UnfoldAdminTextareaWidget

from plans.admin.action_forms import DateInput
from plans.admin.base import NumberInput
from plans.catalogue.rows import REFUSE
from plans.catalogue.schema import MODELS
from plans.errors import OperationError
from plans.models import Customer
from plans.rating import local_midnight

# The numbers that can be agreed on, in the order of the form; a model has some of them.
NUMBERS: Final = {
    "amount": "Amount",
    "unit_size": "Units that one price buys",
    "package_size": "Units in a package",
    "free_quantity": "Units before the first package",
    "percent": "Percentage",
    "fixed_amount": "Fee for each transaction",
    "free_transactions": "Free transactions",
    "free_amount": "Free amount",
    "minimum_per_transaction": "Least for each transaction",
    "maximum_per_transaction": "Most for each transaction",
    "allowance": "Included quantity",
    "discount_percent": "Discount, percent",
    "minimum": "Least that a period costs",
    "maximum": "Most that a period can cost",
}
_AMOUNTS: Final = {
    "flat": "Fee", "per_unit": "Price", "package": "Price of a package", "seats": "Price of a seat",
}  # fmt: skip
_ABOVE: Final = "above"
_RATE: Final = re.compile(r"rates\[(\d+)\]")


class AgreedPriceForm(forms.Form):
    """One price in the document form of the list price, from when, until when, and why."""

    start_date = forms.DateField(label="Agreed from", widget=DateInput)
    end_date = forms.DateField(
        label="First day without it", widget=DateInput, required=False, help_text="Empty: no end."
    )
    reason = forms.CharField(
        label="Why",
        max_length=1000,
        widget=UnfoldAdminExpandableTextareaWidget,
        help_text="Kept with the agreed price.",
    )

    def __init__(
        self, *args: Any, listed: Mapping[str, Any], customer: Customer, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.listed = listed
        self.zone = customer.time_zone
        self.fields |= dict(self._prices(customer.currency))
        dates = ("start_date", "end_date", "reason")
        self.order_fields([*(name for name in self.fields if name not in dates), *dates])
        self.fields["start_date"].help_text = (
            f"At midnight in {self.zone}. It holds for each billing period that begins from then "
            "on; the running one keeps its price."
        )

    def _prices(self, currency: str) -> Iterator[tuple[str, forms.Field]]:
        model = str(self.listed["model"])
        for name, label in NUMBERS.items():
            if name in MODELS[model]["properties"]:
                shown = _AMOUNTS.get(model, label) if name == "amount" else label
                is_money = name in {"amount", "minimum", "maximum"}
                yield name, _number(f"{shown}, {currency}" if is_money else shown, self._said(name))
        if "tiers" in self.listed:
            column = "percent" if "percent" in self.listed["tiers"][0] else "price"
            yield (
                "tiers",
                forms.CharField(
                    label=f"Tiers: up to; {column}; flat fee",
                    required=False,
                    initial="\n".join(_tier_text(tier) for tier in self.listed["tiers"]),
                    widget=UnfoldAdminTextareaWidget({"rows": len(self.listed["tiers"]) + 2}),
                    help_text=f"One tier a line. The last goes up to “{_ABOVE}”. A fee of 0 may be "
                    "left out.",
                ),
            )
        for index, rate in enumerate(self.listed.get("rates", ())):
            label = rate.get("label") or " / ".join(map(str, rate["match"].values()))
            yield f"rate_{index}", _number(f"Rate of {label}", rate["unit"])
        if "rates" in self.listed:
            default = self.listed["default"]
            field = _number("Rate of all others", "" if default == REFUSE else default)
            field.help_text = "Empty: such usage stops the statement until a rate is agreed."
            yield "default", field

    def _said(self, name: str) -> str:
        return str(self.listed.get(name, ""))

    def is_enough(self) -> bool:
        """Say whether all is there that a comparison needs: everything but the reason."""
        return not self.errors.keys() - {"reason"}

    @property
    def content(self) -> dict[str, Any]:
        """Return the price that was typed, as a document states it."""
        content = dict(self.listed)
        for name in NUMBERS.keys() & self.fields.keys():
            content.pop(name, None)
            if text := self.cleaned_data[name]:
                is_count = name == "free_transactions" and text.isdecimal()
                content[name] = int(text) if is_count else text
        if "tiers" in self.fields:
            lines = self.cleaned_data["tiers"].splitlines()
            value = "percent" if "percent" in self.listed["tiers"][0] else "unit"
            content["tiers"] = [_tier(line, value) for line in lines if line.strip()]
        if "default" in self.fields:
            content["rates"] = [
                {**rate, "unit": self.cleaned_data[f"rate_{index}"]}
                for index, rate in enumerate(self.listed["rates"])
            ]
            content["default"] = self.cleaned_data["default"] or REFUSE
        return content

    @property
    def starts_at(self) -> datetime:
        """Return the start of the first day in the customer's zone."""
        return local_midnight(self.cleaned_data["start_date"], zone=self.zone)

    @property
    def ends_at(self) -> datetime | None:
        """Return the start of the first day without the price; None where it has no end."""
        day = self.cleaned_data["end_date"]
        return None if day is None else local_midnight(day, zone=self.zone)

    def refuse(self, refusal: OperationError) -> None:
        """Show each problem at its field, or above the form where there is none."""
        for problem in refusal.problems:
            name = self._field(problem.field)
            where = _tier_place(problem.field)
            self.add_error(name, f"{where}{problem.message}")

    def _field(self, path: str) -> str | None:
        rate = _RATE.match(path)
        names = {"starts_at": "start_date", "ends_at": "end_date"}
        name = f"rate_{rate[1]}" if rate else names.get(path, re.split(r"[.\[]", path)[0])
        return name if name in self.fields else None


def _number(label: str, initial: Any) -> forms.CharField:
    return forms.CharField(
        label=label, required=False, initial=initial, max_length=40, widget=NumberInput
    )


def _tier_text(tier: Mapping[str, Any]) -> str:
    bound = _ABOVE if tier["up_to"] is None else tier["up_to"]
    parts = [bound, tier.get("percent", tier.get("unit", "0")), tier.get("flat", "")]
    return "; ".join(str(part) for part in parts if part != "")


def _tier(line: str, value: str) -> dict[str, Any]:
    """Read "up to; price; flat fee"; what is not a number is refused with the rest of the price."""
    bound, amount, flat, *more = [*(part.strip() for part in line.split(";")), "", "", ""][:4]
    tier: dict[str, Any] = {
        "up_to": None if bound.casefold() in {_ABOVE, ""} else bound,
        value: amount,
    }
    if flat:
        tier["flat"] = flat
    if any(more):
        tier["more"] = more
    return tier


def _tier_place(path: str) -> str:
    tier = re.match(r"tiers\[(\d+)\]", path)
    return f"Tier {int(tier[1]) + 1}: " if tier else ""
