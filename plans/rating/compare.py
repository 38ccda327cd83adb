"""Two versions of terms side by side: what was added, removed and changed, and what it costs."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from plans.rating.changes import Change, Rows, class_rows, price_changes, row_changes
from plans.rating.credit_words import allotment_words, job_rows, pack_words
from plans.rating.flat import Flat
from plans.rating.money import ZERO, CreditUnit, RatingError, Unit, minus, round_money, total
from plans.rating.prices import Price, Terms
from plans.rating.rate import rate
from plans.rating.samples import Sample, sample_usage, sample_words, samples
from plans.rating.usage import Usage
from plans.rating.words import (
    due_words,
    limit_name,
    limit_value,
    phase_words,
    summary,
)


@dataclass(frozen=True, slots=True)
class Effect:
    """What a sample costs before and after in a whole period, rounded, each in its unit.

    `sample` is the quantity in words, `quantity` None for a fee. A price that is not there costs
    nothing. An amount is None where the price cannot be rated; `problem` says why. `difference` is
    after minus before, None without both or where their units, currencies or credits, differ. A
    side without a credit is in the currency of its terms.
    """

    sample: str
    quantity: Decimal | None
    before: Decimal | None
    after: Decimal | None
    difference: Decimal | None
    problem: str = ""
    before_credit: CreditUnit | None = None
    after_credit: CreditUnit | None = None


@dataclass(frozen=True, slots=True)
class PriceListed:
    """A price that only one of the versions has, in words."""

    key: str
    name: str
    words: str
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class PriceChanged:
    """A price that both versions have: what it was and is, field by field, and the effect.

    There is no effect to show where the two do not count the same.
    """

    key: str
    name: str
    changes: tuple[Change, ...]
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two versions; nothing at all where they say the same.

    `terms` are changes of the terms as a whole, those after it of their rows. Effects are of
    one price at a time, outside of any phase: what a phase takes off stands in its row.
    """

    added: tuple[PriceListed, ...] = ()
    removed: tuple[PriceListed, ...] = ()
    changed: tuple[PriceChanged, ...] = ()
    terms: tuple[Change, ...] = ()
    phases: tuple[Change, ...] = ()
    features: tuple[Change, ...] = ()
    limits: tuple[Change, ...] = ()
    service_classes: tuple[Change, ...] = ()
    packs: tuple[Change, ...] = ()
    allotments: tuple[Change, ...] = ()
    jobs: tuple[Change, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Say whether nothing differs."""
        return self == Comparison()


def compare(old: Terms, new: Terms) -> Comparison:
    """Return what differs from the old terms to the new; prices and rows are matched by key.

    The order of prices is no difference; that of phases and of service classes is one. Where the
    currencies differ, every price does. Raises UnknownCurrency.
    """
    before = {price.key: _Side(price, old.currency) for price in old.prices}
    after = {price.key: _Side(price, new.currency) for price in new.prices}
    none = _Side(None, new.currency)
    changed = (_changed(before[key], after[key]) for key in after if key in before)
    return Comparison(
        added=tuple(_listed(none, after[key]) for key in after if key not in before),
        removed=tuple(_listed(before[key], none) for key in before if key not in after),
        changed=tuple(each for each in changed if each is not None),
        terms=tuple(_terms(old, new)),
        phases=tuple(row_changes("phases", _phases(old), _phases(new))),
        features=tuple(row_changes("features", _features(old), _features(new))),
        limits=tuple(row_changes("limits", _limits(old), _limits(new))),
        service_classes=tuple(
            row_changes(
                "service_classes",
                class_rows(old.service_classes),
                class_rows(new.service_classes),
            )
        ),
        packs=tuple(row_changes("packs", _packs(old), _packs(new))),
        allotments=tuple(row_changes("allotments", _allotments(old), _allotments(new))),
        jobs=tuple(row_changes("jobs", _jobs(old), _jobs(new))),
    )


class _Side(NamedTuple):
    """A price of one of the versions, or that it has none, and its currency."""

    price: Price | None
    currency: str

    def credit(self, other: "_Side") -> CreditUnit | None:
        """Return the credit of its amounts; a price that is not there costs none of the other's."""
        price = self.price or other.price
        return None if price is None else price.credit


def _listed(old: _Side, new: _Side) -> PriceListed:
    price, currency = old if new.price is None else new
    assert price is not None, "one of the two is there"
    effects = tuple(_effects(old._replace(currency=currency), new._replace(currency=currency)))
    return PriceListed(price.key, price.name, summary(price, currency=currency), effects)


def _changed(old: _Side, new: _Side) -> PriceChanged | None:
    assert old.price is not None
    assert new.price is not None
    if old == new:
        return None
    changes = price_changes(
        old.price, new.price, old_currency=old.currency, new_currency=new.currency
    )
    if not changes and old.currency == new.currency:
        return None
    effects: tuple[Effect, ...] = ()
    if (old.price.meter, old.price.dimensions) == (new.price.meter, new.price.dimensions):
        effects = tuple(_effects(old, new))
    return PriceChanged(new.price.key, new.price.name, changes, effects)


def _effects(old: _Side, new: _Side) -> Iterator[Effect]:
    shown = new.price or old.price
    assert shown is not None, "one of the two is there"
    if isinstance(shown.model, Flat):
        yield _effect(None, due_words(shown), old, new)
    for sample in _samples(old.price, new.price):
        yield _effect(sample, sample_words(shown, sample), old, new)


def _samples(old: Price | None, new: Price | None) -> list[Sample]:
    """Return the samples of both: those of a kind only, where either tells kinds apart."""
    found: dict[tuple[Decimal, tuple[str, ...]], Sample] = {}
    for price in (new, old):
        for sample in samples(price) if price else ():
            found.setdefault((sample.quantity, sample.dimensions), sample)
    by_kind = any(sample.kind for sample in found.values())
    kept = [sample for sample in found.values() if bool(sample.kind) == by_kind]
    kinds = list(dict.fromkeys(sample.dimensions for sample in kept))
    return sorted(kept, key=lambda sample: (kinds.index(sample.dimensions), sample.quantity))


def _effect(sample: Sample | None, words: str, old: _Side, new: _Side) -> Effect:
    credit_was, credit_is = old.credit(new), new.credit(old)
    was, now = credit_was or old.currency, credit_is or new.currency
    before, not_before = _amount(old, was, sample)
    after, not_after = _amount(new, now, sample)
    difference = None
    if before is not None and after is not None and was == now:
        difference = minus(after, before)
    return Effect(
        sample=words,
        quantity=sample.quantity if sample else None,
        before=before,
        after=after,
        difference=difference,
        problem=not_after or not_before,
        before_credit=credit_was,
        after_credit=credit_is,
    )


def _amount(side: _Side, unit: Unit, sample: Sample | None) -> tuple[Decimal | None, str]:
    """Return what a sample costs, or None and why it cannot be rated."""
    price, currency = side
    if price is None:
        return round_money(ZERO, currency=unit), ""
    usage = Usage()
    if sample is not None:
        usage = sample_usage(price, sample.quantity, dimensions=sample.dimensions)
    try:
        lines = rate(price, usage, currency=currency)
    except RatingError as error:
        return None, str(error)
    return round_money(total(line.amount for line in lines), currency=unit), ""


def _terms(old: Terms, new: Terms) -> Iterator[Change]:
    if old.currency != new.currency:
        yield Change("currency", "currency", old.currency, new.currency)


def _phases(terms: Terms) -> Rows:
    return {
        each.key: (f"phase {each.key}", f"{each.name}, {phase_words(each)}")
        for each in terms.phases
    }


def _features(terms: Terms) -> Rows:
    return {key: (f"feature {key}", "granted") for key in sorted(terms.features)}


def _limits(terms: Terms) -> Rows:
    return {
        limit_name(limit): (limit_name(limit), limit_value(limit, currency=terms.currency))
        for limit in sorted(terms.limits, key=lambda limit: (limit.kind, limit.job_class))
    }


def _packs(terms: Terms) -> Rows:
    return {
        pack.key: (
            f"pack {pack.key}",
            f"{pack.name}, {pack_words(pack, currency=terms.currency)}",
        )
        for pack in terms.packs
    }


def _allotments(terms: Terms) -> Rows:
    return {
        each.key: (f"allotment {each.key}", f"{each.name}, {allotment_words(each)}")
        for each in terms.allotments
    }


def _jobs(terms: Terms) -> Rows:
    rows = job_rows(terms.jobs, currency=terms.currency)
    return {field: (label, value) for field, label, value in rows}
