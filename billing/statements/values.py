"""The facts of a statement and what is built from them, as plain values.

Facts are what a statement was built from: they are stored with it as canonical JSON and are
enough, with the frozen plan versions that they name, to build it again to the cent.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from billing.statements.credit_values import CreditFacts, CreditPart
from plans.rating import Adjustment, Part
from plans.rating.commitments import Commitment


class SeatDays(msgspec.Struct, frozen=True, array_like=True):
    """The level at the end of each local day that ends in a segment, in order.

    ``highest_before`` is the highest one on the earlier days of the billing period on which seats
    were priced like this: what was given up since may be paid to the period's end.
    """

    levels: tuple[Decimal, ...]
    highest_before: Decimal


class LateStart(msgspec.Struct, frozen=True, array_like=True):
    """A job of a service class that started later than was promised."""

    service_class: str
    job: str
    promised_at: datetime
    started_at: datetime


class MeterUsage(msgspec.Struct, frozen=True, array_like=True):
    """What one meter came to in one segment.

    ``cells``: quantity by dimension values, in the order the meter declares them.
    ``workspaces``: share by workspace key, ``""`` for usage of the customer itself.
    ``transactions``: each event's value in the order of time, where a price needs them.
    ``days``: the level by day, where a price is for seats.
    ``late_starts``: jobs that started late, the first few of each service class.
    """

    meter: str
    cells: tuple[tuple[tuple[str, ...], Decimal], ...]
    workspaces: tuple[tuple[str, Decimal], ...] = ()
    transactions: tuple[Decimal, ...] = ()
    days: SeatDays | None = None
    late_starts: tuple[LateStart, ...] = ()


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """A span in which one plan version priced one subscription of the customer, in one phase.

    ``whole_start`` to ``whole_end`` is the billing period that fees are prorated against;
    ``opens`` says that the subscription starts here and its setup fees are due. ``agreed`` are the
    ids of the agreed prices that stand in for the version's own, and ``digest`` is that of the
    terms with them. ``phase`` is a key of the version's, "" where it has none. ``subscribed`` is
    the subscription's start, from which the dates of fees for several months count; segments that
    were frozen before there were such fees have none. ``upgraded_beyond`` says that the
    subscription took the place of the one before it, whose plan moves on who uses more than that.
    """

    version: int
    digest: str
    start: datetime
    end: datetime
    whole_start: datetime
    whole_end: datetime
    opens: bool
    usage: tuple[MeterUsage, ...]
    phase: str = ""
    subscribed: datetime | None = None
    agreed: tuple[int, ...] = ()
    upgraded_beyond: Decimal | None = None


class Billed(msgspec.Struct, frozen=True, array_like=True):
    """What earlier statements have billed under one line's stable reference."""

    version: int
    price_key: str
    line_key: str
    start: datetime
    usage_quantity: Decimal
    quantity: Decimal
    amount: Decimal


class LatePeriod(msgspec.Struct, frozen=True, array_like=True):
    """A finalised period into which usage came late: read again, beside what was billed for it."""

    origin: int
    number: str
    segments: tuple[Segment, ...]
    billed: tuple[Billed, ...]


class Measured(msgspec.Struct, frozen=True, array_like=True):
    """A stretch of a commitment's days against whose ``amount`` usage is measured.

    ``counted`` is what earlier statements counted in it, and ``billed`` what they charged for what
    was missing of the ``promised``.
    """

    start: datetime
    end: datetime
    months: int
    amount: Decimal
    promised: Decimal
    counted: Decimal
    billed: Decimal


class CountedBefore(msgspec.Struct, frozen=True, array_like=True):
    """How the list value of a line that may be corrected was split when it was billed."""

    origin: int
    version: int
    price_key: str
    line_key: str
    start: datetime
    within: Decimal
    beyond: Decimal


class Promise(msgspec.Struct, frozen=True, array_like=True):
    """A commitment that this statement counts usage for, or owes a line about.

    ``terms`` are as they stood; ``fees`` are the prepaid instalments that are charged here, by
    number. ``before`` is of the lines of late periods.
    """

    id: int
    terms: Commitment
    stretches: tuple[Measured, ...]
    fees: tuple[int, ...]
    before: tuple[CountedBefore, ...]


class Facts(msgspec.Struct, frozen=True):
    """All that a statement is built from. Times are UTC; quantities are exact.

    ``credit`` is left out where the customer has none, as it was before there was credit, and so
    are ``promises``.
    """

    customer: str
    currency: str
    zone: str
    start: datetime
    end: datetime
    segments: tuple[Segment, ...]
    unpriced: tuple[tuple[str, Decimal], ...] = ()
    late: tuple[LatePeriod, ...] = ()
    promises: tuple[Promise, ...] | UnsetType = UNSET
    credit: CreditFacts | UnsetType = UNSET


class Committed(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a line has to do with a commitment: its id, and the start of the stretch it counts in.

    The list value of a charge is split into ``within`` and ``beyond``; ``counted`` is how much of
    the commitment it uses up. A correction has the differences. ``billed`` is what a line charges
    for the missing part of a promise; ``fee`` is the number of a prepaid instalment that it
    charges, counted from 1. ``used`` is what stood there in sum after the statement, of ``amount``.
    """

    commitment: int
    stretch: datetime
    within: Decimal = Decimal(0)
    beyond: Decimal = Decimal(0)
    counted: Decimal = Decimal(0)
    billed: Decimal = Decimal(0)
    fee: int = 0
    used: Decimal = Decimal(0)
    amount: Decimal = Decimal(0)


class Explanation(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a line is what it is.

    ``parts`` and ``adjustments`` come from rating; ``workspaces`` are shares by workspace key;
    ``cells`` are the dimension values whose events the line holds. An adjustment names the
    ``origin_number`` of the statement it corrects, with ``billed`` and ``rated`` amounts.
    ``phase`` is the name of the phase whose price it is, and ``agreed`` the id of the price that
    was agreed with the customer, where it is one. ``credit`` says what credit paid; where it names
    a unit, the parts and adjustments are in that unit, and only the line's amount is money.
    ``commitment`` is what the line has to do with one. ``late_starts`` are the first of the jobs
    whose late start gives something back.
    """

    parts: tuple[Part, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()
    workspaces: tuple[tuple[str, Decimal], ...] = ()
    cells: tuple[tuple[str, ...], ...] = ()
    origin_number: str = ""
    billed: Decimal | None = None
    rated: Decimal | None = None
    phase: str = ""
    agreed: int | None = None
    commitment: Committed | None = None
    credit: CreditPart | None = None
    late_starts: tuple[LateStart, ...] = ()


class Line(msgspec.Struct, frozen=True):
    """One line of a statement; see ``billing.models.StatementLine`` for the fields."""

    kind: str
    origin: int | None
    version: int
    meter: str | None
    price_key: str
    line_key: str
    description: str
    start: datetime
    end: datetime
    unit: str
    usage_quantity: Decimal
    quantity: Decimal
    amount: Decimal
    explanation: Explanation


class Draft(msgspec.Struct, frozen=True):
    """What a statement says: its lines and totals, in the customer's currency."""

    lines: tuple[Line, ...]
    total: Decimal
    adjustments_total: Decimal


_encoder = msgspec.json.Encoder(order="deterministic")
_facts_decoder = msgspec.json.Decoder(Facts)


def canonical(value: Any) -> str:
    """Return the one JSON text of a value; equal values have equal texts."""
    return _encoder.encode(value).decode()


def facts_from(text: str) -> Facts:
    """Return the facts that ``canonical`` wrote. Raises msgspec.DecodeError on anything else."""
    return _facts_decoder.decode(text)
