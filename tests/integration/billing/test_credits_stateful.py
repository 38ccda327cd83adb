"""Thousands of random steps over one pool against a model that a person can check."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal as D
from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from billing.credits.buying import mark_paid
from billing.credits.drawing import CreditMoved, GivenBackTooMuch, Slice, draw, give_back
from billing.credits.expiring import expire_grants
from billing.credits.granting import define_credit_unit, grant_credit, open_pool
from billing.credits.holding import (
    NotEnoughCredit,
    expire_holds,
    place_hold,
    settle_hold,
    spend,
    void_hold,
)
from billing.credits.moving import expire_early, transfer
from billing.credits.queries import balance_of
from billing.credits.refill_settings import TopUpTerms, set_top_up
from billing.credits.topping_up import FAILURES_MOST, PAUSE, top_up
from billing.ledger.checks import check_ledger
from billing.models import CreditGrant, LedgerAccount, TopUp
from plans.models import CreditPack, CreditUnit, Plan, Price
from plans.operations.publishing import publish_version
from plans.operations.versions import add_price, create_plan, start_version
from tests.fixtures.world import EVER, World, at

START = at(2026, 3, 1)
HOUR = timedelta(hours=1)
AMOUNTS = st.integers(1, 4000).map(lambda cents: D(cents) / 100)
NUMBERS = count(1)
# Packs by key, and whether their credit waits for its payment; “gone” is sold by nobody.
PACKS = {"prompt": False, "due": True}
PACK_CREDITS = D(20)


@dataclass
class Granted:
    """A grant in the model, in cents of a credit."""

    key: str
    amount: D
    left: D
    priority: int
    effective_at: datetime
    expires_at: datetime | None
    paid: bool
    rollover: D
    number: int
    waits: bool = False


@dataclass
class Moved:
    """Credit in the other pool: it keeps the terms of the grant that it came from."""

    left: D
    expires_at: datetime | None
    rollover: D


@dataclass
class Held:
    """A hold in the model: what it pins, grant by grant."""

    hold_id: int
    key: str
    expires_at: datetime
    slices: list[tuple[Granted, D]] = field(default_factory=list)


@dataclass
class Refill:
    """A top-up in the model, with the times at which it bought packs and what failed since."""

    terms: TopUpTerms
    bought: list[datetime] = field(default_factory=list)
    failures: int = 0
    next_try: datetime | None = None

    def rests(self, now: datetime) -> bool:
        """Say whether packs of the month, the last of them, or what failed keep it from buying."""
        month = [each for each in self.bought if each.month == now.month]
        cooldown = timedelta(minutes=self.terms.cooldown_minutes)
        return len(month) >= self.terms.most_per_period or (
            bool(self.bought) and now < self.bought[-1] + cooldown
        )

    def waits(self, now: datetime) -> bool:
        """Say whether it is off after failures, or pauses after one."""
        return self.failures >= FAILURES_MOST or (self.next_try is not None and now < self.next_try)

    def fail(self, now: datetime) -> None:
        """Pause twice as long after each failure."""
        self.failures += 1
        self.next_try = now + PAUSE * 2 ** (self.failures - 1)


def selling_packs() -> Plan:
    """Return a plan that sells the packs."""
    unit = CreditUnit.objects.create(code="TOKN", name="Tokens", decimals=2)
    version = start_version(plan=create_plan(key="plan", name="Plan"), currency="USD")
    for key, needs_payment in PACKS.items():
        CreditPack.objects.create(
            version=version, key=key, name=key, unit=unit, credits=PACK_CREDITS, amount=2,
            needs_payment=needs_payment,
        )  # fmt: skip
    add_price(version=version, price=Price(key="fee", name="Fee", model="flat", amount=1))
    publish_version(version=version, effective_from=EVER, by=None, now=EVER)
    return version.plan


class Pool(RuleBasedStateMachine):
    """One pool, its model, and a clock that only goes forward."""

    @initialize(pack=st.sampled_from([*PACKS, "gone"]), most=st.integers(1, 3))
    def begin(self, pack: str, most: int) -> None:
        number = next(NUMBERS)
        customer = World().customer(f"stateful-{number}")
        unit = define_credit_unit(code="TOKN", name="Tokens", decimals=2)
        self.pool = open_pool(customer=customer, key="main", name="Main", unit=unit)
        self.other = open_pool(customer=customer, key="other", name="Other", unit=unit)
        plan = Plan.objects.filter(key="plan").first() or selling_packs()
        World().subscribe(customer, plan, starts_at=EVER)
        self.now = START
        self.refill = Refill(TopUpTerms(threshold=D(500), pack_key=pack, most_per_period=most))
        set_top_up(pool=self.pool, terms=self.refill.terms)
        self.grants: list[Granted] = []
        self.holds: list[Held] = []
        self.uses: dict[str, list[tuple[Granted, D]]] = {}
        self.issued = self.used = self.expired = D(0)
        self.moved: list[Moved] = []
        self.keys = count(1)

    # The model.

    def usable(self) -> list[Granted]:
        found = [
            each
            for each in self.grants
            if each.effective_at <= self.now
            and not each.waits
            and not self.is_over(each)
            and self.free(each)
        ]
        never = datetime.max.replace(tzinfo=START.tzinfo)
        return sorted(found, key=lambda g: (g.priority, g.expires_at or never, g.paid, g.number))

    def is_over(self, grant: Granted) -> bool:
        return grant.expires_at is not None and grant.expires_at <= self.now

    def use(self, key: str, slices: list[tuple[Granted, D]]) -> D:
        """Use parts of grants that nothing pins."""
        for grant, taken in slices:
            grant.left -= taken
        used = sum((taken for _, taken in slices), D(0))
        if used:
            self.uses[key] = slices
        self.used += used
        return used

    def pinned(self, grant: Granted) -> D:
        return sum((a for held in self.holds for g, a in held.slices if g is grant), D(0))

    def free(self, grant: Granted) -> D:
        return grant.left - self.pinned(grant)

    def available(self) -> D:
        return sum((self.free(each) for each in self.usable()), D(0))

    def pin(self, amount: D) -> list[tuple[Granted, D]]:
        found = []
        for grant in self.usable():
            taken = min(self.free(grant), amount)
            amount -= taken
            if taken:
                found.append((grant, taken))
        return found

    def end(self, held: Held, amount: D) -> D:
        """Use an amount of a hold; what is free again of an expired grant expires."""
        self.holds.remove(held)
        used, slices = D(0), []
        for grant, pinned in held.slices:
            taken = min(pinned, amount - used)
            used += taken
            if taken:
                slices.append((grant, taken))
            if self.is_over(grant):
                grant.left -= pinned - taken
                self.expired += pinned - taken
        return self.use(held.key, slices)

    # What may happen.

    @rule(
        amount=AMOUNTS,
        priority=st.sampled_from([1, 100]),
        begins=st.integers(-2, 3),
        lasts=st.none() | st.integers(1, 30),
        cost=st.integers(0, 5000).map(lambda cents: D(cents) / 100),
        rollover=st.sampled_from([D(0), D(5), D(1000)]),
        waits=st.booleans(),
    )
    def grant(
        self,
        amount: D,
        priority: int,
        begins: int,
        lasts: int | None,
        cost: D,
        rollover: D,
        waits: bool,
    ) -> None:
        key = f"grant {next(self.keys)}"
        effective = self.now + begins * HOUR
        expires = None if lasts is None else effective + lasts * HOUR
        row = grant_credit(
            pool=self.pool, key=key, source="bought", amount=amount, effective_at=effective,
            expires_at=expires, priority=priority, cost=cost, now=self.now,
            rollover_most=rollover or None, rollovers=1 if rollover else 0, needs_payment=waits,
        )  # fmt: skip
        self.grants.append(
            Granted(
                key, amount, amount, priority, effective, expires, cost > 0, rollover, row.pk, waits
            )
        )
        self.issued += amount

    @rule(amount=AMOUNTS, lasts=st.integers(1, 40))
    def hold(self, amount: D, lasts: int) -> None:
        key, until = f"hold {next(self.keys)}", self.now + lasts * HOUR
        said = {"pool_id": self.pool.pk, "key": key, "amount": amount, "expires_at": until}
        if amount > self.available():
            with pytest.raises(NotEnoughCredit):
                place_hold(**said, now=self.now)
            return
        slices = self.pin(amount)
        placed = place_hold(**said, now=self.now)
        self.holds.append(Held(placed.hold_id, key, until, slices))
        assert place_hold(**said, now=self.now).hold_id == placed.hold_id

    @rule(pick=st.integers(0, 100), share=st.integers(0, 150))
    def settle(self, pick: int, share: int) -> None:
        if not self.holds:
            return
        held = self.holds[pick % len(self.holds)]
        pinned = sum((amount for _, amount in held.slices), D(0))
        amount = (pinned * share / 100).quantize(D("0.01"))
        used = self.end(held, amount)
        more = self.use(f"{held.key}:beyond", self.pin(amount - used))
        for _ in range(2):
            settled = settle_hold(hold_id=held.hold_id, amount=amount, now=self.now)
            assert settled == (used + more, amount - used - more)

    @rule(pick=st.integers(0, 100))
    def void(self, pick: int) -> None:
        if not self.holds:
            return
        held = self.holds[pick % len(self.holds)]
        self.end(held, D(0))
        for _ in range(2):
            void_hold(hold_id=held.hold_id, now=self.now)

    @rule(amount=AMOUNTS)
    def spend(self, amount: D) -> None:
        key = f"spend {next(self.keys)}"
        if amount > self.available():
            with pytest.raises(NotEnoughCredit):
                spend(pool_id=self.pool.pk, key=key, amount=amount, now=self.now)
            return
        assert self.use(key, self.pin(amount)) == amount
        spend(pool_id=self.pool.pk, key=key, amount=amount, now=self.now)

    @rule(picks=st.lists(st.integers(0, 100), min_size=1, max_size=3), share=st.integers(1, 110))
    def draw(self, picks: list[int], share: int) -> None:
        """Draw a share of what grants have free, usable or not, in any order."""
        grants = list({self.grants[n % len(self.grants)].key: n for n in picks if self.grants})
        named = [each for key in grants for each in self.grants if each.key == key]
        slices = [(g, (self.free(g) * share / 100).quantize(D("0.01"))) for g in named]
        slices = [(g, amount) for g, amount in slices if amount]
        if not slices:
            return
        key, usable = f"draw {next(self.keys)}", self.usable()
        said = {"pool_id": self.pool.pk, "key": key, "now": self.now}
        wanted = [Slice(g.number, amount) for g, amount in slices]
        if any(g not in usable or amount > self.free(g) for g, amount in slices):
            with pytest.raises(CreditMoved):
                draw(**said, slices=wanted)
            return
        self.use(key, slices)
        assert draw(**said, slices=wanted) == draw(**said, slices=wanted)

    @rule(pick=st.integers(0, 100), share=st.integers(1, 120))
    def give_back(self, pick: int, share: int) -> None:
        if not self.uses:
            return
        of_key = sorted(self.uses)[pick % len(self.uses)]
        left = self.uses[of_key]
        most = sum((amount for _, amount in left), D(0))
        amount = (most * share / 100).quantize(D("0.01")) or D("0.01")
        said = {"pool_id": self.pool.pk, "key": f"back {next(self.keys)}", "of_key": of_key}
        if amount > most:
            with pytest.raises(GivenBackTooMuch):
                give_back(**said, amount=amount, now=self.now)
            return
        self.return_backwards(left, amount)
        for _ in range(2):
            give_back(**said, amount=amount, now=self.now)

    def return_backwards(self, left: list[tuple[Granted, D]], amount: D) -> None:
        self.used -= amount
        for index in reversed(range(len(left))):
            grant, taken = left[index]
            back = min(taken, amount)
            amount -= back
            left[index] = (grant, taken - back)
            if self.is_over(grant):
                self.expired += back
            else:
                grant.left += back

    @rule(pick=st.integers(0, 100))
    def pay(self, pick: int) -> None:
        waiting = [each for each in self.grants if each.waits]
        if waiting:
            grant = waiting[pick % len(waiting)]
            for each in self.grants:
                if each.key.removesuffix(":rolled") == grant.key.removesuffix(":rolled"):
                    each.waits = False
            mark_paid(grant_id=grant.number, paid_at=self.now, now=self.now)

    @rule(
        threshold=st.sampled_from([D(1), D(30), D(500), D(500)]),
        pack=st.sampled_from([*PACKS, *PACKS, "gone"]),
        most=st.integers(1, 3),
        cooldown=st.sampled_from([0, 60, 600]),
    )
    def set_top_up(self, threshold: D, pack: str, most: int, cooldown: int) -> None:
        terms = TopUpTerms(
            threshold=threshold, pack_key=pack, most_per_period=most, cooldown_minutes=cooldown
        )
        set_top_up(pool=self.pool, terms=terms)
        self.refill = Refill(terms, self.refill.bought)

    @rule(times=st.integers(1, 2))
    def top_up(self, times: int) -> None:
        for _ in range(times):
            is_bought = self.is_refilled()
            assert top_up(pool_ids=[self.pool.pk], now=self.now) == is_bought
            if is_bought:
                self.note_pack()
        row = TopUp.objects.get(pool=self.pool)
        assert (row.failures, row.next_try_at) == (self.refill.failures, self.refill.next_try)
        assert (row.disabled_at is None) == (self.refill.failures < FAILURES_MOST)

    def is_refilled(self) -> bool:
        """Tell whether a pack is bought now; a pack that is sold by nobody is a failure."""
        refill = self.refill
        if refill.waits(self.now):
            return False
        unpaid = any(each.waits for each in self.grants if each.key.startswith("pack:"))
        if self.available() >= refill.terms.threshold or unpaid or refill.rests(self.now):
            return False
        if refill.terms.pack_key not in PACKS:
            refill.fail(self.now)
            return False
        return True

    def note_pack(self) -> None:
        self.refill.bought.append(self.now)
        self.refill.failures, self.refill.next_try = 0, None
        key = f"pack:top-up:{self.pool.pk}:{len(self.refill.bought)}"
        row = CreditGrant.objects.get(pool=self.pool, key=key)
        waits = PACKS[self.refill.terms.pack_key]
        self.grants.append(
            Granted(key, PACK_CREDITS, PACK_CREDITS, 100, self.now, None, True, D(0), row.pk, waits)
        )
        self.issued += PACK_CREDITS

    @rule(pick=st.integers(0, 100), share=st.integers(1, 100))
    def transfer(self, pick: int, share: int) -> None:
        movable = [each for each in self.grants if not self.is_over(each) and self.free(each)]
        if not movable:
            return
        grant = movable[pick % len(movable)]
        amount = (self.free(grant) * share / 100).quantize(D("0.01")) or D("0.01")
        grant.left -= amount
        key, old = f"moved {next(self.keys)}", CreditGrant.objects.get(pk=grant.number)
        rollover = grant.rollover if old.rollovers_left else D(0)
        self.moved.append(Moved(amount, grant.expires_at, rollover))
        for _ in range(2):
            transfer(
                from_grant=old, to_pool=self.other, amount=amount, key=key, reason="Moved.",
                now=self.now, by_id=None,
            )  # fmt: skip

    @rule(pick=st.integers(0, 100))
    def expire_by_hand(self, pick: int) -> None:
        movable = [each for each in self.grants if not self.is_over(each) and self.free(each)]
        if not movable:
            return
        grant = movable[pick % len(movable)]
        free = self.free(grant)
        grant.left -= free
        self.expired += free
        key, old = f"ended {next(self.keys)}", CreditGrant.objects.get(pk=grant.number)
        for _ in range(2):
            said = {"key": key, "reason": "Ended.", "now": self.now, "by_id": None}
            assert expire_early(grant=old, **said) == free

    @rule(hours=st.sampled_from([1, 2, 3, 4, 5, 6, 8, 10, 400]))
    def wait(self, hours: int) -> None:
        self.now += hours * HOUR

    @rule()
    def sweep_holds(self) -> None:
        for held in [each for each in self.holds if each.expires_at <= self.now]:
            self.end(held, D(0))
        expire_holds(now=self.now)

    @rule()
    def sweep_grants(self) -> None:
        for grant in list(self.grants):
            free = self.free(grant)
            if grant.expires_at is None or grant.expires_at > self.now or not free:
                continue
            grant.left -= free
            row = CreditGrant.objects.get(pool=self.pool, key=grant.key)
            carried = min(free, grant.rollover) if row.rollovers_left else D(0)
            self.expired += free - carried
            if carried:
                grant.rollover = D(0)
                self.carry(grant, carried, row)
        for moved in self.moved:
            if moved.expires_at is not None and moved.expires_at <= self.now:
                carried = min(moved.left, moved.rollover)
                self.expired += moved.left - carried
                moved.left, moved.expires_at = carried, None
        expire_grants(now=self.now)
        for grant in self.grants:
            if not grant.number:
                row = CreditGrant.objects.get(pool=self.pool, key=grant.key)
                grant.number, grant.paid = row.pk, row.cost > 0

    def carry(self, grant: Granted, carried: D, row: CreditGrant) -> None:
        assert grant.expires_at is not None
        self.grants.append(
            Granted(
                f"{grant.key}:rolled", carried, carried, grant.priority, grant.expires_at, None,
                False, D(0), 0, grant.waits,
            )
        )  # fmt: skip

    # What always holds.

    @invariant()
    def everything_is_accounted_for(self) -> None:
        if not hasattr(self, "pool"):
            return
        balance = balance_of(pool_id=self.pool.pk, at=self.now)
        held = sum((a for each in self.holds for _, a in each.slices), D(0))
        settled = sum(
            (
                self.pinned(each)
                if each.expires_at is not None and each.expires_at <= self.now
                else each.left
                for each in self.grants
            ),
            D(0),
        )
        assert balance == (settled, held, self.available())
        assert {each.key: (each.left, self.pinned(each)) for each in self.grants} == {
            row.key: (row.remaining, row.held) for row in CreditGrant.objects.filter(pool=self.pool)
        }
        left = sum((each.left for each in self.grants), D(0))
        moved = sum((each.left for each in self.moved), D(0))
        assert self.issued == self.used + self.expired + left + moved
        assert balance_of(pool_id=self.other.pk, at=START).settled == moved
        accounts = dict(
            LedgerAccount.objects.filter(customer=self.pool.customer, unit="TOKN").values_list(
                "kind", "balance"
            )
        )
        assert -accounts.get("credit", D(0)) == left + moved
        assert -accounts.get("used", D(0)) == self.used
        assert -accounts.get("expired", D(0)) == self.expired

    def teardown(self) -> None:
        if hasattr(self, "pool"):
            assert list(check_ledger()) == []


@pytest.mark.usefixtures("world")
def test_credit_is_never_lost_made_or_used_twice() -> None:
    run_state_machine_as_test(
        Pool,
        settings=settings(
            max_examples=60,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
