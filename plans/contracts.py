"""Outcome contracts as values: their terms, their prices, and which holds for whom and when."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from plans import rating
from plans.models import OutcomeContract, OutcomeContractVersion
from plans.rating.outcome_document import read_terms
from plans.rating.outcomes import FeePrice, Naming, OutcomeTerms, fee_prices

EVENT_TYPES = "tollgate.outcome."


@dataclass(frozen=True, slots=True)
class ContractVersion:
    """A published version as a value; its rules hold in ``[starts_at, ends_at)``."""

    id: int
    number: int
    starts_at: datetime
    ends_at: datetime | None
    terms: OutcomeTerms

    def holds_at(self, at: datetime) -> bool:
        """Say whether the version's rules hold at an instant."""
        return self.starts_at <= at and (self.ends_at is None or at < self.ends_at)


class Contract(NamedTuple):
    """A contract with its published versions, in the order of time."""

    id: int
    key: str
    name: str
    currency: str
    plan_id: int | None
    customer_id: int | None
    versions: tuple[ContractVersion, ...]

    @property
    def naming(self) -> Naming:
        """Return what its prices are called."""
        return Naming(self.key, self.name, self.currency)

    def version_at(self, at: datetime) -> ContractVersion | None:
        """Return the version whose rules hold at an instant."""
        return next((each for each in self.versions if each.holds_at(at)), None)


def naming_of(contract: OutcomeContract) -> Naming:
    """Return what a contract's prices are called."""
    return Naming(contract.key, contract.name, contract.currency)


def event_type(contract_key: str) -> str:
    """Return the type of the usage events that a contract's outcomes make."""
    return f"{EVENT_TYPES}{contract_key}"


def terms_of_version(version: OutcomeContractVersion) -> OutcomeTerms:
    """Return the terms of a version that was checked: submitted or published."""
    terms, problems = read_terms(version.content, naming=naming_of(version.contract))
    assert terms is not None, f"a checked contract cannot be read: {problems}"
    return terms


def prices_of_version(version: OutcomeContractVersion) -> tuple[FeePrice, ...]:
    """Return the prices that the version's fee is made of."""
    return fee_prices(terms_of_version(version), naming_of(version.contract))


def contract_price(version: OutcomeContractVersion, key: str) -> rating.Price:
    """Return one of the version's prices by its key."""
    return next(found.price for found in prices_of_version(version) if found.price.key == key)


def contracts_by_key(keys: Collection[str]) -> dict[str, Contract]:
    """Return those contracts of these keys that have a published version, in two queries."""
    rows = OutcomeContractVersion.objects.filter(
        contract__key__in=list(keys), published_at__isnull=False
    )
    return _contracts(list(rows.select_related("contract").order_by("effective_from")))


def contracts_by_id(ids: Collection[int]) -> dict[int, Contract]:
    """Return contracts with their published versions, by id."""
    rows = OutcomeContractVersion.objects.filter(
        contract_id__in=list(ids), published_at__isnull=False
    )
    found = _contracts(list(rows.select_related("contract").order_by("effective_from")))
    return {contract.id: contract for contract in found.values()}


def _contracts(rows: list[OutcomeContractVersion]) -> dict[str, Contract]:
    versions: dict[str, list[ContractVersion]] = {}
    contracts: dict[str, OutcomeContract] = {}
    for row in rows:
        assert row.effective_from is not None
        contracts[row.contract.key] = row.contract
        versions.setdefault(row.contract.key, []).append(
            ContractVersion(
                row.pk, row.number, row.effective_from, row.effective_until, terms_of_version(row)
            )
        )
    return {
        key: Contract(
            row.pk, key, row.name, row.currency, row.plan_id, row.customer_id,
            tuple(versions[key]),
        )
        for key, row in contracts.items()
    }  # fmt: skip
