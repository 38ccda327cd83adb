"""Real jobs replayed in the order of time: what was estimated of each, and what it came to.

What is known of a job when it is asked for is its kind (the job class), its number of steps (the
input) and its model (a dimension); how long it keeps a GPU is known when it has ended. An estimate
sees only what had ended by then.
"""

import csv
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import NamedTuple
from uuid import uuid4

from django.db import connection

from billing.estimating import COMPARABLE_LEAST, estimate
from billing.models import Spend
from billing.spend.margin import MarginPricer, Used
from billing.spend.rating import read_spend
from billing.spend.standing import standing_of
from plans.models import Customer, JobClass, MatrixRate, Price
from plans.operations.customers import CustomerRow, create_customers
from plans.operations.meters import define_meter
from plans.operations.publishing import publish_version
from plans.operations.subscriptions import subscribe_many
from plans.operations.versions import add_prices, create_plan, start_version
from plans.rating.money import total
from plans.terms import PriceRows

FILE = "genai_jobs.csv"
METER = "render-seconds"
MONTHS_START = datetime(2024, 11, 1, tzinfo=UTC)
GPU_HOUR = Decimal(3)
INPAINTING_HOUR = Decimal("4.50")


class TracedJob(NamedTuple):
    """A job of the trace that succeeded."""

    customer: str
    kind: str
    model: str
    steps: Decimal
    seconds: Decimal
    asked_at: datetime

    @property
    def ended_at(self) -> datetime:
        """Return when its GPU time was over: the trace knows no waiting."""
        return self.asked_at + timedelta(seconds=float(self.seconds))


@dataclass(slots=True)
class Replay:
    """How estimates did, over the jobs with enough comparable ones before them."""

    jobs: int = 0
    found: Counter[str] = field(default_factory=Counter)
    bases: Counter[str] = field(default_factory=Counter)
    widths: list[Decimal] = field(default_factory=list)

    @property
    def counted(self) -> int:
        """Return how many jobs had enough comparable ones before them."""
        return sum(self.found.values())

    @property
    def share_in_range(self) -> float:
        """Return the share of them that came to something from low to high."""
        return self.found["inside"] / self.counted

    @property
    def width(self) -> Decimal:
        """Return the median of (high - low) / expected."""
        return median(self.widths)


def find_trace() -> Path | None:
    """Return the trace: from TOLLGATE_TRACES, or from a folder `shared` beside or above."""
    said = os.environ.get("TOLLGATE_TRACES")
    above = Path(__file__).resolve().parents
    folders = [Path(said)] if said else [up / "shared" / "traces" for up in above]
    return next((folder / FILE for folder in folders if (folder / FILE).is_file()), None)


def read_trace(file: Path, *, limit: int | None = None) -> list[TracedJob]:
    """Return the first jobs that succeeded, in the order in which they were asked for."""
    with file.open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["predict_status"] == "SUCCEED"]
    rows.sort(key=lambda row: row["gmt_create"])
    return list(_jobs(rows))[:limit]


def _jobs(rows: list[dict[str, str]]) -> Iterator[TracedJob]:
    for row in rows:
        if row["num_inference_steps"] and row["exec_time_seconds"]:
            yield TracedJob(
                customer=row["groupId"],
                kind=row["predict_type"],
                model=row["checkpoint_model_version_id"],
                steps=Decimal(row["num_inference_steps"]),
                seconds=Decimal(row["exec_time_seconds"]),
                asked_at=datetime.fromisoformat(row["gmt_create"]).replace(tzinfo=UTC),
            )


def replay(jobs: list[TracedJob]) -> Replay:
    """Estimate each job as when it was asked for, and compare with what it came to."""
    customers, classes = _make_world(jobs)
    _store(jobs, customers=customers, classes=classes)
    rows: dict[tuple[str, int], Spend] = {}
    done = Replay(jobs=len(jobs))
    for job in jobs:
        customer = customers[job.customer]
        month = (job.customer, job.asked_at.month)
        if month not in rows:
            rows[month] = Spend(customer=customer)
            read_spend(rows[month], now=job.asked_at)
        rows[month].rated_at = job.asked_at
        _compare(job, customer, classes[job.kind], spend=rows[month], done=done)
    return done


