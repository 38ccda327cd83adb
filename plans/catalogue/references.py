"""What a version names that must be defined: features, plans, credits, meters, job classes."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple


class Known(NamedTuple):
    """The keys and codes that a document may name."""

    features: Collection[str]
    plans: Collection[str]
    credit_units: Collection[str]
    meters: Collection[str]
    job_classes: Collection[str]


class Unknown(NamedTuple):
    """One thing that is named and not defined, at a path below the version."""

    path: str
    code: str
    cause: str
    remedy: str


def unknown_references(content: Mapping[str, Any], *, known: Known) -> Iterator[Unknown]:
    """Yield what a well-formed version names and nothing defines, but the meters of its prices."""
    for index, key in enumerate(content.get("features", ())):
        if key not in known.features:
            cause = f"There is no feature “{key}”."
            yield Unknown(
                f"features[{index}]", "unknown_feature", cause, "Define it under features."
            )
    for index, price in enumerate(content["prices"]):
        plan = price.get("overage", {}).get("plan")
        if plan is not None and plan not in known.plans:
            cause = f"There is no plan “{plan}” to move to."
            path = f"prices[{index}].overage.plan"
            yield Unknown(path, "unknown_plan", cause, "Name a plan of the catalogue.")
        yield from _credit(f"prices[{index}].credit", price.get("credit"), known)
    for name in ("packs", "allotments"):
        for index, each in enumerate(content.get(name, ())):
            yield from _credit(f"{name}[{index}].unit", each.get("unit"), known)
    for index, allotment in enumerate(content.get("allotments", ())):
        yield from _scope(f"allotments[{index}]", allotment, known)


def _credit(path: str, code: str | None, known: Known) -> Iterator[Unknown]:
    if code is not None and code not in known.credit_units:
        cause = f"There is no credit “{code}”."
        yield Unknown(path, "unknown_credit_unit", cause, "Define it under credit_units.")


def _scope(path: str, allotment: Mapping[str, Any], known: Known) -> Iterator[Unknown]:
    for index, key in enumerate(allotment.get("meters", ())):
        if key not in known.meters:
            cause = f"There is no meter “{key}”."
            yield Unknown(f"{path}.meters[{index}]", "unknown_meter", cause, "Name a meter.")
    for index, key in enumerate(allotment.get("job_classes", ())):
        if key not in known.job_classes:
            cause = f"There is no job class “{key}”."
            remedy = "Define it under job_classes."
            yield Unknown(f"{path}.job_classes[{index}]", "unknown_job_class", cause, remedy)
