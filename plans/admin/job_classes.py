"""Job classes: the kinds of jobs that services ask admission for, and what one uses at first."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import TabularInline

from plans.admin.base import HouseAdmin, ReasonForm
from plans.job_classes import ClassSaid, ClassUsage
from plans.models import JobClass, JobClassUsage
from plans.operations.job_classes import change_job_class, create_job_class


class UsageInline(TabularInline):
    """What a job uses of each meter for a unit of its input, until its history says better."""

    model = JobClassUsage
    extra = 0
    fields = ("meter", "low", "expected", "high")
    verbose_name_plural = "Usage for a unit of input, until history says better"
    formfield_overrides = HouseAdmin.formfield_overrides


@admin.register(JobClass)
class JobClassAdmin(HouseAdmin):
    """Job classes by name; the key is fixed, since terms and services name it."""

    form = ReasonForm
    list_display = ("name", "key", "input_unit", "silence_seconds")
    search_fields = ("name", "key")
    ordering = ("name",)
    prepopulated_fields = {"key": ("name",)}
    fieldsets = (
        ("The kind of job", {"fields": (("name", "key"), ("input_unit", "silence_seconds"))}),
    )
    inlines = (UsageInline,)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Keep the key."""
        return () if obj is None else ("key",)

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Any]:
        """Propose a key from the name of a new class only."""
        return {} if obj else self.prepopulated_fields

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep job classes: terms and jobs name them."""
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Leave the class to ``save_related``, which has its usage too."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Create or change the class with exactly the usage of the form."""
        row = form.instance
        usage = [each for formset in formsets for each in _usage_typed(formset)]
        said = ClassSaid(
            key=row.key,
            name=row.name,
            input_unit=row.input_unit,
            silence_seconds=row.silence_seconds,
            usage=tuple(sorted(usage)),
        )
        if change:
            change_job_class(job_class=row, said=said)
        else:
            row.pk = create_job_class(said=said).pk
        for formset in formsets:
            formset.new_objects, formset.changed_objects, formset.deleted_objects = [], [], []


def _usage_typed(formset: Any) -> list[ClassUsage]:
    return [
        ClassUsage(typed["meter"].key, typed["low"], typed["expected"], typed["high"])
        for typed in formset.cleaned_data
        if typed and not typed.get("DELETE")
    ]
