"""What the editor asks of a price: one table of fields, and which charge models have each.

Which model has which field is the catalogue schema's; this adds only how people are asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from plans.catalogue.schema import COMMON, METERED, MODELS
from plans.models.grants import LimitKind
from plans.models.job_terms import JobTerms
from plans.models.prices import (
    AllowancePer,
    Attribution,
    ChargeModel,
    OveragePolicy,
    SeatsRemoved,
)

Kind = Literal["money", "quantity", "percent", "count", "flag", "choice", "dimension", "plan"]

# Fields with a place and a form of their own on the page.
_APART: Final = frozenset(
    {"key", "name", "model", "meter", "tiers", "rates", "default", "phases", "overage"}
    | {"once", "every_months", "credit", "beyond_credit"}
)


@dataclass(frozen=True, slots=True)
class Field:
    """How one field is asked: its label, which a model may have its own of, and a word of help."""

    name: str
    label: str
    kind: Kind
    help: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    choices: tuple[tuple[str, str], ...] = ()
    placeholder: str = ""
    is_wide: bool = False
    is_on: bool = False

    @property
    def models(self) -> str:
        """Return the charge models that have the field, separated by spaces."""
        return " ".join(model for model, each in MODELS.items() if self.name in each["properties"])


def _choices(choices: Any) -> tuple[tuple[str, str], ...]:
    return tuple((str(value), str(label)) for value, label in choices.choices)


MODEL_CHOICES: Final[tuple[tuple[str, str, str], ...]] = (
    (ChargeModel.FLAT, "Flat fee", "A fixed amount, whatever is used."),
    (ChargeModel.PER_UNIT, "Per unit", "Every unit costs the same."),
    (
        ChargeModel.GRADUATED,
        "Graduated tiers",
        "Each unit costs what its own tier says: the first thousand one price, the next another.",
    ),
    (
        ChargeModel.VOLUME,
        "Volume tiers",
        "All units cost what the tier says that the whole quantity reaches.",
    ),
    (ChargeModel.PACKAGE, "Packages", "Units are sold in whole packages; one begun is paid."),
    (ChargeModel.SEATS, "Seats", "A fee for each seat; one added later pays from that day on."),
    (ChargeModel.PERCENTAGE, "Percentage", "A share of a value that the meter sums up."),
    (
        ChargeModel.GRADUATED_PERCENTAGE,
        "Graduated percentage",
        "A share of a value, with a percentage for each tier.",
    ),
    (
        ChargeModel.MATRIX,
        "Matrix of rates",
        "A rate for each combination of the meter's dimensions, such as model and direction.",
    ),
    (
        ChargeModel.EVENT_AMOUNT,
        "Amount from the event",
        "Each event carries its own amount of money; the meter sums it up.",
    ),
)

_EVERY: Final[tuple[Field, ...]] = (
    Field(
        "amount", "Price", "money",
        labels={
            "flat": "Fee", "per_unit": "Price", "package": "Price of a package",
            "seats": "Price of a seat",
        },
    ),
    Field("percent", "Percentage", "percent"),
    Field("unit_size", "Price is per", "quantity", placeholder="1"),
    Field("package_size", "Units in a package", "quantity"),
    Field("free_quantity", "Free units first", "quantity", placeholder="0"),
    Field("fixed_amount", "Fee for each transaction", "money", placeholder="0"),
    Field("free_transactions", "Free transactions", "count", placeholder="0"),
    Field("free_amount", "Free value", "money", placeholder="0"),
    Field("minimum_per_transaction", "At least, each transaction", "money", placeholder="none"),
    Field("maximum_per_transaction", "At most, each transaction", "money", placeholder="none"),
    Field(
        "seats_removed", "A seat given up is paid", "choice", choices=_choices(SeatsRemoved)
    ),
    Field(
        "charge_first_tier_at_zero", "The first tier's flat fee is due without usage", "flag",
        is_wide=True,
    ),
    Field("class_dimension", "Service class is named by", "dimension"),
    Field("allowance", "Included each period", "quantity", placeholder="none"),
    Field("allowance_per", "Included for", "choice", choices=_choices(AllowancePer)),
    Field("discount_percent", "Discount", "percent", placeholder="0"),
    Field("minimum", "At least, each period", "money", placeholder="none"),
    Field("maximum", "At most, each period", "money", placeholder="none"),
    Field(
        "attribution", "Usage of a job counts", "choice", choices=_choices(Attribution),
        help="In the billing period of that moment.",
    ),
    Field(
        "prorated", "Shrinks with a part of a period", "flag",
        help="Fee, allowance, minimum and maximum of a period that begins or ends midway.",
        is_wide=True,
    ),
)  # fmt: skip
_MORE: Final = (
    *(set(COMMON) - _APART),
    "class_dimension",
    "charge_first_tier_at_zero",
    "attribution",
)
_INCLUDED: Final = ("allowance", "allowance_per")
_UNUSUAL: Final = frozenset(_MORE) | frozenset(METERED) | _APART

OWN_FIELDS: Final = tuple(each for each in _EVERY if each.name not in _UNUSUAL)
INCLUDED_FIELDS: Final = tuple(each for each in _EVERY if each.name in _INCLUDED)
MORE_FIELDS: Final = tuple(each for each in _EVERY if each.name in _MORE)

OVERAGE_FIELDS: Final[tuple[tuple[str, Field], ...]] = (
    ("upgrade", Field("plan", "Moves to the plan", "plan")),
    ("packs", Field("size", "Units in a pack", "quantity")),
    ("packs", Field("amount", "Price of a pack", "money")),
    ("packs", Field("most", "Packs a period, at most", "count", placeholder="no bound")),
    ("packs", Field("months", "Months a pack is good for", "count", placeholder="for ever")),
)
OVERAGES: Final = _choices(OveragePolicy)
BEYOND_CREDIT: Final = Field(
    "beyond_credit",
    "Each credit that is lacking costs",
    "money",
    placeholder="the bill waits",
    help="Empty: credit must be bought or granted before the statement is billed.",
)
JOB_FIELDS: Final[tuple[Field, ...]] = (
    Field(
        "bill_attempts",
        "Of a job that succeeds, billed is",
        "choice",
        choices=_choices(JobTerms.BillAttempts),
    ),
    Field(
        "hold_at",
        "Held when a job is admitted",
        "choice",
        choices=_choices(JobTerms.HoldAt),
        labels={"usual": str(JobTerms.HoldAt.HIGH)},
    ),
    Field(
        "above_hold",
        "What a job uses beyond its hold",
        "choice",
        choices=_choices(JobTerms.AboveHold),
    ),
    Field("grace_amount", "May go beyond a budget by", "money", placeholder="0"),
    Field(
        "late_start_most",
        "Late starts are credited up to",
        "money",
        placeholder="no bound",
        help="In a period. Each late start is credited once.",
    ),
    Field("bill_input_failures", "Failures by the input are billed", "flag", is_wide=True),
    Field("bill_cancelled", "Cancelled jobs are billed", "flag", is_wide=True, is_on=True),
    Field("bill_expired", "Jobs that fell silent are billed", "flag", is_wide=True, is_on=True),
)
LIMIT_KINDS: Final = _choices(LimitKind)


def behaviour() -> dict[str, Any]:
    """Return what the page's script must know of the charge models."""
    return {
        "models": {
            str(model): {
                "fields": sorted(MODELS[model]["properties"]),
                "label": label,
                "help": text,
                "labels": {
                    each.name: each.labels[model] for each in _EVERY if model in each.labels
                },
            }
            for model, label, text in MODEL_CHOICES
        },
    }
