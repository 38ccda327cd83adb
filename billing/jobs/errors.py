"""What a job's use cases refuse with; each has a stable code and its HTTP status."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from plans.errors import OperationError
from usage.admission import Deferred, Refused


class UnknownSubject(OperationError):
    """No customer or workspace has the key."""

    code = "unknown_subject"
    http_status = 404


class UnknownJob(OperationError):
    """No job has the id."""

    code = "unknown_job"
    http_status = 404


class UnknownJobClass(OperationError):
    """There is no such job class."""

    code = "unknown_job_class"
    http_status = 422


class NotSubscribed(OperationError):
    """The customer is on no plan that could price a job now."""

    code = "no_subscription"
    http_status = 403


class KeyReused(OperationError):
    """The idempotency key was used for another request."""

    code = "idempotency_key_reused"
    http_status = 409


class WrongState(OperationError):
    """The job is in a state in which that cannot happen."""

    code = "wrong_state"
    http_status = 409

    def __init__(self, message: str, *, state: str) -> None:
        super().__init__(message)
        self.problem_extra = {"state": state}


class InvalidReport(OperationError):
    """What a job reported cannot become usage; nothing of the request was stored."""

    code = "invalid_report"
    http_status = 422


class CannotBePriced(OperationError):
    """The plan has no price for what the job would use."""

    code = "cannot_be_priced"
    http_status = 422


class NotAdmitted(OperationError):
    """A rule of admission said no; `problem_extra` carries the rule and its numbers."""

    code = "not_admitted"
    http_status = 402

    def __init__(self, decision: Deferred | Refused, *, now: datetime) -> None:
        super().__init__(decision.detail)
        # The instance's own, as the rule says.
        self.code = decision.code  # type: ignore[misc]
        self.http_status = decision.http_status
        self.decision = decision
        self.problem_extra = _extra(decision)
        self.retry_after_s: float | None = decision.retry_after_s
        if decision.retry_at is not None:
            self.retry_after_s = max(1.0, (decision.retry_at - now).total_seconds())


def _extra(decision: Deferred | Refused) -> Mapping[str, Any]:
    extra: dict[str, Any] = {"rule": decision.rule, "numbers": dict(decision.numbers)}
    if decision.retry_at is not None:
        extra["retry_at"] = decision.retry_at.isoformat().replace("+00:00", "Z")
    return extra
