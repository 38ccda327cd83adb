"""What all admin pages share: number inputs, refusals as messages, no bulk deletion."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, ClassVar

from django.contrib import messages
from django.db import IntegrityError, models
from django.forms import CharField, Field, Form, ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

from plans.acting import acting
from plans.admin.history import has_history, history_page
from plans.errors import OperationError, Problem

_REFUSED_BY_TRIGGER = "23000"
_REFUSED_BY_NAME = frozenset({"one_subject_per_key"})


class NumberInput(UnfoldAdminTextInputWidget):
    """A number as people type it: right-aligned, without the zeros that its column pads it with."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"inputmode": "decimal", "class": "tg-number", **(attrs or {})})

    def format_value(self, value: Any) -> str | None:
        if isinstance(value, Decimal):
            written = f"{value:f}"
            return written.rstrip("0").rstrip(".") if "." in written else written
        text: str | None = super().format_value(value)
        return text


class ReasonForm(ModelForm):  # type: ignore[type-arg]
    """A form that asks for the reason of a change, which is kept in the history."""

    change_reason = CharField(
        label="Reason for the change",
        required=False,
        max_length=500,
        help_text="Kept in the history with your name.",
        widget=UnfoldAdminTextInputWidget,
    )


class HouseAdmin(ModelAdmin):
    """A ModelAdmin in the manner of the house.

    What an operation or the database refuses becomes a message, and nothing of it is stored. What
    is stored is kept in the history with the person, and with the reason where the form asks for
    one (``ReasonForm``).
    """

    formfield_overrides: ClassVar[dict[Any, Any]] = {models.DecimalField: {"widget": NumberInput}}
    actions: Sequence[Any] = ()
    show_full_result_count = False
    list_per_page = 50
    compressed_fields = False
    warn_unsaved_form = True

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Offer no deletion of many rows at once."""
        found: dict[str, Any] = super().get_actions(request)
        found.pop("delete_selected", None)
        return found

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Answer a refusal with its message, on the same page."""
        return self._answer(request, super().changeform_view, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Answer a refusal with its message, on the same page."""
        return self._answer(request, super().delete_view, *args, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Ask last for the reason of a change, where the form does."""
        found = list(super().get_fieldsets(request, obj))
        asks = "change_reason" in getattr(self.form, "declared_fields", {})
        if obj is not None and asks and self.has_change_permission(request, obj):
            found.append(("Why", {"fields": ("change_reason",)}))
        return found

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """Show who changed what, when and why."""
        if has_history(self.model):
            return history_page(self, request, object_id)
        found: HttpResponse = super().history_view(request, object_id, extra_context)
        return found

    def named_in_history(self, row: Any) -> str:
        """Name an object on the page of its history."""
        return str(row)

    def _answer(self, request: HttpRequest, view: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        by: Any = request.user
        try:
            with acting(by=by, reason=request.POST.get("change_reason", "")[:500]):
                answer: HttpResponse = view(request, *args, **kwargs)
        except OperationError as refusal:
            messages.error(request, refusal.message)
        except IntegrityError as error:
            message = refusal_of_database(error)
            if not message:
                raise
            messages.error(request, message)
        else:
            return answer
        return HttpResponseRedirect(request.get_full_path())


def refusal_of_database(error: IntegrityError) -> str:
    """Return the words in which a trigger of ours refused; "" for any other integrity error."""
    diagnostics = getattr(error.__cause__, "diag", None)
    if diagnostics is None:
        return ""
    ours = diagnostics.sqlstate == _REFUSED_BY_TRIGGER
    if ours or diagnostics.constraint_name in _REFUSED_BY_NAME:
        return diagnostics.message_primary or ""
    return ""


def add_refusal(form: Form, refusal: OperationError) -> None:
    """Show each problem of a refusal at its field, or above the form where there is none."""
    for problem in refusal.problems:
        form.add_error(_field(form, problem), problem.message)


def _field(form: Form, problem: Problem) -> str | None:
    return problem.field if problem.field in form.fields else None


def label_input(field: Field, label: str) -> None:
    """Name an input in a table's row, whose visible label is the column's heading."""
    field.widget.attrs["aria-label"] = label
