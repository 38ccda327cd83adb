"""What a job that asks for admission is likely to cost and to use."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from billing.estimates.values import Basis, Estimate
from billing.estimating import comparable
from billing.jobs.asking import JobRequest
from billing.jobs.errors import CannotBePriced
from billing.jobs.expecting import expected_of
from billing.jobs.money import standing_for
from billing.jobs.own_usage import job_properties, own_quantities, version_terms
from billing.jobs.reading import Account
from billing.spend.margin import Standing
from billing.spend.pending import LOOSE
from plans import rating
from plans.rating.money import ZERO, minus
from usage.comparable import newest_up_to
from usage.job_quantities import Cell, added, by_meter


class Likely(NamedTuple):
    """What the job is expected to cost and to use, as one that was alike may have found it."""

    estimate: Estimate
    quantities: dict[Cell, Decimal]
    loose: dict[Cell, Decimal]
    """The same with an amount in place of quantities that nothing prices."""
    standing: Standing
    """On what they are priced."""


def likely_of(account: Account, request: JobRequest, *, fresh: bool, now: datetime) -> Likely:
    """Estimate the job, and say at which quantities it is held.

    Where the row of spend knows the version in force, is ``fresh``, both go by the terms that it
    was rated by, and are remembered for jobs that are alike.
    Raises NoSubscription, CannotBePriced.
    """
    try:
        standing = standing_for(account, at=now)
        alike = _alike(account, request, at=now) if fresh else None
        known = standing.estimates.get(alike)
        if known is not None:
            estimated, quantities, loose = known
            return Likely(estimated, quantities, loose, standing)
        found = expected_of(account, request, standing=standing, fresh=fresh, at=now)
    except rating.RatingError as error:
        raise CannotBePriced(str(error)) from error
    likely = _likely(account, request, found, standing)
    if alike is not None:
        standing.remember(alike, likely[:-1])
    return likely


class _Alike(NamedTuple):
    """What a job's likelihood depends on, besides the standing; samples go by their numbers."""

    version_id: int
    job_class: str
    workspace: str
    service_class: str
    input_size: Decimal
    dimensions: tuple[tuple[str, str], ...]
    sample: int
    basis: Basis


def _alike(account: Account, request: JobRequest, *, at: datetime) -> _Alike | None:
    """Return by what the job is remembered; None where what its class declares may change it."""
    found = comparable(
        newest_up_to(account.last_job_id),
        job_class_id=account.class_id,
        known=request.dimensions,
        at=at,
    )
    if found is None:
        return None
    return _Alike(
        account.version_id,
        request.job_class,
        account.workspace,
        request.service_class,
        request.input_size,
        tuple(request.dimensions.items()),
        found.sample.number,
        found.basis,
    )


def _likely(account: Account, request: JobRequest, found: Estimate, standing: Standing) -> Likely:
    own = own_quantities(
        account.version_id,
        job_properties(
            job_class=request.job_class,
            service_class=request.service_class,
            input_size=request.input_size,
            dimensions=request.dimensions,
        ),
    )
    at = version_terms(account.version_id).terms.jobs.hold_at
    expected = _expected(found, request, standing, at=at, besides=frozenset(by_meter(own)))
    loose = {LOOSE: minus(getattr(found, at), ZERO)}
    return Likely(found, added(own, expected), added(own, loose), standing)


def _expected(
    found: Estimate,
    request: JobRequest,
    standing: Standing,
    *,
    at: str,
    besides: frozenset[str],
) -> dict[Cell, Decimal]:
    """Return what the estimate expects of each meter, at the values that are known beforehand."""
    known = dict(request.dimensions)
    names: dict[str, tuple[str, ...]] = {}
    for price in standing.prices:
        if price.meter:
            names[price.meter] = price.dimensions
            if price.class_dimension:
                known[price.class_dimension] = request.service_class
    return {
        (meter, tuple(known.get(name, "") for name in names.get(meter, ()))): getattr(span, at)
        for meter, span in found.quantities
        if meter not in besides and meter in names
    }
