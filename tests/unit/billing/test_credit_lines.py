"""What credit pays, by itself: the order of grants, what stays drawn, and how it adds up."""

from collections import Counter
from decimal import Decimal as D

from hypothesis import given
from hypothesis import strategies as st

from billing.statements.credit_lines import Charge, Purse, packs_pool_key
from billing.statements.credit_values import CreditFacts, Drawn, Free, Pool, Usable
from plans.rating.packs import packs_needed

POOL = Pool(1, "tokn", "Tokens", "TOKN")
USAGE = Charge(None, "usage", "", "tokens")

whole = st.integers(0, 50).map(D)


def purse(*free, drawn=(), scoped=None):
    grants = tuple(Free(number, f"g{number}", D(amount)) for number, amount in free)
    usable = [Usable(1, "", grants)]
    if scoped is not None:
        usable.append(Usable(1, "tokens", scoped))
    before = tuple(
        Drawn(None, "usage", "", draw, 1, grant, f"g{grant}", D(amount))
        for draw, grant, amount in drawn
    )
    return Purse(CreditFacts(pools=(POOL,), usable=tuple(usable), drawn=before))


def uses(paid):
    return [(use.grant, use.amount, use.drawn, use.draw) for use in paid.uses]


def test_the_order_of_use_is_one_over_all_pools():
    first, second = (Pool(number, f"p{number}", "Tokens", "TOKN") for number in (1, 2))
    usable = (
        Usable(1, "", (Free(1, "g1", D(10), 2), Free(2, "g2", D(10), 4))),
        Usable(2, "", (Free(3, "g3", D(10), 1), Free(4, "g4", D(10), 3))),
    )
    pays = Purse(CreditFacts(pools=(first, second), usable=usable))
    paid = pays.pay(D(35), charge=USAGE, pools=[first, second])
    assert [(use.pool, use.grant, use.amount) for use in paid.uses] == [
        (2, 3, D(10)), (1, 1, D(10)), (2, 4, D(10)), (1, 2, D(5)),
    ]  # fmt: skip


def test_grants_pay_in_their_order_and_the_rest_is_short():
    paid = purse((7, 100), (5, 30)).pay(D(150), charge=USAGE, pools=[POOL])
    assert uses(paid) == [(7, D(100), D(0), 0), (5, D(30), D(0), 0)]
    assert paid.short == D(20)


def test_what_was_drawn_before_is_kept_first_and_across_lines():
    one = purse((7, 100), drawn=[(3, 9, 40), (4, 7, 10)])
    first = one.pay(D(45), charge=USAGE, pools=[POOL])
    second = one.pay(D(20), charge=USAGE, pools=[POOL])
    assert uses(first) == [(9, D(40), D(40), 3), (7, D(5), D(5), 4)]
    assert uses(second) == [(7, D(5), D(5), 4), (7, D(15), D(0), 0)]
    assert list(one.returned()) == []


def test_what_is_not_needed_any_more_is_given_back_from_the_end():
    one = purse((7, 100), drawn=[(3, 9, 40), (4, 7, 10)])
    assert one.pay(D(25), charge=USAGE, pools=[POOL]).short == D(0)
    back = [(use.draw, use.amount, use.drawn) for use in one.returned()]
    assert back == [(3, D(0), D(15)), (4, D(0), D(10))]


def test_a_meter_that_a_grant_names_has_an_order_of_its_own():
    scoped = (Free(5, "g5", D(30)), Free(7, "g7", D(100)))
    one = purse((7, 100), scoped=scoped)
    fee = one.pay(D(10), charge=Charge(None, "fee", "", None), pools=[POOL])
    usage = one.pay(D(40), charge=USAGE, pools=[POOL])
    assert uses(fee) == [(7, D(10), D(0), 0)]
    assert uses(usage) == [(5, D(30), D(0), 0), (7, D(10), D(0), 0)]


@given(
    needs=st.lists(whole, max_size=6),
    free=st.lists(whole, max_size=5),
    drawn=st.lists(st.integers(1, 50).map(D), max_size=4),
)
def test_what_is_paid_and_what_is_short_add_up_to_the_need(needs, free, drawn):
    one = purse(
        *enumerate(free), drawn=[(10 + n, 100 + n, amount) for n, amount in enumerate(drawn)]
    )
    new, kept, short = Counter(), Counter(), D(0)
    for need in needs:
        paid = one.pay(need, charge=USAGE, pools=[POOL])
        assert sum(use.amount for use in paid.uses) + paid.short == need
        assert all(use.amount > 0 for use in paid.uses)
        short += paid.short
        for use in paid.uses:
            (kept if use.draw else new)[use.grant] += use.amount
    back = sum((use.drawn for use in one.returned()), D(0))
    assert sum(kept.values()) + back == sum(drawn, D(0))
    assert all(amount <= free[grant] for grant, amount in new.items())
    assert short == max(D(0), sum(needs, D(0)) - sum(free, D(0)) - sum(drawn, D(0)))
    assert not (new and back), "nothing is drawn anew while something is given back"


@given(quantity=st.decimals(0, 10_000, places=3), size=st.integers(1, 600).map(D))
def test_packs_hold_what_is_needed_and_one_less_would_not(quantity, size):
    packs = packs_needed(quantity, size=size)
    assert packs * size >= quantity
    assert packs == 0 or (packs - 1) * size < quantity


def test_the_pool_of_a_price_is_named_after_it():
    assert packs_pool_key("jobs") == "packs-jobs"
