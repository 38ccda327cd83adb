"""What plans name and a document defines beside them: meters, features, credits, job classes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from plans.catalogue.stated import amount_text, stated
from plans.grant_values import plain
from plans.job_classes import ClassSaid, class_said
from plans.models import CreditUnit, Feature, JobClass, Meter, PlanVersion
from plans.queries import (
    all_credit_units,
    all_features,
    all_job_classes,
    all_meters,
    job_classes_by_key,
    meters_by_key,
)


class Shared(NamedTuple):
    """What plans name and a document defines beside them."""

    meters: Sequence[Meter] = ()
    features: Sequence[Feature] = ()
    credit_units: Sequence[CreditUnit] = ()
    job_classes: Sequence[JobClass] = ()


def shared_content(shared: Shared) -> dict[str, Any]:
    """Return what plans share as a document's content."""
    return stated(
        meters=[meter_content(meter) for meter in shared.meters],
        features=[feature_content(feature) for feature in shared.features],
        credit_units=[credit_unit_content(unit) for unit in shared.credit_units],
        job_classes=[job_class_content(class_said(row)) for row in shared.job_classes],
    )


def meter_content(meter: Meter) -> dict[str, Any]:
    """Return a meter as a document states it, without what is usual."""
    multiple = plain(meter.rounding_multiple)
    return stated(
        key=meter.key,
        name=meter.name,
        event_type=meter.event_type,
        aggregation=str(meter.aggregation),
        property=meter.value_property,
        dimensions=list(meter.dimensions),
        filters=dict(meter.filters),
        rounding="" if meter.rounding == "none" else str(meter.rounding),
        rounding_multiple="" if multiple == 1 else amount_text(multiple),
        unit=meter.unit,
    )


def feature_content(feature: Feature) -> dict[str, Any]:
    """Return a feature as a document states it."""
    return stated(key=feature.key, name=feature.name, description=feature.description)


def credit_unit_content(unit: CreditUnit) -> dict[str, Any]:
    """Return a credit as a document states it."""
    return stated(code=unit.code, name=unit.name, decimals=unit.decimals or None)


def job_class_content(said: ClassSaid) -> dict[str, Any]:
    """Return a job class as a document states it, without what is usual."""
    usual = ClassSaid("", "")
    return stated(
        key=said.key,
        name=said.name,
        input_unit="" if said.input_unit == usual.input_unit else said.input_unit,
        silence_seconds=None
        if said.silence_seconds == usual.silence_seconds
        else said.silence_seconds,
        usage=[
            {
                "meter": each.meter,
                "low": amount_text(each.low),
                "expected": amount_text(each.expected),
                "high": amount_text(each.high),
            }
            for each in said.usage
        ],
    )


def _read_by(versions: Sequence[PlanVersion]) -> list[Meter]:
    meters = {
        price.meter.key: price.meter
        for version in versions
        for price in version.prices.all()
        if price.meter is not None
    }
    return [meters[key] for key in sorted(meters)]


def _granted_by(versions: Sequence[PlanVersion]) -> list[Feature]:
    features = {
        row.feature.key: row.feature for version in versions for row in version.features.all()
    }
    return [features[key] for key in sorted(features)]


def named_by(versions: Sequence[PlanVersion]) -> Shared:
    """Return all that versions name; job classes that are not defined are left out."""
    allotments = [row for version in versions for row in version.allotments.all()]
    limits = [row for version in versions for row in version.limits.all()]
    classes = job_classes_by_key(
        keys={
            *(key for row in allotments for key in row.job_classes),
            *(row.job_class for row in limits),
        }
    )
    meters = {meter.key: meter for meter in _read_by(versions)}
    meters |= meters_by_key(keys={key for row in allotments for key in row.meters} - meters.keys())
    meters |= {use.meter.key: use.meter for row in classes.values() for use in row.usage.all()}
    return Shared(
        meters=[meters[key] for key in sorted(meters)],
        features=_granted_by(versions),
        credit_units=_credits_of(versions),
        job_classes=list(classes.values()),
    )


def _credits_of(versions: Sequence[PlanVersion]) -> list[CreditUnit]:
    units = [price.credit_unit for version in versions for price in version.prices.all()]
    units += [pack.unit for version in versions for pack in version.packs.all()]
    units += [each.unit for version in versions for each in version.allotments.all()]
    found = {unit.code: unit for unit in units if unit is not None}
    return [found[code] for code in sorted(found)]


def everything() -> Shared:
    """Return all that is stored beside plans."""
    return Shared(all_meters(), all_features(), all_credit_units(), all_job_classes())
