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
    Stored,
    VersionDocument,
    read_sources,
)
from plans.catalogue.problems import CatalogueInvalid, CatalogueProblem
from plans.catalogue.rows import meter_values
from plans.errors import OperationError
from plans.models import Feature, Meter, Plan, PlanVersion
from plans.operations.features import define_feature
from plans.operations.meters import define_meter
from plans.operations.publishing import publish_version, retire_version
from plans.operations.versions import (
    add_grants,
    add_prices,
    create_plan,
    describe_plan,
    start_version,
)
from plans.queries import all_features, all_meters
from plans.terms import GrantRows, PriceRows, VersionTerms, terms_of


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
    return load(read_sources(sources, stored=stored_now()), publish=publish, by=by, now=now)


def stored_now() -> Stored:
    """Return what a document may name without defining it."""
    return Stored(
        meters={meter.key: meter for meter in all_meters()},
        features=[feature.key for feature in all_features()],
        plans=list(Plan.objects.values_list("key", flat=True)),
    )


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
    loaded += [_feature(feature) for feature in catalogue.features.values()]
    for plan in catalogue.plans:
        _plan(plan)
    for plan in catalogue.plans:
        loaded += _PlanLoader(plan, meters=stored, publish=publish, by=by, now=now).load()
    return loaded


def _feature(feature: Feature) -> Loaded:
    outcome = define_feature(key=feature.key, name=feature.name, description=feature.description)
    return Loaded("feature", feature.key, outcome)


def _plan(said: PlanDocument) -> Plan:
    plan = Plan.objects.filter(key=said.key).first()
    if plan is None:
        return create_plan(key=said.key, name=said.name, description=said.description)
    if (plan.name, plan.description) != (said.name, said.description):
        describe_plan(plan=plan, name=said.name, description=said.description)
    return plan


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
        """Store those versions of the plan that are new."""
        plan = Plan.objects.get(key=self._document.key)
        stored = list(PlanVersion.objects.standing().filter(plan=plan).order_by("number"))
        digests = {pk: terms.digest for pk, terms in _terms(stored)}
        matched = match_versions(self._document.versions, stored=stored, digests=digests)
        pairs = zip(self._document.versions, matched, strict=True)
        return [self._version(plan, document, version) for document, version in pairs]

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
            if row.price.upgrade_to is not None:
                row.price.upgrade_to = Plan.objects.get(key=row.price.upgrade_to.key)
        add_grants(version=version, grants=_fresh_grants(document.grants))
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


def _fresh_grants(grants: GrantRows) -> GrantRows:
    for row in (*grants.phases, *grants.service_classes, *grants.limits):
        row.pk = None
        row._state.adding = True
    return grants


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
