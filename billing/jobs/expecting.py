"""What a job is expected to cost, as its admission asks for it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Protocol

from billing.estimates.values import Estimate
from billing.estimating import estimate
from billing.jobs.asking import JobRequest
from billing.jobs.money import customer_of
from billing.jobs.reading import Account
from billing.spend.margin import Standing
from plans import rating
from plans.models import JobClass, Workspace
from usage.comparable import newest_up_to


class Expected(Protocol):
    """A job that may come: what it is estimated by."""

    @property
    def job_class(self) -> str:
        """Return the key of its class."""

    @property
    def input_size(self) -> Decimal:
        """Return its size in what the class counts."""

    @property
    def dimensions(self) -> Mapping[str, str]:
        """Return the property values that are known beforehand."""

    @property
    def service_class(self) -> str:
        """Return the key of its service class, or ""."""


def expected_of(
    account: Account, request: JobRequest, *, standing: Standing, fresh: bool, at: datetime
) -> Estimate:
    """Return the estimate of a job that asks for admission. Raises RatingError.

    Where the row of spend is not ``fresh``, the usage so far is read anew. A job beyond an
    allowance that the plan does not exceed is priced as if it did: the rule of the allowance
    refuses it, and says why.
    """
    try:
        return estimate_on(account, request, standing=standing if fresh else None, at=at)
    except rating.BeyondAllowance:
        beyond = replace(standing, rates_beyond=True)
        return estimate_on(account, request, standing=beyond, at=at)


def estimate_on(
    account: Account, asked: Expected, *, standing: Standing | None, at: datetime
) -> Estimate:
    """Return the estimate of a job on what its customer has used, which is read where it is None.

    Raises NoSubscription and RatingError.
    """
    return estimate(
        customer=customer_of(account),
        job_class=_job_class(account.class_id, asked.job_class),
        input_size=asked.input_size,
        at=at,
        workspace=_workspace(account.workspace) if account.workspace else None,
        dimensions=asked.dimensions,
        service_class=asked.service_class,
        standing=standing,
        own=newest_up_to(account.last_job_id),
    )


# Rows to be read only, as estimates ask for them: making one costs as much as finding its jobs.
@lru_cache(maxsize=512)
def _job_class(class_id: int, key: str) -> JobClass:
    return JobClass(id=class_id, key=key)


@lru_cache(maxsize=4096)
def _workspace(key: str) -> Workspace:
    return Workspace(key=key)
