"""What a job that asks for admission is likely to cost and to use."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from billing.estimates.values import Estimate
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
from usage.job_quantities import Cell, added, by_meter


class Likely(NamedTuple):
    """What the job is expected to cost and to use."""

    estimate: Estimate
    standing: Standing
    """On what they are priced."""
    quantities: dict[Cell, Decimal]
    loose: dict[Cell, Decimal]
    """The same with an amount in place of quantities that nothing prices."""


def likely_of(account: Account, request: JobRequest, *, fresh: bool, now: datetime) -> Likely:
    """Estimate the job, and say at which quantities it is held.

    Where the row of spend knows the version in force, is ``fresh``, both go by the terms that it
    was rated by. Raises NoSubscription, CannotBePriced.
    """
    try:
        standing = standing_for(account, at=now)
        found = expected_of(account, request, standing=standing, fresh=fresh, at=now)
    except rating.RatingError as error:
        raise CannotBePriced(str(error)) from error
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
    return Likely(
        estimate=found,
        standing=standing,
        quantities=added(own, expected),
        loose=added(own, loose),
    )


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
