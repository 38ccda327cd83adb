"""The pages that start a draft from a version: in its currency, or in another one."""

from typing import Any, Final

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from unfold.decorators import action
from unfold.enums import ActionVariant

from plans.admin.action_forms import ConfirmForm
from plans.admin.actions import ActionPage, answer, sent
from plans.admin.base import HouseAdmin
from plans.admin.version_forms import CurrencyForm
from plans.admin.version_words import named, page_of
from plans.models import PlanVersion
from plans.operations.currencies import converted_amounts, new_version_in_currency
from plans.operations.versions import new_version_from
from plans.rating.charge import number

_AMOUNTS: Final = "admin/plans/planversion/_amounts.html"


class CopyPages(HouseAdmin):
    """New version from this, and in another currency."""

    def has_copy_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the person may start drafts."""
        return request.user.has_perm("plans.add_planversion")

    @action(
        description="New version from this", url_path="copy", permissions=["copy"],
        variant=ActionVariant.PRIMARY,
    )  # fmt: skip
    def copy(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Start a draft with everything that this version has."""
        version = get_object_or_404(self.get_queryset(request), pk=object_id)
        started: list[PlanVersion] = []

        def run(_: dict[str, Any]) -> str:
            started.append(new_version_from(version=version, by=request.user))  # type: ignore[arg-type]
            return f"{version.plan.name}, version {started[0].number} is a draft."

        page = ActionPage(
            title=f"New version from {named(version)}?",
            button="Start the draft",
            form=ConfirmForm(sent(request)),
            effects=(
                f"A draft is started with all prices of version {version.number}.",
                f"Version {version.number} stays as it is until the draft is published.",
            ),
            run=run,
            back=page_of(version),
        )
        found = answer(self, request, page)
        return HttpResponseRedirect(page_of(started[0])) if started else found

    @action(description="In another currency", url_path="currency", permissions=["copy"])
    def in_currency(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show what the amounts come to in another currency, then start the draft with them."""
        version = get_object_or_404(self.get_queryset(request), pk=object_id)
        form, started = CurrencyForm(sent(request)), list[PlanVersion]()
        said = form.said if form.is_bound and form.is_valid() else ""

        def run(cleaned: dict[str, Any]) -> str:
            started.append(
                new_version_in_currency(
                    version=version,
                    currency=cleaned["currency"],
                    factor=cleaned["factor"],
                    places=cleaned["places"],
                    by=request.user,  # type: ignore[arg-type]
                )
            )
            return f"{version.plan.name}, version {started[0].number} is a draft."

        page = ActionPage(
            title=f"{named(version)} in another currency?",
            button="Start the draft" if said else "Show the amounts",
            form=_agreeing(request, form, said=said),
            effects=(
                (
                    f"A draft in the other currency is started with the terms of {named(version)}, "
                    "its amounts multiplied and rounded. Quantities stay."
                ),
                "Every amount is shown before; each can be changed in the draft.",
            ),
            include=_AMOUNTS if said else "",
            shown=_amounts(version, form) if said else {},
            only_shown=bool(said) and form.cleaned_data["agreed"] != said,
            run=run,
            back=page_of(version),
        )
        found = answer(self, request, page)
        return HttpResponseRedirect(page_of(started[0])) if started else found


def _agreeing(request: HttpRequest, form: CurrencyForm, *, said: str) -> CurrencyForm:
    """Return the form so that sending it again agrees to the amounts that are shown."""
    if not said or form.cleaned_data["agreed"] == said:
        return form
    data = request.POST.copy()
    data["agreed"] = said
    return CurrencyForm(data)


def _amounts(version: PlanVersion, form: CurrencyForm) -> dict[str, Any]:
    stated = form.cleaned_data
    found = converted_amounts(version=version, factor=stated["factor"], places=stated["places"])
    return {
        "old_currency": version.currency,
        "new_currency": stated["currency"],
        "amounts": [
            {"where": each.where, "old": number(each.old), "new": number(each.new)}
            for each in found
        ],
    }
