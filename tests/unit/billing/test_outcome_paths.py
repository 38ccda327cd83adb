"""Whatever becomes of outcomes, and whenever: the statements add up to the terms applied to them.

Pure: outcomes go through random lives between random closings of months; each statement is built
by the real build, with the earlier months read again as late usage has them.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

from hypothesis import given
from hypothesis import strategies as st

from billing.statements.build import build
from billing.statements.values import Billed, Facts, LatePeriod, MeterUsage, Segment
from plans import rating
from plans.rating.outcome_document import read_terms
from plans.rating.outcomes import Naming, fee_prices, quantities
from usage.outcome_states import MOVES, STATES, after, change_of, counts

NAMING = Naming("support", "Resolutions", "USD")
FEES = (
    {"kind": "per_outcome", "amount": "10"},
    {"kind": "per_outcome", "amount": "0.333", "cap": "1.50", "floor": "0.40"},
    {"kind": "percent", "percent": "12.5"},
    {"kind": "percent", "percent": "33.333", "risk_premium_percent": "15", "cap": "70"},
    {"kind": "tiered_count", "tiers": [{"up_to": "2", "unit": "9.99"}, {"unit": "5.555"}]},
    {"kind": "tiered_count", "volume": True, "tiers": [{"up_to": "3", "unit": "8"},
                                                      {"unit": "6", "flat": "1"}]},
    {"kind": "tiered_value", "tiers": [{"up_to": "100", "percent": "20"}, {"percent": "10.01"}]},
    {"kind": "per_outcome", "amount": "0.10", "bonus_amount": "0.05", "bonus_when": "good is yes"},
    {"kind": "per_outcome", "amount": "0.333", "bonus_amount": "0.205", "bonus_when": "good is yes",
     "cap": "1.505", "floor": "0.4"},
    {"kind": "percent", "percent": "33.333", "risk_premium_percent": "15", "bonus_amount": "7.775",
     "bonus_when": "good is yes", "cap": "70", "floor": "9.99"},
    {"kind": "tiered_count", "volume": True, "tiers": [{"up_to": "2", "unit": "8"}, {"unit": "3"}],
     "bonus_amount": "4.5", "bonus_when": "good is yes", "cap": "20"},
)  # fmt: skip
EVIDENCE = [{"name": "good", "kind": "yes_no"}]
MONTHS = 3


def month(number):
    start = datetime(2025, 1 + number, 1, tzinfo=UTC)
    return start, (start + timedelta(days=32)).replace(day=1)


@st.composite
def lives(draw):
    """Outcomes (month, value, bonus) and in which order, and between which closings, they move."""
    outcomes = draw(st.lists(st.tuples(
        st.integers(0, MONTHS - 1), st.decimals("0", "200", places=3), st.booleans(),
    ), min_size=1, max_size=8))  # fmt: skip
    moves = draw(st.lists(st.tuples(
        st.integers(0, MONTHS + 1), st.integers(0, len(outcomes) - 1), st.sampled_from(list(MOVES)),
    ), max_size=30))  # fmt: skip
    return outcomes, sorted(moves, key=lambda move: move[0])


class Book:
    """What was metered and billed so far."""

    def __init__(self, terms, outcomes):
        self.terms, self.outcomes = terms, outcomes
        self.prices = {n: f.price for n, f in enumerate(fee_prices(terms, NAMING), start=1)}
        self.states = ["pending"] * len(outcomes)
        self.counted = [0] * len(outcomes)
        self.cells = {}
        self.lines = {}
        self.billed = {}

    def move(self, place, action):
        before, ends = self.states[place], after(self.states[place], action)
        if ends is None:
            return
        self.states[place], change = ends, change_of(before, action=action)
        self.counted[place] += change
        assert self.counted[place] == int(counts(ends)) in (0, 1)
        at, value, bonus = self.outcomes[place]
        step = "verified" if change > 0 else "reversed"
        if change:
            found = quantities(self.terms, value=value, has_bonus=bonus, sign=change)
            for measure, quantity in found.items():
                cell = (at, measure, step)
                self.cells[cell] = self.cells.get(cell, D(0)) + quantity

    def usage(self, at):
        return tuple(
            MeterUsage(
                price.meter,
                tuple(
                    ((step,), self.cells[at, price.meter.split(".")[1], step])
                    for step in ("reversed", "verified")
                    if (at, price.meter.split(".")[1], step) in self.cells
                ),
            )
            for price in self.prices.values()
        )

    def segment(self, at):
        start, end = month(at)
        return Segment(
            version=1, digest="", start=start, end=end, whole_start=start, whole_end=end,
            opens=False, usage=self.usage(at), agreed=tuple(self.prices),
        )  # fmt: skip

    def close(self, at):
        late = tuple(
            LatePeriod(
                origin=earlier, number=f"n{earlier}", segments=(self.segment(earlier),),
                billed=tuple(Billed(*key[1:], *sums) for key, sums in self.billed.items()
                             if key[0] == earlier),
            )
            for earlier in range(at)
        )  # fmt: skip
        start, end = month(at)
        facts = Facts(
            customer="acme", currency="USD", zone="UTC", start=start, end=end,
            segments=(self.segment(at),), unpriced=(), late=late,
        )  # fmt: skip
        draft = build(facts, terms={1: rating.Terms("USD", ())}, agreed=self.prices)
        for line in draft.lines:
            origin = at if line.origin is None else line.origin
            key = (origin, line.version, line.price_key, line.line_key, line.start)
            before = self.billed.get(key, (D(0), D(0), D(0)))
            added = (line.usage_quantity, line.quantity, line.amount)
            self.billed[key] = tuple(a + b for a, b in zip(before, added, strict=True))
        return draft

    def owed(self, at):
        """Fee and bonus by themselves, each rounded, kept together between floor and cap."""
        total = D(0)
        for price in self.prices.values():
            measure = price.meter.split(".")[1]
            quantity = sum(
                (
                    quantities(self.terms, value=value, has_bonus=bonus, sign=1).get(measure, D(0))
                    for (when, value, bonus), state in zip(self.outcomes, self.states, strict=True)
                    if when == at and counts(state)
                ),
                D(0),
            )
            usage = rating.Usage(cells=(rating.Cell(("verified",), quantity),))
            unbounded = replace(price, maximum=None, minimum=None)
            lines = rating.rate(unbounded, usage, currency="USD")
            total += sum((line.amount for line in lines), D(0))
        fee = self.terms.fee
        if fee.cap is not None:
            total = min(total, rating.round_money(fee.cap, currency="USD"))
        return (
            total
            if fee.floor is None
            else max(total, rating.round_money(fee.floor, currency="USD"))
        )


@given(lives(), st.sampled_from(FEES))
def test_the_statements_come_to_the_terms_applied_to_what_counts(given_lives, fee):
    outcomes, moves = given_lives
    document = {"unit": "resolutions", "evidence": EVIDENCE, "fee": fee}
    terms, problems = read_terms(document, naming=NAMING)
    assert terms is not None, problems
    book, total = Book(terms, outcomes), D(0)
    for at in range(MONTHS + 2):
        for when, place, action in moves:
            # Nothing is known of an outcome before its month.
            if when == at and outcomes[place][0] <= at:
                book.move(place, action)
        draft = book.close(at)
        total += draft.total
        signs = [line.amount for line in draft.lines if line.description.endswith(", reversed")]
        assert all(amount < 0 for amount in signs)
    extra = sum((book.owed(at) for at in range(MONTHS, MONTHS + 2)), D(0))
    assert total == sum((book.owed(at) for at in range(MONTHS)), D(0)) + extra


@given(st.lists(st.sampled_from(list(MOVES)), max_size=40))
def test_no_path_counts_an_outcome_twice_or_one_that_is_not_verified(actions):
    state, total, was_verified = "pending", 0, False
    for action in actions:
        ends = after(state, action)
        if ends is None:
            continue
        total += change_of(state, action=action)
        state = ends
        was_verified = was_verified or state == "verified"
        assert total in (0, 1)
        assert total == int(counts(state))
        assert was_verified or total == 0


def test_every_state_is_reached_and_only_by_its_moves():
    reached = {"pending"} | {ends for _, ends in MOVES.values()}
    assert reached == set(STATES)
    assert after("rejected", "verify") is None
    assert after("upheld", "reverse") is None
    assert after("disputed", "reverse") is None
