"""The forms of one price, its tiers and its rates; what is wrong is said at the field and row."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS
from django.forms.models import BaseInlineFormSet
from unfold.widgets import UnfoldAdminTextInputWidget

from plans import rating
from plans.admin.base import label_input
from plans.models import MatrixRate, Meter, PlanVersion, Price, Tier
from plans.models.prices import MODEL_COLUMNS, RATED_MODELS, TIERED_MODELS, ChargeModel
from plans.terms import PriceRows, price_value

REQUIRED: dict[str, str] = {
    ChargeModel.FLAT: "amount",
    ChargeModel.PER_UNIT: "amount",
    ChargeModel.PACKAGE: "amount",
    ChargeModel.PERCENTAGE: "percent",
    ChargeModel.SEATS: "amount",
}
_FIELDS = {
    "unit_amount": "amount",
    "package_amount": "amount",
    "package_size": "unit_size",
    "default": "default_amount",
    "dimensions": "meter",
}
MOST_DIMENSIONS = 6
_EMPTY = Price()


def unused_columns(model: str | None) -> frozenset[str]:
    """Return the columns that other charge models read and this one does not."""
    if not model:
        return frozenset()
    every = {column for columns in MODEL_COLUMNS.values() for column in columns}
    return frozenset(every - set(MODEL_COLUMNS[model]))


class PriceForm(forms.ModelForm):  # type: ignore[type-arg]
    """One price of a draft, without its tiers and rates."""

    version: PlanVersion | None = None

    class Meta:
        labels = {
            "model": "Charge model",
            "unit_size": "Units per price",
            "default_amount": "Price of all other combinations",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.version is not None:
            self.instance.version = self.version

    def clean(self) -> dict[str, Any]:
        """Overlook what was typed into fields that the charge model does not read."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name in unused_columns(cleaned.get("model")):
            if name in self.errors:
                del self.errors[name]
                cleaned[name] = getattr(_EMPTY, name)
        return cleaned

    def _get_validation_exclusions(self) -> set[str]:
        """Check the key against the other prices of the version, which is not on the form."""
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return excluded - {"version"}

    def _post_clean(self) -> None:
        """Say what is wrong at its field rather than as the constraint of a row."""
        super()._post_clean()  # type: ignore[misc]
        if self.errors.keys() - {NON_FIELD_ERRORS}:
            return
        found = list(self._problems())
        if found:
            self.errors.pop(NON_FIELD_ERRORS, None)
        for name, message in found:
            self.add_error(name if name in self.fields else None, message)

    def _problems(self) -> Iterator[tuple[str, str]]:
        price: Price = self.instance
        required = REQUIRED.get(price.model)
        if required and getattr(price, required) is None:
            yield required, "State what this price charges; 0 makes it free."
            return
        for problem in rating.problems(price_value(PriceRows(price))):
            name = problem.field.split("[")[0]
            if name not in {"tiers", "rates"}:
                yield _FIELDS.get(name, name), problem.message


class RowForm(forms.ModelForm):  # type: ignore[type-arg]
    """A row of a price. All rows are replaced together, so none is held against what is stored."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            label_input(field, str(field.label or name))

    def validate_unique(self) -> None:
        """Leave it to the form set, which sees all rows."""


class RowFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """The tiers or the rates of one price."""

    path = ""

    def validate_unique(self) -> None:
        """Say it in the words of the rating engine instead."""

    def rows(self) -> list[forms.ModelForm]:  # type: ignore[type-arg]
        """Return the forms that hold a row which is to stay."""
        return [
            form
            for form in self.forms
            if (form.has_changed() or form.instance.pk) and not self._should_delete_form(form)  # type: ignore[attr-defined]
        ]

    def add_problems(
        self,
        price: rating.Price,
        rows: Sequence[forms.ModelForm],  # type: ignore[type-arg]
    ) -> None:
        """Show the rows' problems at their fields, and those of the whole above the rows."""
        whole = []
        for problem in rating.problems(price):
            path, _, name = problem.field.partition("].")
            if problem.field == self.path:
                whole.append(problem.message)
            elif path.startswith(f"{self.path}["):
                form = rows[int(path.removeprefix(f"{self.path}["))]
                name = "value_0" if name == "match" else name
                form.add_error(name if name in form.fields else None, problem.message)
        if whole:
            raise forms.ValidationError(whole)


class TierForm(RowForm):
    """A tier: up to a bound, at a price. Where it begins follows from the tier before."""

    class Meta:
        model = Tier
        fields = ("up_to", "unit_amount", "flat_amount", "percent")
        labels = {"unit_amount": "Price of a unit", "flat_amount": "Flat fee of the tier"}
        help_texts = {"up_to": "The last quantity in the tier. Empty: and above."}


class TierFormSet(RowFormSet):
    """Tiers in any order; they are sorted by their bounds, so gaps cannot be written."""

    path = "tiers"

    def clean(self) -> None:
        """Check the tiers together, where the charge model has any."""
        super().clean()
        if any(self.errors) or self.instance.model not in TIERED_MODELS:
            return
        rows = sorted(self.rows(), key=_bound)
        probe = Price(key="price", name="price", model=self.instance.model)
        tiers = [form.instance for form in rows]
        self.add_problems(price_value(PriceRows(probe, tiers=tiers)), rows)


class RateForm(RowForm):
    """A rate of a matrix, with one input for each dimension of the meter."""

    class Meta:
        model = MatrixRate
        fields = ("unit_amount", "label")
        labels = {"unit_amount": "Price of a unit", "label": "Name on the statement"}

    value_0 = forms.CharField(required=False)
    value_1 = forms.CharField(required=False)
    value_2 = forms.CharField(required=False)
    value_3 = forms.CharField(required=False)
    value_4 = forms.CharField(required=False)
    value_5 = forms.CharField(required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for place in range(MOST_DIMENSIONS):
            field = self.fields[f"value_{place}"]
            field.widget = UnfoldAdminTextInputWidget({"placeholder": "*", "maxlength": 200})
            label_input(field, f"Value {place + 1}")
        for place, value in enumerate(self.instance.match or ()):
            self.initial[f"value_{place}"] = "*" if value is None else value

    def values(self, *, count: int) -> list[str | None]:
        """Return what the first inputs say, None for ``*``; an empty one is an error there."""
        found: list[str | None] = []
        for place in range(count):
            value = self.cleaned_data[f"value_{place}"].strip()
            if not value:
                self.add_error(f"value_{place}", "State a value, or * for any.")
            found.append(None if value == "*" else value)
        return found


class RateFormSet(RowFormSet):
    """The rates of a matrix, whose values belong to the dimensions of the chosen meter."""

    path = "rates"

    def clean(self) -> None:
        """Check the rates together, where the charge model has any."""
        super().clean()
        price: Price = self.instance
        if any(self.errors) or price.model not in RATED_MODELS or price.meter is None:
            return
        rows = self.rows()
        for form in rows:
            form.instance.match = form.values(count=len(price.meter.dimensions))  # type: ignore[attr-defined]
        if not any(form.errors for form in rows):
            self._check(price.meter, rows)

    def _check(self, meter: Meter, rows: list[forms.ModelForm]) -> None:  # type: ignore[type-arg]
        probe = Price(key="price", name="price", model=ChargeModel.MATRIX, meter=meter)
        rates = [form.instance for form in rows]
        self.add_problems(price_value(PriceRows(probe, rates=rates)), rows)


def _bound(form: forms.ModelForm) -> tuple[bool, Decimal]:  # type: ignore[type-arg]
    bound = form.instance.up_to
    return bound is None, bound or Decimal(0)
