"""Jobs as pages show them: a list with filters, and one with all that is known of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db.models import F, Q, QuerySet, Sum

from billing.jobs.late_starts import started_late
from billing.queries.statements import finalised_of
from billing.wording import Money, Quantity, moment, to_the_second
from usage.models import Job, JobAttempt, JobStep, JobUsage

PAGE: Final = 50
JOBS_SOURCE: Final = "tollgate/jobs"
DETAILS_MAX: Final = 200
_OPEN: Final = frozenset({Job.State.ADMITTED, Job.State.RUNNING})
_TONES: Final = {
    Job.State.ADMITTED: "live",
    Job.State.RUNNING: "live",
    Job.State.SUCCEEDED: "done",
    Job.State.FAILED: "bad",
    Job.State.CANCELLED: "still",
    Job.State.EXPIRED: "bad",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """What a list of jobs is limited to; "" does not limit."""

    state: str = ""
    job_class: str = ""
    workspace: str = ""

    @property
    def is_empty(self) -> bool:
        """Say whether nothing is left out."""
        return not (self.state or self.job_class or self.workspace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """An estimate, and where it lies between 0 and 100 on a scale that holds the amount too."""

    low: Money
    expected: Money
    high: Money
    low_at: str
    expected_at: str
    high_at: str
    amount_at: str
    basis: str

    def __str__(self) -> str:
        return f"{self.low} to {self.high}"

    @property
    def width(self) -> str:
        """Return how far low and high lie apart on the scale."""
        return f"{Decimal(self.high_at) - Decimal(self.low_at):.2f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job in a list. ``amount`` is None until it is known; then ``held`` stands for it."""

    id: int
    public_id: UUID
    customer_name: str
    key: str
    job_class: str
    workspace: str
    state: str
    tone: str
    admitted: str
    estimate: Range | None
    amount: Money | None
    held: Money | None
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobList:
    """A page of jobs, newest first; ``after`` is where the next one begins."""

    rows: Sequence[JobRow]
    after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at a job."""

    number: int
    state: str
    cause: str
    started: str
    ended: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One transition: what, when it was, and when we were told."""

    kind: str
    happened: str
    recorded: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Usage that an attempt reported, and whether it is billed."""

    attempt: int
    type: str
    time: str
    properties: Sequence[tuple[str, str]]
    billed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """One job with its attempts, steps, usage and children; times are in the customer's zone.

    ``with_children`` is what it and its children, at any depth, have come to or hold;
    ``statement`` is the number of the finalised one whose period holds its end, "" where none is.
    """

    row: JobRow
    zone: str
    facts: Sequence[tuple[str, str]]
    reason: str
    parent: JobRow | None
    children: Sequence[JobRow]
    children_left_out: bool
    with_children: Money | None
    statement: str
    attempts: Sequence[Attempt]
    steps: Sequence[Step]
    reports: Sequence[Report]


def job_list(
    jobs: "QuerySet[Job]", *, chosen: JobFilter, after: int | None, limit: int = PAGE
) -> JobList:
    """Return a page of some jobs, newest first, after the one with the id ``after``."""
    if chosen.state:
        jobs = jobs.filter(state=chosen.state)
    if chosen.job_class:
        jobs = jobs.filter(job_class__key=chosen.job_class)
    if chosen.workspace:
        jobs = jobs.filter(workspace__key=chosen.workspace)
    if after is not None:
        jobs = jobs.filter(pk__lt=after)
    found = list(_whole(jobs).order_by("-pk")[: limit + 1])
    more = len(found) > limit
    rows = [row_of(job) for job in found[:limit]]
    return JobList(rows=rows, after=rows[-1].id if more else None)


def job_page(job: Job) -> JobPage:
    """Return all that is known of a job, read with customer, workspace and class."""
    zone, currency = job.customer.time_zone, job.customer.currency
    children = list(_whole(job.steps.all()).order_by("pk")[: DETAILS_MAX + 1])
    parent = _whole(Job.objects.filter(pk=job.parent_id)).first() if job.parent_id else None
    attempts = JobAttempt.objects.filter(job=job).order_by("number")[:DETAILS_MAX]
    steps = JobStep.objects.filter(job=job).order_by("pk")[:DETAILS_MAX]
    usage = JobUsage.objects.filter(job=job).order_by("attempt", "time", "pk")[:DETAILS_MAX]
    return JobPage(
        row=row_of(job),
        zone=zone,
        facts=_facts(job),
        reason=job.reason,
        parent=row_of(parent) if parent else None,
        children=[row_of(child) for child in children[:DETAILS_MAX]],
        children_left_out=len(children) > DETAILS_MAX,
        with_children=Money(_rolled_up(job), currency) if children else None,
        statement=_statement_of(job),
        attempts=[_attempt(each, zone=zone) for each in attempts],
        steps=[_step(each, zone=zone) for each in steps],
        reports=[_report(each, zone=zone) for each in usage],
    )


def row_of(job: Job) -> JobRow:
    """Return a job, read with customer, workspace and class, as a row."""
    currency = job.customer.currency
    return JobRow(
        id=job.pk,
        public_id=job.public_id,
        customer_name=job.customer.name,
        key=job.key,
        job_class=job.job_class.name,
        workspace=job.workspace.name if job.workspace else "",
        state=job.get_state_display(),
        tone=_TONES[Job.State(job.state)],
        admitted=moment(job.admitted_at, zone=job.customer.time_zone),
        estimate=_range(job),
        amount=None if job.amount is None else Money(_plain(job.amount), currency),
        held=Money(_plain(job.held), currency) if job.held else None,
        verdict=_verdict(job),
    )


def _whole(jobs: "QuerySet[Job]") -> "QuerySet[Job]":
    return jobs.select_related("customer", "workspace", "job_class")


def _range(job: Job) -> Range | None:
    """Return the estimate on a scale of a tenth more than the highest amount; None without one."""
    top = max(job.estimate_high, job.amount or Decimal(0)) * Decimal("1.1")
    if not job.estimate_high or not top:
        return None
    currency = job.customer.currency

    def at(amount: Decimal) -> str:
        return f"{amount * 100 / top:.2f}"

    return Range(
        low=Money(_plain(job.estimate_low), currency),
        expected=Money(_plain(job.estimate_expected), currency),
        high=Money(_plain(job.estimate_high), currency),
        low_at=at(job.estimate_low),
        expected_at=at(job.estimate_expected),
        high_at=at(job.estimate_high),
        amount_at="" if job.amount is None else at(max(job.amount, Decimal(0))),
        basis=_basis(job),
    )


_BASES: Final = {
    "customer": "own earlier jobs of this class",
    "class": "earlier jobs of this class by all customers",
    "declared": "what this class is declared to use",
    "unknown": "no earlier job",
}


def _basis(job: Job) -> str:
    words = _BASES.get(job.estimate_basis, job.estimate_basis)
    return f"{job.estimate_comparable:,} of {words}" if job.estimate_comparable else words


def _verdict(job: Job) -> str:
    """Say in a word where the amount lies by the estimate; "" while either is unknown."""
    if job.amount is None or not job.estimate_high or job.state != Job.State.SUCCEEDED:
        return ""
    if job.amount > job.estimate_high:
        return "above the range"
    return "below the range" if job.amount < job.estimate_low else "within the range"


def _facts(job: Job) -> list[tuple[str, str]]:
    zone = job.customer.time_zone
    size = Quantity(_plain(job.input_size), job.job_class.input_unit)
    said: list[tuple[str, str]] = [("Class", job.job_class.name), ("Input", str(size))]
    if job.service_class:
        said.append(("Service class", job.service_class))
    if job.workspace:
        said.append(("Workspace", job.workspace.name))
    instants = (
        ("Admitted", job.admitted_at),
        ("Start promised by", job.promised_start_at),
        ("Started", job.started_at),
        ("Ended", job.ended_at),
        ("Settled", job.settled_at),
        ("Expires unless it reports", job.silent_at if job.state in _OPEN else None),
    )
    write = to_the_second if job.promised_start_at else moment
    said += [(name, write(at, zone=zone)) for name, at in instants if at]
    if started_late(job):
        back = Money(_plain(job.service_credit), job.customer.currency)
        words = f"{back} given back" if job.service_credit else "Nothing given back"
        said.append(("Late start", words))
    if job.cause:
        said.append(("Failed", job.get_cause_display().lower()))
    said += [(name, str(text)) for name, text in job.dimensions.items()]
    return said


def _statement_of(job: Job) -> str:
    if job.ended_at is None:
        return ""
    found = finalised_of(customer=job.customer).filter(
        period_start__lte=job.ended_at, period_end__gt=job.ended_at
    )
    return found.values_list("number", flat=True).first() or ""


def job_of_event(*, source: str, event_id: str) -> UUID | None:
    """Return the id of the job that an event is of; None for any other event."""
    if source != JOBS_SOURCE:
        return None
    try:
        return UUID(event_id.partition(":")[0])
    except ValueError:
        return None


def _rolled_up(job: Job) -> Decimal:
    """Add up the amounts, or what is held where none is known, of a job and all below it.

    What late starts give back is taken off.
    """
    total, level = _cost(Q(pk=job.pk)), [job.pk]
    while level:
        total += _cost(Q(parent_id__in=level))
        level = list(Job.objects.filter(parent_id__in=level).values_list("pk", flat=True))
    return _plain(total)


def _cost(which: Q) -> Decimal:
    net = Sum(F("amount") - F("service_credit"))
    known = Job.objects.filter(which, amount__isnull=False).aggregate(sum=net)["sum"]
    held = Job.objects.filter(which, amount=None).aggregate(sum=Sum("held"))["sum"]
    return (known or Decimal(0)) + (held or Decimal(0))


def _attempt(row: JobAttempt, *, zone: str) -> Attempt:
    return Attempt(
        number=row.number,
        state=row.get_state_display(),
        cause=row.get_cause_display() if row.cause else "",
        started=moment(row.started_at, zone=zone),
        ended=moment(row.ended_at, zone=zone) if row.ended_at else "",
    )


def _step(row: JobStep, *, zone: str) -> Step:
    return Step(
        kind=row.kind.replace("_", " ").capitalize(),
        happened=to_the_second(row.happened_at, zone=zone),
        recorded=to_the_second(row.recorded_at, zone=zone),
    )


def _report(row: JobUsage, *, zone: str) -> Report:
    billed = {None: "Not yet", True: "Billed", False: "Not billed"}[row.billed]
    return Report(
        attempt=row.attempt,
        type=row.type,
        time=to_the_second(row.time, zone=zone),
        properties=[(name, str(value)) for name, value in sorted(row.properties.items())],
        billed=billed,
    )


def _plain(amount: Decimal) -> Decimal:
    return amount.normalize() + 0
