"""Outcome contracts: the list, the editor on a page of its own, and the steps of their review."""

from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.forms import BoundField
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.decorators import display

from plans.acting import acting
from plans.admin.actions import answer
from plans.admin.base import HouseAdmin
from plans.admin.contract_form import ContractForm, NewContractForm, initial_of, naming_fields
from plans.admin.contract_steps import STEPS, address_of, offered_steps
from plans.contract_previews import Preview, preview
from plans.contracts import naming_of
from plans.errors import OperationError, Problem
from plans.models import OutcomeContract, OutcomeContractVersion
from plans.operations import contracts as operations
from plans.rating.outcome_document import read_terms
from plans.rating.outcomes import Naming

_PAGE: Final = "admin/plans/contract/page.html"
_PREVIEW: Final = "admin/plans/contract/_preview.html"
_EDIT: Final = "plans.change_planversion"


@admin.register(OutcomeContract)
class OutcomeContractAdmin(HouseAdmin):
    """Contracts by name, with where their latest version stands."""

    list_display = ("name", "key", "for_whom", "currency", "status")
    search_fields = ("name", "key")
    ordering = ("name",)
    list_select_related = ("plan", "customer")

    def get_queryset(self, request: HttpRequest) -> Any:
        """Load the versions at once."""
        return super().get_queryset(request).prefetch_related("versions")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Let those who write plans write contracts."""
        return request.user.has_perm(_EDIT)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep contracts: a draft is discarded on its page."""
        return False

    @display(description="For")
    def for_whom(self, contract: OutcomeContract) -> str:
        """Name the plan or the customer."""
        return str(contract.plan or contract.customer)

    @display(description="Status")
    def status(self, contract: OutcomeContract) -> str:
        """Say where the latest version stands."""
        versions = sorted(contract.versions.all(), key=lambda row: row.number)
        if not versions:
            return "—"
        return f"version {versions[-1].number}, {versions[-1].status_at(timezone.now())}"

    def get_urls(self) -> list[URLPattern]:
        """Add a page for each step of a version."""
        view = self.admin_site.admin_view
        return [
            *(
                path(
                    f"version/<int:version_id>/{step}/",
                    view(partial(self.step, step=step)),
                    name=f"plans_outcomecontract_{step}",
                )
                for step in STEPS
            ),
            *super().get_urls(),
        ]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Write a new contract."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return _Editor(self, request, None).answer()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a version of the contract, the latest unless asked otherwise; a draft to edit."""
        if not request.user.has_perm("plans.view_outcomecontract"):
            raise PermissionDenied
        if not object_id.isdecimal():
            raise Http404
        rows = OutcomeContractVersion.objects.filter(contract_id=int(object_id))
        rows = rows.select_related("contract__plan", "contract__customer")
        number = request.GET.get("version", "")
        if number.isascii() and number.isdigit() and len(number) < 6:
            return _Editor(self, request, get_object_or_404(rows, number=int(number))).answer()
        version = rows.order_by("number").last()
        if version is None:
            return HttpResponseRedirect(reverse("admin:plans_outcomecontract_changelist"))
        return _Editor(self, request, version).answer()

    def step(self, request: HttpRequest, version_id: int, *, step: str) -> HttpResponse:
        """Take one step of a version's review."""
        rows = OutcomeContractVersion.objects.select_related("contract__customer")
        version = get_object_or_404(rows, pk=version_id)
        if not request.user.has_perm(STEPS[step].permission):
            raise PermissionDenied
        return answer(self, request, STEPS[step].page(request, version))


