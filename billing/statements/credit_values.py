"""What a statement's facts and lines say of credit, as plain values."""

from datetime import datetime
from decimal import Decimal

import msgspec


class Pool(msgspec.Struct, frozen=True, array_like=True):
    """A pool of the customer, and the unit in which it counts."""

    id: int
    key: str
    name: str
    unit: str


class Free(msgspec.Struct, frozen=True, array_like=True):
    """What is free of a grant, and the name by which people know it.

    ``order`` is its place in the order of use among all grants of the customer, whichever pool
    they lie in. Facts from before it was kept have 0: there, pools pay one after the other.
    """

    grant: int
    name: str
    amount: Decimal
    order: int = 0


class Usable(msgspec.Struct, frozen=True, array_like=True):
    """The grants of a pool that may pay for a meter's usage, in the order of use.

    ``meter`` is "" for what no grant of the pool names: there, those for all meters.
    """

    pool: int
    meter: str
    grants: tuple[Free, ...]


class Drawn(msgspec.Struct, frozen=True, array_like=True):
    """What a draw took from one grant before, for a price's line, less what was given back.

    ``origin`` is None for the statement's own period, or the finalised statement that late usage
    corrects. Of one line they stand in the order in which they were drawn.
    """

    origin: int | None
    price_key: str
    line_key: str
    draw: int
    pool: int
    grant: int
    name: str
    amount: Decimal


class Purchase(msgspec.Struct, frozen=True, array_like=True):
    """Packs bought in the period. ``price_key`` names the price whose usage needed them, if any."""

    id: int
    version: int
    pack_key: str
    price_key: str
    name: str
    quantity: int
    amount: Decimal
    bought_at: datetime


class CreditFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that a statement needs to know of the customer's credit."""

    pools: tuple[Pool, ...] = ()
    usable: tuple[Usable, ...] = ()
    drawn: tuple[Drawn, ...] = ()
    purchases: tuple[Purchase, ...] = ()


class CreditUse(msgspec.Struct, frozen=True, array_like=True):
    """What one grant pays of one charge.

    ``amount`` is what it pays in the end, ``drawn`` what of it was drawn before by ``draw`` (0:
    nothing was). What is above ``drawn`` is drawn when the statement is finalised, what is below
    is given back.
    """

    pool: int
    grant: int
    name: str
    price_key: str
    line_key: str
    amount: Decimal
    drawn: Decimal = Decimal(0)
    draw: int = 0
    origin: int | None = None


class CreditPart(msgspec.Struct, frozen=True, omit_defaults=True):
    """What credit has to do with a line.

    ``unit`` is the unit of the line's quantity where that is credit, and ``metered`` that of the
    usage. ``short`` is what the pools
    lacked, and ``beyond_amount`` what each such credit costs. Of packs, ``pack_size`` units are in
    each and ``needed`` are yet to be bought; ``beyond_allowance`` is what they pay for.
    """

    uses: tuple[CreditUse, ...] = ()
    unit: str = ""
    metered: str = ""
    short: Decimal = Decimal(0)
    beyond_amount: Decimal | None = None
    pack_size: Decimal | None = None
    beyond_allowance: Decimal = Decimal(0)
    needed: int = 0
