"""The admin pages of parts that are not ours: people, and the schedule, in unfold's look."""

from typing import Any, Final

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django_celery_beat.admin import ClockedScheduleAdmin as BeatClockedScheduleAdmin
from django_celery_beat.admin import CrontabScheduleAdmin as BeatCrontabScheduleAdmin
from django_celery_beat.admin import PeriodicTaskAdmin as BeatPeriodicTaskAdmin
from django_celery_beat.admin import PeriodicTaskForm as BeatPeriodicTaskForm
from django_celery_beat.admin import TaskSelectWidget
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from billing.admin.dry_runs import evidence_of
from plans.admin.customer_pages import LINKS, CustomerLink
from plans.admin.evidence import EVIDENCE, VersionLink
from plans.admin.evidence import LINKS as VERSION_LINKS


class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg]
    """People: staff by their groups, portal users by their customer."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "is_staff", "is_active", "groups_listed", "customer")
    list_filter = ("is_staff", "is_superuser", "is_active", "groups")
    list_select_related = ("membership__customer",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Load the groups at once."""
        return super().get_queryset(request).prefetch_related("groups")

    @display(description="Groups")
    def groups_listed(self, user: User) -> str:
        """Name the groups of a person."""
        return ", ".join(sorted(group.name for group in user.groups.all())) or "—"

    @display(description="Portal of")
    def customer(self, user: Any) -> str:
        """Name the customer of a portal user."""
        member = getattr(user, "membership", None)
        return member.customer.name if member else "—"


class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    """Staff groups; `manage.py setup_staff` gives the shipped ones their permissions."""


class _TaskWidget(UnfoldAdminSelectWidget, TaskSelectWidget):
    """The known tasks, in unfold's look."""


class PeriodicTaskForm(BeatPeriodicTaskForm):
    """A scheduled task, in unfold's look."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["task"].widget = UnfoldAdminTextInputWidget()
        self.fields["regtask"].widget = _TaskWidget()


class PeriodicTaskAdmin(BeatPeriodicTaskAdmin, ModelAdmin):
    """What runs when."""

    form = PeriodicTaskForm
    list_display = ("name", "enabled", "scheduler", "last_run_at", "total_run_count", "one_off")
    list_select_related = ("interval", "crontab", "solar", "clocked")


class CrontabScheduleAdmin(BeatCrontabScheduleAdmin, ModelAdmin):
    """Times of the day, week or month."""


class ClockedScheduleAdmin(BeatClockedScheduleAdmin, ModelAdmin):
    """Single moments."""


class OtherScheduleAdmin(ModelAdmin):
    """Intervals, and times of the sun."""


_LINKS: Final = (
    CustomerLink("Statements", "billing_statement_changelist", "customer__id__exact"),
    CustomerLink("Jobs", "usage_job_changelist", "customer__id__exact"),
    CustomerLink("Budgets", "plans_budget_changelist", "customer__id__exact"),
    CustomerLink("Alerts", "billing_budgetalert_changelist", "customer__id__exact"),
    CustomerLink("Webhooks", "billing_webhookendpoint_changelist", "customer__id__exact"),
    CustomerLink("Credit pools", "billing_creditpool_changelist", "customer__id__exact"),
    CustomerLink("Journal", "billing_ledgertransaction_changelist", "customer__id__exact"),
)
_DRY_RUN: Final = VersionLink("Dry run", "billing_dryrun_start", "billing.add_dryrun")
_PAGES: Final[dict[type[Model], type[ModelAdmin]]] = {
    User: UserAdmin,
    Group: GroupAdmin,
    PeriodicTask: PeriodicTaskAdmin,
    CrontabSchedule: CrontabScheduleAdmin,
    ClockedSchedule: ClockedScheduleAdmin,
    IntervalSchedule: OtherScheduleAdmin,
    SolarSchedule: OtherScheduleAdmin,
}


def register() -> None:
    """Put our pages in the place of the parts' own, and link plans' pages to those of billing."""
    for model, page in _PAGES.items():
        admin.site.unregister(model)
        admin.site.register(model, page)
    LINKS.extend(link for link in _LINKS if link not in LINKS)
    if _DRY_RUN not in VERSION_LINKS:
        VERSION_LINKS.append(_DRY_RUN)
    if evidence_of not in EVIDENCE:
        EVIDENCE.append(evidence_of)
