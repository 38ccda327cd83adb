"""Store the outcome contracts of documents. The same again changes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from django.contrib.auth.models import AbstractBaseUser

from plans.catalogue.contracts import (
    ContractDocument,
    ContractVersionDocument,
    contract_differences,
    match_contract_versions,
)
from plans.catalogue.problems import CatalogueInvalid, CatalogueProblem
from plans.errors import OperationError
from plans.models import Customer, OutcomeContract, OutcomeContractVersion, Plan
from plans.operations.contracts import create_contract, publish_contract, start_contract_version
from plans.queries import contracts_with_versions, customers_by_key


class ContractLoader:
    """Loads contracts once their plans are stored: as drafts, or into force where asked to."""

    def __init__(
        self,
        documents: Sequence[ContractDocument],
        *,
        publish: bool,
        by: AbstractBaseUser | None,
        now: datetime,
    ) -> None:
        """Look up what is stored. Raises CatalogueInvalid where a stored contract differs."""
        self._documents = documents
        self._publish, self._by, self._now = publish, by, now
        self._stored, self._customers = stored_beside(documents)
        different = contract_differences(documents, stored=self._stored, customers=self._customers)
        if different:
            raise CatalogueInvalid(different)

    def load(self) -> Iterator[tuple[str, str]]:
        """Store what is new; yield each contract's key and what became of a version.

        Raises CatalogueInvalid where a version cannot be stored or published.
        """
        for said in self._documents:
            row = self._stored.get(said.key)
            versions = list(row.versions.all()) if row else []
            matched = match_contract_versions(said.versions, stored=versions)
            new: list[OutcomeContractVersion] = []
            for document, known in zip(said.versions, matched, strict=True):
                with _named_at(said, document):
                    version = known or self._draft(said, document, row=row, after=new)
                    row = version.contract
                    if known is None:
                        new.append(version)
                    is_published = self._put_into_force(document, version)
                outcome = "draft" if known is None else "unchanged"
                yield (
                    said.key,
                    (f"version {version.number} {'published' if is_published else outcome}"),
                )

    def _draft(
        self,
        said: ContractDocument,
        document: ContractVersionDocument,
        *,
        row: OutcomeContract | None,
        after: Sequence[OutcomeContractVersion],
    ) -> OutcomeContractVersion:
        content, note, by = dict(document.content), document.note, self._by
        if row is not None:
            return start_contract_version(
                contract=row, content=content, note=note, after=after, by=by
            )
        return create_contract(
            key=said.key,
            name=said.name,
            currency=said.currency,
            content=content,
            plan=Plan.objects.get(key=said.plan) if said.plan else None,
            customer=self._customers[said.customer] if said.customer else None,
            note=note,
            by=by,
        )

    def _put_into_force(
        self, document: ContractVersionDocument, version: OutcomeContractVersion
    ) -> bool:
        """Publish a version where it is to be, and say whether it was."""
        if not self._publish or document.effective_from is None or version.published_at is not None:
            return False
        publish_contract(
            version=version, effective_from=document.effective_from, by=self._by, now=self._now
        )
        return True


def stored_beside(
    documents: Sequence[ContractDocument],
) -> tuple[Mapping[str, OutcomeContract], Mapping[str, Customer]]:
    """Return the stored contracts, and the customers, that documents name, by key."""
    if not documents:
        return {}, {}
    rows = contracts_with_versions(keys={said.key for said in documents})
    customers = customers_by_key(keys={said.customer for said in documents if said.customer})
    return {row.key: row for row in rows}, customers


@contextmanager
def _named_at(said: ContractDocument, version: ContractVersionDocument) -> Iterator[None]:
    """Say of a refusal where in the document its cause stands."""
    try:
        yield
    except OperationError as error:
        found = [
            CatalogueProblem(
                said.file,
                f"{version.path}.{problem.field or 'effective_from'}",
                problem.code,
                problem.message,
                "",
            )
            for problem in error.problems
        ]
        raise CatalogueInvalid(found) from error
