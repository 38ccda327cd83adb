"""How the admin looks and what its navigation offers: unfold's settings."""

from typing import Any, NamedTuple

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse


class Entry(NamedTuple):
    """An entry of the navigation: its list, and the permission to read it ("" for superusers)."""

    title: str
    icon: str
    view: str
    permission: str


NAVIGATION: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    (
        "",
        (Entry("Home", "home", "index", "any"),),
    ),
    (
        "Billing",
        (
            Entry("Customers", "groups", "plans_customer_changelist", "plans.view_customer"),
            Entry(
                "Statements",
                "receipt_long",
                "billing_statement_changelist",
                "billing.view_statement",
            ),
            Entry("Budgets", "data_usage", "plans_budget_changelist", "plans.view_budget"),
            Entry(
                "Alerts",
                "notifications",
                "billing_budgetalert_changelist",
                "billing.view_budgetalert",
            ),
            Entry(
                "Commitments",
                "handshake",
                "plans_commitment_changelist",
                "plans.view_commitment",
            ),
            Entry("Spend so far", "payments", "billing_spend_changelist", "billing.view_spend"),
            Entry(
                "Credit pools",
                "savings",
                "billing_creditpool_changelist",
                "billing.view_creditpool",
            ),
            Entry(
                "Credit requests",
                "how_to_reg",
                "billing_creditrequest_changelist",
                "billing.view_creditrequest",
            ),
            Entry(
                "Journal",
                "menu_book",
                "billing_ledgertransaction_changelist",
                "billing.view_ledgertransaction",
            ),
            Entry(
                "Deferred revenue",
                "monitoring",
                "billing_finance_report",
                "billing.view_ledgertransaction",
            ),
        ),
    ),
    (
        "What is sold",
        (
            Entry("Plans", "sell", "plans_plan_changelist", "plans.view_plan"),
            Entry("Versions", "history", "plans_planversion_changelist", "plans.view_planversion"),
            Entry("Dry runs", "science", "billing_dryrun_changelist", "billing.view_dryrun"),
            Entry(
                "Outcome contracts",
                "handshake",
                "plans_outcomecontract_changelist",
                "plans.view_outcomecontract",
            ),
            Entry("Meters", "speed", "plans_meter_changelist", "plans.view_meter"),
            Entry("Features", "extension", "plans_feature_changelist", "plans.view_feature"),
            Entry("Credits", "token", "plans_creditunit_changelist", "plans.view_creditunit"),
            Entry("Job classes", "category", "plans_jobclass_changelist", "plans.view_jobclass"),
            Entry(
                "Units of account",
                "toll",
                "billing_unitofaccount_changelist",
                "billing.view_unitofaccount",
            ),
        ),
    ),
    (
        "Usage",
        (
            Entry("Jobs", "work", "usage_job_changelist", "usage.view_job"),
            Entry("Outcomes", "task_alt", "usage_outcome_changelist", "usage.view_outcome"),
            Entry("Outcome report", "monitoring", "billing_outcome_report", "usage.view_outcome"),
            Entry("Usage events", "bolt", "usage_event_changelist", "usage.view_event"),
            Entry(
                "Quarantine",
                "report",
                "usage_quarantinedevent_changelist",
                "usage.view_quarantinedevent",
            ),
            Entry("Imports", "upload_file", "usage_importrun_changelist", "usage.view_importrun"),
        ),
    ),
    (
        "Operation",
        (
            Entry(
                "Webhooks",
                "webhook",
                "billing_webhookendpoint_changelist",
                "billing.view_webhookendpoint",
            ),
            Entry(
                "Webhook log",
                "outbox",
                "billing_webhookdelivery_changelist",
                "billing.view_webhookdelivery",
            ),
            Entry("API keys", "key", "usage_apikey_changelist", "usage.view_apikey"),
            Entry(
                "Schedule",
                "schedule",
                "django_celery_beat_periodictask_changelist",
                "django_celery_beat.view_periodictask",
            ),
            Entry("Users", "person", "auth_user_changelist", "auth.view_user"),
            Entry("Groups", "badge", "auth_group_changelist", "auth.view_group"),
        ),
    ),
)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the groups of the sidebar with the entries that the person may read."""
    found = []
    for title, entries in NAVIGATION:
        items = [item for entry in entries if (item := _item(entry, request))]
        if items:
            found.append({"title": title or None, "separator": bool(title), "items": items})
    return found


def _item(entry: Entry, request: HttpRequest) -> dict[str, Any] | None:
    """Return an entry as unfold wants it; None where its page is absent or closed to the person."""
    if entry.permission != "any" and not request.user.has_perm(entry.permission):
        return None
    try:
        link = reverse(f"admin:{entry.view}")
    except NoReverseMatch:
        return None
    return {"title": entry.title, "icon": entry.icon, "link": link}


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Tollgate",
    "SITE_HEADER": "Tollgate",
    "SITE_SUBHEADER": "Billing for asynchronous AI work",
    "SITE_SYMBOL": "toll",
    "SITE_URL": "/portal/",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "BORDER_RADIUS": "6px",
    "DASHBOARD_CALLBACK": "config.admin_home.dashboard",
    "STYLES": [lambda _: static("plans/admin.css")],
    "SCRIPTS": [lambda _: static("plans/admin.js")],
    "SIDEBAR": {"show_search": True, "show_all_applications": False, "navigation": navigation},
    "COLORS": {
        "primary": {
            "50": "oklch(97.5% .012 233)",
            "100": "oklch(94.5% .028 233)",
            "200": "oklch(89% .055 233)",
            "300": "oklch(81% .095 234)",
            "400": "oklch(72% .125 236)",
            "500": "oklch(61% .13 240)",
            "600": "oklch(51% .125 243)",
            "700": "oklch(44.5% .11 244)",
            "800": "oklch(38.5% .09 245)",
            "900": "oklch(33% .072 246)",
            "950": "oklch(25.5% .055 248)",
        },
    },
}
