"""What a dry run finds for one customer, and the fingerprint over all of it. Pure."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import NamedTuple

from billing.dry_runs.months import Months
from billing.statements.values import Draft, Line, canonical
from plans.rating.matrix import MINIMUM

_ZERO = Decimal(0)


class Failure(NamedTuple):
    """Why a customer's usage cannot be rated."""

    code: str
    reason: str


class Side(NamedTuple):
    """What a customer's periods come to by one set of terms, or the first failure among them.

    ``unpriced`` are the keys of meters with usage that the terms do not price.
    """

    drafts: tuple[Draft, ...] = ()
    unpriced: frozenset[str] = frozenset()
    failure: Failure | None = None

    @property
    def amount(self) -> Decimal | None:
        """Return the sum of the periods; None where they cannot be rated."""
        if self.failure is not None:
            return None
        return sum((draft.total for draft in self.drafts), _ZERO)


class Outcome(NamedTuple):
    """One customer's amounts before and after; None where its usage cannot be rated.

    The fields are columns of ``DryRunResult``; a list is what COPY writes as an array.
    """

    customer_id: int
    old_amount: Decimal | None
    new_amount: Decimal | None
    newly_at_minimum: bool = False
    newly_at_maximum: bool = False
    newly_unpriced: Sequence[str] = []
    error_code: str = ""
    error_reason: str = ""

    @property
    def is_failure(self) -> bool:
        """Say whether an amount is missing."""
        return self.old_amount is None or self.new_amount is None


class FingerprintedRow(NamedTuple):
    """A customer's result as the fingerprint covers it, under the customer's key."""

    key: str
    old_amount: Decimal | None
    new_amount: Decimal | None
    newly_at_minimum: bool
    newly_at_maximum: bool
    newly_unpriced: Sequence[str]
    error_code: str
    error_reason: str


def outcome_of(*, customer_id: int, old: Side, new: Side) -> Outcome:
    """Compare a customer's periods by the old and by the new terms, which stand in one order."""
    failure = new.failure or old.failure
    pairs = () if failure else tuple(zip(old.drafts, new.drafts, strict=True))
    return Outcome(
        customer_id=customer_id,
        old_amount=old.amount,
        new_amount=new.amount,
        newly_at_minimum=any(_is_new(pair, _at_minimum) for pair in pairs),
        newly_at_maximum=any(_is_new(pair, _at_maximum) for pair in pairs),
        newly_unpriced=[] if failure else sorted(new.unpriced - old.unpriced),
        error_code=failure.code if failure else "",
        error_reason=_reason(failure, is_new=new.failure is not None) if failure else "",
    )


def fingerprint(
    *,
    terms_digest: str,
    plan_key: str,
    customer_keys: Sequence[str],
    months: Months,
    rows: Iterable[FingerprintedRow],
) -> str:
    """Return the SHA-256 over what was tried, on whom, and every result; equal for equal inputs.

    ``rows`` come in the order of their keys, with their amounts as the database writes them.
    """
    content = {
        "terms": terms_digest,
        "plan": plan_key,
        "customers": sorted(customer_keys),
        "months": [months.first, months.last],
        "results": list(rows),
    }
    return sha256(canonical(content).encode()).hexdigest()


def _is_new(pair: tuple[Draft, Draft], applies: Callable[[Line], bool]) -> bool:
    old, new = pair
    return any(map(applies, new.lines)) and not any(map(applies, old.lines))


def _at_minimum(line: Line) -> bool:
    return line.line_key == MINIMUM or _is_adjusted(line, "minimum", "shared_minimum")


def _at_maximum(line: Line) -> bool:
    return _is_adjusted(line, "maximum", "shared_maximum")


def _is_adjusted(line: Line, *kinds: str) -> bool:
    return any(adjustment.kind in kinds for adjustment in line.explanation.adjustments)


def _reason(failure: Failure, *, is_new: bool) -> str:
    return failure.reason if is_new else f"By the terms in force: {failure.reason}"
