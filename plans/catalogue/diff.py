"""Find what a document says that is stored already."""

from collections.abc import Mapping, Sequence

from plans.catalogue.document import Catalogue, VersionDocument
from plans.catalogue.problems import CatalogueProblem
from plans.catalogue.rows import meter_values
from plans.models import CreditUnit, Meter, PlanVersion
from plans.operations.credit_units import CreditUnitFrozen, frozen_words
from plans.queries import credit_unit_is_published


def meter_differences(
    catalogue: Catalogue, *, stored: Mapping[str, Meter]
) -> list[CatalogueProblem]:
    """Return a problem for every field in which a stored meter differs from the document's."""
    found = []
    for key, meter in catalogue.meters.items():
        if key in stored:
            file, path = catalogue.places[key]
            found += _differences(meter, stored[key], file=file, path=path)
    return found


def credit_differences(
    catalogue: Catalogue, *, stored: Mapping[str, CreditUnit]
) -> list[CatalogueProblem]:
    """Return a problem for every stored credit whose decimals are frozen and differ."""
    return [
        CatalogueProblem(
            *_decimals_of(code, catalogue),
            CreditUnitFrozen.code,
            frozen_words(stored[code]),
            "",
        )
        for code, unit in catalogue.credit_units.items()
        if code in stored
        and unit.decimals != stored[code].decimals
        and credit_unit_is_published(code=code)
    ]


def _decimals_of(code: str, catalogue: Catalogue) -> tuple[str, str]:
    file, path = catalogue.credit_places[code]
    return file, f"{path}.decimals"


def _differences(meter: Meter, stored: Meter, *, file: str, path: str) -> list[CatalogueProblem]:
    there = meter_values(stored)
    return [
        CatalogueProblem(
            file,
            f"{path}.{'property' if name == 'value_property' else name}",
            "meter_differs",
            f"The stored meter “{meter.key}” has {_shown(there[name])} here, not {_shown(value)}.",
            "A meter is not redefined: give the new one another key.",
        )
        for name, value in meter_values(meter).items()
        if value != there[name]
    ]


def _shown(value: object) -> str:
    return f"“{value}”"


def match_versions(
    documents: Sequence[VersionDocument],
    *,
    stored: Sequence[PlanVersion],
    digests: Mapping[int, str],
) -> list[PlanVersion | None]:
    """Return the stored version that each of a plan's documented versions is; None is a new one.

    ``stored`` is in the order of numbers. A version is found by its terms: published at the stated
    time, or else as a draft. The last one of its currency, where nothing else in that currency is
    new, may also be the newest stored one in it, published at another time than the document says
    or without one in it.
    """
    left = list(stored)
    newest = {version.currency: version for version in stored}
    last = {document.currency: document for document in documents}
    with_new: set[str] = set()
    matched: list[PlanVersion | None] = []
    for document in documents:
        currency = document.currency
        same = [version for version in left if digests[version.pk] == document.digest]
        found = _published_then(same, document) or _draft(same)
        if found is None and last[currency] is document and currency not in with_new:
            found = next((version for version in same if version is newest[currency]), None)
        if found is None:
            with_new.add(currency)
        if found is not None:
            left.remove(found)
        matched.append(found)
    return matched


def _published_then(
    versions: Sequence[PlanVersion], document: VersionDocument
) -> PlanVersion | None:
    at = document.effective_from
    return next((one for one in versions if at is not None and one.effective_from == at), None)


def _draft(versions: Sequence[PlanVersion]) -> PlanVersion | None:
    return next((version for version in versions if version.published_at is None), None)
