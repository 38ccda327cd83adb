"""What a job will cost: a range before it runs, from what comparable jobs used.

Each comparable job's quantities are scaled to this job's input and priced on the customer's own
plan at the margin; low, expected and high are the 10th, 50th and 90th percentile of these amounts.
So a job that uses much of one meter and little of another counts as it was, not as its meters'
percentiles would have it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from billing.estimates.values import Basis, Estimate, Range, ends_of, range_of
from billing.models import Spend
from billing.spend.margin import MarginPricer, Standing, Used
from billing.spend.standing import standing_of
from plans import rating
from plans.models import Customer, JobClass, Workspace
from plans.rating.money import ZERO, plus, times
from usage.comparable import ComparableJob, PerInput, newest_jobs, newest_of_class

__all__ = ["Estimate", "estimate"]

COMPARABLE_LEAST = 20
STANDS_FOR = timedelta(minutes=15)


class _Likely(NamedTuple):
    """Jobs that this one may turn out like."""

    jobs: list[tuple[PerInput, ...]]
    basis: Basis
    is_sample: bool


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
) -> Estimate:
    """Return the range of what a job will cost on the customer's plan, on top of its usage so far.

    ``dimensions`` are property values known beforehand: quantities are priced at them, and jobs
    that had the same are preferred. ``spend`` is the customer's row where it was read already,
    ``standing`` the usage so far and the terms where these are known.
    Raises NoSubscription, and RatingError where no comparable job can be priced.
    """
    standing = standing or standing_of(customer=customer, at=at, spend=spend)
    known = dict(dimensions or {})
    likely = _likely(customer=customer, job_class=job_class, known=known, at=at)
    values = _known_values(standing, known=known, service_class=service_class)
    jobs = _sized(likely.jobs, input_size=input_size, known=values)
    amounts = _amounts(standing, jobs, workspace=workspace.key if workspace else "")
    return Estimate(
        currency=customer.currency,
        **_range(likely, [each.get("", ZERO) for each in amounts])._asdict(),
        credits=_by_key(likely, [_credits(each) for each in amounts]),
        quantities=_by_key(likely, [_quantities(job) for job in jobs]),
        basis=likely.basis,
        comparable=len(amounts) if likely.is_sample else 0,
        stands_until=min([at + STANDS_FOR, *(each.end for each in standing.segments)]),
    )


def _likely(
    *, customer: Customer, job_class: JobClass, known: Mapping[str, str], at: datetime
) -> _Likely:
    """Take the customer's own jobs if they are enough, then the class's, then what it declares.

    Where the class declares nothing, few jobs are better than none.
    """
    own = newest_jobs(job_class_id=job_class.pk, customer_id=customer.pk, at=at)
    if len(own) >= COMPARABLE_LEAST:
        return _sample(own, "customer", known=known)
    others = newest_of_class(job_class_id=job_class.pk, at=at)
    if len(others) >= COMPARABLE_LEAST:
        return _sample(others, "class", known=known)
    declared = _declared(job_class)
    if declared:
        return _Likely(declared, "declared", False)
    if own or others:
        return _sample(own or others, "customer" if own else "class", known=known)
    return _Likely([], "unknown", False)


def _sample(jobs: Sequence[ComparableJob], basis: Basis, *, known: Mapping[str, str]) -> _Likely:
    alike = [job for job in jobs if job.dimensions == known]
    taken = alike if len(alike) >= COMPARABLE_LEAST else jobs
    return _Likely([job.used for job in taken], basis, True)


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


_KnownValues = Mapping[str, tuple[str | None, ...]]
_Cell = tuple[str, tuple[str, ...]]


def _sized(
    jobs: Iterable[Iterable[PerInput]], *, input_size: Decimal, known: _KnownValues
) -> list[tuple[Used, ...]]:
    """Return what the jobs would use at this input size and at the values known beforehand."""
    cells: dict[_Cell, _Cell] = {}
    found = []
    for job in jobs:
        quantities: dict[_Cell, Decimal] = {}
        for meter, dimensions, per_input in job:
            cell = cells.get((meter, dimensions))
            if cell is None:
                cell = meter, _at_values(dimensions, known.get(meter, ()))
                cells[meter, dimensions] = cell
            quantity = times(per_input, input_size)
            before = quantities.get(cell)
            quantities[cell] = quantity if before is None else plus(before, quantity)
        found.append(tuple(Used(*cell, quantity) for cell, quantity in quantities.items()))
    return found


def _at_values(dimensions: tuple[str, ...], known: tuple[str | None, ...]) -> tuple[str, ...]:
    return tuple(
        value if place >= len(known) or (said := known[place]) is None else str(said)
        for place, value in enumerate(dimensions)
    )


def _known_values(
    standing: Standing, *, known: Mapping[str, str], service_class: str
) -> _KnownValues:
    """Return by meter the values that are known, in the order of its dimensions."""
    found: dict[str, tuple[str | None, ...]] = {}
    for terms in standing.by.terms.values():
        for price in terms.prices:
            if price.meter and price.dimensions:
                said = dict(known)
                if service_class and price.class_dimension:
                    said[price.class_dimension] = service_class
                found[price.meter] = tuple(said.get(name) for name in price.dimensions)
    return {meter: values for meter, values in found.items() if any(v is not None for v in values)}


def _amounts(
    standing: Standing, jobs: Sequence[tuple[Used, ...]], *, workspace: str
) -> list[Mapping[str, Decimal]]:
    """Price each job, by unit; leave out what the plan cannot price unless that is all of them."""
    meters = {each.meter for job in jobs for each in job}
    pricer = MarginPricer(standing, meters=meters, workspace=workspace)
    found: list[Mapping[str, Decimal]] = []
    refusal: rating.RatingError | None = None
    for job in jobs:
        try:
            found.append(pricer.exact(job))
        except rating.RatingError as error:
            refusal = error
    if refusal and not found:
        raise refusal
    return found


def _credits(amounts: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
    return {unit: amount for unit, amount in amounts.items() if unit}


def _quantities(job: Iterable[Used]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for each in job:
        found[each.meter] = plus(found.get(each.meter, ZERO), each.quantity)
    return found


def _by_key(
    likely: _Likely, each: Sequence[Mapping[str, Decimal]]
) -> tuple[tuple[str, Range], ...]:
    keys = sorted({key for one in each for key in one})
    return tuple((key, _range(likely, [one.get(key, ZERO) for one in each])) for key in keys)


def _range(likely: _Likely, values: Sequence[Decimal]) -> Range:
    return range_of(values) if likely.is_sample else ends_of(values)
