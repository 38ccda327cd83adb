"""Rate customers by the terms in force and by a version, in a fixed number of queries."""

from collections.abc import Iterator, Sequence
from itertools import count, groupby

from billing.dry_runs.outcome import Failure, Outcome, Side, outcome_of
from billing.dry_runs.sample import Tested
from billing.statements.build import PricedBy, build
from billing.statements.facts import Loaded, Period, load_facts
from billing.statements.substitution import Substitution
from billing.statements.values import Draft
from plans import rating
from plans.errors import OperationError
from plans.overrides import TermsBook


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
    old = list(_periods(customers))
    new = [period._replace(id=period.id + len(old)) for period in old]
    instead = Substitution(
        plan_id=plan_id,
        version_id=version_id,
        periods=frozenset(period.id for period in new),
    )
    loaded = load_facts([*old, *new], instead=instead)
    _refuse_changed(loaded, version_id=version_id, terms_digest=terms_digest)
    book = TermsBook(loaded.terms, loaded.agreed)
    by = PricedBy(book.terms, book.agreed)
    sides = [
        {
            customer_id: _side([period.id for period in group], loaded=loaded, by=by)
            for customer_id, group in groupby(periods, key=lambda period: period.customer_id)
        }
        for periods in (old, new)
    ]
    return [
        outcome_of(customer_id=customer_id, old=side, new=sides[1][customer_id])
        for customer_id, side in sides[0].items()
    ]


def _periods(customers: Sequence[Tested]) -> Iterator[Period]:
    """Yield the periods of the customers, one customer after the other, numbered from 0."""
    ids = count()
    for customer in customers:
        for period in customer.periods:
            yield Period(
                id=next(ids),
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


def _side(refs: Sequence[int], *, loaded: Loaded, by: PricedBy) -> Side:
    drafts: list[Draft] = []
    unpriced: set[str] = set()
    for ref in refs:
        refused = loaded.errors.get(ref)
        if refused is not None:
            return Side(failure=Failure(refused.code, str(refused)))
        facts = loaded.facts[ref]
        unpriced.update(meter for meter, _ in facts.unpriced)
        try:
            drafts.append(build(facts, terms=by.terms, agreed=by.agreed))
        except rating.RatingError as error:
            return Side(failure=Failure(error.code, str(error)))
    return Side(drafts=tuple(drafts), unpriced=frozenset(unpriced))
