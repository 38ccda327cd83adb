"""`estimate_p99_ms` with many finished jobs, and `estimate_in_range` over the replayed trace."""

import time
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec
from django.db import connection

from bench.database import run_sql, settle
from bench.figures import print_figure, spread
from bench.job_trace import find_trace, read_trace, replay
from bench.server import Line, RequestRefused, running_server
from bench.sizes import Size
from bench.world import CLASSES, customer_key
from billing.models import Spend
from billing.spend.rating import rate_spend
from plans.models import Customer, JobClass
from usage.operations.api_keys import issue_key

PATH = "/api/v1/estimates"
JOB_CLASSES = 4
REQUESTS = 1_000
WARM_UP = 20
FINISHED = {"tiny": 2_000, "small": 100_000, "full": 1_000_000}
REPLAYED = {"tiny": 300, "small": 5_000, "full": None}


def measure(size: Size) -> None:
    """Print the figures; the working database is fresh."""
    _latency(size)
    _in_range(size)


def _latency(size: Size) -> None:
    now = datetime.now(tz=UTC)
    jobs = FINISHED[size.name]
    classes = [JobClass.objects.create(key=f"class-{n}", name=f"{n}") for n in range(JOB_CLASSES)]
    finish_jobs(jobs, classes, now=now)
    asked = 100 if size.name == "tiny" else REQUESTS
    noise = Random(1)
    numbers = [noise.randrange(size.customers) for _ in range(asked + WARM_UP)]
    _rate(numbers, now=now)
    run_sql("VACUUM usage_job, usage_jobquantity")
    settle()
    _, secret = issue_key(name="bench", scopes=["jobs"], now=now)
    times, bases = [], {"customer": 0, "class": 0}
    with running_server(workers=1, threads=1, pool=0) as port:
        web = Line(port, path=PATH, headers={"Authorization": f"Bearer {secret}"})
        for turn, number in enumerate(numbers):
            started = time.perf_counter()
            basis = _ask(web, number, job_class=classes[turn % JOB_CLASSES].key)
            took = 1000 * (time.perf_counter() - started)
            if turn >= WARM_UP:
                times.append(took)
                bases[basis] += 1
        web.close()
    times.sort()
    print_figure(
        "estimate_p99_ms",
        times[int(0.99 * (len(times) - 1))],
        f"{spread(times, digits=1)} ms of {len(times):,} requests with {jobs:,} finished jobs of "
        f"{size.customers:,} customers",
        f"from {bases['customer']:,} customers' own jobs and {bases['class']:,} times the class's; "
        "three prices each",
    )


def _ask(web: Line, number: int, *, job_class: str) -> str:
    """Ask what a job of a customer will cost; return what the answer rests on."""
    asked: dict[str, Any] = {
        "subject": customer_key(number),
        "job_class": job_class,
        "input_size": "1000",
        "dimensions": {"class": CLASSES[number % len(CLASSES)]},
    }
    status, said = web.post(msgspec.json.encode(asked))
    if status != 200:
        raise RequestRefused(f"POST {PATH}: {status} {said[:500]!r}")
    return str(msgspec.json.decode(said)["basis"])


def _rate(numbers: list[int], *, now: datetime) -> None:
    """Rate those who ask; half of the rows are so old that their terms are looked up."""
    keys = {customer_key(number) for number in numbers}
    ids = list(Customer.objects.filter(key__in=keys).values_list("pk", flat=True))
    rate_spend(customer_ids=ids, now=now)
    Spend.objects.filter(pk__in=ids[::2]).update(rated_at=now - timedelta(minutes=10))
    Spend.objects.exclude(pk__in=ids[::2]).update(rated_at=now + timedelta(minutes=10))


_JOBS = """
INSERT INTO usage_job (public_id, customer_id, key, request_digest, job_class_id, service_class,
    input_size, dimensions, state, cause, reason, estimate_low, estimate_expected, estimate_high,
    estimate_basis, estimate_comparable, held, held_quantities, reported,
    service_credit, admitted_at, silent_at, ended_at, settled_at, rated_at)
SELECT gen_random_uuid(), c.id, 'job-' || n, '', (%(classes)s::bigint[])[1 + n %% %(count)s], '',
    500 + (hashint8extended(n, 4) & 511),
    jsonb_build_object('class', (%(values)s::text[])[1 + n %% 3]),
    'succeeded', '', '', 1, 2, 3, 'customer', 20, 0, '[]', '{}', 0, t.at, t.at, t.at, t.at, t.at
FROM generate_series(1, %(jobs)s) AS n
JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS number FROM plans_customer) AS c
    ON c.number = (hashint8extended(n, 3) & 2147483647) %% %(customers)s
CROSS JOIN LATERAL (SELECT %(now)s - n * interval '2 seconds' AS at) AS t
"""
_QUANTITIES = """
INSERT INTO usage_jobquantity (job_id, customer_id, job_class_id, meter, dimensions, quantity,
    per_input, ended_at)
SELECT j.id, j.customer_id, j.job_class_id, q.meter,
    CASE q.meter WHEN 'calls' THEN jsonb_build_array(j.dimensions ->> 'class') ELSE '[]' END,
    j.input_size * q.each, q.each, j.ended_at
FROM usage_job j CROSS JOIN LATERAL (VALUES
    ('tokens', 100 + (hashint8extended(j.id, 5) & 1023)),
    ('gpu-seconds', (hashint8extended(j.id, 6) & 1023) / 1000.0),
    ('calls', 1)) AS q (meter, each)
"""


def finish_jobs(jobs: int, classes: list[JobClass], *, now: datetime) -> None:
    """Store so many jobs of the classes that succeeded, with their quantities, up to now."""
    with connection.cursor() as cursor:
        cursor.execute(
            _JOBS,
            {
                "jobs": jobs,
                "classes": [each.pk for each in classes],
                "count": len(classes),
                "values": list(CLASSES),
                "customers": Customer.objects.count(),
                "now": now,
            },
        )
        cursor.execute(_QUANTITIES)
        cursor.execute("ANALYZE usage_job, usage_jobquantity")


def _in_range(size: Size) -> None:
    file = find_trace()
    if file is None:
        print("    estimate_in_range is left out: set TOLLGATE_TRACES to the folder of the trace")
        return
    done = replay(read_trace(file, limit=REPLAYED[size.name]))
    below, above = (done.found[side] / done.counted for side in ("below", "above"))
    print_figure(
        "estimate_in_range",
        done.share_in_range,
        f"of {done.counted:,} jobs with at least 20 comparable ones before them, of {done.jobs:,}; "
        f"{below:.3f} came to less than low, {above:.3f} to more than high; at most 0.85 is good",
        f"high - low is {done.width:.2f} of expected in the middle; from the customer's own jobs "
        f"{done.bases['customer']:,} times, from the class's {done.bases['class']:,} times",
    )
