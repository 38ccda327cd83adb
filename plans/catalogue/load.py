"""Store what documents say: new meters, plans and versions. The same again changes nothing."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from plans.catalogue.diff import match_versions, meter_differences
from plans.catalogue.document import (
    Catalogue,
    PlanDocument,
    Source,
    VersionDocument,
    meter_values,
    read_sources,
)
from plans.catalogue.problems import CatalogueInvalid, CatalogueProblem
from plans.errors import OperationError
from plans.models import Meter, Plan, PlanVersion
from plans.operations.meters import define_meter
from plans.operations.publishing import publish_version, retire_version
from plans.operations.versions import add_prices, create_plan, describe_plan, start_version
from plans.queries import all_meters
from plans.terms import PriceRows, VersionTerms, terms_of


class Loaded(NamedTuple):
    """What became of one thing in the documents: ``meter images: created``."""

    kind: str
    key: str
    outcome: str

    def __str__(self) -> str:
        return f"{self.kind} {self.key}: {self.outcome}"


def load_sources(
    sources: Iterable[Source], *, publish: bool, by: AbstractBaseUser | None, now: datetime
) -> list[Loaded]:
    """Check all documents, then store them in one transaction; see ``load``."""
    stored = {meter.key: meter for meter in all_meters()}
    return load(read_sources(sources, stored_meters=stored), publish=publish, by=by, now=now)


@transaction.atomic
def load(
    catalogue: Catalogue, *, publish: bool, by: AbstractBaseUser | None, now: datetime
) -> list[Loaded]:
    """Store a catalogue, and return what became of each of its parts.

    A version that is stored already stays as it is; a new one becomes a draft, which ``publish``
    puts into force where the document says from when. Raises CatalogueInvalid where a stored meter
    differs or a version cannot be published; then nothing was stored.
    """
    stored = {meter.key: meter for meter in Meter.objects.filter(key__in=_meter_keys(catalogue))}
    different = meter_differences(catalogue, stored=stored)
    if different:
        raise CatalogueInvalid(different)
    loaded = []
    for key, meter in catalogue.meters.items():
        outcome = "unchanged" if key in stored else "created"
        if key not in stored:
            stored[key] = define_meter(**meter_values(meter))
        loaded.append(Loaded("meter", key, outcome))
    for plan in catalogue.plans:
        loaded += _PlanLoader(plan, meters=stored, publish=publish, by=by, now=now).load()
    return loaded


class _PlanLoader:
    """Loads one plan of a document."""

    def __init__(
        self,
        document: PlanDocument,
        *,
        meters: dict[str, Meter],
        publish: bool,
        by: AbstractBaseUser | None,
        now: datetime,
    ) -> None:
        self._document = document
        self._meters = meters
        self._publish = publish
        self._by = by
        self._now = now

    def load(self) -> list[Loaded]:
        """Store the plan and those of its versions that are new."""
        plan = self._plan()
        stored = list(plan.versions.order_by("number"))
        digests = {pk: terms.digest for pk, terms in _terms(stored)}
        matched = match_versions(self._document.versions, stored=stored, digests=digests)
        pairs = zip(self._document.versions, matched, strict=True)
        return [self._version(plan, document, version) for document, version in pairs]

    def _plan(self) -> Plan:
        said = self._document
        plan = Plan.objects.filter(key=said.key).first()
        if plan is None:
            return create_plan(key=said.key, name=said.name, description=said.description)
        if (plan.name, plan.description) != (said.name, said.description):
            describe_plan(plan=plan, name=said.name, description=said.description)
        return plan

    def _version(
        self, plan: Plan, document: VersionDocument, version: PlanVersion | None
    ) -> Loaded:
        outcome = "unchanged"
        if version is None:
            outcome = "draft"
            version = self._draft(plan, document)
        if self._publish and document.effective_from is not None:
            published = self._put_into_force(document, version)
            outcome = "published" if published else outcome
        return Loaded("plan", plan.key, f"version {version.number} {outcome}")

    def _draft(self, plan: Plan, document: VersionDocument) -> PlanVersion:
        version = start_version(
            plan=plan, currency=document.currency, by=self._by, note=document.note
        )
        for row in document.rows:
            if row.price.meter is not None:
                row.price.meter = self._meters[row.price.meter.key]
        add_prices(version=version, rows=[_fresh(row) for row in document.rows])
        return version

    def _put_into_force(self, document: VersionDocument, version: PlanVersion) -> bool:
        """Publish and end the version as the document says, and say whether anything was done."""
        starts, ends = document.effective_from, document.effective_until
        assert starts is not None
        done = False
        try:
            if version.published_at is None:
                publish_version(version=version, effective_from=starts, by=self._by, now=self._now)
                done = True
            if ends is not None and version.effective_until != ends:
                retire_version(version=version, at=ends, now=self._now)
                done = True
        except OperationError as error:
            raise CatalogueInvalid(_refusals(document, error)) from error
        return done


def _fresh(rows: PriceRows) -> PriceRows:
    for row in (rows.price, *rows.tiers, *rows.rates):
        row.pk = None
        row._state.adding = True
    return rows


def _refusals(document: VersionDocument, error: OperationError) -> list[CatalogueProblem]:
    names = {"at": "effective_until", "": "effective_from"}
    return [
        document.problem(problem.code, names.get(problem.field, problem.field), problem.message, "")
        for problem in error.problems
    ]


def _terms(versions: Sequence[PlanVersion]) -> Iterable[tuple[int, VersionTerms]]:
    return terms_of([version.pk for version in versions]).items()


def _meter_keys(catalogue: Catalogue) -> set[str]:
    used = {
        row.price.meter.key
        for plan in catalogue.plans
        for version in plan.versions
        for row in version.rows
        if row.price.meter is not None
    }
    return used | catalogue.meters.keys()
