"""A job is usage itself: an event of its own where a meter reads jobs."""

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from plans.terms import VersionTerms, terms_of
from usage.job_metering import Reported, exact_json, meter_reports
from usage.job_quantities import Cell
from usage.late_starts import without_marks

JOB_EVENT = "tollgate.job"
_encoder = msgspec.json.Encoder(order="deterministic", decimal_format="number")


def job_properties(
    *,
    job_class: str,
    service_class: str,
    input_size: Decimal,
    dimensions: Mapping[str, Any],
    state: str = "succeeded",
) -> dict[str, Any]:
    """Return the data of a job's own event. Its own words win over dimensions of the same name.

    Whether it started late is said as the event is stored.
    """
    return {
        **without_marks(dimensions),
        "job_class": job_class,
        "service_class": service_class,
        "input_size": input_size,
        "state": state,
    }


def counts_jobs(version_id: int) -> bool:
    """Tell whether a version prices jobs themselves."""
    meters = version_terms(version_id).meters.values()
    return any(meter.event_type == JOB_EVENT for meter in meters)


def own_quantities(version_id: int, properties: Mapping[str, Any]) -> dict[Cell, Decimal]:
    """Return what the job's own event will come to if it succeeds."""
    if not counts_jobs(version_id):
        return {}
    return dict(own_event_quantities(version_id, _encoder.encode(properties).decode()))


@lru_cache(maxsize=1024)
def own_event_quantities(version_id: int, properties: str) -> dict[Cell, Decimal]:
    """Return what an event with these properties, as JSON, comes to on the version's meters."""
    priced = version_terms(version_id).meters
    found = meter_reports([Reported(JOB_EVENT, exact_json(properties))])
    return {cell: quantity for cell, quantity in found.items() if cell[0] in priced}


@lru_cache(maxsize=512)
def version_terms(version_id: int) -> VersionTerms:
    """Return a published version's terms, which never change. Raises KeyError."""
    return terms_of([version_id])[version_id]
