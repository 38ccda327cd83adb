"""The form of an outcome contract, and the document that it states."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from plans.admin.base import NumberInput
from plans.errors import OperationError
from plans.models import Customer, OutcomeContract, Plan

_FEES: Final = (
    ("per_outcome", "An amount for each outcome"),
    ("percent", "A percentage of its value"),
    ("share", "A share of the value created, from a declared rate"),
    ("tiered_count", "An amount by tiers of the number in a period"),
    ("tiered_value", "A percentage by tiers of the value in a period"),
)
_BY: Final = (
    ("rule", "The rule above, at once"),
    ("customer", "The customer"),
    ("reviewer", "A staff reviewer"),
    ("sample", "A staff reviewer, of a sample"),
)
_SILENCE: Final = (("verified", "It is verified"), ("rejected", "It is rejected"))
_FEE_NUMBERS: Final = (
    "amount", "percent", "rate", "bonus_amount", "risk_premium_percent", "holdback_percent",
    "holdback_days", "cap", "floor",
)  # fmt: skip
_ABOVE: Final = "above"


def _text(label: str, *, help_text: str = "", required: bool = False, rows: int = 0) -> Any:
    widget = UnfoldAdminTextareaWidget({"rows": rows}) if rows else UnfoldAdminTextInputWidget()
    return forms.CharField(
        label=label, required=required, max_length=4000, help_text=help_text, widget=widget
    )


def _number(label: str, *, help_text: str = "") -> Any:
    return forms.CharField(
        label=label, required=False, max_length=40, widget=NumberInput, help_text=help_text
    )


def _choice(label: str, choices: Any) -> Any:
    return forms.ChoiceField(label=label, choices=choices, widget=UnfoldAdminSelectWidget)


# What is only missing while somebody types: it is said once, and marked when it is saved.
_UNFINISHED: Final = frozenset(
    {
        "required", "missing_field", "missing_unit", "missing_window", "half_a_bonus",
        "half_a_holdback", "invalid_sample",
    }
)  # fmt: skip


class _Form(forms.Form):
    """A form whose problems stand at its fields, also while it is typed.

    ``sections`` names the field with which each part of the page begins.
    """

    sections: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name, field in self.fields.items():
            field.widget.attrs["aria-describedby"] = f"id_{name}-problem"

    def problems_of(self, name: str, *, typing: bool) -> tuple[list[str], bool]:
        """Return what is wrong with a field, and whether it is not complete yet.

        While it is being typed what is missing is not said.
        """
        if not self.is_bound:
            return [], False
        found = self.errors.as_data().get(name, [])
        loud = [each for each in found if not typing or each.code not in _UNFINISHED]
        messages = [message for each in loud for message in each.messages]
        return messages, len(loud) < len(found)


class NewContractForm(_Form):
    """For whom a new contract is, and what it is called."""

    sections: ClassVar[Mapping[str, str]] = {"key": "The contract"}

    key = _text("Key", required=True, help_text="What services name it by. It stays.")
    name = _text("Name", required=True, help_text="Stands on the statement's line.")
    currency = forms.CharField(
        max_length=3, initial="USD", widget=UnfoldAdminTextInputWidget,
        help_text="Of a customer's contract: the customer's, whatever stands here.",
    )  # fmt: skip
    plan = forms.ModelChoiceField(
        queryset=Plan.objects.order_by("name"), required=False, widget=UnfoldAdminSelectWidget,
        help_text="For everyone on this plan.",
    )  # fmt: skip
    customer = forms.ModelChoiceField(
        queryset=Customer.objects.order_by("name"), required=False,
        widget=UnfoldAdminSelectWidget, help_text="Or for this customer alone.",
    )  # fmt: skip


class ContractForm(_Form):
    """What a version of a contract says, in the order in which people think."""

    sections: ClassVar[Mapping[str, str]] = {
        "unit": "What counts",
        "by": "Who verifies, and disputes",
        "kind": "The fee",
        "bonus_amount": "Bonus, premium and holdback",
        "cap": "Most and least of a period, fee and bonus together",
        "note": "About this version",
    }

    unit = _text("What is counted, in the plural", required=True, help_text="resolutions, leads")
    evidence = _text(
        "Evidence", rows=4,
        help_text="One field a line: accuracy: number. Kinds: number, text, yes_no, date. Add "
        "“, optional” where a claim may leave it out.",
    )  # fmt: skip
    success = _text(
        "What counts as a success", rows=2,
        help_text="accuracy > 0.99 and (reopened is no or hours >= 72). Empty: every claim.",
    )  # fmt: skip
    by = _choice("Who verifies", _BY)
    window_hours = _number("Hours to verify")
    silence = _choice("What silence means after that", _SILENCE)
    sample_percent = _number("Percentage of the sample")
    apply_rate = forms.BooleanField(
        label="The sample's rate is applied to the rest", required=False, initial=True,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Else the rest is verified at once.",
    )  # fmt: skip
    dispute_days = _number("Days to dispute a verified outcome", help_text="Empty: none.")
    kind = _choice("Fee", _FEES)
    amount = _number("Amount for each outcome")
    percent = _number("Percentage")
    rate = _number("Declared rate", help_text="Of a share: what one unit is worth, an hour say.")
    quantity_field = _text("Evidence field that is multiplied by the rate")
    tiers = _text(
        "Tiers: up to; amount or percentage; flat fee", rows=3,
        help_text=f"One tier a line. The last goes up to “{_ABOVE}”.",
    )  # fmt: skip
    volume = forms.BooleanField(
        label="All at the rate of the last tier reached", required=False,
        widget=UnfoldBooleanSwitchWidget,
    )  # fmt: skip
    bonus_amount = _number("Bonus for each outcome")
    bonus_when = _text("The bonus is due where")
    risk_premium_percent = _number("Risk premium, percent")
    holdback_percent = _number("Held back, percent")
    holdback_days = _number("Days until it is released")
    cap = _number("Most that a period can cost")
    floor = _number("Least that a period costs")
    note = _text("Why this version exists")
    examples = _text(
        "Examples", rows=3,
        help_text='One outcome a line: accuracy=0.995 value=120 status="done". Kept nowhere.',
    )  # fmt: skip

    @property
    def content(self) -> dict[str, Any]:
        """Return the document that was typed."""
        said = self.cleaned_data
        verification: dict[str, Any] = {"by": said["by"], "silence": said["silence"]}
        if said["window_hours"]:
            verification["window_hours"] = _whole(said["window_hours"])
        if said["by"] == "sample":
            verification["sample_percent"] = said["sample_percent"]
            verification["apply_rate"] = said["apply_rate"]
        return {
            "unit": said["unit"],
            "evidence": [_evidence(line) for line in _lines(said["evidence"])],
            "success": said["success"],
            "verification": verification,
            "dispute_days": _whole(said["dispute_days"] or "0"),
            "fee": self._fee(said),
        }

    def _fee(self, said: Mapping[str, Any]) -> dict[str, Any]:
        fee: dict[str, Any] = {"kind": said["kind"]}
        for name in (*_FEE_NUMBERS, "quantity_field", "bonus_when"):
            if said[name]:
                fee[name] = _whole(said[name]) if name == "holdback_days" else said[name]
        if said["tiers"]:
            value = "percent" if said["kind"] == "tiered_value" else "unit"
            fee["tiers"] = [_tier(line, value) for line in _lines(said["tiers"])]
        if said["volume"]:
            fee["volume"] = True
        return fee

    def parsed_examples(self) -> list[tuple[str, dict[str, Any], Any]]:
        """Return each example as it was typed, its evidence and its value."""
        found = []
        for line in _lines(self.cleaned_data.get("examples", "")):
            values = dict(_pairs(line))
            value = values.pop("value", None)
            found.append((line, values, value))
        return found

    def refuse(self, refusal: OperationError) -> None:
        """Show each problem at its field, or above the form where there is none."""
        for problem in refusal.problems:
            name, place = _field(problem.field)
            field = name if name in self.fields else None
            where = "" if field else f"{problem.field}: " if problem.field else ""
            said = ValidationError(f"{where}{place}{problem.message}", code=problem.code)
            self.add_error(field, said)


def initial_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document as the form's fields."""
    fee, verification = content.get("fee", {}), content.get("verification", {})
    found = {**fee, **verification}
    found |= {name: content.get(name, "") for name in ("unit", "success")}
    found["dispute_days"] = content.get("dispute_days") or ""
    found["evidence"] = "\n".join(
        f"{each['name']}: {each['kind']}{'' if each.get('required', True) else ', optional'}"
        for each in content.get("evidence", ())
    )
    found["tiers"] = "\n".join(_tier_text(tier) for tier in fee.get("tiers", ()))
    return found


