"""The pages of agreed prices: choose a price of a plan, agree on another, and end that."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminSelectWidget

from plans.admin.action_forms import DateInput
from plans.admin.actions import ActionPage, answer, sent
from plans.admin.agreed_form import AgreedPriceForm
from plans.admin.customer_pages import day
from plans.agreed import AgreedRow, BesideTheList, agreed_with, beside_the_list, listing_version
from plans.catalogue.dump import price_content
from plans.errors import OperationError
from plans.models import Customer, Plan, PlanVersion, PriceOverride, Subscription
from plans.operations.overrides import agree_price, checked_price, end_agreed_price
from plans.pricelist import plans_on_sale
from plans.queries import period_of, published_versions
from plans.rating import local_midnight
from plans.terms import PriceRows, VersionTerms, price_value, terms_of, version_terms, with_terms
from plans.words import summary

PERMISSION: Final = "plans.publish_planversion"
_CHOOSE: Final = "admin/plans/agreed/choose.html"
_PAGE: Final = "admin/plans/agreed/page.html"
_PREVIEW: Final = "admin/plans/agreed/_preview.html"


class EndForm(forms.Form):
    """The first day without the agreed price."""

    end_date = forms.DateField(label="First day without it", widget=DateInput)


class PlanForm(forms.Form):
    """Which plan's prices are shown."""

    plan = forms.ModelChoiceField(
        queryset=Plan.objects.none(), to_field_name="key", widget=UnfoldAdminSelectWidget,
        empty_label="Choose a plan",
    )  # fmt: skip


def agreed_urls(model_admin: ModelAdmin) -> list[URLPattern]:
    """Return the addresses of the pages, below the customer's."""
    view = model_admin.admin_site.admin_view
    return [
        path(
            "<int:customer_id>/agreed-prices/add/",
            view(partial(_agree, model_admin)),
            name="plans_customer_agree",
        ),
        path(
            "<int:customer_id>/agreed-prices/<int:override_id>/end/",
            view(partial(_end, model_admin)),
            name="plans_customer_end_agreed",
        ),
    ]


def agreed_context(request: HttpRequest, customer: Customer, *, now: datetime) -> dict[str, Any]:
    """Return what the customer's page shows of its agreed prices."""
    may = request.user.has_perm(PERMISSION)
    rows = agreed_with(customer, now=now)
    return {
        "agreed": [_listed(row, customer, may_end=may) for row in rows],
        "agree_link": reverse("admin:plans_customer_agree", args=[customer.pk]) if may else "",
    }


def _listed(row: AgreedRow, customer: Customer, *, may_end: bool) -> dict[str, Any]:
    override = row.override
    link = reverse("admin:plans_customer_end_agreed", args=[customer.pk, override.pk])
    return {
        "row": row,
        "starts": day(override.starts_at, customer),
        "ends": day(override.ends_at, customer) if override.ends_at else "",
        "end_link": link if may_end and override.ends_at is None else "",
    }


