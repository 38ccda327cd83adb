"""What the schema cannot say of one version: what it lacks, what cannot be billed or stored."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from plans import rating
from plans.catalogue.rows import COLUMNS, OVERAGE_COLUMNS, lacking
from plans.errors import Problem
from plans.models import Tier
from plans.models.prices import ChargeModel
from plans.operations.versions import clean_problems, placed_grants
from plans.rating import problems_in_terms
from plans.terms import GrantRows, PriceRows

# What rating calls the fields of a price, and what a document calls them.
_RATING_NAMES = {
    "package_amount": "amount",
    "flat_amount": "flat",
    "dimensions": "meter",
    "upgrade_to": "plan",
    "pack_size": "size",
    "pack_amount": "amount",
    "packs_most": "most",
    "pack_months": "months",
    "beyond_credit_amount": "beyond_credit",
}
_COLUMN_NAMES = {
    **{column: name for name, column in COLUMNS.items() if column != "unit_size"},
    **{column: f"overage.{name}" for name, column in OVERAGE_COLUMNS.items()},
    "unit_amount": "unit",
    "flat_amount": "flat",
}


class Found(NamedTuple):
    """One thing that is wrong with a version, at a path below it."""

    path: str
    code: str
    cause: str
    remedy: str = ""


def version_problems(
    content: Mapping[str, Any],
    *,
    rows: Sequence[PriceRows],
    grants: GrantRows,
    terms: rating.Terms,
) -> list[Found]:
    """Return what is wrong with a well-formed version, one problem for each place.

    A version that says that it is unfinished may lack what makes it billable.
    """
    found: dict[str, Found] = {}
    unfinished = content.get("unfinished", False)
    if unfinished and "effective_from" in content:
        cause, remedy = "An unfinished version cannot take effect.", "Finish it, or leave this out."
        found["effective_from"] = Found("effective_from", "unfinished_dated", cause, remedy)
    sources = [_columns(rows, grants), _twice(content)]
    if not unfinished:
        sources = [_lacking(rows), _unbillable(_as_written(terms, rows)), *sources]
    for source in sources:
        for one in source:
            found.setdefault(one.path, one)
    return list(found.values())


def document_field(rating_field: str) -> str:
    """Return what a document calls the field that rating names: ``tiers[1].unit``."""
    *above, last = rating_field.split(".")
    if last == "unit_amount":
        last = "unit" if len(above) > 1 else "amount"
    return ".".join([*above, _RATING_NAMES.get(last, last)])


def _lacking(rows: Sequence[PriceRows]) -> Iterator[Found]:
    if not rows:
        yield _empty("prices")
    for index, row in enumerate(rows):
        for name in lacking(row):
            path = f"prices[{index}].{name}"
            if name in {"tiers", "rates"}:
                yield _empty(path)
            else:
                yield Found(path, "missing", "It is missing.", "Add it.")


def _empty(path: str) -> Found:
    return Found(path, "empty", "It is empty.", "Write at least one.")


def _unbillable(terms: rating.Terms) -> Iterator[Found]:
    for problem in problems_in_terms(terms):
        yield Found(document_field(problem.field), problem.code, problem.message)


def _as_written(terms: rating.Terms, rows: Sequence[PriceRows]) -> rating.Terms:
    """Return terms with their tiers in the order in which the document has them.

    Terms have them in rising order, which would hide that a document does not.
    """
    prices = (_with_tiers(price, row.tiers) for price, row in zip(terms.prices, rows, strict=True))
    return replace(terms, prices=tuple(prices))


def _with_tiers(price: rating.Price, tiers: Sequence[Tier]) -> rating.Price:
    model: Any = price.model
    rising = getattr(model, "tiers", ())
    if not rising:
        return price
    ranks = sorted(range(len(tiers)), key=lambda i: (tiers[i].up_to is None, tiers[i].up_to or 0))
    written = dict(zip(ranks, rising, strict=True))
    in_order = tuple(written[place] for place in range(len(tiers)))
    return replace(price, model=replace(model, tiers=in_order))


def _columns(rows: Sequence[PriceRows], grants: GrantRows) -> Iterator[Found]:
    for index, row in enumerate(rows):
        path, model = f"prices[{index}]", row.price.model
        excluded = ("version", "meter", "upgrade_to", "credit_unit")
        yield from _named(clean_problems(row.price, exclude=excluded), path, model)
        for number, tier in enumerate(row.tiers):
            yield from _named(clean_problems(tier, exclude=["price"]), f"{path}.tiers[{number}]")
        for number, rate in enumerate(row.rates):
            yield from _named(clean_problems(rate, exclude=["price"]), f"{path}.rates[{number}]")
    for path, grant in placed_grants(grants):
        yield from _named(clean_problems(grant, exclude=["version", "unit"]), path)


def _named(problems: Sequence[Problem], path: str, model: str = "") -> Iterator[Found]:
    for problem in problems:
        name = _COLUMN_NAMES.get(problem.field, problem.field)
        if name == "unit_size" and model == ChargeModel.PACKAGE:
            name = "package_size"
        yield Found(f"{path}.{name}", problem.code, problem.message)


def _twice(content: Mapping[str, Any]) -> Iterator[Found]:
    """Find what stands twice in a list that holds each thing once."""
    for index in _repeated(content.get("features", ())):
        cause = f"The feature “{content['features'][index]}” is granted twice."
        yield Found(f"features[{index}]", "twice", cause, "Keep one.")
    for name in ("phases", "service_classes", "packs", "allotments"):
        keys = [each["key"] for each in content.get(name, ())]
        for index in _repeated(keys):
            cause = f"The key “{keys[index]}” stands twice."
            yield Found(f"{name}[{index}].key", "twice", cause, "Give one of them another.")
    limits = [(each["kind"], each.get("job_class", "")) for each in content.get("limits", ())]
    for index in _repeated(limits):
        cause = "The same limit of the same job class stands twice."
        yield Found(f"limits[{index}].kind", "twice", cause, "Keep one.")


def _repeated(values: Sequence[Hashable]) -> list[int]:
    return [index for index, value in enumerate(values) if value in values[:index]]
