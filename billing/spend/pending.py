"""What pending quantities of jobs come to on top of what is rated: money, and credits by unit.

Jobs are priced all together, since one may use up the allowance or fill the tier that another was
priced by; what a job holds is what it adds to that. An amount that is held without a quantity, as
where nobody knows at which rate a job will be priced, is a quantity of the meter "".
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from billing.models import Spend
from billing.spend.margin import MarginPricer, Standing, Used
from billing.spend.standing import rated_standing
from plans import rating
from plans.models import Customer
from plans.rating.money import ZERO, plus, total
from usage.job_quantities import Cell, Quantities, read

LOOSE: Cell = ("", ())


class Priced(NamedTuple):
    """Money in the customer's currency, credits by unit, and the meters that nothing can price.

    ``amount`` is the difference of rounded lines, ``exact`` is not rounded.
    """

    amount: Decimal
    exact: Decimal
    credits: Mapping[str, Decimal]
    unpriced: tuple[str, ...] = ()


def price_pending(
    standing: Standing, quantities: Quantities, *, late_credits: bool = False
) -> Priced:
    """Return what pending quantities add to what is rated, to the cent.

    What late starts give back is left out unless ``late_credits`` are asked for.

    A meter whose usage nothing can price counts for nothing and is named. Where it is beyond an
    allowance that the plan does not exceed, it counts for nothing, too: nobody can bill it.
    """
    used = [Used(*cell, quantity) for cell, quantity in quantities.items() if cell != LOOSE]
    loose = quantities.get(LOOSE, ZERO)
    try:
        found = _priced(standing, used, late_credits=late_credits)
    except rating.RatingError:
        found = _priced_apart(standing, used, late_credits=late_credits)
    return Priced(
        max(ZERO, plus(found.amount, loose)),
        plus(found.exact, loose),
        found.credits,
        found.unpriced,
    )


def _priced(standing: Standing, used: Iterable[Used], *, late_credits: bool) -> Priced:
    each = list(used)
    meters = {one.meter for one in each}
    amounts = MarginPricer(standing, meters=meters, late_credits=late_credits).amounts(each)
    units = {one.credit for one in amounts if one.credit}
    by_unit = {unit: total(one.rounded for one in amounts if one.credit == unit) for unit in units}
    money = [one for one in amounts if not one.credit]
    return Priced(
        amount=total(one.rounded for one in money),
        exact=total(one.exact for one in money),
        credits=by_unit,
    )


def _priced_apart(standing: Standing, used: Iterable[Used], *, late_credits: bool) -> Priced:
    """Price meter by meter, and leave out those that cannot be priced."""
    each = list(used)
    amount, exact = ZERO, ZERO
    by_unit: dict[str, Decimal] = {}
    unpriced: list[str] = []
    for meter in sorted({one.meter for one in each}):
        try:
            of_meter = [one for one in each if one.meter == meter]
            found = _priced(standing, of_meter, late_credits=late_credits)
        except rating.RatingError:
            unpriced.append(meter)
            continue
        amount, exact = plus(amount, found.amount), plus(exact, found.exact)
        for unit, quantity in found.credits.items():
            by_unit[unit] = plus(by_unit.get(unit, ZERO), quantity)
    return Priced(amount, exact, by_unit, tuple(unpriced))


def hold_again(row: Spend, *, customer: Customer, at: datetime) -> None:
    """Set what is held to what pending quantities come to on the usage that the row holds now."""
    pending = read(row.pending)
    if not pending:
        row.held = ZERO
        return
    standing = rated_standing(customer=customer, at=at, spend=row)
    row.held = price_pending(standing, pending).amount
