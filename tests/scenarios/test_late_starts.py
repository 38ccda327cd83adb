"""Dated scenarios: premium jobs that start late cost what standard ones do.

0.40 a job; premium one and a half times that, started within 15 minutes. Whoever waits longer is
given 0.20 back, in the period of the job's usage.
"""

from datetime import datetime, timedelta
from decimal import Decimal as D
from itertools import count
from uuid import UUID

from billing.api.serializers import LineSerializer
from billing.jobs.admitting import admit
from billing.jobs.asking import JobRequest
from billing.jobs.checks import verify_spend
from billing.jobs.life import begin_attempt
from billing.jobs.queries import job_details
from billing.jobs.reporting import Report
from billing.jobs.settling import cancel, complete, fail
from billing.queries.jobs import job_page
from billing.queries.pages import statement_page
from billing.spend.rating import rate_spend
from billing.statements.verify import Difference, verify_statements
from plans.models import JobTerms, Plan, ServiceClass
from plans.terms import GrantRows
from tests.fixtures.jobs import job_class, job_of, spend_of
from tests.fixtures.usage import wait_for_horizon
from tests.fixtures.world import World, at
from usage.ingest import CloudEvent
from usage.models import Event
from usage.operations.ingest import ingest

ON_TIME, LATE = timedelta(minutes=15), timedelta(minutes=16)
AN_HOUR = timedelta(hours=1)
_keys = count(1)


def queues(world: World, *, most: str | None = None, **price: str) -> Plan:
    """Make the plan; late starts give back at most so much in a period."""
    dimensions = ["service_class", "started_late"]
    meter = world.meter("jobs", event_type="tollgate.job", unit="job", dimensions=dimensions)
    grants = GrantRows(
        service_classes=[
            ServiceClass(position=0, key="standard", name="standard", start_within_minutes=60),
            ServiceClass(
                position=1, key="premium", name="premium", multiplier=D("1.5"),
                start_within_minutes=15, late_start_percent=D(100),
            ),
        ],
        jobs=None if most is None else JobTerms(late_start_most=D(most)),
    )  # fmt: skip
    jobs = {
        "key": "jobs", "model": "per_unit", "meter": meter, "amount": D("0.40"),
        "class_dimension": "service_class", **price,
    }  # fmt: skip
    plan = world.plan(prices=(jobs,), grants=grants)
    job_class()
    world.subscribe(world.customer(), plan, starts_at=at(2025, 1, 1))
    return plan


def started(when: datetime, *, after: timedelta, service_class: str = "premium") -> UUID:
    """Ask for a job at a time, and start it so much later."""
    asked = JobRequest(subject="acme", job_class="render", service_class=service_class)
    job = UUID(admit(request=asked, key=f"k{next(_keys)}", now=when).body["id"])
    begin_attempt(job_id=job, number=None, key="", at=None, now=when + after)
    return job


def ran(when: datetime, *, after: timedelta, lasting: timedelta = AN_HOUR, **said: str) -> UUID:
    """Run a job to its end."""
    job = started(when, after=after, **said)
    complete(job_id=job, now=when + after + lasting)
    return job


def credits_of(*jobs: UUID) -> list[D]:
    return [job_of(job).service_credit for job in jobs]


def months(world: World, *, now: datetime):
    """Close what is due, prove it, and return the lines of each statement."""
    wait_for_horizon()
    world.close(now=now)
    assert not [found for found in verify_statements() if isinstance(found, Difference)]
    return [
        [(name, f"{amount:.2f}") for name, _, amount in world.lines(each)]
        for each in world.statements()
    ]


def test_late_starts_are_given_back_once_and_only_of_what_was_billed(world: World) -> None:
    queues(world)
    when = at(2025, 1, 10, 9)
    late = ran(when, after=LATE)
    ran(when, after=ON_TIME)
    ran(when, after=LATE, service_class="standard")
    ran(when, after=AN_HOUR * 2, service_class="standard")
    waiting = started(when, after=timedelta())
    cancel(job_id=waiting, now=when + AN_HOUR)
    asked = JobRequest(subject="acme", job_class="render", service_class="premium")
    never = UUID(admit(request=asked, key="never", now=when).body["id"])
    cancel(job_id=never, now=when + AN_HOUR)
    failed = started(when, after=LATE)
    fail(job_id=failed, cause="provider", now=when + AN_HOUR)
    complete(job_id=late, now=when + LATE + AN_HOUR)

    assert credits_of(late, waiting, never, failed) == [D("0.2"), 0, 0, 0]
    job = job_of(late)
    # Held until it is rated is what the job costs at most; what it came to says both.
    assert (job.held, job.amount) == (D("0.60"), D("0.60"))
    assert job_details(job_id=late)["total_amount"] == "0.4"
    assert spend_of(job.customer).held == D("2.00")

    wait_for_horizon()
    rate_spend(customer_ids=[job.customer_id], now=at(2025, 1, 20))
    row = spend_of(job.customer)
    assert (row.held, row.spent, row.usage_spent) == (0, D("1.80"), D("1.80"))
    assert list(verify_spend(now=at(2025, 1, 20))) == []
    assert months(world, now=at(2025, 2, 4)) == [
        [
            ("Jobs, standard", "0.80"),
            ("Jobs, premium", "1.20"),
            ("service credit, 1 premium job started late", "-0.20"),
        ]
    ]

    line = statement_page(statement=world.statements()[0]).charges[-1]
    assert (line.line_key, line.words) == (
        "late:premium",
        "service credit, 1 premium job started late: 1 at -0.2 = -0.20",
    )
    assert line.cells == (("premium", "true"),)
    assert [(one.job, one.promised, one.started) for one in line.late_starts] == [
        (str(late), "10 January 2025, 09:15:00", "10 January 2025, 09:16:00")
    ]
    assert LineSerializer(line).data["late_starts"] == [
        {
            "job": str(late),
            "promised_start_at": "2025-01-10T09:15:00Z",
            "started_at": "2025-01-10T09:16:00Z",
        }
    ]
    page = dict(job_page(job_of(late)).facts)
    assert page["Start promised by"] == "10 January 2025, 09:15:00"
    assert (page["Started"], page["Late start"]) == (
        "10 January 2025, 09:16:00",
        "$0.20 given back",
    )


