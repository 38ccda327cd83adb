"""`/api/v1/jobs`: ask for admission, tell what a job does, end it."""

from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema

from billing.api import job_schema as schema
from billing.api.job_bodies import (
    BeginAttempt,
    Cancel,
    Complete,
    EndAttempt,
    Fail,
    Heartbeat,
    body_of,
    check_request,
    key_of,
)
from billing.jobs.admitting import admit
from billing.jobs.asking import JobRequest
from billing.jobs.life import begin_attempt, end_attempt, heartbeat
from billing.jobs.queries import job_details
from billing.jobs.settling import cancel, complete, fail
from usage.api.auth import MayAskForJobs, presented_key
from usage.api.schema import PROBLEM, REFUSALS
from usage.api.service_view import Answer, ServiceView, json_answer
from usage.models import Scope


class _JobsView(ServiceView):
    permission_classes = [MayAskForJobs]


class JobsView(_JobsView):
    """Admission."""

    looks_up_key = True

    @extend_schema(
        operation_id="admit_job",
        summary="Ask whether a job may start",
        description="Asks features, service class, limits, budgets and credit in one step, and"
        " holds what the job may cost. A refusal says which rule, its numbers and when to ask"
        " again; nothing is changed by it.",
        request=schema.REQUEST,
        parameters=[schema.IDEMPOTENCY_KEY, schema.DRY_RUN],
        responses={
            200: OpenApiResponse(schema.JOB, "A dry run, or the same request again."),
            201: OpenApiResponse(schema.JOB, "Admitted."),
            **schema.ADMISSION_REFUSALS,
        },
    )
    def post(self, request: HttpRequest) -> Answer:
        """Admit a job, or refuse it."""
        by = presented_key(request, scope=Scope.JOBS)
        dry_run = _is_dry(request)
        key = key_of(request, required=not dry_run)
        asked = body_of(request, JobRequest)
        check_request(asked)
        answer = admit(request=asked, key=key, by=by, now=timezone.now(), dry_run=dry_run)
        return json_answer(answer.body, status=201 if answer.is_new and not dry_run else 200)


def _is_dry(request: HttpRequest) -> bool:
    asks = bool(request.META.get("QUERY_STRING"))
    return asks and request.GET.get("dry_run", "").lower() in ("true", "1")


class JobView(_JobsView):
    """One job."""

    @extend_schema(
        operation_id="read_job",
        summary="Read a job",
        description="With its attempts, and what it and all jobs below it come to.",
        responses={
            200: schema.DETAILS,
            **REFUSALS,
            404: OpenApiResponse(PROBLEM, "`unknown_job`"),
        },
    )
    def get(self, request: HttpRequest, job_id: UUID) -> Answer:  # noqa: ARG002
        """Return a job."""
        return json_answer(job_details(job_id=job_id))


class AttemptsView(_JobsView):
    """Attempts of a job."""

    @extend_schema(
        operation_id="begin_attempt",
        summary="Begin an attempt",
        description="The first one starts the job. A retry is the next attempt.",
        request=schema.BEGIN,
        parameters=[schema.STEP_KEY],
        responses={200: schema.ATTEMPT, **schema.STEP_REFUSALS},
    )
    def post(self, request: HttpRequest, job_id: UUID) -> Answer:
        """Begin an attempt."""
        body = body_of(request, BeginAttempt)
        return json_answer(
            begin_attempt(
                job_id=job_id, number=body.number, key=key_of(request), at=body.time,
                now=timezone.now(),
            )
        )  # fmt: skip


class AttemptView(_JobsView):
    """One attempt of a job."""

    @extend_schema(
        operation_id="end_attempt",
        summary="End an attempt that failed",
        description="The job goes on: begin the next attempt, or fail it.",
        request=schema.END,
        parameters=[schema.STEP_KEY],
        responses={200: schema.ATTEMPT, **schema.STEP_REFUSALS},
    )
    def post(self, request: HttpRequest, job_id: UUID, number: int) -> Answer:
        """End an attempt."""
        body = body_of(request, EndAttempt)
        return json_answer(
            end_attempt(
                job_id=job_id, number=number, cause=body.cause, reports=body.usage,
                key=key_of(request), at=body.time, now=timezone.now(),
            )
        )  # fmt: skip


class HeartbeatView(_JobsView):
    """A sign of life."""

    @extend_schema(
        operation_id="job_heartbeat",
        summary="Report usage, and ask whether to go on",
        description="`continue`; `finish` where a budget is used up, within the grace amount;"
        " `stop` beyond it, or where the parent job was stopped.",
        request=schema.HEARTBEAT,
        parameters=[schema.STEP_KEY],
        responses={200: schema.VERDICT, **schema.STEP_REFUSALS},
    )
    def post(self, request: HttpRequest, job_id: UUID) -> Answer:
        """Take a heartbeat."""
        body = body_of(request, Heartbeat)
        return json_answer(
            heartbeat(
                job_id=job_id,
                reports=body.usage,
                key=key_of(request),
                now=timezone.now(),
            )
        )  # fmt: skip


class CompleteView(_JobsView):
    """The end of a job that succeeded."""

    @extend_schema(
        operation_id="complete_job",
        summary="Complete a job",
        description="What the plan bills of it becomes usage in the same transaction.",
        request=schema.COMPLETE,
        parameters=[schema.STEP_KEY],
        responses={200: schema.JOB, **schema.STEP_REFUSALS},
    )
    def post(self, request: HttpRequest, job_id: UUID) -> Answer:
        """Complete a job."""
        body = body_of(request, Complete)
        return json_answer(
            complete(
                job_id=job_id, reports=body.usage, key=key_of(request), at=body.time,
                now=timezone.now(),
            )
        )  # fmt: skip


class FailView(_JobsView):
    """The end of a job that failed."""

    @extend_schema(
        operation_id="fail_job",
        summary="Fail a job for good",
        description="By the provider: nothing is billed. By its input: as the plan says.",
        request=schema.FAIL,
        parameters=[schema.STEP_KEY],
        responses={200: schema.JOB, **schema.STEP_REFUSALS},
    )
    def post(self, request: HttpRequest, job_id: UUID) -> Answer:
        """Fail a job."""
        body = body_of(request, Fail)
        return json_answer(
            fail(
                job_id=job_id, cause=body.cause, reason=body.reason, reports=body.usage,
                key=key_of(request), at=body.time, now=timezone.now(),
            )
        )  # fmt: skip


class CancelView(_JobsView):
    """The end of a job that was called off."""

    @extend_schema(
        operation_id="cancel_job",
        summary="Cancel a job",
        request=schema.CANCEL,
        parameters=[schema.STEP_KEY],
        responses={200: schema.JOB, **schema.STEP_REFUSALS},
    )
    def post(self, request: HttpRequest, job_id: UUID) -> Answer:
        """Cancel a job."""
        body = body_of(request, Cancel)
        return json_answer(
            cancel(
                job_id=job_id, reason=body.reason, reports=body.usage, key=key_of(request),
                at=body.time, now=timezone.now(),
            )
        )  # fmt: skip
