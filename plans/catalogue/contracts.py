"""Outcome contracts as documents: read, compared with what is stored, and written."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from plans.catalogue.contract_schema import CONTENT
from plans.catalogue.problems import CatalogueProblem
from plans.catalogue.stated import amount_text, stated, time_text
from plans.contracts import terms_of_version
from plans.models import Customer, OutcomeContract, OutcomeContractVersion
from plans.rating.outcome_document import read_terms
from plans.rating.outcome_evidence import read_number
from plans.rating.outcomes import Naming, OutcomeTerms

_WHOLE: Final = frozenset({"window_hours", "dispute_days", "holdback_days"})
_WORDS: Final = frozenset({"kind", "quantity_field", "bonus_when", "by", "silence"})


@dataclass(frozen=True, slots=True)
class ContractVersionDocument:
    """One version of a contract as a document states it; its terms are None where it cannot be."""

    path: str
    effective_from: datetime | None
    note: str
    content: Mapping[str, Any]
    terms: OutcomeTerms | None


@dataclass(frozen=True, slots=True)
class ContractDocument:
    """One contract as a document states it, its versions in the order in which they take effect.

    ``plan`` and ``customer`` are keys; one of them is "".
    """

    file: str
    path: str
    key: str
    name: str
    currency: str
    plan: str
    customer: str
    versions: tuple[ContractVersionDocument, ...]

    def problem(self, code: str, path: str, cause: str, remedy: str) -> CatalogueProblem:
        """Return a problem at a place in this contract, "" for the contract as a whole."""
        return CatalogueProblem(self.file, f"{self.path}{path}", code, cause, remedy)


def version_places(path: str, content: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the versions of a contract with their places; a single one needs no list."""
    versions = content.get("versions")
    if versions is None:
        return [(path, content)]
    return [(f"{path}.versions[{index}]", version) for index, version in enumerate(versions)]


def contract_document(
    file: str, path: str, content: dict[str, Any], *, starts: Sequence[datetime | None]
) -> tuple[ContractDocument, tuple[CatalogueProblem, ...]]:
    """Return a well-formed contract, and what the schema cannot see in it.

    ``starts`` are when its versions take effect.
    """
    problems: list[CatalogueProblem] = []
    naming = Naming(content["key"], content["name"], content["currency"])
    versions = []
    for (place, said), start in zip(version_places(path, content), starts, strict=True):
        terms = {name: said[name] for name in CONTENT if name in said}
        found, wrong = read_terms(terms, naming=naming)
        problems += [
            CatalogueProblem(file, f"{place}.{each.field}", each.code, each.message, "")
            for each in wrong
        ]
        versions.append(ContractVersionDocument(place, start, said.get("note", ""), terms, found))
    document = ContractDocument(
        file=file,
        path=path,
        key=content["key"],
        name=content["name"],
        currency=content["currency"],
        plan=content.get("plan", ""),
        customer=content.get("customer", ""),
        versions=tuple(versions),
    )
    problems += _order_problems(document)
    if bool(document.plan) == bool(document.customer):
        cause = "A contract is for everyone on a plan, or for one customer."
        problems.append(document.problem("contract_for_whom", ".plan", cause, "State one of them."))
    return document, tuple(problems)


def _order_problems(document: ContractDocument) -> Iterator[CatalogueProblem]:
    last: datetime | None = None
    for version in document.versions:
        starts = version.effective_from
        if starts is not None and last is not None and starts <= last:
            yield CatalogueProblem(
                document.file, f"{version.path}.effective_from", "effective_order",
                "It does not take effect after the version before.", "Write versions in order.",
            )  # fmt: skip
        last = starts or last


def contract_differences(
    documents: Sequence[ContractDocument],
    *,
    stored: Mapping[str, OutcomeContract],
    customers: Mapping[str, Customer],
) -> list[CatalogueProblem]:
    """Return what keeps contracts from being stored beside what is: a contract is not redefined."""
    return [
        problem
        for said in documents
        for problem in _differences(said, stored.get(said.key), customers.get(said.customer))
    ]


