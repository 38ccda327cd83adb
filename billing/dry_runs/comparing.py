"""Rate customers by the terms in force and by a version, in a fixed number of queries."""

from collections.abc import Iterator, Mapping, Sequence

from billing.dry_runs.outcome import Failure, Outcome, Side, outcome_of
from billing.dry_runs.sample import Tested
from billing.statements.build import build
from billing.statements.facts import Loaded, Period, load_facts
from billing.statements.substitution import Substitution
from billing.statements.values import Draft
from plans import rating
from plans.errors import OperationError


class VersionChanged(OperationError):
    """The version's prices were changed while it was tried."""

    code = "version_changed"


def compare(
    customers: Sequence[Tested], *, plan_id: int, version_id: int, terms_digest: str
) -> list[Outcome]:
    """Return each customer's amounts by the terms in force and by the version instead of them.

    Usage is read once for both, and nothing is written. A customer that cannot be rated has the
    reason in its outcome. Raises VersionChanged where the version's terms have another digest.
    """
    old = {customer.customer_id: list(refs) for customer, refs in _numbered(customers, first=0)}
    count = sum(len(customer.periods) for customer in customers)
    new = {customer.customer_id: list(refs) for customer, refs in _numbered(customers, first=count)}
    periods = [
        period
        for refs in (old, new)
        for customer in customers
        for period in _periods(customer, refs[customer.customer_id])
    ]
    proposed = frozenset(range(count, 2 * count))
    loaded = load_facts(
        periods,
        instead=Substitution(plan_id=plan_id, version_id=version_id, periods=proposed),
    )
    _refuse_changed(loaded, version_id=version_id, terms_digest=terms_digest)
    terms = {version: known.terms for version, known in loaded.terms.items()}
    return [
        outcome_of(
            customer_id=customer.customer_id,
            old=_side(old[customer.customer_id], loaded=loaded, terms=terms),
            new=_side(new[customer.customer_id], loaded=loaded, terms=terms),
        )
        for customer in customers
    ]


def _numbered(customers: Sequence[Tested], *, first: int) -> Iterator[tuple[Tested, range]]:
    """Yield each customer with the references of its periods, which are counted from ``first``."""
    for customer in customers:
        refs = range(first, first + len(customer.periods))
        yield customer, refs
        first = refs.stop


def _periods(customer: Tested, refs: Sequence[int]) -> Iterator[Period]:
    for ref, period in zip(refs, customer.periods, strict=True):
        yield Period(
            id=ref,
            customer_id=customer.customer_id,
            customer_key=customer.key,
            currency=customer.currency,
            zone=customer.zone,
            start=period.start,
            end=period.end,
        )


def _refuse_changed(loaded: Loaded, *, version_id: int, terms_digest: str) -> None:
    tried = loaded.terms.get(version_id)
    if tried is not None and tried.digest != terms_digest:
        raise VersionChanged(
            "The version's prices were changed while the dry run was under way. "
            "Start another dry run."
        )


def _side(refs: Sequence[int], *, loaded: Loaded, terms: Mapping[int, rating.Terms]) -> Side:
    drafts: list[Draft] = []
    unpriced: set[str] = set()
    for ref in refs:
        refused = loaded.errors.get(ref)
        if refused is not None:
            return Side(failure=Failure(refused.code, str(refused)))
        facts = loaded.facts[ref]
        unpriced.update(meter for meter, _ in facts.unpriced)
        try:
            drafts.append(build(facts, terms=terms))
        except rating.RatingError as error:
            return Side(failure=Failure(error.code, str(error)))
    return Side(drafts=tuple(drafts), unpriced=frozenset(unpriced))
