"""What loading documents would change, to be confirmed, and then loading exactly that."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from plans import locks
from plans.catalogue.changes import Kind, Part, content_part, version_parts
from plans.catalogue.contract_loading import stored_beside
from plans.catalogue.contracts import (
    ContractDocument,
    contract_differences,
    head_content,
    match_contract_versions,
    said_content,
)
from plans.catalogue.contracts import version_content as contract_version_content
from plans.catalogue.diff import credit_differences, match_versions, meter_differences
from plans.catalogue.document import (
    Catalogue,
    PlanDocument,
    Source,
    VersionDocument,
    read_sources,
)
from plans.catalogue.dump import contents, document, plan_head, version_content
from plans.catalogue.load import Loaded, load, stored_now
from plans.catalogue.problems import CatalogueInvalid
from plans.catalogue.shared import (
    Shared,
    credit_unit_content,
    feature_content,
    job_class_content,
    meter_content,
)
from plans.errors import OperationError
from plans.job_classes import class_said
from plans.models import (
    CreditUnit,
    Customer,
    Feature,
    JobClass,
    Meter,
    OutcomeContract,
    Plan,
    PlanVersion,
)
from plans.queries import (
    credit_units_by_code,
    features_by_key,
    job_classes_by_key,
    meters_by_key,
    plans_with_terms,
)
from plans.terms import version_terms


class StoredStateChanged(OperationError):
    """What is stored is not what it was when the difference was shown. Nothing was stored."""

    code = "stored_state_changed"


class Section(NamedTuple):
    """A meter, a feature, a plan or a version of the documents: what becomes of it, and how."""

    title: str
    kind: Kind
    outcome: str
    parts: tuple[Part, ...]


class Preview(NamedTuple):
    """What loading would do. ``fingerprint`` names the documents and all that it rests on."""

    sections: tuple[Section, ...]
    fingerprint: str

    @property
    def changes_nothing(self) -> bool:
        """Say whether everything is stored already."""
        return all(section.kind == "same" for section in self.sections)


class _Stored(NamedTuple):
    """What is stored of the things that documents name."""

    plans: dict[str, Plan]
    meters: dict[str, Meter]
    features: dict[str, Feature]
    credit_units: dict[str, CreditUnit]
    job_classes: dict[str, JobClass]
    contracts: Mapping[str, OutcomeContract]
    customers: Mapping[str, Customer]


def preview(sources: Sequence[Source]) -> Preview:
    """Return what loading the documents would change. Raises CatalogueInvalid."""
    catalogue = read_sources(sources, stored=stored_now())
    stored = _stored_of(catalogue)
    different = meter_differences(catalogue, stored=stored.meters)
    different += credit_differences(catalogue, stored=stored.credit_units)
    different += contract_differences(
        catalogue.contracts, stored=stored.contracts, customers=stored.customers
    )
    if different:
        raise CatalogueInvalid(different)
    return Preview(tuple(_sections(catalogue, stored)), _fingerprint(sources, stored))


@transaction.atomic
def load_as_shown(
    sources: Sequence[Source], *, fingerprint: str, by: AbstractBaseUser | None, now: datetime
) -> list[Loaded]:
    """Store the documents, new versions as drafts, where that does what a preview has shown.

    Raises StoredStateChanged where what is stored differs from then, and CatalogueInvalid.
    """
    catalogue = read_sources(sources, stored=stored_now())
    locks.catalogue(
        plan_keys=[plan.key for plan in catalogue.plans],
        meter_keys=catalogue.meters,
        feature_keys=catalogue.features,
        credit_codes=catalogue.credit_units,
        job_class_keys=catalogue.job_classes,
        contract_keys=[contract.key for contract in catalogue.contracts],
    )
    if _fingerprint(sources, _stored_of(catalogue)) != fingerprint:
        raise StoredStateChanged(
            "What is stored has changed since the difference was made. Look at it again: this is "
            "what would change now."
        )
    return load(catalogue, publish=False, by=by, now=now)


def _stored_of(catalogue: Catalogue) -> _Stored:
    keys = [plan.key for plan in catalogue.plans]
    plans = plans_with_terms(keys=keys) if keys else []
    contracts, customers = stored_beside(catalogue.contracts)
    return _Stored(
        plans={plan.key: plan for plan in plans},
        meters=meters_by_key(keys=catalogue.meters),
        features=features_by_key(keys=catalogue.features),
        credit_units=credit_units_by_code(codes=catalogue.credit_units),
        job_classes=job_classes_by_key(keys=catalogue.job_classes),
        contracts=contracts,
        customers=customers,
    )


def _fingerprint(sources: Sequence[Source], stored: _Stored) -> str:
    plans = list(stored.plans.values())
    shared = Shared(
        list(stored.meters.values()),
        list(stored.features.values()),
        list(stored.credit_units.values()),
        list(stored.job_classes.values()),
    )
    contracts = list(stored.contracts.values())
    found = document(plans, shared=shared, contracts=contracts)
    versions = [
        [version.pk, version.number, str(version.published_at)]
        for plan in plans
        for version in plan.versions.all()
    ]
    versions += [
        [version.pk, version.number, str(version.published_at)]
        for contract in contracts
        for version in contract.versions.all()
    ]
    said = [[source.name, source.text] for source in sources]
    text = json.dumps([said, found, versions], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _sections(catalogue: Catalogue, stored: _Stored) -> Iterator[Section]:
    for key, meter in catalogue.meters.items():
        there = stored.meters.get(key)
        before = meter_content(there) if there else None
        yield _plain(f"Meter {key}", before, meter_content(meter))
    for key, feature in catalogue.features.items():
        kept = stored.features.get(key)
        before = feature_content(kept) if kept else None
        yield _plain(f"Feature {key}", before, feature_content(feature))
    for code, unit in catalogue.credit_units.items():
        credit = stored.credit_units.get(code)
        before = credit_unit_content(credit) if credit else None
        yield _plain(f"Credit {code}", before, credit_unit_content(unit))
    for key, said_class in catalogue.job_classes.items():
        job_class = stored.job_classes.get(key)
        before = job_class_content(class_said(job_class)) if job_class else None
        yield _plain(f"Job class {key}", before, job_class_content(said_class))
    for plan in catalogue.plans:
        row = stored.plans.get(plan.key)
        said = Plan(key=plan.key, name=plan.name, description=plan.description)
        yield _plain(f"Plan {plan.key}", plan_head(row) if row else None, plan_head(said))
        yield from _versions(plan, list(row.versions.all()) if row else [])
    for contract in catalogue.contracts:
        yield from _contract(contract, stored.contracts.get(contract.key))


def _contract(said: ContractDocument, row: OutcomeContract | None) -> Iterator[Section]:
    named = {name: getattr(said, name) for name in ("key", "name", "currency", "plan", "customer")}
    head = {name: value for name, value in named.items() if value}
    yield _plain(f"Contract {said.key}", head_content(row) if row else None, head)
    versions = sorted(row.versions.all(), key=lambda each: each.number) if row else []
    matched = match_contract_versions(said.versions, stored=versions)
    number = versions[-1].number if versions else 0
    before = _undated(contract_version_content(versions[-1])) if versions else None
    for stated, version in zip(said.versions, matched, strict=True):
        content = said_content(stated)
        number += version is None
        name = f"version {version.number if version else number}"
        title = f"Contract {said.key}, {name}"
        part = content_part(title, before if version is None else content, content)
        outcome = (
            f"It is stored as {name}, and stays as it is." if version else "It becomes a draft."
        )
        yield Section(title, "same" if version else "new", outcome, (part,))
        before = content


def _plain(title: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> Section:
    part = content_part(title, before, after)
    outcomes = {"new": "It is created.", "same": "It stays as it is."}
    kind: Kind = "new" if before is None else "changed" if part.moved else "same"
    return Section(title, kind, outcomes.get(kind, "It is changed."), (part,))


def _versions(plan: PlanDocument, stored: Sequence[PlanVersion]) -> Iterator[Section]:
    digests = {version.pk: version_terms(version).digest for version in stored}
    matched = match_versions(plan.versions, stored=stored, digests=digests)
    newest: dict[str, tuple[str, dict[str, Any]]] = {
        version.currency: (f"version {version.number}", version_content(version, starts=()))
        for version in stored
    }
    number = max((version.number for version in stored), default=0)
    before: dict[str, tuple[str, dict[str, Any]]] = {}
    for said, version in zip(plan.versions, matched, strict=True):
        if version is not None:
            content = version_content(version, starts=())
            name = f"version {version.number}"
            title = f"Plan {plan.key}, {name} in {said.currency}"
            parts = tuple(version_parts(content, content))
            yield Section(title, "same", f"It is stored as {name}, and stays as it is.", parts)
        else:
            number += 1
            content, name = _said(said), f"version {number}"
            base = before.get(said.currency) or newest.get(said.currency)
            yield _new(plan, said, name, base, content)
        before[said.currency] = (name, content)


def _new(
    plan: PlanDocument,
    said: VersionDocument,
    name: str,
    base: tuple[str, dict[str, Any]] | None,
    content: dict[str, Any],
) -> Section:
    against = f" Compared with {base[0]}:" if base else ""
    parts = tuple(version_parts(_undated(base[1]) if base else None, content))
    title = f"Plan {plan.key}, {name} in {said.currency}"
    return Section(title, "new", f"It becomes a draft.{against}", parts)


def _undated(content: dict[str, Any]) -> dict[str, Any]:
    """Return a version's content without its dates, which a draft has not."""
    return {name: value for name, value in content.items() if not name.startswith("effective_")}


def _said(version: VersionDocument) -> dict[str, Any]:
    """Return a documented version as it will stand: a draft, which has no dates."""
    return contents(
        currency=version.currency,
        effective_from=None,
        effective_until=None,
        note=version.note,
        rows=version.rows,
        grants=version.grants,
    )
