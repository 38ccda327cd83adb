"""A line of a statement with its explanation, as plain values. Pure: rows are read by ``pages``."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.statements.credit_lines import ADJUSTMENT, CREDIT
from billing.statements.credit_words import use_unit, written
from billing.statements.values import LateStart, Line
from billing.statements.words import exact_amount, line_in_words
from billing.wording import Money, Quantity, Span, to_the_second
from plans.models.meters import Aggregation
from plans.rating import Adjustment, Part
from plans.rating.money import HUNDRED, ONE, over, times, total

_CHANGES: Mapping[str, str] = {
    "proration": "Share of the period",
    "allowance": "Included",
    "discount": "Discount",
    "maximum": "Lowered to the maximum",
    "minimum": "Raised to the minimum",
    "late_start_most": "Beyond the most in a period",
    "shared_maximum": "Lowered to the maximum of fee and bonus together",
    "shared_minimum": "Raised to the minimum of fee and bonus together",
    "commitment": "Committed discount",
    "beyond": "Discount beyond the commitment",
}
_MEASURES: Mapping[Aggregation, str] = {
    Aggregation.COUNT: "each event counts once",
    Aggregation.SUM: "added up over the events",
    Aggregation.MAX: "the highest value",
    Aggregation.LATEST: "the latest value",
    Aggregation.UNIQUE_COUNT: "different values are counted",
    Aggregation.TIME_WEIGHTED: "the level over time",
}
_SHARES_ADD_UP = {Aggregation.COUNT, Aggregation.SUM, Aggregation.LATEST, Aggregation.TIME_WEIGHTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterRef:
    """What was measured."""

    id: int
    key: str
    name: str
    unit: str
    aggregation: str
    dimensions: tuple[str, ...]

    @property
    def measures(self) -> str:
        """Say to a reader how the meter counts."""
        return _MEASURES[Aggregation(self.aggregation)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRef:
    """The plan version that priced a line."""

    version_id: int
    key: str
    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name}, version {self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the keys and ids on lines stand for."""

    meters: Mapping[str, MeterRef]
    plans: Mapping[int, PlanRef]
    workspaces: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRow:
    """A tier, or another step of the charge: a quantity at a rate, and a fee."""

    label: str
    quantity: Quantity | None
    rate: str
    flat: Money | Quantity | None
    amount: Money | Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """What an allowance, a discount or a bound changed."""

    kind: str
    label: str
    quantity: Quantity | None
    amount: Money | Quantity | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareRow:
    """A workspace's part of the meter's usage; a share only where the parts add up."""

    key: str
    name: str
    quantity: Quantity
    share: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UseRow:
    """What one grant paid of one charge: both by name, and the amount in words."""

    grant: str
    charge: str
    amount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LateStartRow:
    """A job that started late: its id, until when its start was promised, and when it was."""

    job: str
    promised: str
    started: str
    promised_at: datetime
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedLine:
    """A line and everything that says why it is what it is.

    ``phase`` is the name of the subscription's phase, where the plan has phases; ``agreed_id`` says
    that the price was agreed with the customer, and which one it is.
    """

    position: int
    kind: str
    description: str
    span: Span
    unit: str
    quantity: Quantity
    metered: Quantity
    amount: Money
    exact: Money
    words: str
    parts: tuple[PartRow, ...]
    changes: tuple[ChangeRow, ...]
    shares: tuple[ShareRow, ...]
    cells: tuple[tuple[str, ...], ...]
    meter: MeterRef | None
    plan: PlanRef
    price_key: str
    line_key: str
    phase: str
    agreed_id: int | None
    origin_id: int | None
    origin_number: str
    billed: Money | None
    rated: Money | None
    uses: tuple[UseRow, ...] = ()
    credit_unit: str = ""
    late_starts: tuple[LateStartRow, ...] = ()

    @property
    def is_adjustment(self) -> bool:
        """Say whether the line corrects an earlier statement."""
        return self.kind == ADJUSTMENT

    @property
    def holds(self) -> tuple[str, ...]:
        """Return in words the dimension values whose usage a line of a matrix holds."""
        return tuple(cell_words(cell, meter=self.meter) for cell in self.cells)

    @property
    def before_charge(self) -> tuple[ChangeRow, ...]:
        """Return what changed the quantity before it was priced."""
        return tuple(change for change in self.changes if change.amount is None)

    @property
    def after_charge(self) -> tuple[ChangeRow, ...]:
        """Return what changed the amount after the quantity was priced."""
        return tuple(change for change in self.changes if change.amount is not None)

    @property
    def has_fees(self) -> bool:
        """Say whether a tier has a flat fee beside its price, which then needs a column."""
        return any(part.flat is not None and part.quantity is not None for part in self.parts)

    @property
    def is_rounded(self) -> bool:
        """Say whether the parts had more decimals than the currency has."""
        result = self.rated if self.rated is not None else self.amount
        return self.exact != result

    @property
    def is_agreed(self) -> bool:
        """Say whether the price was agreed with the customer."""
        return self.agreed_id is not None and not self.is_of_contract

    @property
    def is_of_contract(self) -> bool:
        """Say whether the price is the fee of an outcome contract: no other has a / in its key."""
        return "/" in self.price_key

    @property
    def shows_quantity(self) -> bool:
        """Say whether a quantity stands beside the name.

        A flat fee has none; seats and late starts say theirs.
        """
        if (
            self.meter is None
            or self.late_starts
            or not (self.metered.value or self.quantity.value)
        ):
            return False
        return not f"{self.description} ".startswith(f"{self.metered} ")


