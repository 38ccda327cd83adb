"""Short names for prices, usage and tiers, and the values that properties are tried on."""

from decimal import Decimal

from hypothesis import strategies as st

from plans.rating.event_amount import EventAmount
from plans.rating.graduated import Graduated
from plans.rating.graduated_percentage import GraduatedPercentage, PercentTier
from plans.rating.money import total
from plans.rating.package import Package
from plans.rating.per_unit import PerUnit
from plans.rating.percentage import Percentage
from plans.rating.prices import Price
from plans.rating.rate import rate
from plans.rating.tiers import Tier
from plans.rating.usage import Cell, Usage
from plans.rating.volume import Volume

D = Decimal


def tier(up_to, unit_amount, flat_amount="0"):
    return Tier(None if up_to is None else D(up_to), D(unit_amount), D(flat_amount))


def percent_tier(up_to, percent, flat_amount="0"):
    return PercentTier(None if up_to is None else D(up_to), D(percent), D(flat_amount))


def used(quantity, *dimensions):
    return Usage((Cell(tuple(dimensions), D(quantity)),))


def metered(model, **terms):
    """A price by usage, each of whose decimal terms may be written as a string."""
    decimals = {"allowance", "discount_percent", "maximum", "minimum"}
    terms = {name: D(value) if name in decimals else value for name, value in terms.items()}
    return Price(key="jobs", name="Jobs", model=model, meter="jobs", unit="jobs", **terms)


def one_line(price, usage, *, currency="USD", share=1):
    (line,) = rate(price, usage, currency=currency, share=share)
    return line


def amounts(lines):
    return [str(line.amount) for line in lines]


def parts_of(charge):
    return [(part.label, str(part.quantity), str(part.amount)) for part in charge.parts]


def assert_adds_up(line):
    """Parts and adjustments make up the exact amount, to the last digit."""
    changes = [a.amount for a in line.adjustments if a.amount is not None]
    assert total([part.amount for part in line.parts] + changes) == line.exact_amount


def decimals(low, high, places):
    return st.decimals(low, high, allow_nan=False, allow_infinity=False, places=places)


quantities = decimals(0, 10**15, 6)
small_quantities = decimals(0, 1000, 2)
unit_amounts = decimals(0, 1000, 12)
shares = st.one_of(st.just(1), st.fractions(0, 1, max_denominator=31))
flat_amounts = st.one_of(st.just(D(0)), decimals(0, 1000, 2))
sizes = st.sampled_from([D(1), D(1000), D(3600), D(1_000_000), D(7)])
bounds = st.lists(st.integers(1, 10**6), max_size=4, unique=True).map(
    lambda values: [D(value) for value in sorted(values)] + [None]
)


@st.composite
def tier_lists(draw, *, flat=flat_amounts):
    """Tiers whose bounds rise and whose last is open; prices may fall."""
    return tuple(Tier(up_to, draw(unit_amounts), draw(flat)) for up_to in draw(bounds))


@st.composite
def rising_tier_lists(draw):
    """Tiers that never get cheaper, neither by the unit nor by the fee."""
    ends = draw(bounds)
    rates = sorted(draw(st.lists(unit_amounts, min_size=len(ends), max_size=len(ends))))
    fees = sorted(draw(st.lists(flat_amounts, min_size=len(ends), max_size=len(ends))))
    return tuple(Tier(*values) for values in zip(ends, rates, fees, strict=True))


@st.composite
def percent_tier_lists(draw):
    return tuple(
        PercentTier(up_to, draw(decimals(0, 100, 4)), draw(flat_amounts)) for up_to in draw(bounds)
    )


def models(tiers=None):
    """Every charge model that rates a plain quantity, with every option it has."""
    tiers = tier_lists() if tiers is None else tiers
    return st.one_of(
        st.builds(PerUnit, unit_amounts, sizes),
        st.builds(Package, unit_amounts, sizes, small_quantities),
        st.builds(Graduated, tiers, sizes),
        st.builds(Volume, tiers, sizes),
        st.builds(Percentage, decimals(0, 100, 4), free_amount=flat_amounts),
        st.builds(GraduatedPercentage, percent_tier_lists()),
        st.just(EventAmount()),
    )


@st.composite
def prices(draw):
    """A metered price with any model and any adjustments, its maximum not below its minimum."""
    low, high = sorted((draw(decimals(0, 500, 2)), draw(decimals(0, 5000, 2))))
    return Price(
        key="jobs",
        name="Jobs",
        model=draw(models()),
        meter="jobs",
        allowance=draw(small_quantities),
        discount_percent=draw(decimals(0, 100, 2)),
        minimum=draw(st.sampled_from([None, low])),
        maximum=draw(st.sampled_from([None, high])),
        prorated=draw(st.booleans()),
    )
