"""Store what documents say: meters, plans, contracts, versions. The same again changes nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from plans.acting import acting
from plans.catalogue.contract_loading import ContractLoader
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
from plans.job_classes import ClassSaid
from plans.models import CreditUnit, Feature, JobClass, Meter, Plan, PlanVersion
from plans.operations.credit_units import define_credit_unit
from plans.operations.features import define_feature
from plans.operations.job_classes import define_job_class
from plans.operations.meters import define_meter
from plans.operations.publishing import publish_version, retire_version
from plans.operations.versions import (
    create_plan,
    describe_plan,
    start_version,
    unstored,
)
from plans.queries import all_credit_units, all_features, all_meters
from plans.terms import PriceRows, terms_of


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
        credit_units={unit.pk: unit for unit in all_credit_units()},
        job_classes=list(JobClass.objects.values_list("key", flat=True)),
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
    with acting(by=by):
        return _load(catalogue, publish=publish, by=by, now=now)


def _load(
    catalogue: Catalogue, *, publish: bool, by: AbstractBaseUser | None, now: datetime
) -> list[Loaded]:
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
    loaded += [_credit_unit(unit, catalogue) for unit in catalogue.credit_units.values()]
    loaded += [_job_class(said) for said in catalogue.job_classes.values()]
    plans = {plan.key: _plan(plan) for plan in catalogue.plans}
    loaders = {
        said.key: _PlanLoader(said, plan=plans[said.key], meters=stored, by=by, now=now)
        for said in catalogue.plans
    }
    for loader in loaders.values():
        loader.store()
    if publish:
        for key in _targets_first(catalogue.plans):
            loaders[key].publish()
    contracts = ContractLoader(catalogue.contracts, publish=publish, by=by, now=now)
    loaded += [one for loader in loaders.values() for one in loader.loaded()]
    return loaded + [Loaded("contract", key, outcome) for key, outcome in contracts.load()]


def _feature(feature: Feature) -> Loaded:
    outcome = define_feature(key=feature.key, name=feature.name, description=feature.description)
    return Loaded("feature", feature.key, outcome)


def _credit_unit(unit: CreditUnit, catalogue: Catalogue) -> Loaded:
    file, path = catalogue.credit_places[unit.code]
    try:
        outcome = define_credit_unit(code=unit.code, name=unit.name, decimals=unit.decimals)
    except OperationError as error:
        found = CatalogueProblem(file, f"{path}.{error.field}", error.code, str(error), "")
        raise CatalogueInvalid([found]) from error
    return Loaded("credit", unit.code, outcome)


def _job_class(said: ClassSaid) -> Loaded:
    return Loaded("job class", said.key, define_job_class(said=said))


def _plan(said: PlanDocument) -> Plan:
    plan = Plan.objects.filter(key=said.key).first()
    if plan is None:
        return create_plan(key=said.key, name=said.name, description=said.description)
    if (plan.name, plan.description) != (said.name, said.description):
        describe_plan(plan=plan, name=said.name, description=said.description)
    return plan


def _targets_first(plans: Sequence[PlanDocument]) -> list[str]:
    """Return the plans' keys so that a plan stands after those that it moves customers to.

    Plans that move customers in a circle keep their order, and publishing says what is wrong.
    """
    moves = {plan.key: upgrade_targets(plan) for plan in plans}
    order: list[str] = []
    seen: set[str] = set()

    def visit(key: str) -> None:
        if key in seen:
            return
        seen.add(key)
        for target in sorted(moves[key] & moves.keys()):
            visit(target)
        order.append(key)

    for plan in plans:
        visit(plan.key)
    return order


def upgrade_targets(plan: PlanDocument) -> set[str]:
    """Return the keys of the plans that a plan's prices move customers to."""
    return {
        row.price.upgrade_to.key
        for version in plan.versions
        for row in version.rows
        if row.price.upgrade_to is not None
    }


class _PlanLoader:
    """Loads one plan of a document: first its drafts, then, where it is asked to, into force."""

    def __init__(
        self,
        document: PlanDocument,
        *,
        plan: Plan,
        meters: dict[str, Meter],
        by: AbstractBaseUser | None,
        now: datetime,
    ) -> None:
        self._document = document
        self._plan = plan
        self._meters = meters
        self._by = by
        self._now = now
        self._versions: list[PlanVersion] = []
        self._outcomes: list[str] = []

    def store(self) -> None:
        """Store those versions of the plan that are new, as drafts."""
        stored = list(PlanVersion.objects.standing().filter(plan=self._plan).order_by("number"))
        digests = {pk: terms.digest for pk, terms in terms_of([row.pk for row in stored]).items()}
        matched = match_versions(self._document.versions, stored=stored, digests=digests)
        targets = Plan.objects.in_bulk(upgrade_targets(self._document), field_name="key")
        for document, version in zip(self._document.versions, matched, strict=True):
            self._outcomes.append("unchanged" if version else "draft")
            self._versions.append(version or self._draft(document, targets))

    def publish(self) -> None:
        """Put the versions into force from when, and until when, the document says."""
        for index, document in enumerate(self._document.versions):
            if document.effective_from is not None:
                with _named_at(document):
                    if self._put_into_force(document, self._versions[index]):
                        self._outcomes[index] = "published"

    def loaded(self) -> list[Loaded]:
        """Return what became of each version."""
        return [
            Loaded("plan", self._plan.key, f"version {version.number} {outcome}")
            for version, outcome in zip(self._versions, self._outcomes, strict=True)
        ]

    def _draft(self, document: VersionDocument, targets: Mapping[str, Plan]) -> PlanVersion:
        for row in document.rows:
            if row.price.meter is not None:
                row.price.meter = self._meters[row.price.meter.key]
            if row.price.upgrade_to is not None:
                row.price.upgrade_to = targets[row.price.upgrade_to.key]
        with _named_at(document):
            return start_version(
                plan=self._plan,
                currency=document.currency,
                by=self._by,
                note=document.note,
                rows=[_fresh(row) for row in document.rows],
                grants=unstored(document.grants),
            )

    def _put_into_force(self, document: VersionDocument, version: PlanVersion) -> bool:
        """Publish and end a version as the document says, and say whether anything was done."""
        starts, ends = document.effective_from, document.effective_until
        assert starts is not None
        publishes = version.published_at is None
        if publishes:
            version = publish_version(
                version=version, effective_from=starts, by=self._by, now=self._now
            )
        else:
            version.refresh_from_db(fields=["effective_until"])
        ends_it = ends is not None and version.effective_until != ends
        if ends_it and ends is not None:
            retire_version(version=version, at=ends, now=self._now)
        return publishes or ends_it


@contextmanager
def _named_at(document: VersionDocument) -> Iterator[None]:
    """Say of a refusal where in the document its cause stands."""
    try:
        yield
    except OperationError as error:
        raise CatalogueInvalid(_refusals(document, error)) from error


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


def _meter_keys(catalogue: Catalogue) -> set[str]:
    used = {
        row.price.meter.key
        for plan in catalogue.plans
        for version in plan.versions
        for row in version.rows
        if row.price.meter is not None
    }
    return used | catalogue.meters.keys()
