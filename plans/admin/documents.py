"""Plans as documents: import with the difference shown before it is confirmed, and download."""

import json
from collections.abc import Sequence
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from plans.acting import acting
from plans.admin.actions import sent
from plans.catalogue.document import Source
from plans.catalogue.dump import dump, dump_version
from plans.catalogue.load import Loaded
from plans.catalogue.preview import StoredStateChanged, load_as_shown, preview
from plans.catalogue.problems import CatalogueInvalid
from plans.catalogue.yaml_text import MAX_BYTES, decoded
from plans.models import Plan, PlanVersion

MOST_FILES: Final = 20
_PASTED: Final = "pasted text"
_TEMPLATE: Final = "admin/plans/documents.html"
_NEEDED: Final = ("plans.add_plan", "plans.change_plan", "plans.add_planversion", "plans.add_meter")


class FilesInput(UnfoldAdminFileFieldWidget):
    """Several files at once."""

    allow_multiple_selected = True

    def __init__(self) -> None:
        super().__init__({"accept": ".yaml,.yml"})

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        """Return all files that were chosen."""
        return files.getlist(name) if hasattr(files, "getlist") else files.get(name)


class FilesField(forms.FileField):
    """Files as a list, though it be empty."""

    widget = FilesInput

    def clean(self, data: Any, initial: Any = None) -> Any:
        """Check each file as a single one would be."""
        return [super(FilesField, self).clean(each, initial) for each in data or ()]


