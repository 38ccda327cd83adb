"""Turn parsed documents into rows that are not stored yet, and check what the schema cannot."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from plans.catalogue import yaml_text
from plans.catalogue.check import schema_problems
from plans.catalogue.problems import CatalogueInvalid, CatalogueProblem
from plans.models import MatrixRate, Meter, Price, Tier
from plans.operations.meters import meter_problems
from plans.rating import problems_in_terms
from plans.terms import PriceRows, digest, terms_from

ANY: Final = "*"
REFUSE: Final = "refuse"

# Fields of a price in a document, and its columns where their names differ.
COLUMNS: Final = {"package_size": "unit_size", "default": "default_amount"}
_NOT_COLUMNS: Final = frozenset({"meter", "tiers", "rates", "default"})
_TEXT: Final = frozenset({"key", "name", "model", "label"})

# What rating calls the fields of a price, and what a document calls them.
_RATING_NAMES: Final = {
    "package_amount": "amount",
    "flat_amount": "flat",
    "dimensions": "meter",
}


class Source(NamedTuple):
    """A document's text and the name of its file."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class VersionDocument:
    """One version as a document states it, with the place where it does."""

    file: str
    path: str
    currency: str
    effective_from: datetime | None
    effective_until: datetime | None
    note: str
    rows: tuple[PriceRows, ...]
    digest: str

    def problem(self, code: str, name: str, cause: str, remedy: str) -> CatalogueProblem:
        """Return a problem at a field of this version."""
        return CatalogueProblem(self.file, f"{self.path}.{name}", code, cause, remedy)


@dataclass(frozen=True, slots=True)
class PlanDocument:
    """One plan as a document states it, its versions in the order in which they take effect."""

    file: str
    path: str
    key: str
    name: str
    description: str
    versions: tuple[VersionDocument, ...]


@dataclass(slots=True)
class Catalogue:
    """What the documents say together: the meters and the plans that they define."""

    meters: dict[str, Meter] = field(default_factory=dict)
    plans: list[PlanDocument] = field(default_factory=list)
    places: dict[str, tuple[str, str]] = field(default_factory=dict)


def read_sources(sources: Iterable[Source], *, stored_meters: Mapping[str, Meter]) -> Catalogue:
    """Parse and check documents; prices may read meters of any of them, and stored ones.

    Raises CatalogueInvalid with everything that is wrong, in all documents.
    """
    found: list[CatalogueProblem] = []
    contents = []
    for source in sources:
        try:
            contents.append((source.name, yaml_text.parse(source.text, name=source.name)))
        except CatalogueInvalid as error:
            found += error.found
    return read_contents(contents, stored_meters=stored_meters, found=found)


def read_contents(
    contents: Iterable[tuple[str, Any]],
    *,
    stored_meters: Mapping[str, Meter],
    found: Sequence[CatalogueProblem] = (),
) -> Catalogue:
    """Check parsed documents, given by file name; ``found`` is what is wrong with them already.

    Raises CatalogueInvalid.
    """
    problems = list(found)
    well_formed = []
    for file, content in contents:
        wrong = schema_problems(content, file=file)
        problems += wrong
        if not wrong:
            well_formed.append((file, content))
    reader = _Reader(stored_meters)
    for file, content in well_formed:
        reader.read_meters(file, content.get("meters", []))
    for file, content in well_formed:
        reader.read_plans(file, content.get("plans", []))
    if problems or reader.problems:
        raise CatalogueInvalid([*problems, *reader.problems])
    return reader.catalogue