def _compare(
    job: TracedJob, customer: Customer, job_class: JobClass, *, spend: Spend, done: Replay
) -> None:
    found = estimate(
        customer=customer,
        job_class=job_class,
        input_size=job.steps,
        dimensions={"model": job.model},
        at=job.asked_at,
        spend=spend,
    )
    done.bases[found.basis] += 1
    if found.comparable < COMPARABLE_LEAST:
        return
    standing = standing_of(customer=customer, at=job.asked_at, spend=spend)
    used = Used(METER, (job.kind,), job.seconds)
    added = MarginPricer(standing, meters={used.meter}).amounts([used])
    actual = total(each.exact for each in added if not each.credit)
    side = "below" if actual < found.low else "above" if actual > found.high else "inside"
    done.found[side] += 1
    done.widths.append((found.high - found.low) / found.expected)


def _make_world(jobs: list[TracedJob]) -> tuple[dict[str, Customer], dict[str, JobClass]]:
    meter = define_meter(
        key=METER, name="GPU time", event_type="render", aggregation="sum",
        value_property="seconds", dimensions=["kind"], unit="s",
    )  # fmt: skip
    plan = create_plan(key="trace", name="Trace")
    version = start_version(plan=plan, currency="USD")
    price = Price(
        key="gpu", name="GPU time", model="matrix", meter=meter, unit_size=Decimal(3600),
        default_amount=GPU_HOUR,
    )  # fmt: skip
    rate = MatrixRate(match=["INPAINTING"], unit_amount=INPAINTING_HOUR, label="Inpainting")
    add_prices(version=version, rows=[PriceRows(price, rates=[rate])])
    publish_version(version=version, effective_from=MONTHS_START, by=None, now=MONTHS_START)
    keys = sorted({job.customer for job in jobs})
    ids = create_customers(rows=[CustomerRow(key, key) for key in keys])
    subscribe_many(customer_ids=ids.values(), plan=plan, starts_at=MONTHS_START)
    kinds = sorted({job.kind for job in jobs})
    classes = {
        kind: JobClass.objects.create(key=kind.lower(), name=kind, input_unit="step")
        for kind in kinds
    }
    return {each.key: each for each in Customer.objects.filter(key__in=keys)}, classes


_JOBS = """
INSERT INTO usage_job (public_id, customer_id, key, request_digest, job_class_id, service_class,
    input_size, dimensions, state, cause, reason, estimate_low, estimate_expected, estimate_high,
    estimate_basis, estimate_comparable, held, held_quantities, reported,
    service_credit, admitted_at, silent_at, ended_at, settled_at)
SELECT j.id, j.customer, j.id::text, '', j.class, '', j.steps,
    jsonb_build_object('model', j.model), 'succeeded', '', '', 0, 0, 0, '', 0, 0, '[]', '{}', 0,
    j.asked, j.asked, j.ended, j.ended
FROM unnest(%(ids)s::uuid[], %(customers)s::bigint[], %(classes)s::bigint[], %(steps)s::numeric[],
    %(models)s::text[], %(asked)s::timestamptz[], %(ended)s::timestamptz[])
    AS j (id, customer, class, steps, model, asked, ended)
"""
_QUANTITIES = """
INSERT INTO usage_jobquantity (job_id, customer_id, job_class_id, meter, dimensions, quantity,
    per_input, ended_at)
SELECT j.id, j.customer_id, j.job_class_id, %(meter)s, jsonb_build_array(q.kind), q.seconds,
    q.seconds / j.input_size, j.ended_at
FROM unnest(%(ids)s::uuid[], %(kinds)s::text[], %(seconds)s::numeric[]) AS q (id, kind, seconds)
JOIN usage_job j ON j.public_id = q.id
"""


def _store(
    jobs: list[TracedJob], *, customers: dict[str, Customer], classes: dict[str, JobClass]
) -> None:
    """Store all jobs as they ended, as their settlement does; estimates look at the past alone."""
    ids = [uuid4() for _ in jobs]
    with connection.cursor() as cursor:
        cursor.execute(
            _JOBS,
            {
                "ids": ids,
                "customers": [customers[job.customer].pk for job in jobs],
                "classes": [classes[job.kind].pk for job in jobs],
                "steps": [job.steps for job in jobs],
                "models": [job.model for job in jobs],
                "asked": [job.asked_at for job in jobs],
                "ended": [job.ended_at for job in jobs],
            },
        )
        cursor.execute(
            _QUANTITIES,
            {
                "ids": ids,
                "meter": METER,
                "kinds": [job.kind for job in jobs],
                "seconds": [job.seconds for job in jobs],
            },
        )
        cursor.execute("ANALYZE usage_job, usage_jobquantity")
