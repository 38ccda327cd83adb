"""What a job will cost: a range before it runs, from what comparable jobs used.

Each comparable job's quantities are scaled to this job's input and priced on the customer's own
plan at the margin; low, expected and high are the 10th, 50th and 90th percentile of these amounts.
So a job that uses much of one meter and little of another counts as it was, not as its meters'
percentiles would have it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from billing.estimates.values import Basis, Estimate, Range, ends_of, percentiles, rounded
from billing.models import Spend
from billing.spend.margin import MarginPricer, Standing
from billing.spend.standing import standing_of
from plans.models import Customer, JobClass, Workspace
from plans.rating.money import times
from usage.comparable import ComparableJobs, newest_of_class, newest_of_customer
from usage.comparable_sample import Columns, KnownValues, PerInput, Sample

__all__ = ["Estimate", "estimate"]

COMPARABLE_LEAST = 20
STANDS_FOR = timedelta(minutes=15)


class Comparable(NamedTuple):
    """Jobs that this one may turn out like; no ``is_sample`` is what the class declares of them."""

    sample: Sample
    basis: Basis
    is_sample: bool = True


def estimate(
    *,
    customer: Customer,
    job_class: JobClass,
    input_size: Decimal,
    at: datetime,
    workspace: Workspace | None = None,
    dimensions: Mapping[str, str] | None = None,
    service_class: str = "",
    spend: Spend | None = None,
    standing: Standing | None = None,
    own: ComparableJobs | None = None,
) -> Estimate:
    """Return the range of what a job will cost on the customer's plan, on top of its usage so far.

    ``dimensions`` are property values known beforehand: quantities are priced at them, and jobs
    that had the same are preferred. ``spend`` is the customer's row where it was read already,
    ``standing`` the usage so far and the terms, ``own`` the customer's comparable jobs where these
    are known.
    Raises NoSubscription, and RatingError where no comparable job can be priced.
    """
    standing = standing or standing_of(customer=customer, at=at, spend=spend)
    known = dict(dimensions or {})
    if own is None:
        own = newest_of_customer(customer_id=customer.pk, job_class_id=job_class.pk, at=at)
    likely = comparable(own, job_class_id=job_class.pk, known=known, at=at)
    if likely is None:
        likely = _few(own, job_class=job_class, known=known, at=at)
    job = _Job(
        likely.sample.number,
        input_size,
        _known_values(standing, known=known, service_class=service_class),
        workspace.key if workspace else "",
    )
    ranges = standing.estimates.get(job)
    if ranges is None:
        ranges = _ranges(standing, job, likely)
        standing.remember(job, ranges)
    return Estimate(
        currency=customer.currency,
        **ranges.money._asdict(),
        credits=ranges.credits,
        quantities=ranges.quantities,
        basis=likely.basis,
        comparable=ranges.jobs if likely.is_sample else 0,
        stands_until=min([at + STANDS_FOR, *(each.end for each in standing.segments)]),
    )


class _Job(NamedTuple):
    """What a job's estimate on a standing depends on; samples go by their numbers."""

    sample: int
    input_size: Decimal
    values: KnownValues
    workspace: str


class _Ranges(NamedTuple):
    """What a job will cost and use, from so many jobs."""

    money: Range
    credits: tuple[tuple[str, Range], ...]
    quantities: tuple[tuple[str, Range], ...]
    jobs: int


def _ranges(standing: Standing, job: _Job, likely: Comparable) -> _Ranges:
    used = likely.sample.columns(job.values)
    amounts = _amounts(
        standing, used, input_size=job.input_size, jobs=len(likely.sample),
        workspace=job.workspace,
    )  # fmt: skip
    ends = percentiles if likely.is_sample else ends_of
    return _Ranges(
        money=rounded(ends(amounts[""])),
        credits=tuple(
            (unit, rounded(ends(column))) for unit, column in sorted(amounts.items()) if unit
        ),
        quantities=tuple(
            (meter, rounded(ends(column), times_size=job.input_size))
            for meter, column in sorted(used.meters.items())
        ),
        jobs=len(amounts[""]),
    )


def comparable(
    own: ComparableJobs, *, job_class_id: int, known: Mapping[str, str], at: datetime
) -> Comparable | None:
    """Return the customer's own jobs if they are enough, else the class's, or None of either.

    ``known`` are property values known beforehand.
    """
    if len(own) >= COMPARABLE_LEAST:
        return _of(own, "customer", known=known)
    others = newest_of_class(job_class_id=job_class_id, at=at)
    return _of(others, "class", known=known) if len(others) >= COMPARABLE_LEAST else None


def _few(
    own: ComparableJobs, *, job_class: JobClass, known: Mapping[str, str], at: datetime
) -> Comparable:
    """Take what the class declares. Where it declares nothing, few jobs are better than none."""
    declared = _declared(job_class)
    if declared:
        return Comparable(Sample(declared), "declared", is_sample=False)
    if own:
        return _of(own, "customer", known=known)
    others = newest_of_class(job_class_id=job_class.pk, at=at)
    if others:
        return _of(others, "class", known=known)
    return Comparable(Sample([]), "unknown", is_sample=False)


def _of(jobs: ComparableJobs, basis: Basis, *, known: Mapping[str, str]) -> Comparable:
    return Comparable(jobs.sample(known=known, least=COMPARABLE_LEAST), basis)


def _declared(job_class: JobClass) -> list[tuple[PerInput, ...]]:
    """Return three jobs that use the low, the expected and the high of what the class declares."""
    rows = list(job_class.usage.select_related("meter").order_by("id"))
    if not rows:
        return []
    return [
        tuple(
            PerInput(row.meter.key, ("",) * len(row.meter.dimensions), getattr(row, end))
            for row in rows
        )
        for end in Range._fields
    ]


def _known_values(
    standing: Standing, *, known: Mapping[str, str], service_class: str
) -> KnownValues:
    """Return by meter the values that are known, in the order of its dimensions."""
    found: dict[str, tuple[str | None, ...]] = {}
    for terms in standing.by.terms.values():
        for price in terms.prices:
            if price.meter and price.dimensions:
                said = dict(known)
                if service_class and price.class_dimension:
                    said[price.class_dimension] = service_class
                found[price.meter] = tuple(said.get(name) for name in price.dimensions)
    return frozenset(each for each in found.items() if any(v is not None for v in each[1]))


def _amounts(
    standing: Standing, used: Columns, *, input_size: Decimal, jobs: int, workspace: str
) -> Mapping[str, list[Decimal]]:
    """Price each job, by unit; leave out what the plan cannot price unless that is all of them."""
    sized = {cell: [times(each, input_size) for each in column]
             for cell, column in used.cells.items()}  # fmt: skip
    pricer = MarginPricer(standing, meters=used.meters, workspace=workspace)
    found = pricer.of_jobs(sized, jobs=jobs)
    if found.refusals and not found.by_unit[""]:
        raise found.refusals[-1]
    return found.by_unit