class UploadForm(forms.Form):
    """Documents, as files or as text."""

    uploads = FilesField(
        required=False,
        label="YAML files",
        help_text=f"Up to {MOST_FILES}, {MAX_BYTES:,} bytes together.",
    )
    text = forms.CharField(
        required=False,
        label="Or the text of a document",
        strip=False,
        max_length=MAX_BYTES,
        widget=UnfoldAdminTextareaWidget({"rows": 14, "class": "tg-code", "spellcheck": "false"}),
    )

    def clean_uploads(self) -> list[Source]:
        """Return the files as sources, decoded."""
        files: Sequence[UploadedFile[bytes]] = self.cleaned_data["uploads"]
        if len(files) > MOST_FILES:
            raise forms.ValidationError(f"Choose at most {MOST_FILES} files.")
        if sum(file.size or 0 for file in files) > MAX_BYTES:
            raise forms.ValidationError(f"The files have more than {MAX_BYTES:,} bytes together.")
        try:
            return [Source(file.name or "file", decoded(file.read(), name=file.name or "file"))
                    for file in files]  # fmt: skip
        except CatalogueInvalid as error:
            raise forms.ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        """Ask for one document at least."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        pasted = cleaned.get("text") or ""
        sources = list(cleaned.get("uploads") or ())
        if pasted.strip():
            sources.append(Source(_PASTED, pasted.replace("\r\n", "\n")))
        if not sources and not self.errors:
            raise forms.ValidationError("Choose a file, or paste the text of a document.")
        if sum(len(source.text.encode()) for source in sources) > MAX_BYTES:
            raise forms.ValidationError(f"There are more than {MAX_BYTES:,} bytes together.")
        return cleaned | {"sources": sources}


class ConfirmForm(forms.Form):
    """The documents as they were shown, and why they are stored."""

    documents = forms.CharField(widget=forms.HiddenInput, max_length=2 * MAX_BYTES, strip=False)
    fingerprint = forms.CharField(widget=forms.HiddenInput, max_length=64)
    reason = forms.CharField(
        required=False,
        label="Reason for the change",
        max_length=500,
        help_text="Kept in the history.",
        widget=UnfoldAdminTextInputWidget,
    )

    def clean_documents(self) -> list[Source]:
        """Return the documents. Raises ValidationError where the page was tampered with."""
        try:
            return [
                Source(str(name), str(text)) for name, text in json.loads(self.data["documents"])
            ]
        except (ValueError, TypeError) as error:
            raise forms.ValidationError("Upload the documents again.") from error


class PlanDocuments:
    """What the list and the page of plans do with documents."""

    def has_import_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the person may make all that a document can hold."""
        return request.user.has_perms(_NEEDED)

    @action(description="Import documents", url_path="import", permissions=["import"])
    def import_documents(self, request: HttpRequest) -> HttpResponse:
        """Show what documents would change, and store them once that is confirmed."""
        if request.method == "POST" and "fingerprint" in request.POST:
            return self._confirm(request)
        form = UploadForm(sent(request), request.FILES if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            return self._show(request, form.cleaned_data["sources"], form=form)
        return self._page(request, form=form)

    def _confirm(self, request: HttpRequest) -> HttpResponse:
        form = ConfirmForm(request.POST)
        if not form.is_valid():
            messages.error(request, "The documents did not arrive whole. Upload them again.")
            return self._page(request, form=UploadForm())
        sources, reason = form.cleaned_data["documents"], form.cleaned_data["reason"]
        by: Any = request.user
        try:
            with acting(by=by, reason=reason):
                loaded = load_as_shown(
                    sources,
                    fingerprint=form.cleaned_data["fingerprint"],
                    by=by,
                    now=timezone.now(),
                )
        except StoredStateChanged as changed:
            return self._show(request, sources, problem=changed.message, reason=reason)
        except CatalogueInvalid as error:
            return self._page(request, form=UploadForm(), found=error.found)
        return self._page(request, loaded=_linked(loaded))

    def _show(
        self,
        request: HttpRequest,
        sources: Sequence[Source],
        *,
        form: forms.Form | None = None,
        problem: str = "",
        reason: str = "",
    ) -> HttpResponse:
        try:
            shown = preview(sources)
        except CatalogueInvalid as error:
            return self._page(
                request, form=form or UploadForm(), found=error.found, problem=problem
            )
        confirm = ConfirmForm(
            initial={
                "documents": json.dumps(sources, ensure_ascii=False),
                "fingerprint": shown.fingerprint,
                "reason": reason,
            }
        )
        return self._page(request, shown=shown, confirm=confirm, problem=problem)

    def _page(self, request: HttpRequest, **found: Any) -> HttpResponse:
        admin: Any = self
        context = {
            **admin.admin_site.each_context(request),
            "opts": admin.opts,
            "title": "Import documents",
            "back": reverse("admin:plans_plan_changelist"),
            "here": request.path,
            "media": admin.media,
            **found,
        }
        return TemplateResponse(request, _TEMPLATE, context)

    @action(description="Download all as YAML", url_path="yaml", permissions=["view"])
    def download_all(self, request: HttpRequest) -> HttpResponse:
        """Send all plans as a document."""
        return yaml_file(dump(), name="plans")

    @action(description="Download as YAML", url_path="yaml", permissions=["view"])
    def download_plan(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send one plan with all its versions as a document."""
        plan = get_object_or_404(Plan, pk=object_id)
        return yaml_file(dump(keys=[plan.key]), name=plan.key)


class VersionDocuments:
    """What the page of a version does with documents."""

    @action(description="Download as YAML", url_path="yaml", permissions=["view"])
    def download_version(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send one version with its plan as a document."""
        version = get_object_or_404(PlanVersion.objects.select_related("plan"), pk=object_id)
        text = dump_version(version_id=version.pk)
        return yaml_file(text, name=f"{version.plan.key}-{version.number}")


def yaml_file(text: str, *, name: str) -> HttpResponse:
    """Return a document as a file to keep; a key is safe in a file's name but for the colon."""
    found = HttpResponse(text, content_type="application/yaml; charset=utf-8")
    found["Content-Disposition"] = f'attachment; filename="{name.replace(":", "-")}.yaml"'
    return found


def _linked(loaded: Sequence[Loaded]) -> list[dict[str, str]]:
    """Return what became of each part, plans with the address of their page."""
    keys = {one.key for one in loaded if one.kind == "plan"}
    plans = dict(Plan.objects.filter(key__in=keys).values_list("key", "pk"))
    return [
        {
            "what": f"{one.kind.capitalize()} {one.key}",
            "outcome": one.outcome,
            "link": reverse("admin:plans_plan_change", args=[plans[one.key]])
            if one.kind == "plan"
            else "",
        }
        for one in loaded
    ]