class _Reader:
    """Collects the catalogue and the problems of well-formed documents, meters first."""

    def __init__(self, stored_meters: Mapping[str, Meter]) -> None:
        self.catalogue = Catalogue()
        self.problems: list[CatalogueProblem] = []
        self._stored = stored_meters

    def read_meters(self, file: str, contents: Sequence[dict[str, Any]]) -> None:
        for index, content in enumerate(contents):
            self._read_meter(file, f"meters[{index}]", meter_row(content))

    def _read_meter(self, file: str, path: str, meter: Meter) -> None:
        for problem in meter_problems(meter):
            name = "property" if problem.field == "value_property" else problem.field
            self._add(file, f"{path}.{name}", problem.code, problem.message, "")
        known = self.catalogue.meters.setdefault(meter.key, meter)
        self.catalogue.places.setdefault(meter.key, (file, path))
        if known is not meter and meter_values(known) != meter_values(meter):
            cause = f"The meter “{meter.key}” is defined twice, differently."
            self._add(file, f"{path}.key", "meter_twice", cause, "Keep one definition.")

    def read_plans(self, file: str, contents: Sequence[dict[str, Any]]) -> None:
        for index, content in enumerate(contents):
            path = f"plans[{index}]"
            if any(plan.key == content["key"] for plan in self.catalogue.plans):
                cause = f"The plan “{content['key']}” is defined twice."
                self._add(file, f"{path}.key", "plan_twice", cause, "Keep one definition.")
            versions = content.get("versions")
            places = (
                [(path, content)]
                if versions is None
                else [(f"{path}.versions[{i}]", version) for i, version in enumerate(versions)]
            )
            read = tuple(self._version(file, place, version) for place, version in places)
            self._check_order(read)
            self.catalogue.plans.append(
                PlanDocument(
                    file=file,
                    path=path,
                    key=content["key"],
                    name=content["name"],
                    description=content.get("description", ""),
                    versions=read,
                )
            )

    def _version(self, file: str, path: str, content: dict[str, Any]) -> VersionDocument:
        rows = tuple(
            self._price(file, f"{path}.prices[{index}]", price)
            for index, price in enumerate(content["prices"])
        )
        terms, meters = terms_from(currency=content["currency"], rows=rows)
        for problem in problems_in_terms(terms):
            where = f"{path}.{document_field(problem.field)}"
            self._add(file, where, problem.code, problem.message, "")
        return VersionDocument(
            file=file,
            path=path,
            currency=content["currency"],
            effective_from=self._time(file, path, content, "effective_from"),
            effective_until=self._time(file, path, content, "effective_until"),
            note=content.get("note", ""),
            rows=rows,
            digest=digest(terms, meters.values()),
        )

    def _price(self, file: str, path: str, content: dict[str, Any]) -> PriceRows:
        meter = self._meter(file, path, content)
        rates = content.get("rates", [])
        if meter is not None:
            for index, rate in enumerate(rates):
                self._check_match(file, f"{path}.rates[{index}].match", rate["match"], meter)
        return price_rows(content, meter=meter)

    def _meter(self, file: str, path: str, content: dict[str, Any]) -> Meter | None:
        key = content.get("meter")
        if key is None:
            return None
        meter = self.catalogue.meters.get(key) or self._stored.get(key)
        if meter is None:
            cause = f"There is no meter “{key}”."
            self._add(file, f"{path}.meter", "unknown_meter", cause, "Define it under meters.")
            return Meter(key=key)
        return meter

    def _check_match(
        self, file: str, path: str, match: Mapping[str, str | None], meter: Meter
    ) -> None:
        for name in match:
            if name not in meter.dimensions:
                cause = f"The meter “{meter.key}” has no dimension “{name}”."
                known = ", ".join(meter.dimensions) or "none"
                self._add(file, f"{path}.{name}", "unknown_dimension", cause, f"It has: {known}.")

    def _time(self, file: str, path: str, content: dict[str, Any], name: str) -> datetime | None:
        text = content.get(name)
        try:
            return None if text is None else datetime.fromisoformat(text)
        except ValueError:
            cause = f"“{text}” is not a time."
            remedy = "Write it with its zone, as 2026-01-31T00:00:00Z."
            self._add(file, f"{path}.{name}", "not_a_time", cause, remedy)
            return None

    def _check_order(self, versions: Sequence[VersionDocument]) -> None:
        last: datetime | None = None
        for version in versions:
            starts, ends = version.effective_from, version.effective_until
            if starts is not None and last is not None and starts <= last:
                cause = "It does not take effect after the version before."
                self.problems.append(
                    version.problem(
                        "effective_order", "effective_from", cause, "Write versions in order."
                    )
                )
            if ends is not None and (starts is None or ends <= starts):
                cause = "A version ends after it takes effect."
                self.problems.append(
                    version.problem(
                        "effective_order", "effective_until", cause, "State when it takes effect."
                    )
                )
            last = starts or last

    def _add(self, file: str, path: str, code: str, cause: str, remedy: str) -> None:
        self.problems.append(CatalogueProblem(file, path, code, cause, remedy))


def meter_row(content: Mapping[str, Any]) -> Meter:
    """Return a well-formed meter as a row that is not stored."""
    return Meter(
        key=content["key"],
        name=content["name"],
        event_type=content["event_type"],
        aggregation=content["aggregation"],
        value_property=content.get("property", ""),
        dimensions=list(content.get("dimensions", [])),
        filters=dict(content.get("filters", {})),
        rounding=content.get("rounding", "none"),
        rounding_multiple=Decimal(content.get("rounding_multiple", 1)),
        unit=content.get("unit", ""),
    )


def meter_values(meter: Meter) -> dict[str, Any]:
    """Return all that defines a meter, by column."""
    columns = [column.name for column in Meter._meta.concrete_fields if column.name != "id"]
    return {name: getattr(meter, name) for name in columns}


def price_rows(content: Mapping[str, Any], *, meter: Meter | None) -> PriceRows:
    """Return a well-formed price as rows that are not stored."""
    price = Price(meter=meter, **_columns(content))
    default = content.get("default", REFUSE)
    price.default_amount = None if default == REFUSE else Decimal(default)
    dimensions = meter.dimensions if meter else []
    return PriceRows(
        price=price,
        tiers=[_tier(tier) for tier in content.get("tiers", [])],
        rates=[_rate(rate, dimensions) for rate in content.get("rates", [])],
    )


def document_field(rating_field: str) -> str:
    """Return what a document calls the field that rating names: ``tiers[1].unit``."""
    *above, last = rating_field.split(".")
    if last == "unit_amount":
        last = "unit" if len(above) > 1 else "amount"
    return ".".join([*above, _RATING_NAMES.get(last, last)])


def _columns(content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        COLUMNS.get(name, name): _column(name, value)
        for name, value in content.items()
        if name not in _NOT_COLUMNS
    }


def _column(name: str, value: Any) -> Any:
    exact = name in _TEXT or name == "free_transactions" or isinstance(value, bool)
    return value if exact else Decimal(value)


def _tier(content: Mapping[str, Any]) -> Tier:
    up_to = content["up_to"]
    return Tier(
        up_to=None if up_to is None else Decimal(up_to),
        unit_amount=Decimal(content.get("unit", 0)),
        flat_amount=Decimal(content.get("flat", 0)),
        percent=Decimal(content.get("percent", 0)),
    )


def _rate(content: Mapping[str, Any], dimensions: Sequence[str]) -> MatrixRate:
    values = [content["match"].get(name) for name in dimensions]
    return MatrixRate(
        match=[None if value == ANY else value for value in values],
        unit_amount=Decimal(content["unit"]),
        label=content.get("label", ""),
    )
