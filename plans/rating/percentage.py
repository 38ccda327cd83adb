"""Percentage of a value, with rules for each transaction where the price has them.

Transactions are taken in time order. One is free as long as it is among the first
`free_transactions` and within the first `free_amount` of value, whichever of the two is set; with
both set, the allowance ends with the one used up first, as Lago's percentage charge does ("the
first 3 events or $500"). A transaction wholly free pays nothing. One that is partly free pays the
percentage on the rest and the whole fixed fee. Minimum and maximum then bound the percentage and
the fixed fee of each transaction that is not wholly free. Source: DESIGN section 3, Charge models;
Lago's guide to the percentage charge model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from plans.rating.charge import NOTHING, Charge, Part, number, refuse_negative, sum_up
from plans.rating.money import HUNDRED, HUNDREDTH, ONE, ZERO, RatingError, minus, plus, times, total


class MissingTransactions(RatingError):
    """The price has rules for each transaction, and the usage came without transactions."""

    code = "missing_transactions"


class TransactionsDoNotAddUp(RatingError):
    """The transactions' values do not add up to the metered value."""

    code = "transactions_do_not_add_up"


@dataclass(frozen=True, slots=True)
class Percentage:
    """`percent` of the value, and `fixed_amount` for each transaction; all amounts are money."""

    percent: Decimal
    fixed_amount: Decimal = ZERO
    free_transactions: int = 0
    free_amount: Decimal = ZERO
    minimum_per_transaction: Decimal | None = None
    maximum_per_transaction: Decimal | None = None

    @property
    def needs_transactions(self) -> bool:
        """Say whether the single transactions matter; a free amount alone needs only the sum."""
        return bool(
            self.fixed_amount
            or self.free_transactions
            or self.minimum_per_transaction is not None
            or self.maximum_per_transaction is not None
        )

    def charge(self, quantity: Decimal, transactions: Sequence[Decimal] = ()) -> Charge:
        """Return the percentage of a value, transaction by transaction where a rule needs them.

        `quantity` is the value, `transactions` are the values in time order that make it up. Raises
        NegativeQuantity, MissingTransactions, TransactionsDoNotAddUp.
        """
        refuse_negative(quantity)
        if self.needs_transactions:
            _check(quantity, transactions=transactions)
            return _charge_each(self, transactions)
        value = minus(quantity, self.free_amount) if self.free_amount else quantity
        if value <= ZERO:
            return NOTHING
        return sum_up((_percent_part(self, value),))


def _check(quantity: Decimal, *, transactions: Sequence[Decimal]) -> None:
    if quantity and not transactions:
        raise MissingTransactions(
            f"The price has rules for each transaction, but {quantity} came without transactions."
        )
    if total(transactions) != quantity:
        raise TransactionsDoNotAddUp(
            f"The transactions add up to {total(transactions)}, the meter counted {quantity}."
        )


def _charge_each(model: Percentage, transactions: Sequence[Decimal]) -> Charge:
    value, count, raised, lowered = ZERO, 0, ZERO, ZERO
    for rest in _not_free(model, transactions):
        value = plus(value, rest)
        count += 1
        change = _bound(
            model, plus(times(rest, times(model.percent, HUNDREDTH)), model.fixed_amount)
        )
        if change > ZERO:
            raised = plus(raised, change)
        elif change:
            lowered = plus(lowered, change)
    return sum_up(_parts(model, value=value, count=Decimal(count), raised=raised, lowered=lowered))


def _not_free(model: Percentage, transactions: Sequence[Decimal]) -> Iterator[Decimal]:
    """Yield, for each transaction not wholly free, the value that is not."""
    free_amount = model.free_amount or None
    free_count = model.free_transactions or (len(transactions) if free_amount else 0)
    for index, value in enumerate(transactions):
        refuse_negative(value)
        if index >= free_count or free_amount == ZERO:
            yield value
        elif free_amount is not None:
            rest = minus(value, free_amount)
            free_amount = max(ZERO, minus(free_amount, value))
            if rest > ZERO:
                yield rest


def _bound(model: Percentage, amount: Decimal) -> Decimal:
    """Return by how much the minimum or maximum for one transaction changes its amount."""
    minimum, maximum = model.minimum_per_transaction, model.maximum_per_transaction
    if maximum is not None and amount > maximum:
        return minus(maximum, amount)
    if minimum is not None and amount < minimum:
        return minus(minimum, amount)
    return ZERO


def _parts(
    model: Percentage, *, value: Decimal, count: Decimal, raised: Decimal, lowered: Decimal
) -> tuple[Part, ...]:
    parts = [_percent_part(model, value)] if value else []
    if count and model.fixed_amount:
        fixed = times(count, model.fixed_amount)
        parts.append(Part("transactions", count, model.fixed_amount, ONE, ZERO, fixed))
    if raised:
        parts.append(Part("minimum per transaction", ONE, None, ONE, raised, raised))
    if lowered:
        parts.append(Part("maximum per transaction", ONE, None, ONE, lowered, lowered))
    return tuple(parts)


def _percent_part(model: Percentage, value: Decimal) -> Part:
    amount = times(times(value, model.percent), HUNDREDTH)
    return Part(f"{number(model.percent)}%", value, model.percent, HUNDRED, ZERO, amount)
