"""Turn parsed documents into rows that are not stored yet, and check what the schema cannot."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from plans.catalogue import yaml_text
from plans.catalogue.check import schema_problems
from plans.catalogue.contracts import ContractDocument, contract_document, version_places
from plans.catalogue.problems import CatalogueInvalid, CatalogueProblem
from plans.catalogue.references import Known, unknown_references
from plans.catalogue.rows import (
    class_said,
    credit_unit_row,
    grant_rows,
    meter_row,
    meter_values,
    price_rows,
)
from plans.catalogue.version_checks import version_problems
from plans.job_classes import ClassSaid
from plans.models import CreditUnit, Feature, Meter
from plans.operations.job_classes import class_problems
from plans.operations.meters import meter_problems
from plans.terms import NO_GRANTS, GrantRows, PriceRows, digest, terms_from


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
    grants: GrantRows = NO_GRANTS

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
    """What the documents say together: all that they define, by key; credits by code."""

    meters: dict[str, Meter] = field(default_factory=dict)
    features: dict[str, Feature] = field(default_factory=dict)
    credit_units: dict[str, CreditUnit] = field(default_factory=dict)
    job_classes: dict[str, ClassSaid] = field(default_factory=dict)
    plans: list[PlanDocument] = field(default_factory=list)
    contracts: list[ContractDocument] = field(default_factory=list)
    places: dict[str, tuple[str, str]] = field(default_factory=dict)
    credit_places: dict[str, tuple[str, str]] = field(default_factory=dict)


class Stored(NamedTuple):
    """What documents may name without defining it, by key; credits by code."""

    meters: Mapping[str, Meter]
    features: Collection[str] = ()
    plans: Collection[str] = ()
    credit_units: Mapping[str, CreditUnit] = {}
    job_classes: Collection[str] = ()


NOTHING_STORED: Final = Stored({})


def read_sources(sources: Iterable[Source], *, stored: Stored = NOTHING_STORED) -> Catalogue:
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
    return read_contents(contents, stored=stored, found=found)


def read_contents(
    contents: Iterable[tuple[str, Any]],
    *,
    stored: Stored = NOTHING_STORED,
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
    reader = _Reader(stored)
    for file, content in well_formed:
        reader.read_meters(file, content.get("meters", []))
        reader.read_features(file, content.get("features", []))
        reader.read_credit_units(file, content.get("credit_units", []))
        reader.read_plan_keys(content.get("plans", []))
    for file, content in well_formed:
        reader.read_job_classes(file, content.get("job_classes", []))
    for file, content in well_formed:
        reader.read_plans(file, content.get("plans", []))
        reader.read_contracts(file, content.get("contracts", []))
    if problems or reader.problems:
        raise CatalogueInvalid([*problems, *reader.problems])
    return reader.catalogue


def read_version(
    content: dict[str, Any], *, stored: Stored
) -> tuple[VersionDocument, tuple[CatalogueProblem, ...]]:
    """Return one well-formed version as rows, and what the schema cannot see in it.

    The version stands by itself: paths begin with its own fields (``prices[2].amount``).
    """
    reader = _Reader(stored)
    version = reader.read_version("", "", content)
    return version, tuple(each._replace(path=each.path[1:]) for each in reader.problems)


class _Reader:
    """Collects the catalogue and the problems of well-formed documents, meters first."""

    def __init__(self, stored: Stored) -> None:
        self.catalogue = Catalogue()
        self.problems: list[CatalogueProblem] = []
        self._stored = stored
        self._plan_keys = set(stored.plans)
        self._units = dict(stored.credit_units)

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

    def read_features(self, file: str, contents: Sequence[dict[str, Any]]) -> None:
        for index, content in enumerate(contents):
            feature = Feature(
                key=content["key"],
                name=content["name"],
                description=content.get("description", ""),
            )
            known = self.catalogue.features.setdefault(feature.key, feature)
            if (known.name, known.description) != (feature.name, feature.description):
                cause = f"The feature “{feature.key}” is defined twice, differently."
                path = f"features[{index}].key"
                self._add(file, path, "feature_twice", cause, "Keep one definition.")

    def read_credit_units(self, file: str, contents: Sequence[dict[str, Any]]) -> None:
        for index, content in enumerate(contents):
            path, unit = f"credit_units[{index}]", credit_unit_row(content)
            known = self.catalogue.credit_units.setdefault(unit.code, unit)
            self.catalogue.credit_places.setdefault(unit.code, (file, path))
            if (known.name, known.decimals) != (unit.name, unit.decimals):
                cause = f"The credit “{unit.code}” is defined twice, differently."
                self._add(file, f"{path}.code", "credit_unit_twice", cause, "Keep one definition.")
        self._units |= self.catalogue.credit_units

    def read_job_classes(self, file: str, contents: Sequence[dict[str, Any]]) -> None:
        """Read job classes, after all meters."""
        for index, content in enumerate(contents):
            path, said = f"job_classes[{index}]", class_said(content)
            for problem in class_problems(said):
                self._add(file, f"{path}.{problem.field}", problem.code, problem.message, "")
            for place, each in enumerate(content.get("usage", ())):
                if each["meter"] not in self._meter_keys():
                    where, cause = f"{path}.usage[{place}].meter", "There is no such meter."
                    self._add(file, where, "unknown_meter", cause, "Define it under meters.")
            known = self.catalogue.job_classes.setdefault(said.key, said)
            if known != said:
                cause = f"The job class “{said.key}” is defined twice, differently."
                self._add(file, f"{path}.key", "job_class_twice", cause, "Keep one definition.")

    def _meter_keys(self) -> set[str]:
        return {*self.catalogue.meters, *self._stored.meters}

    def _known(self) -> Known:
        return Known(
            features={*self.catalogue.features, *self._stored.features},
            plans=self._plan_keys,
            credit_units=self._units,
            meters=self._meter_keys(),
            job_classes={*self.catalogue.job_classes, *self._stored.job_classes},
        )

    def read_plan_keys(self, contents: Sequence[dict[str, Any]]) -> None:
        """Learn which plans there are, so that a price may upgrade to one that stands later."""
        self._plan_keys.update(content["key"] for content in contents)

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
            read = tuple(self.read_version(file, place, version) for place, version in places)
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

    def read_contracts(self, file: str, contents: Sequence[dict[str, Any]]) -> None:
        """Read outcome contracts, after the keys of all plans."""
        for index, content in enumerate(contents):
            path, key, plan = f"contracts[{index}]", content["key"], content.get("plan")
            if any(contract.key == key for contract in self.catalogue.contracts):
                cause = f"The contract “{key}” is defined twice."
                self._add(file, f"{path}.key", "contract_twice", cause, "Keep one definition.")
            if plan is not None and plan not in self._plan_keys:
                cause = f"There is no plan “{plan}”."
                self._add(file, f"{path}.plan", "unknown_plan", cause, "Define it under plans.")
            starts = [
                self._time(file, place, version, "effective_from")
                for place, version in version_places(path, content)
            ]
            document, problems = contract_document(file, path, content, starts=starts)
            self.problems += problems
            self.catalogue.contracts.append(document)

    def read_version(self, file: str, path: str, content: dict[str, Any]) -> VersionDocument:
        rows = tuple(
            self._price(file, f"{path}.prices[{index}]", price)
            for index, price in enumerate(content["prices"])
        )
        grants = grant_rows(content, units=self._units)
        for unknown in unknown_references(content, known=self._known()):
            self._add(file, f"{path}.{unknown.path}", unknown.code, unknown.cause, unknown.remedy)
        terms, meters = terms_from(currency=content["currency"], rows=rows, grants=grants)
        for one in version_problems(content, rows=rows, grants=grants, terms=terms):
            self._add(file, f"{path}.{one.path}", one.code, one.cause, one.remedy)
        return VersionDocument(
            file=file,
            path=path,
            currency=content["currency"],
            effective_from=self._time(file, path, content, "effective_from"),
            effective_until=self._time(file, path, content, "effective_until"),
            note=content.get("note", ""),
            rows=rows,
            digest=digest(terms, meters.values()),
            grants=grants,
        )

    def _price(self, file: str, path: str, content: dict[str, Any]) -> PriceRows:
        meter = self._meter(file, path, content)
        rates = content.get("rates", [])
        if meter is not None:
            for index, rate in enumerate(rates):
                self._check_match(file, f"{path}.rates[{index}].match", rate["match"], meter)
        return price_rows(content, meter=meter, units=self._units)

    def _meter(self, file: str, path: str, content: dict[str, Any]) -> Meter | None:
        key = content.get("meter")
        if key is None:
            return None
        meter = self.catalogue.meters.get(key) or self._stored.meters.get(key)
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
        last: dict[str, datetime] = {}
        for version in versions:
            starts, ends = version.effective_from, version.effective_until
            before = last.get(version.currency)
            if starts is not None and before is not None and starts <= before:
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
            if starts is not None:
                last[version.currency] = starts

    def _add(self, file: str, path: str, code: str, cause: str, remedy: str) -> None:
        self.problems.append(CatalogueProblem(file, path, code, cause, remedy))
