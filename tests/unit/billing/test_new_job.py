"""What is written of a new job is a row of the model's, and says what the model says of one."""

from datetime import UTC, datetime
from decimal import Decimal as D
from uuid import uuid4

import msgspec

from billing.jobs.new_job import NewJob
from usage.models import Job

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
SAID = {
    "public_id": uuid4(), "customer_id": 1, "workspace_id": None, "parent_id": None, "key": "k",
    "request_digest": "d", "job_class_id": 2, "service_class": "", "input_size": D(1),
    "dimensions": {}, "estimate_low": D(1), "estimate_expected": D(2), "estimate_high": D(3),
    "estimate_basis": "class", "estimate_comparable": 20, "held": D(2), "version_id": 3,
    "held_quantities": [], "promised_start_at": None, "admitted_at": AT, "silent_at": AT,
}  # fmt: skip


def test_its_columns_are_the_models_with_the_models_defaults() -> None:
    row = Job(**SAID)
    columns = {each.attname for each in Job._meta.concrete_fields if not each.primary_key}

    assert msgspec.structs.asdict(NewJob(**SAID)) == {name: getattr(row, name) for name in columns}
