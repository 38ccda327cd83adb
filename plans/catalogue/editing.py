"""Read and store one draft as it is typed, by the schema and the rules that documents obey.

A draft may be stored while it makes no sense yet: its problems are shown, and stop its publication.
It may not be stored where that would change what was typed: a missing amount would become 0, tiers
out of order would be sorted, text that is no number would be lost. ``in_the_way`` says which.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import BaseConstraint

from plans import locks, rating
from plans.catalogue.check import version_problems
from plans.catalogue.document import Stored, VersionDocument, read_version
from plans.catalogue.dump import version_content
from plans.catalogue.load import stored_now
from plans.catalogue.problems import CatalogueProblem
from plans.catalogue.typed import version_typed
from plans.errors import OperationError, Problem, refusing
from plans.models import (
    CreditAllotment,
    CreditPack,
    Limit,
    MatrixRate,
    Phase,
    Plan,
    PlanVersion,
    Price,
    ServiceClass,
    Tier,
)
from plans.operations.drafts import replace_contents
from plans.terms import terms_from, with_terms

_PRICE_PATH: Final = re.compile(r"^prices\[(\d+)\](?=\.|$)")
_SECTIONS: Final = (
    "features",
    "limits",
    "service_classes",
    "phases",
    "packs",
    "allotments",
    "jobs",
    "note",
)
_UNIT_TIERS: Final = frozenset({"graduated", "volume"})
# What rows can hold although it makes no sense yet; everything else would be lost or changed.
_STORABLE: Final = frozenset(
    {
        "no_prices",
        "minimum_above_maximum",
        "last_tier_not_open",
        "no_dimensions",
        "ambiguous_rates",
        "allowance_on_flat",
        "allowance_on_seats",
        "allowance_on_transactions",
        "allowance_per_workspace_on_matrix",
        "classes_per_unit_only",
        "no_service_classes",
        "once_on_metered",
        "every_months_on_metered",
        "every_months_and_once",
        "overage_without_allowance",
        "unknown_phase",
        "open_phase_not_last",
        "last_phase_not_open",
        "limit_not_whole",
        "beyond_credit_without_credit",
        "packs_on_credit",
        "attribution_without_jobs",
        "finer_than_unit",
        "money_over_job_classes",
        "rollover_without_share",
        "rollovers_without_months",
    }
)
# Without these nothing of a version can be read.
_NEEDED: Final = frozenset({"", "currency", "prices"})
_NONE_YET: Final = ("prices", "empty")
_NO_PRICES: Final = Problem("no_prices", "prices", "Add a price: there is none yet.")
_MISSING: Final = {
    "name": "Give it a name.",
    "key": "Give it a key.",
    "model": "Choose how it charges.",
    "meter": "Choose what is counted.",
    "amount": "State an amount; 0 makes it free.",
    "unit": "State a price; 0 makes it free.",
    "percent": "State a percentage; 0 makes it free.",
    "package_size": "State how many units a package has.",
    "size": "State how many units a pack has.",
    "plan": "Choose the plan.",
    "default": "State the rate of all others, or stop at them.",
    "kind": "Choose what is limited.",
    "value": "State the limit.",
    "credits": "State how many credits it has.",
}


class VersionChanged(OperationError):
    """Someone else stored the draft since it was opened."""

    code = "version_changed"


class CannotBeStored(OperationError):
    """The draft says what its rows cannot hold as it was typed; ``problems`` lists all of that."""

    code = "cannot_be_stored"


@dataclass(frozen=True, slots=True)
class Typed:
    """A version as it was typed.

    ``prices`` has a place for each typed price: its value, or None where something is wrong with
    it. ``document`` holds the rows of all that is well formed, which is everything unless a
    problem is in the way of storing.
    """

    problems: tuple[Problem, ...]
    prices: tuple[rating.Price | None, ...]
    document: VersionDocument | None

    @property
    def in_the_way(self) -> tuple[Problem, ...]:
        """Return the problems for which this cannot be stored as it was typed."""
        return tuple(problem for problem in self.problems if problem.code not in _STORABLE)


def content_of(version: PlanVersion) -> dict[str, Any]:
    """Return a stored version as a document states it, in eight queries."""
    stored = with_terms(PlanVersion.objects.filter(pk=version.pk)).get()
    return version_content(stored, starts=())


def revision_of(content: Mapping[str, Any]) -> str:
    """Return what tells this content from any other, to notice that someone else stored."""
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()


def read_typed(typed: Mapping[str, Any], *, stored: Stored) -> Typed:
    """Read a version as it is typed, with all that is wrong, each thing at its path."""
    content = version_typed(typed)
    found = _shape_problems(content)
    if any(problem.field in _NEEDED for problem in found):
        return Typed(_in_words(found), (), None)
    found += _unpriced_tiers(content, _well_formed(content["prices"], found))
    places = _well_formed(content["prices"], found)
    whole = [content["prices"][place] for place in places]
    document, more = read_version({**_sections(content, found), "prices": whole}, stored=stored)
    found += [
        _replaced(problem, places) for problem in more if (problem.path, problem.code) != _NONE_YET
    ]
    if not content["prices"]:
        found.append(_NO_PRICES)
    return Typed(_in_words(found), _values(document, places, found, content), document)


@transaction.atomic
def save_typed(
    *,
    version: PlanVersion,
    typed: Mapping[str, Any],
    revision: str,
    by: AbstractBaseUser | None,
) -> tuple[Typed, str]:
    """Store a draft as it was typed, and return it as read, with its new revision.

    ``revision`` is that of the content on which the typing began. Raises VersionChanged,
    CannotBeStored, and what ``replace_contents`` raises; then nothing was stored.
    """
    locked = locks.version(version_id=version.pk)
    if revision_of(content_of(locked)) != revision:
        raise VersionChanged(
            "Someone else saved this draft since you opened it. What you typed is still here: "
            "open the draft in another tab, compare, and reload this page before you save."
        )
    read = read_typed(typed, stored=stored_now())
    if read.in_the_way or read.document is None:
        message = "Nothing was saved: what is marked cannot be kept as it was typed."
        raise CannotBeStored(message, problems=read.in_the_way)
    with refusing(_refusals()):
        _replace(locked, read.document, by=by)
    return read, revision_of(content_of(locked))


def _replace(
    version: PlanVersion, document: VersionDocument, *, by: AbstractBaseUser | None
) -> None:
    plans = {plan.key: plan for plan in Plan.objects.filter(key__in=_upgrades(document))}
    for row in document.rows:
        if row.price.upgrade_to is not None:
            row.price.upgrade_to = plans[row.price.upgrade_to.key]
    replace_contents(
        version=version,
        currency=document.currency,
        note=document.note,
        rows=document.rows,
        grants=document.grants,
        by=by,
    )


def _upgrades(document: VersionDocument) -> set[str]:
    targets = (row.price.upgrade_to for row in document.rows)
    return {plan.key for plan in targets if plan is not None}


def _refusals() -> dict[str, OperationError]:
    """Return a refusal in the words of each constraint of a version's rows."""
    constraints: list[BaseConstraint] = []
    for model in (
        Price,
        Tier,
        MatrixRate,
        Phase,
        ServiceClass,
        Limit,
        CreditPack,
        CreditAllotment,
    ):
        constraints += model._meta.constraints
    return {
        each.name: CannotBeStored(f"Nothing was saved. {each.get_violation_error_message()}")
        for each in constraints
    }