def naming_fields(contract: OutcomeContract | None) -> str:
    """Say for whom a contract is."""
    if contract is None:
        return ""
    if contract.plan is not None:
        return f"For everyone on {contract.plan.name}, in {contract.currency}."
    assert contract.customer is not None
    return f"For {contract.customer.name} alone, in {contract.currency}."


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _whole(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text


def _evidence(line: str) -> dict[str, Any]:
    name, _, rest = line.partition(":")
    kind, _, more = rest.partition(",")
    found: dict[str, Any] = {"name": name.strip(), "kind": kind.strip()}
    if more.strip().casefold() == "optional":
        found["required"] = False
    return found


def _tier(line: str, value: str) -> dict[str, Any]:
    bound, amount, flat = [*(part.strip() for part in line.split(";")), "", ""][:3]
    tier: dict[str, Any] = {
        "up_to": None if bound.casefold() in {_ABOVE, ""} else bound,
        value: amount,
    }
    return tier | ({"flat": flat} if flat else {})


def _tier_text(tier: Mapping[str, Any]) -> str:
    bound = _ABOVE if tier.get("up_to") is None else tier["up_to"]
    parts = [bound, tier.get("percent", tier.get("unit", "")), tier.get("flat", "")]
    return "; ".join(str(part) for part in parts if part != "")


_PAIR: Final = re.compile(r'(\w+)=("[^"]*"|\S+)')


def _pairs(line: str) -> Iterator[tuple[str, Any]]:
    for name, text in _PAIR.findall(line):
        if text in ("yes", "no"):
            yield name, text == "yes"
        else:
            yield name, text.strip('"')


def _field(path: str) -> tuple[str, str]:
    """Return the form's field of a place in the document, and the line in it."""
    found = re.fullmatch(r"(?:fee\.|verification\.)?(\w+)(?:\[(\d+)\])?.*", path)
    if found is None:
        return path, ""
    return found[1], f"Line {int(found[2]) + 1}: " if found[2] else ""