def explained(
    line: Line, *, position: int, currency: str, zone: str, names: Names
) -> ExplainedLine:
    """Return a line as plain values. Raises KeyError where ``names`` lacks its plan or meter."""
    why = line.explanation
    credit = why.credit.unit if why.credit else ""
    meter = names.meters[line.meter] if line.meter else None
    return ExplainedLine(
        position=position,
        kind=line.kind,
        description=line.description,
        span=Span(line.start, line.end, zone),
        unit=line.unit,
        quantity=Quantity(line.quantity, line.unit),
        metered=Quantity(line.usage_quantity, _metered_unit(line, meter)),
        amount=Money(line.amount, currency),
        exact=Money(line.amount if why.credit else exact_amount(line), currency),
        words=line_in_words(line, currency=currency, zone=zone),
        parts=tuple(
            _part_row(part, unit=_metered_unit(line, meter), currency=currency, credit=credit)
            for part in why.parts
        ),
        changes=tuple(
            _changes(
                why.adjustments,
                unit=_metered_unit(line, meter),
                currency=currency,
                credit=credit,
            )
        ),
        shares=share_rows(why.workspaces, meter=meter, workspaces=names.workspaces),
        cells=why.cells,
        meter=meter,
        plan=names.plans[line.version],
        price_key=line.price_key,
        line_key=line.line_key,
        phase=why.phase,
        agreed_id=why.agreed,
        origin_id=line.origin,
        origin_number=why.origin_number,
        billed=_money(why.billed, currency),
        rated=_money(why.rated, currency),
        uses=tuple(_use_rows(line, currency=currency)),
        credit_unit=credit,
        late_starts=tuple(_late_start_row(each, zone=zone) for each in why.late_starts),
    )


def _late_start_row(late: LateStart, *, zone: str) -> LateStartRow:
    return LateStartRow(
        job=late.job,
        promised=to_the_second(late.promised_at, zone=zone),
        started=to_the_second(late.started_at, zone=zone),
        promised_at=late.promised_at,
        started_at=late.started_at,
    )


def _metered_unit(line: Line, meter: MeterRef | None) -> str:
    """Return the unit of what was metered: of a line in credits its own unit is the credit."""
    in_credit = line.explanation.credit is not None and meter is not None
    return meter.unit if in_credit and meter else line.unit


def _use_rows(line: Line, *, currency: str) -> Iterator[UseRow]:
    part = line.explanation.credit
    unit = use_unit(line, currency=currency)
    for use in part.uses if part else ():
        if use.amount:
            amount = written(use.amount, unit=unit, currency=currency)
            charge = use.price_key if line.kind == CREDIT else line.description
            yield UseRow(grant=use.name, charge=charge, amount=amount)


def share_rows(
    shares: Iterable[tuple[str, Decimal]], *, meter: MeterRef | None, workspaces: Mapping[str, str]
) -> tuple[ShareRow, ...]:
    """Return each workspace's usage of a meter, the largest first."""
    rows = sorted(shares, key=lambda row: (-row[1], row[0]))
    unit = meter.unit if meter else ""
    whole = total(quantity for _, quantity in rows)
    add_up = meter is not None and meter.aggregation in _SHARES_ADD_UP and whole > 0
    return tuple(
        ShareRow(
            key=key,
            name=workspaces.get(key, key) if key else "Not in a workspace",
            quantity=Quantity(quantity, unit),
            share=f"{over(times(quantity, HUNDRED), whole):.1f}%" if add_up else "",
        )
        for key, quantity in rows
    )


def cell_words(cell: tuple[str, ...], *, meter: MeterRef | None) -> str:
    """Write dimension values with their names: model large, region eu."""
    names = meter.dimensions if meter and len(meter.dimensions) == len(cell) else ("",) * len(cell)
    pairs = zip(names, cell, strict=True)
    return ", ".join(f"{name} {value or '(none)'}".strip() for name, value in pairs)


def _amount(amount: Decimal, *, currency: str, credit: str) -> Money | Quantity:
    return Quantity(amount, credit) if credit else Money(amount, currency)


def _part_row(part: Part, *, unit: str, currency: str, credit: str) -> PartRow:
    priced = part.unit_amount is not None
    return PartRow(
        label=part.label[:1].upper() + part.label[1:],
        quantity=Quantity(part.quantity) if priced else None,
        rate=_rate(part, unit=unit, currency=currency, credit=credit),
        flat=_amount(part.flat_amount, currency=currency, credit=credit)
        if part.flat_amount
        else None,
        amount=_amount(part.amount, currency=currency, credit=credit),
    )


def _rate(part: Part, *, unit: str, currency: str, credit: str) -> str:
    if part.unit_amount is None:
        return ""
    percent = f"{Quantity(part.unit_amount)}%"
    if part.unit_size == HUNDRED and part.label.startswith(percent):
        return percent
    amount = str(_amount(part.unit_amount, currency=currency, credit=credit))
    if part.unit_size == ONE:
        return amount
    if part.label.endswith(" days"):
        return f"{amount} per {Quantity(part.unit_size, 'days')}"
    return f"{amount} per {Quantity(part.unit_size, unit)}"


def _changes(
    changes: Iterable[Adjustment], *, unit: str, currency: str, credit: str
) -> Iterator[ChangeRow]:
    for change in changes:
        quantity = change.quantity
        yield ChangeRow(
            kind=change.kind,
            label=_CHANGES[change.kind],
            quantity=Quantity(quantity, unit) if quantity is not None else None,
            amount=None
            if change.amount is None
            else _amount(change.amount, currency=currency, credit=credit),
        )


def _money(amount: Decimal | None, currency: str) -> Money | None:
    return None if amount is None else Money(amount, currency)
