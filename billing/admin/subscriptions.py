"""The pages that start, change, cancel and resume subscriptions, each with the money it is about.

They stand below the customer's address and are offered on the customer's page.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin

from billing.admin import subscription_words as words
from billing.admin.money_page import Change, MoneyPage, answer
from billing.admin.subscription_forms import (
    PERIOD_END,
    CancelForm,
    ChangeForm,
    ResumeForm,
    StartAgainForm,
    StartForm,
)
from billing.subscription_preview import refuse_finalised
from plans.admin import customer_pages
from plans.admin.customer_pages import CustomerPage
from plans.models import Customer, Subscription
from plans.operations.subscription_changes import (
    cancel_subscription,
    change_plan,
    resume_subscription,
    withdraw_subscription,
)
from plans.operations.subscriptions import subscribe

_ADD: Final = "plans.add_subscription"
_CHANGE: Final = "plans.change_subscription"


def start(model_admin: ModelAdmin, request: HttpRequest, customer_id: int) -> HttpResponse:
    """Put a customer on a plan."""
    _require(request, _ADD)
    customer = get_object_or_404(Customer, pk=customer_id)
    is_first = not Subscription.objects.filter(customer=customer).exists()
    today = timezone.now().astimezone(ZoneInfo(customer.time_zone)).date()

    def change(form: StartForm, now: datetime) -> Change:
        said, starts_at = form.cleaned_data, form.midnight("start_date")

        def act() -> object:
            refuse_finalised(customer=customer, at=starts_at)
            return subscribe(
                customer=customer,
                plan=said["plan"],
                starts_at=starts_at,
                anchor_date=said["anchor_date"],
                setup_waived=said["setup_waived"],
                now=now,
            )

        effects = words.start_effects(
            customer=customer, plan=said["plan"], at=starts_at,
            setup_waived=said["setup_waived"], is_first=is_first, now=now,
        )  # fmt: skip
        starts = words.when(starts_at, customer)
        return Change(
            act=act,
            at=starts_at,
            anchor_date=said["anchor_date"],
            effects=tuple(effects),
            button=f"Subscribe to {said['plan'].name}",
            done=f"{customer.name} is subscribed to {said['plan'].name} from {starts}.",
        )

    page = MoneyPage(
        title=f"Subscribe {customer.name} to a plan",
        customer=customer,
        form=StartForm,
        initial={"start_date": today},
        change=change,
        back=_page_of(customer),
        ask="Choose a plan and its first day to see what it costs.",
    )
    return answer(model_admin, request, page)


def change(
    model_admin: ModelAdmin, request: HttpRequest, customer_id: int, subscription_id: int
) -> HttpResponse:
    """Move a subscription to another plan: now, at the end of the period, or on a date."""
    subscription = _subscription(request, customer_id, subscription_id)
    customer = subscription.customer

    def change(form: ChangeForm, now: datetime) -> Change:
        said = form.cleaned_data
        chosen = {
            "to_plan": said["to_plan"],
            "at": form.at,
            "setup_waived": said["setup_waived"],
            "phases_begin_anew": said["phases_begin_anew"],
        }
        effects = words.change_effects(subscription=subscription, now=form.as_of, **chosen)
        name, moves = said["to_plan"].name, words.when(form.at, customer)
        return Change(
            act=partial(change_plan, subscription=subscription, now=now, **chosen),
            at=form.at,
            anchor_date=subscription.anchor_date,
            effects=tuple(effects),
            button=f"Change to {name}",
            done=f"{customer.name} moves from {subscription.plan.name} to {name} on {moves}.",
        )

    page = MoneyPage(
        title=f"Change the plan of {customer.name}",
        customer=customer,
        form=partial(ChangeForm, subscription=subscription),
        initial={"when": PERIOD_END},
        change=change,
        back=_page_of(customer),
        ask=f"{customer.name} is on {subscription.plan.name}. Choose another plan to see what the "
        "change costs.",
    )
    return answer(model_admin, request, page)


def cancel(
    model_admin: ModelAdmin, request: HttpRequest, customer_id: int, subscription_id: int
) -> HttpResponse:
    """End a subscription: now, at the end of the period, or on a date."""
    subscription = _subscription(request, customer_id, subscription_id)
    customer, plan = subscription.customer, subscription.plan

    def change(form: CancelForm, now: datetime) -> Change:
        effects = words.cancel_effects(subscription=subscription, at=form.at, now=form.as_of)
        return Change(
            act=partial(cancel_subscription, subscription=subscription, at=form.at, now=now),
            at=form.at,
            anchor_date=subscription.anchor_date,
            effects=tuple(effects),
            button=f"Cancel {plan.name}",
            done=f"{customer.name} leaves {plan.name} on {words.when(form.at, customer)}.",
        )

    page = MoneyPage(
        title=f"Cancel {customer.name}'s subscription to {plan.name}",
        customer=customer,
        form=partial(CancelForm, subscription=subscription),
        initial={"when": PERIOD_END},
        change=change,
        back=_page_of(customer),
        danger=True,
    )
    return answer(model_admin, request, page)


def resume(
    model_admin: ModelAdmin, request: HttpRequest, customer_id: int, subscription_id: int
) -> HttpResponse:
    """Take back an end that is still to come, or start again after it."""
    subscription = _subscription(request, customer_id, subscription_id)
    customer, plan = subscription.customer, subscription.plan
    ends_at = subscription.ends_at
    is_over = ends_at is not None and ends_at <= timezone.now()
    page = MoneyPage(
        title=f"Resume {customer.name}'s subscription to {plan.name}",
        customer=customer,
        form=StartAgainForm if is_over else ResumeForm,
        initial={},
        change=partial(_start_again if is_over else _take_back, subscription),
        back=_page_of(customer),
    )
    return answer(model_admin, request, page)


def _take_back(subscription: Subscription, form: ResumeForm, now: datetime) -> Change:
    customer, plan = subscription.customer, subscription.plan
    follow_up = _other(customer, starts_at=subscription.ends_at)
    effects = words.resume_effects(
        subscription=subscription,
        ends_at=subscription.ends_at or form.as_of,
        follow_up=follow_up,
    )
    return Change(
        act=partial(resume_subscription, subscription=subscription, at=form.as_of, now=now),
        at=subscription.ends_at or form.as_of,
        anchor_date=subscription.anchor_date,
        effects=tuple(effects),
        button=f"Stay on {plan.name}",
        done=f"{customer.name} stays on {plan.name}.",
    )


def _start_again(subscription: Subscription, form: StartAgainForm, now: datetime) -> Change:
    customer, plan = subscription.customer, subscription.plan
    again = form.cleaned_data["setup_again"]
    effects = words.start_again_effects(subscription=subscription, at=form.as_of, setup_again=again)
    return Change(
        act=partial(
            resume_subscription,
            subscription=subscription, at=form.as_of, setup_waived=not again, now=now,
        ),
        at=form.as_of,
        anchor_date=subscription.anchor_date,
        effects=tuple(effects),
        button=f"Resume {plan.name}",
        done=f"{customer.name} is on {plan.name} again from {words.when(form.as_of, customer)}.",
    )  # fmt: skip


def withdraw(
    model_admin: ModelAdmin, request: HttpRequest, customer_id: int, subscription_id: int
) -> HttpResponse:
    """Remove a subscription that has not begun."""
    subscription = _subscription(request, customer_id, subscription_id)
    customer, plan = subscription.customer, subscription.plan

    def change(_: ResumeForm, now: datetime) -> Change:
        before = _other(customer, ends_at=subscription.starts_at)
        return Change(
            act=partial(withdraw_subscription, subscription=subscription, now=now),
            at=subscription.starts_at,
            anchor_date=subscription.anchor_date,
            effects=tuple(words.withdraw_effects(subscription=subscription, before=before)),
            button=f"Withdraw {plan.name}",
            done=f"The subscription of {customer.name} to {plan.name} was withdrawn.",
        )

    page = MoneyPage(
        title=f"Withdraw {customer.name}'s subscription to {plan.name}",
        customer=customer,
        form=ResumeForm,
        initial={},
        change=change,
        back=_page_of(customer),
        danger=True,
    )
    return answer(model_admin, request, page)


def _require(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):
        raise PermissionDenied


def _subscription(request: HttpRequest, customer_id: int, subscription_id: int) -> Subscription:
    _require(request, _CHANGE)
    rows = Subscription.objects.select_related("customer", "plan")
    return get_object_or_404(rows, pk=subscription_id, customer_id=customer_id)


def _other(customer: Customer, **at: Any) -> Subscription | None:
    """Return the customer's subscription that starts, or ends, at a time."""
    rows = Subscription.objects.filter(customer=customer, **at)
    return rows.select_related("plan").first()


def _page_of(customer: Customer) -> str:
    return reverse("admin:plans_customer_change", args=[customer.pk])


def _page(title: str, name: str, view: Callable[..., HttpResponse], *states: str) -> CustomerPage:
    return CustomerPage(
        title=title,
        name=f"plans_customer_{name}",
        route=f"subscriptions/<int:subscription_id>/{name}/",
        view=view,
        permission=_CHANGE,
        states=frozenset(states),
    )


customer_pages.PAGES += [
    CustomerPage(
        title="Subscribe to a plan",
        name="plans_customer_subscribe",
        route="subscribe/",
        view=start,
        permission=_ADD,
    ),
    _page("Change plan", "change_plan", change, customer_pages.RUNNING),
    _page("Cancel", "cancel", cancel, customer_pages.RUNNING),
    _page("Resume", "resume", resume, customer_pages.ENDING, customer_pages.OVER),
    _page("Withdraw", "withdraw", withdraw, customer_pages.SCHEDULED),
]
