"""The pages of a pool on which top-ups, alerts of a low balance and workspaces' limits are set."""

from typing import Any

from django import forms
from django.http import HttpRequest
from django.urls import reverse
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from billing.admin.ledger import in_unit
from billing.credits.refill_settings import TopUpTerms, set_limit, set_low_balance, set_top_up
from billing.models import CreditPool, LowBalance, PoolLimit, TopUp
from plans.admin.actions import ActionPage, sent
from plans.admin.base import NumberInput
from plans.models import Workspace


def _why() -> forms.CharField:
    return forms.CharField(
        label="Reason", max_length=500, widget=UnfoldAdminTextInputWidget,
        help_text="Kept in the history with your name.",
    )  # fmt: skip


def _amount(label: str, **said: Any) -> forms.DecimalField:
    return forms.DecimalField(
        label=label, max_digits=26, decimal_places=12, widget=NumberInput, **said
    )


class TopUpForm(forms.Form):
    """When a pack is bought for a pool, and which."""

    threshold = _amount("Buy while less than this is available")
    pack_key = forms.CharField(
        label="Pack", max_length=100, widget=UnfoldAdminTextInputWidget,
        help_text="Its key in the customer's plan.",
    )  # fmt: skip
    most_per_period = forms.IntegerField(
        label="Packs in a billing period at most", initial=1, widget=NumberInput
    )
    cooldown_minutes = forms.IntegerField(
        label="Minutes between two packs", initial=60, min_value=0, widget=NumberInput
    )
    enabled = forms.BooleanField(
        label="On", required=False, initial=True, widget=UnfoldBooleanSwitchWidget
    )
    reason = _why()


class LowBalanceForm(forms.Form):
    """Below what balance somebody is told, and who."""

    threshold = _amount("Tell below", required=False, help_text="Empty: nobody is told.")
    email = forms.EmailField(
        label="Address", required=False, widget=UnfoldAdminTextInputWidget,
        help_text="Empty: the customer's own.",
    )  # fmt: skip
    reason = _why()


class LimitForm(forms.Form):
    """What a workspace takes of a pool in a period at most."""

    workspace = forms.ModelChoiceField(
        queryset=Workspace.objects.none(), widget=UnfoldAdminSelectWidget
    )
    amount = _amount("At most in a billing period", required=False, help_text="Empty: no limit.")
    reason = _why()

    def __init__(self, data: Any, *, pool: CreditPool) -> None:
        super().__init__(data)
        workspaces = Workspace.objects.filter(customer=pool.customer_id).order_by("name")
        self.fields["workspace"].queryset = workspaces  # type: ignore[attr-defined]


def top_up_page(request: HttpRequest, pool: CreditPool) -> ActionPage:
    """Return the page on which a pool's top-up is set."""
    row = TopUp.objects.filter(pool=pool).first()
    names = ("threshold", "pack_key", "most_per_period", "cooldown_minutes", "enabled")

    def run(cleaned: dict[str, Any]) -> str:
        terms = TopUpTerms(**{name: cleaned[name] for name in names})
        saved = set_top_up(pool=pool, terms=terms)
        return f"The top-up is {'on' if saved.enabled else 'off'}: {saved}."

    failed = (_failure(row),) if row and row.failures else ()
    initial = {name: getattr(row, name) for name in names} if row else None
    return ActionPage(
        title=f"Top-up of {pool.customer.name}, {pool.name}",
        button="Save the top-up",
        form=TopUpForm(sent(request), initial=initial),
        effects=(
            *failed,
            "A pack is bought within ten minutes, at the terms of the version in force then.",
            "It stands on the statement of the period.",
            "A pack that waits for its payment blocks another one.",
            "After a change, what failed before is tried again at once.",
        ),
        run=run,
        back=_back(pool),
    )


def low_balance_page(request: HttpRequest, pool: CreditPool) -> ActionPage:
    """Return the page on which it is set below what balance somebody is told."""
    row = LowBalance.objects.filter(pool=pool).first()

    def run(cleaned: dict[str, Any]) -> str:
        threshold = cleaned["threshold"]
        set_low_balance(pool=pool, threshold=threshold, email=cleaned["email"])
        if threshold is None:
            return "Nobody is told of a low balance any more."
        return f"Somebody is told below {in_unit(threshold, pool.unit)}."

    initial = {"threshold": row.threshold, "email": row.email} if row else {}
    return ActionPage(
        title=f"Alert of a low balance of {pool.customer.name}, {pool.name}",
        button="Save the alert",
        form=LowBalanceForm(sent(request), initial=initial),
        effects=("There is one message until the balance was back at the threshold.",),
        run=run,
        back=_back(pool),
    )


def limit_page(request: HttpRequest, pool: CreditPool) -> ActionPage:
    """Return the page on which a workspace is limited."""

    def run(cleaned: dict[str, Any]) -> str:
        workspace, amount = cleaned["workspace"], cleaned["amount"]
        set_limit(pool=pool, workspace=workspace, amount=amount)
        if amount is None:
            return f"{workspace.name} has no limit in this pool."
        return f"{workspace.name} takes at most {in_unit(amount, pool.unit)} in a period."

    limits = PoolLimit.objects.filter(pool=pool).select_related("workspace")
    return ActionPage(
        title=f"Limit of a workspace in {pool.customer.name}, {pool.name}",
        button="Save the limit",
        form=LimitForm(sent(request), pool=pool),
        effects=(
            "Jobs and holds above it are refused; what is used all the same is drawn of the pool.",
            *(
                f"{limit.workspace.name} takes at most {in_unit(limit.amount, pool.unit)} now."
                for limit in limits.order_by("workspace__name")
            ),
        ),
        run=run,
        back=_back(pool),
    )


def settings_of(pool: CreditPool) -> list[tuple[str, str]]:
    """Return in words what is done as a pool runs low, and the limits of workspaces."""
    top_up = TopUp.objects.filter(pool=pool).first()
    watch = LowBalance.objects.filter(pool=pool).first()
    said = [
        ("Top-up", "None" if top_up is None else _top_up_words(top_up, pool)),
        ("Alert", "None" if watch is None else f"Below {in_unit(watch.threshold, pool.unit)}"),
    ]
    limits = PoolLimit.objects.filter(pool=pool).select_related("workspace")
    return said + [
        (f"Limit of {limit.workspace.name}", f"{in_unit(limit.amount, pool.unit)} in a period")
        for limit in limits.order_by("workspace__name")
    ]


def _top_up_words(row: TopUp, pool: CreditPool) -> str:
    if row.failures:
        return _failure(row)
    if not row.enabled:
        return "Off"
    return (
        f"“{row.pack_key}” below {in_unit(row.threshold, pool.unit)}, at most"
        f" {row.most_per_period} in a period, {row.cooldown_minutes} minutes apart"
    )


def _failure(row: TopUp) -> str:
    times = "once" if row.failures == 1 else f"{row.failures} times"
    state = "Disabled, as it" if row.disabled_at else "It"
    return f"{state} failed {times}: {row.failure}"


def _back(pool: CreditPool) -> str:
    return reverse("admin:billing_creditpool_change", args=[pool.pk])
