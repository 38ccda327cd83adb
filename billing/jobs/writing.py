"""Write an admitted job, its first step, and its count on the customer's row of spend: at once."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from billing.jobs.answers import kept_of_admission
from billing.jobs.new_job import NewJob
from billing.jobs.reading import Account
from billing.jobs.rules import Windows, load_of, spent_before_today
from billing.spend.pending import Priced
from usage.job_quantities import Quantities, stored
from usage.prepared import first_row, last_row

# What every new job is alike in is no parameter: each of these takes its time on both sides.
_ALIKE = {
    "state": "'admitted'", "cause": "''", "reason": "''", "reported": "'{}'", "service_credit": "0",
}  # fmt: skip
_OWN = [field.name for field in msgspec.structs.fields(NewJob) if field.required]
# Each job is counted on the row of its customer. So where this one is still what was read, nobody
# has taken the key of the job since.
_WRITE = f"""
WITH spend AS (
    UPDATE billing_spend SET pending = %s::jsonb, held = %s, held_by_workspace = %s::jsonb,
        running = running + 1, running_by_class = %s::jsonb, hour_start = %s,
        hour_jobs = %s::jsonb, day_start = %s, day_jobs = %s::jsonb, day_spent_before = %s
    WHERE customer_id = %s AND xmin::text = coalesce(%s, xmin::text)
    RETURNING customer_id),
job AS (
    INSERT INTO usage_job ({", ".join(f'"{name}"' for name in [*_OWN, *_ALIKE])})
    SELECT {", ".join([*["%s"] * len(_OWN), *_ALIKE.values()])} FROM spend
    RETURNING id, admitted_at)
INSERT INTO usage_jobstep (job_id, key, kind, happened_at, recorded_at, answer)
SELECT id, 'admit', 'admitted', admitted_at, admitted_at, %s::jsonb FROM job
RETURNING job_id
"""  # noqa: S608


def write(
    job: NewJob,
    account: Account,
    priced: Priced,
    pending: Quantities,
    hours: Windows,
    *,
    job_class: str,
    body: dict[str, Any],
    as_read: bool = False,
    ends: bool = False,
) -> bool:
    """Store the job and count it in one statement, which locks the customer's row of spend.

    With ``as_read`` False, and nothing is stored, where the row is not the one any more that the
    account was read from. Else it was locked by the caller, whose transaction ``ends`` with it
    where there is nothing more to do.
    """
    load = load_of(account, hours)
    by_workspace = dict(account.held_by_workspace)
    if account.workspace:
        held = Decimal(by_workspace.get(account.workspace, "0")) + job.held
        by_workspace[account.workspace] = f"{held:f}"
    values = [
        _json(stored(pending)),
        priced.amount,
        _json(by_workspace),
        _json(_one_more(account.running_by_class, job_class)),
        *(hours.hour_start, _json(_one_more(load.hour_jobs, job_class))),
        *(hours.day_start, _json(_one_more(load.day_jobs, job_class))),
        spent_before_today(account, hours, job.admitted_at),
        account.customer_id,
        account.mark if as_read else None,
        *_columns(job),
        _json({"body": kept_of_admission(body)}),
    ]
    return (last_row if ends else first_row)(_WRITE, values) is not None


def _columns(job: NewJob) -> Iterator[Any]:
    for value in msgspec.structs.astuple(job)[: len(_OWN)]:
        yield _json(value) if isinstance(value, dict | list) else value


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _one_more(counts: Mapping[str, int], job_class: str) -> dict[str, int]:
    return {**counts, job_class: counts.get(job_class, 0) + 1}