class _Editor:
    """The page of one version, or of a contract that is not there yet."""

    def __init__(
        self, model_admin: OutcomeContractAdmin, request: HttpRequest,
        version: OutcomeContractVersion | None,
    ) -> None:  # fmt: skip
        self.admin, self.request, self.version = model_admin, request, version
        self.contract = version.contract if version else None
        may = request.user.has_perm(_EDIT)
        self.is_open = may and (version is None or version.is_draft)

    def answer(self) -> HttpResponse:
        """Show the page, preview what is typed, or save it."""
        if self.request.method != "POST" or not self.is_open:
            initial = initial_of(self.version.content) if self.version else {}
            note = self.version.note if self.version else ""
            form = ContractForm(initial={**initial, "note": note})
            return self._shown(form, None if self.contract else NewContractForm())
        form = ContractForm(self.request.POST)
        new = None if self.contract else NewContractForm(self.request.POST)
        is_preview = self.request.POST.get("step") == "preview"
        valid = form.is_valid() and (new is None or new.is_valid() or is_preview)
        if valid and not is_preview:
            try:
                return self._save(form, new)
            except OperationError as refusal:
                _refuse(form, new, refusal)
        if self.request.headers.get("HX-Request"):
            found = self._preview(form, new)
            context = {"found": found, "form": form, "typing": True}
            context |= _marks(form, new, typing=True)
            return TemplateResponse(self.request, _PREVIEW, context)
        return self._shown(form, new)

    def _save(self, form: ContractForm, new: NewContractForm | None) -> HttpResponse:
        by: Any = self.request.user
        with acting(by=by, reason=form.cleaned_data["note"]):
            if self.version is not None:
                row = operations.save_contract_version(
                    version=self.version, content=form.content, note=form.cleaned_data["note"],
                    by=by,
                )  # fmt: skip
            else:
                assert new is not None
                row = operations.create_contract(**new.cleaned_data, content=form.content, by=by)
        messages.success(self.request, f"Version {row.number} of {row.contract.name} is saved.")
        return HttpResponseRedirect(address_of(row))

    def _naming(self, new: NewContractForm | None) -> Naming:
        if self.contract is not None:
            return naming_of(self.contract)
        said = new.data if new is not None and new.is_bound else {}
        return Naming(said.get("key") or "new", said.get("name") or "Outcomes", "USD")

    def _preview(self, form: ContractForm, new: NewContractForm | None) -> Preview | None:
        """Return the words of what is typed; None, and errors at the fields, where it cannot be."""
        if form.is_bound:
            if not form.is_valid():
                return None
            content, examples = form.content, form.parsed_examples()
        elif self.version is not None:
            content, examples = self.version.content, []
        else:
            return None
        naming = self._naming(new)
        terms, problems = read_terms(content, naming=naming)
        if terms is not None:
            return preview(terms, naming, examples=examples)
        if not form.errors:
            said = tuple(Problem(each.code, each.field, each.message) for each in problems)
            form.refuse(operations.ContractInvalid("", problems=said))
        return None

    def _shown(self, form: ContractForm, new: NewContractForm | None) -> HttpResponse:
        now, version = timezone.now(), self.version
        found = self._preview(form, new)
        if not self.is_open:
            for field in form.fields.values():
                field.disabled = True
            form.fields.pop("examples")
        name = f"{version.contract.name}, version {version.number}" if version else ""
        context = {
            **self.admin.admin_site.each_context(self.request),
            "opts": self.admin.opts,
            "title": name or "New outcome contract",
            "form": form,
            "new": new,
            "found": found,
            **_marks(form, new, typing=False),
            "is_open": self.is_open,
            "for_whom": naming_fields(self.contract),
            "status": _status(version, now=now) if version else "",
            "steps": offered_steps(self.request, version) if version else (),
            "reviews": version.reviews.select_related("by").order_by("id") if version else (),
            "others": _others(version) if version else (),
            "media": self.admin.media + form.media,
        }
        return TemplateResponse(self.request, _PAGE, context)


class _Mark(NamedTuple):
    """A field with what is wrong with it, and whether it is only not complete yet.

    ``section`` is the heading above it, where a part of the page begins there.
    """

    field: BoundField
    section: str
    problems: list[str]
    is_unfinished: bool


def _marks(form: ContractForm, new: NewContractForm | None, *, typing: bool) -> dict[str, Any]:
    """Return every field with its problems, those that have any, and those that lack something."""
    marks = [
        _Mark(each[name], each.sections.get(name, ""), *each.problems_of(name, typing=typing))
        for each in (new, form)
        if each is not None
        for name in each.fields
    ]
    return {
        "marks": marks,
        "wrong": [mark.field for mark in marks if mark.problems],
        "unfinished": [mark.field for mark in marks if mark.is_unfinished],
    }


def _refuse(form: ContractForm, new: NewContractForm | None, refusal: OperationError) -> None:
    of_new = {problem.field for problem in refusal.problems} & set(new.fields if new else ())
    for problem in refusal.problems:
        if problem.field in of_new and new is not None:
            new.add_error(problem.field, problem.message)
    rest = tuple(problem for problem in refusal.problems if problem.field not in of_new)
    if rest:
        form.refuse(operations.ContractInvalid(refusal.message, problems=rest))


def _status(version: OutcomeContractVersion, *, now: datetime) -> str:
    said = version.status_at(now).capitalize()
    if version.effective_from is not None:
        said += f", from {version.effective_from:%d %B %Y %H:%M} UTC"
    if version.effective_until is not None:
        said += f" until {version.effective_until:%d %B %Y %H:%M} UTC"
    return f"{said}."


def _others(version: OutcomeContractVersion) -> list[tuple[str, str]]:
    rows = OutcomeContractVersion.objects.filter(contract=version.contract).exclude(pk=version.pk)
    return [(f"Version {row.number}", address_of(row)) for row in rows.order_by("number")]