def _agree(model_admin: ModelAdmin, request: HttpRequest, customer_id: int) -> HttpResponse:
    """Choose a price of a plan, or type the one that was agreed on."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    customer = get_object_or_404(Customer, pk=customer_id)
    now = timezone.now()
    subscription = _present(customer, now=now)
    plans = plans_on_sale(currency=customer.currency)
    present = subscription.plan.key if subscription else ""
    plan = plans.filter(key=request.GET.get("plan", present)).first()
    if plan is None or "price" not in request.GET:
        return _choose(model_admin, request, customer, plans, plan, now=now)
    version = listing_version(
        plan=plan, currency=customer.currency, price_key=request.GET["price"], at=now
    )
    if version is None:
        raise Http404
    return _form(model_admin, request, _Page(customer, plan, version, request.GET["price"]), now)


class _Page:
    """One price to agree on: the customer, the plan, and the list price of its version."""

    def __init__(self, customer: Customer, plan: Plan, version: PlanVersion, key: str) -> None:
        self.customer, self.plan = customer, plan
        self.version = with_terms(PlanVersion.objects.filter(pk=version.pk)).get()
        row = next(price for price in self.version.prices.all() if price.key == key)
        rows = PriceRows(row, list(row.tiers.all()), list(row.rates.all()))
        self.name = row.name
        self.listed: Mapping[str, Any] = price_content(rows)
        self.terms: VersionTerms = version_terms(self.version)
        listed = next(price for price in self.terms.terms.prices if price.key == key)
        self.listed_words = summary(listed, currency=customer.currency)
        self.back = reverse("admin:plans_customer_change", args=[customer.pk])

    def form(self, *args: Any, **kwargs: Any) -> AgreedPriceForm:
        return AgreedPriceForm(*args, listed=self.listed, customer=self.customer, **kwargs)

    def compared(self, form: AgreedPriceForm) -> BesideTheList:
        """Return the typed price beside the list price. Raises AgreedPriceInvalid."""
        rows = checked_price(
            customer=self.customer, plan=self.plan, content=form.content, at=form.starts_at
        )
        value = price_value(rows, classes=self.terms.terms.service_classes)
        return beside_the_list(value, terms=self.terms.terms, currency=self.customer.currency)


def _form(
    model_admin: ModelAdmin, request: HttpRequest, page: _Page, now: datetime
) -> HttpResponse:
    if request.method != "POST":
        form = page.form(initial={"start_date": _proposed(page, now=now)})
        return _shown(model_admin, request, page, form, None)
    form = page.form(request.POST)
    words = None
    try:
        if form.is_enough():
            words = page.compared(form)
        if request.POST.get("step") == "do" and form.is_valid():
            return _do(model_admin, request, page, form, now=now)
    except OperationError as refusal:
        words = None
        form.refuse(refusal)
    if request.headers.get("HX-Request"):
        context = {"page": page, "form": form, "words": words, "effects": _effects(page, form)}
        return TemplateResponse(request, _PREVIEW, context)
    return _shown(model_admin, request, page, form, words)


def _do(
    model_admin: ModelAdmin, request: HttpRequest, page: _Page, form: AgreedPriceForm,
    *, now: datetime,
) -> HttpResponse:  # fmt: skip
    agree_price(
        customer=page.customer,
        plan=page.plan,
        content=form.content,
        starts_at=form.starts_at,
        ends_at=form.ends_at,
        reason=form.cleaned_data["reason"],
        by=request.user,  # type: ignore[arg-type]
        now=now,
    )
    starts = day(form.starts_at, page.customer)
    message = f"A price of {page.name} is agreed with {page.customer.name} from {starts}."
    model_admin.log_change(request, page.customer, f"{message} Why: {form.cleaned_data['reason']}")
    messages.success(request, message)
    return HttpResponseRedirect(page.back)


def _shown(
    model_admin: ModelAdmin, request: HttpRequest, page: _Page, form: AgreedPriceForm,
    words: BesideTheList | None,
) -> HttpResponse:  # fmt: skip
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": f"Agree on a price of {page.name} with {page.customer.name}",
        "page": page,
        "form": form,
        "words": words,
        "effects": _effects(page, form),
        "media": model_admin.media + form.media,
    }
    return TemplateResponse(request, _PAGE, context)


def _effects(page: _Page, form: AgreedPriceForm) -> list[str]:
    if not form.is_bound or not form.is_enough():
        return []
    name, starts = page.customer.name, day(form.starts_at, page.customer)
    ends = f" and before {day(form.ends_at, page.customer)}" if form.ends_at else ""
    return [
        f"For {name} alone, it stands in for the list price of {page.name} in {page.plan.name}.",
        f"It holds for each billing period, or part of one, that begins from {starts} on{ends}.",
        f"New versions of {page.plan.name} do not change it.",
        "It is frozen once agreed: it can be ended, not rewritten.",
    ]


def _choose(
    model_admin: ModelAdmin, request: HttpRequest, customer: Customer, plans: QuerySet[Plan],
    plan: Plan | None, *, now: datetime,
) -> HttpResponse:  # fmt: skip
    form = PlanForm(initial={"plan": plan.key if plan else None})
    field: Any = form.fields["plan"]
    field.queryset = plans
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": f"Agree on a price with {customer.name}",
        "form": form,
        "plan": plan,
        "prices": _list_prices(plan, customer, now=now) if plan else (),
        "back": reverse("admin:plans_customer_change", args=[customer.pk]),
        "media": model_admin.media,
    }
    return TemplateResponse(request, _CHOOSE, context)


def _list_prices(plan: Plan, customer: Customer, *, now: datetime) -> list[tuple[str, str, str]]:
    """Return key, name and words of the plan's prices: of the version in force, or of the last."""
    versions = [
        row for row in published_versions(plan_id=plan.pk) if row.currency == customer.currency
    ]
    in_force = [row for row in versions if row.status_at(now) == "in force"]
    version = (in_force or versions)[-1]
    prices = terms_of([version.pk])[version.pk].terms.prices
    return [(price.key, price.name, summary(price, currency=customer.currency)) for price in prices]


def _end(
    model_admin: ModelAdmin, request: HttpRequest, customer_id: int, override_id: int
) -> HttpResponse:
    """End an agreed price."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    rows = PriceOverride.objects.select_related("customer", "plan")
    agreed = get_object_or_404(rows, pk=override_id, customer_id=customer_id)
    customer, plan = agreed.customer, agreed.plan
    if customer is None or plan is None:
        raise Http404
    name, now = agreed.content["name"], timezone.now()
    form = EndForm(sent(request), initial={"end_date": _tomorrow(customer, now=now)})
    form.fields["end_date"].help_text = f"At midnight in {customer.time_zone}."

    def run(cleaned: dict[str, Any]) -> str:
        ends_at = local_midnight(cleaned["end_date"], zone=customer.time_zone)
        end_agreed_price(agreed=agreed, ends_at=ends_at, now=now)
        message = f"The price of {name} agreed with {customer.name} ends on "
        message += f"{day(ends_at, customer)}."
        model_admin.log_change(request, customer, message)
        return message

    page = ActionPage(
        title=f"End the price of {name} agreed with {customer.name}?",
        button="End the agreed price",
        danger=True,
        form=form,
        effects=(
            f"Billing periods of {customer.name} from that day on have {plan.name}'s price.",
            "A period that began before keeps the agreed price to its end.",
            "This is final. To go on, agree on a price anew.",
        ),
        run=run,
        back=reverse("admin:plans_customer_change", args=[customer.pk]),
    )
    return answer(model_admin, request, page)


def _present(customer: Customer, *, now: datetime) -> Subscription | None:
    held = Subscription.objects.filter(customer=customer, starts_at__lte=now)
    return held.exclude(ends_at__lte=now).select_related("plan", "customer").first()


def _proposed(page: _Page, *, now: datetime) -> Any:
    """Propose the next period of a customer who is on the plan, else today."""
    subscription = _present(page.customer, now=now)
    is_on = subscription is not None and subscription.plan_id == page.plan.pk
    at = period_of(subscription=subscription, at=now).end if is_on and subscription else now
    return at.astimezone(ZoneInfo(page.customer.time_zone)).date()


def _tomorrow(customer: Customer, *, now: datetime) -> Any:
    return now.astimezone(ZoneInfo(customer.time_zone)).date() + timedelta(days=1)