def _differences(
    said: ContractDocument, row: OutcomeContract | None, customer: Customer | None
) -> Iterator[CatalogueProblem]:
    if said.customer and customer is None:
        cause = f"There is no customer “{said.customer}”."
        yield said.problem("unknown_customer", ".customer", cause, "Make the customer first.")
    elif customer is not None and customer.currency != said.currency:
        cause = f"“{said.customer}” is billed in {customer.currency}."
        yield said.problem("contract_differs", ".currency", cause, "State that currency.")
    if row is None:
        return
    there = {name: content for name, content in head_content(row).items() if name != "key"}
    here = {name: getattr(said, name) for name in ("name", "currency", "plan", "customer")}
    for name, value in here.items():
        if value != there.get(name, ""):
            cause = (
                f"The stored contract “{said.key}” has “{there.get(name, '')}” here, not “{value}”."
            )
            remedy = "A contract is not redefined: give the new one another key."
            yield said.problem("contract_differs", f".{name}", cause, remedy)


def match_contract_versions(
    documents: Sequence[ContractVersionDocument], *, stored: Sequence[OutcomeContractVersion]
) -> list[OutcomeContractVersion | None]:
    """Return the stored version that each documented one is; None is a new one.

    A version is found by its terms: published at the stated time, or else not yet. The last one,
    where nothing before it is new, may also be the newest that is stored.
    """
    left = sorted(stored, key=lambda row: row.number)
    newest = left[-1] if left else None
    matched: list[OutcomeContractVersion | None] = []
    for document in documents:
        same = [row for row in left if terms_of_version(row) == document.terms]
        found = next(
            (row for row in same if row.effective_from == document.effective_from is not None), None
        ) or next((row for row in same if row.published_at is None), None)
        is_last = document is documents[-1] and None not in matched
        if found is None and is_last and newest in same:
            found = newest
        if found is not None:
            left.remove(found)
        matched.append(found)
    return matched


def contract_content(contract: OutcomeContract) -> dict[str, Any]:
    """Return a contract, read with its versions, as a document states it."""
    versions = [version_content(row) for row in _in_order(contract)]
    head = head_content(contract)
    return {**head, **versions[0]} if len(versions) == 1 else {**head, "versions": versions}


def head_content(contract: OutcomeContract) -> dict[str, Any]:
    """Return a contract without its versions."""
    return stated(
        key=contract.key,
        name=contract.name,
        currency=contract.currency,
        plan=contract.plan.key if contract.plan else "",
        customer=contract.customer.key if contract.customer else "",
    )


def version_content(version: OutcomeContractVersion) -> dict[str, Any]:
    """Return a version as a document states it, numbers as text and without what is empty."""
    said = version.content
    return stated(
        effective_from=time_text(version.effective_from),
        note=version.note,
        unit=said["unit"].strip(),
        evidence=[dict(each) for each in said.get("evidence", ())],
        success=said.get("success"),
        verification=_plain(said.get("verification", {})),
        dispute_days=_value("dispute_days", said.get("dispute_days") or None),
        fee=_plain(said["fee"]) | stated(tiers=[_plain(tier) for tier in _tiers(said)]),
    )


def said_content(version: ContractVersionDocument) -> dict[str, Any]:
    """Return a documented version as it will stand: a draft, which has no date."""
    row = OutcomeContractVersion(content=dict(version.content), note=version.note)
    return version_content(row)


def _in_order(contract: OutcomeContract) -> list[OutcomeContractVersion]:
    """Return a contract's versions: published ones by their effect, then drafts by number."""

    def order(row: OutcomeContractVersion) -> tuple[bool, float, int]:
        starts = row.effective_from
        return (starts is None, starts.timestamp() if starts else 0, row.number)

    return sorted(contract.versions.all(), key=order)


def _tiers(said: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = said["fee"].get("tiers") or ()
    return found


def _plain(content: Mapping[str, Any]) -> dict[str, Any]:
    return stated(**{name: _value(name, value) for name, value in content.items()})


def _value(name: str, value: Any) -> Any:
    if value in (None, "") or isinstance(value, bool | list) or name in _WORDS:
        return value
    if name in _WHOLE:
        return int(value)
    number = read_number(value)
    return value if number is None else amount_text(Decimal(number))
