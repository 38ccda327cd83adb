"""The bodies of requests about jobs: what they may say, and what is wrong with them."""

from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from django.http import HttpRequest

from billing.jobs.asking import JobRequest
from billing.jobs.reporting import Report
from usage.ingest import exact_number
from usage.times import BeyondCalendar, in_utc

_Time = Annotated[datetime, msgspec.Meta(tz=True)]
_Reason = Annotated[str, msgspec.Meta(max_length=1000)]
BODY_BYTES_MAX = 4 * 1024 * 1024
SIZE_MOST = 10**18
KEY_LENGTH_MAX = 200


class MalformedJob(Exception):
    """The body is not JSON; nothing was stored."""

    code = "malformed"
    http_status = 400


class InvalidJob(Exception):
    """The body, or the key beside it, is not what is asked for; nothing was stored."""

    code = "invalid"
    http_status = 422

    def __init__(self, detail: str, *, field: str = "") -> None:
        super().__init__(detail)
        self.problem_extra = {"errors": [{"field": field, "code": self.code, "detail": detail}]}


class _Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    pass


class BeginAttempt(_Body, kw_only=True):
    """An attempt begins."""

    number: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    time: _Time | None = None


class EndAttempt(_Body, kw_only=True):
    """An attempt failed."""

    cause: Literal["provider", "input"]
    usage: list[Report] = []
    time: _Time | None = None


class Heartbeat(_Body, kw_only=True):
    """The job lives."""

    usage: list[Report] = []


class Complete(_Body, kw_only=True):
    """The job succeeded."""

    usage: list[Report] = []
    time: _Time | None = None


class Fail(_Body, kw_only=True):
    """The job failed for good."""

    cause: Literal["provider", "input"]
    reason: _Reason = ""
    usage: list[Report] = []
    time: _Time | None = None


class Cancel(_Body, kw_only=True):
    """The job was called off."""

    reason: _Reason = ""
    usage: list[Report] = []
    time: _Time | None = None


Body = TypeVar("Body", JobRequest, BeginAttempt, EndAttempt, Heartbeat, Complete, Fail, Cancel)


def body_of(request: HttpRequest, kind: type[Body]) -> Body:
    """Return the body of a request. Raises MalformedJob, InvalidJob."""
    content: bytes = request.read(BODY_BYTES_MAX + 1)
    if len(content) > BODY_BYTES_MAX:
        raise InvalidJob(f"The body has more than {BODY_BYTES_MAX} bytes: report less at once.")
    try:
        body: Body = _decoder(kind).decode(content or b"{}")
        return body if isinstance(body, JobRequest) else _in_utc(body)
    except BeyondCalendar as error:
        raise InvalidJob(str(error), field="time") from error
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at `$")
        raise InvalidJob(f"{detail}.", field=path.rstrip("`").lstrip(".")) from error
    except (msgspec.DecodeError, ValueError) as error:
        raise MalformedJob(f"The body is not JSON: {error}") from error


@cache
def _decoder(kind: type[msgspec.Struct]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, float_hook=exact_number)


def _in_utc(body: Any) -> Any:
    """Return a body with its times in UTC. Raises BeyondCalendar."""
    if getattr(body, "time", None) is not None:
        body.time = in_utc(body.time)
    if getattr(body, "usage", None):
        body.usage = [_report_in_utc(report) for report in body.usage]
    return body


def _report_in_utc(report: Report) -> Report:
    if report.time is None and report.until is None:
        return report
    times = {"time": report.time, "until": report.until}
    said = {name: at and in_utc(at) for name, at in times.items()}
    return msgspec.structs.replace(report, **said)


def check_request(asked: JobRequest) -> None:
    """Raise InvalidJob where a request for a job says what no row can hold."""
    size = asked.input_size
    if not (size.is_finite() and 0 <= size < SIZE_MOST) or _decimals(size) > 12:
        raise InvalidJob(
            "The input size is a number from 0 to below 10^18 with at most 12 decimals.",
            field="input_size",
        )
    if len(asked.service_class) > 100:
        raise InvalidJob("A service class has at most 100 characters.", field="service_class")
    texts: list[Any] = [*asked.dimensions, *asked.dimensions.values(), asked.subject]
    if any("\0" in text or len(text) > 200 for text in texts) or len(asked.dimensions) > 20:
        raise InvalidJob(
            "State at most 20 dimensions, each of at most 200 characters and without NUL.",
            field="dimensions",
        )


def key_of(request: HttpRequest, *, required: bool = False) -> str:
    """Return the Idempotency-Key of a request, or "" without one. Raises InvalidJob."""
    key: str = request.META.get("HTTP_IDEMPOTENCY_KEY", "").strip()
    if (required and not key) or len(key) > KEY_LENGTH_MAX:
        raise InvalidJob(
            f"Send a header Idempotency-Key of 1 to {KEY_LENGTH_MAX} characters, one for each job.",
            field="Idempotency-Key",
        )
    return key


def _decimals(value: Decimal) -> int:
    said = -int(value.as_tuple().exponent)
    return said if said <= 0 else max(0, -int(value.normalize().as_tuple().exponent))