def test_over_a_months_end_the_credit_lies_where_the_usage_does(world: World) -> None:
    """By its start each job falls into a month; what is known late for January is corrected."""
    queues(world, most="0.30", attribution="start")
    eve = at(2025, 1, 31, 23)
    january = ran(at(2025, 1, 10), after=LATE)
    # Promised by 0:05 of February: it starts then, late, and by its start it is February's.
    february = ran(eve + AN_HOUR - timedelta(minutes=10), after=LATE)
    # Started at 23:16 of January, and still running when January is finalised.
    known_late = started(eve, after=LATE)
    kept = [
        ("Jobs, premium", "0.60"),
        ("service credit, 1 premium job started late", "-0.20"),
    ]
    assert months(world, now=at(2025, 2, 4)) == [kept]

    complete(job_id=known_late, now=at(2025, 2, 10))

    # Of the 0.30 that January gives back 0.10 are left; February has its own.
    assert credits_of(january, february, known_late) == [D("0.2"), D("0.2"), D("0.1")]
    assert months(world, now=at(2025, 3, 4)) == [
        kept,
        [
            ("Jobs, premium", "0.60"),
            ("service credit, 1 premium job started late", "-0.20"),
            ("Jobs, premium", "0.60"),
            ("service credit, 2 premium jobs started late", "-0.10"),
        ],
    ]
    page = statement_page(statement=world.statements()[1])
    corrected = page.adjustments[-1]
    assert [one.job for one in corrected.late_starts] == [str(january), str(known_late)]
    assert [change.kind for change in corrected.changes] == ["late_start_most"]
    assert world.statements()[1].adjustments_total == D("0.50")


def test_the_most_in_a_period_bounds_what_is_given_back_and_begins_anew(world: World) -> None:
    queues(world, most="0.50")
    first = [ran(at(2025, 1, day), after=LATE) for day in (10, 11, 12)]
    second = [ran(at(2025, 2, 3), after=LATE)]
    assert credits_of(*first, *second) == [D("0.2"), D("0.2"), D("0.1"), D("0.2")]
    said = {"service_class": "premium", "started_late": True, "late_start": {"promised_at": "5"}}
    own = CloudEvent(id="by-hand", source="tollgate/jobs", type="tollgate.job", subject="acme",
                     time=at(2025, 2, 4), data=said)  # fmt: skip
    assert ingest([own], now=at(2025, 2, 5)).accepted == 1
    assert months(world, now=at(2025, 3, 4)) == [
        [
            ("Jobs, premium", "1.80"),
            ("service credit, 3 premium jobs started late", "-0.50"),
        ],
        [
            ("Jobs, premium", "1.20"),
            ("service credit, 2 premium jobs started late", "-0.40"),
        ],
    ]
    page = statement_page(statement=world.statements()[1])
    assert [one.job for one in page.charges[-1].late_starts] == [str(job) for job in second]


def test_what_a_late_job_reports_is_given_back_too_and_no_report_says_so_itself(
    world: World,
) -> None:
    plan = queues(world)
    tokens = world.meter(
        "tokens", event_type="llm", aggregation="sum", value_property="tokens",
        dimensions=["queue", "started_late"],
    )  # fmt: skip
    by_class = {
        "key": "tokens", "model": "per_unit", "meter": tokens, "amount": D(3),
        "unit_size": D(1000), "class_dimension": "queue",
    }  # fmt: skip
    version = plan.versions.get()
    grants = GrantRows(service_classes=list(version.service_classes.all()))
    for each in grants.service_classes:
        each.pk = None
    world.version(plan, prices=(by_class,), effective_from=at(2025, 1, 2), grants=grants)
    said = {"queue": "premium", "tokens": 1000}
    for after, marks in ((LATE, {}), (ON_TIME, {"started_late": True, "late_start": {}})):
        job = started(at(2025, 1, 10, 9), after=after)
        usage = Report(key="1", type="llm", data={**said, **marks})
        complete(job_id=job, reports=[usage], now=at(2025, 1, 10, 11))

    marked = {event.properties.get("started_late", False) for event in Event.objects.all()}
    assert marked == {True, False}
    assert months(world, now=at(2025, 2, 4)) == [
        [
            ("Tokens, premium", "9.00"),
            ("service credit, 1,000 tokens of premium jobs that started late", "-1.50"),
        ]
    ]
