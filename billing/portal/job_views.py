"""The customer's jobs: a list with filters, and one job with its range and what it came to."""

from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone

from billing.portal.access import customer_page
from billing.portal.views import after_of, page_of
from billing.queries.accuracy import LOOKED_BACK, ClassAccuracy, accuracy_by_class
from billing.queries.jobs import JobFilter, job_list, job_page
from plans.models import Customer, JobClass
from usage.models import Job


@customer_page
def jobs(request: HttpRequest, *, customer: Customer) -> HttpResponse:
    """List the customer's jobs, newest first."""
    names = ("state", "job_class", "workspace")
    chosen = JobFilter(**{name: request.GET.get(name, "")[:100] for name in names})
    found = job_list(
        Job.objects.filter(customer=customer), chosen=chosen, after=after_of(request, digits=19)
    )
    is_first_page = not request.GET.get("after")
    asked = {name: getattr(chosen, name) for name in names if getattr(chosen, name)}
    return page_of(
        request,
        "jobs",
        customer=customer,
        list=found,
        chosen=chosen,
        older=urlencode({**asked, "after": found.after}) if found.after else "",
        accuracy=_accuracy(customer) if is_first_page and chosen.is_empty else [],
        days=LOOKED_BACK.days,
        states=Job.State.choices,
        classes=list(JobClass.objects.order_by("name").values_list("key", "name")),
        workspaces=list(customer.workspaces.order_by("name").values_list("key", "name")),
    )


def _accuracy(customer: Customer) -> list[ClassAccuracy]:
    return accuracy_by_class(now=customer.clock_at or timezone.now(), customer_id=customer.pk)


@customer_page
def job(request: HttpRequest, *, customer: Customer, public_id: UUID) -> HttpResponse:
    """Show one job with its attempts, steps, usage and children."""
    rows = Job.objects.select_related("customer", "workspace", "job_class")
    found = get_object_or_404(rows, customer=customer, public_id=public_id)
    return page_of(request, "job", customer=customer, page=job_page(found))
