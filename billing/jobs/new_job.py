"""A job as it is admitted."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from usage.job_quantities import Stored
from usage.models import Job


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `usage.models.Job` that is not stored yet, by its columns.

    Making it takes little of the time that the model takes. What has a default is alike in every
    new job.
    """

    public_id: UUID
    customer_id: int
    workspace_id: int | None
    parent_id: int | None
    key: str
    request_digest: str
    job_class_id: int
    service_class: str
    input_size: Decimal
    dimensions: dict[str, str]
    estimate_low: Decimal
    estimate_expected: Decimal
    estimate_high: Decimal
    estimate_basis: str
    estimate_comparable: int
    held: Decimal
    version_id: int
    held_quantities: Stored
    promised_start_at: datetime | None
    admitted_at: datetime
    silent_at: datetime
    state: str = Job.State.ADMITTED.value
    cause: str = ""
    reason: str = ""
    amount: Decimal | None = None
    reported: dict[str, Any] = {}
    service_credit: Decimal = Decimal(0)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    settled_at: datetime | None = None
    settled_xid: int | None = None
    rated_at: datetime | None = None