def _shape_problems(content: Mapping[str, Any]) -> list[Problem]:
    return [
        _problem(each) for each in version_problems(content) if (each.path, each.code) != _NONE_YET
    ]


def _problem(found: CatalogueProblem) -> Problem:
    return Problem(found.code, found.path, f"{found.cause} {found.remedy}".rstrip())


def _unpriced_tiers(content: Mapping[str, Any], places: Sequence[int]) -> list[Problem]:
    """Find tiers for which nothing is stated: a document means 0 by that, a person does not."""
    return [
        Problem("missing", f"prices[{place}].tiers[{index}].unit", "")
        for place in places
        if content["prices"][place]["model"] in _UNIT_TIERS
        for index, tier in enumerate(content["prices"][place]["tiers"])
        if "unit" not in tier and "flat" not in tier
    ]


def _well_formed(prices: Sequence[Any], found: Sequence[Problem]) -> list[int]:
    wrong = {_place(problem.field) for problem in found}
    return [place for place in range(len(prices)) if place not in wrong]


def _place(path: str) -> int | None:
    match = _PRICE_PATH.match(path)
    return int(match[1]) if match else None


def _sections(content: Mapping[str, Any], found: Sequence[Problem]) -> dict[str, Any]:
    wrong = {re.split(r"[.\[]", problem.field)[0] for problem in found}
    kept = {name: content[name] for name in _SECTIONS if name in content and name not in wrong}
    return {"currency": content["currency"], **kept}


def _replaced(found: CatalogueProblem, places: Sequence[int]) -> Problem:
    """Give a problem the path that its price has among all that were typed."""
    problem = _problem(found)
    place = _place(problem.field)
    if place is None:
        return problem
    return problem._replace(field=_PRICE_PATH.sub(f"prices[{places[place]}]", problem.field))


def _values(
    document: VersionDocument,
    places: Sequence[int],
    found: Sequence[Problem],
    content: Mapping[str, Any],
) -> tuple[rating.Price | None, ...]:
    terms, _ = terms_from(currency=document.currency, rows=document.rows, grants=document.grants)
    values = dict(zip(places, terms.prices, strict=True))
    wrong = {_place(problem.field) for problem in found}
    return tuple(
        None if place in wrong else values.get(place) for place in range(len(content["prices"]))
    )


def _in_words(found: Sequence[Problem]) -> tuple[Problem, ...]:
    """Say of what is missing what to do; a key that follows from a name is not asked for."""
    nameless = {_parent(each.field) for each in found if _is_missing(each, "name")}
    return tuple(
        each._replace(message=_MISSING.get(_last(each.field), "State it."))
        if each.code == "missing"
        else each
        for each in found
        if not (_is_missing(each, "key") and _parent(each.field) in nameless)
    )


def _is_missing(problem: Problem, name: str) -> bool:
    return problem.code == "missing" and _last(problem.field) == name


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _last(path: str) -> str:
    return path.rpartition(".")[2]
