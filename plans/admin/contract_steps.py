"""The steps of a contract's review, each a page that says what it does and does it once."""

from collections.abc import Callable
from typing import Any, Final

from django import forms
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from unfold.widgets import UnfoldAdminTextInputWidget

from plans.admin.action_forms import ConfirmForm, DateInput
from plans.admin.actions import ActionPage, sent
from plans.models import OutcomeContractVersion
from plans.operations import contracts as operations
from plans.rating import local_midnight

_EDIT: Final = "plans.change_planversion"
_PUBLISH: Final = "plans.publish_planversion"


class CommentForm(forms.Form):
    """What is said with a step."""

    comment = forms.CharField(
        required=False, max_length=1000, widget=UnfoldAdminTextInputWidget, label="Comment"
    )


class DateForm(forms.Form):
    """From when a version holds."""

    effective_date = forms.DateField(label="In force from", widget=DateInput)


def address_of(version: OutcomeContractVersion) -> str:
    """Return the address of a version's page."""
    base = reverse("admin:plans_outcomecontract_change", args=[version.contract_id])
    return f"{base}?version={version.number}"


class Step:
    """A step of the review: who may take it, when it is offered, and its page."""

    def __init__(
        self, title: str, permission: str,
        offered: Callable[[OutcomeContractVersion, Any], bool],
        page: Callable[[HttpRequest, OutcomeContractVersion], ActionPage],
    ) -> None:  # fmt: skip
        self.title, self.permission, self.offered, self.page = title, permission, offered, page


def offered_steps(request: HttpRequest, version: OutcomeContractVersion) -> list[tuple[str, str]]:
    """Return the title and the address of each step that a person may take now."""
    return [
        (step.title, reverse(f"admin:plans_outcomecontract_{name}", args=[version.pk]))
        for name, step in STEPS.items()
        if request.user.has_perm(step.permission) and step.offered(version, request.user)
    ]


def _simple(
    title: str, effects: tuple[str, ...], operation: Callable[..., Any], done: str, *,
    danger: bool = False,
) -> Callable[[HttpRequest, OutcomeContractVersion], ActionPage]:  # fmt: skip
    def page(request: HttpRequest, version: OutcomeContractVersion) -> ActionPage:
        def run(cleaned: dict[str, Any]) -> str:
            operation(
                version=version, by=request.user, comment=cleaned["comment"], now=timezone.now()
            )
            return f"Version {version.number} of {version.contract.name} {done}."

        return ActionPage(
            title=f"{title} version {version.number} of {version.contract.name}?",
            button=title, danger=danger, form=CommentForm(sent(request)), effects=effects, run=run,
            back=address_of(version),
        )  # fmt: skip

    return page


def _publish(request: HttpRequest, version: OutcomeContractVersion) -> ActionPage:
    contract = version.contract
    zone = contract.customer.time_zone if contract.customer else "UTC"
    form = DateForm(sent(request))
    form.fields["effective_date"].help_text = f"At midnight, {zone}."

    def run(cleaned: dict[str, Any]) -> str:
        at = local_midnight(cleaned["effective_date"], zone=zone)
        by: Any = request.user
        operations.publish_contract(version=version, effective_from=at, by=by, now=timezone.now())
        return f"Version {version.number} of {contract.name} is published."

    return ActionPage(
        title=f"Publish version {version.number} of {contract.name}?",
        button="Publish",
        form=form,
        effects=(
            "Its rules hold for outcomes that happen from that day on.",
            "Its fee holds for each billing period, or part of one, that begins from that day on.",
            "The version before ends then. Outcomes verified later keep the terms of their period.",
            "It is frozen.",
        ),
        run=run,
        back=address_of(version),
    )


def _next(request: HttpRequest, version: OutcomeContractVersion) -> ActionPage:
    def run(_: dict[str, Any]) -> str:
        by: Any = request.user
        row = operations.start_contract_version(
            contract=version.contract, content=version.content, by=by
        )
        return f"Version {row.number} is a draft, with the terms of version {version.number}."

    return ActionPage(
        title=f"New version from version {version.number} of {version.contract.name}?",
        button="Make a draft",
        form=ConfirmForm(sent(request)),
        effects=("A draft with the same terms is made. Nothing changes until it is published.",),
        run=run,
        back=reverse("admin:plans_outcomecontract_change", args=[version.contract_id]),
    )


def _discard(request: HttpRequest, version: OutcomeContractVersion) -> ActionPage:
    def run(_: dict[str, Any]) -> str:
        operations.discard_contract_version(version=version)
        return "The draft is discarded."

    return ActionPage(
        title=f"Discard version {version.number} of {version.contract.name}?",
        button="Discard",
        danger=True,
        form=ConfirmForm(sent(request)),
        effects=("The draft is deleted, and the contract with it where it has no other version.",),
        run=run,
        back=reverse("admin:plans_outcomecontract_changelist"),
    )


def _waits(version: OutcomeContractVersion) -> bool:
    return version.submitted_at is not None and version.published_at is None


STEPS: Final[dict[str, Step]] = {
    "submit": Step(
        "Submit", _EDIT, lambda version, _: version.is_draft,
        _simple("Submit", ("It is frozen, and waits for someone else's approval.",),
                operations.submit_contract, "is submitted"),
    ),
    "approve": Step(
        "Approve", _PUBLISH,
        lambda version, user: _waits(version) and version.approved_at is None
        and user.pk not in version.author_ids,
        _simple("Approve", ("It can be published as it stands.",), operations.approve_contract,
                "is approved"),
    ),
    "return": Step(
        "Return to its authors", "plans.view_outcomecontract",
        lambda version, user: _waits(version)
        and (user.pk in version.author_ids or user.has_perm(_PUBLISH)),
        _simple("Return", ("It is a draft again. Say what is to be changed.",),
                operations.return_contract, "is a draft again"),
    ),
    "publish": Step(
        "Publish", _PUBLISH,
        lambda version, _: version.approved_at is not None and version.published_at is None,
        _publish,
    ),
    "next": Step(
        "New version from this", _EDIT, lambda version, _: version.published_at is not None, _next
    ),
    "discard": Step("Discard", _EDIT, lambda version, _: version.is_draft, _discard),
}  # fmt: skip
