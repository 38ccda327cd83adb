"""The shipped pricing systems: a plan, a month of usage, and the statement that must come of it.

Each file of ``templates/systems`` is one. Dates in it are written with ``{month}``,
``{next_month}`` and ``{month+12}``, so that it can be billed for any month.
"""

import re
from calendar import monthrange
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec

from plans.catalogue import yaml_text
from plans.catalogue.document import Catalogue, read_contents
from plans.rating.periods import months_after

FOLDER: Final = Path(__file__).with_name("templates") / "systems"
_LATER: Final = re.compile(r"\{month\+(\d+)\}")


class Generator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``count`` events with the same data, ``every_s`` seconds apart, the first at ``time``."""

    type: str
    data: dict[str, Any]
    time: datetime
    count: int = 1
    every_s: int = 60
    workspace: str = ""


class ExpectedLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line as it must stand on the statement.

    ``parts`` are the quantities of its parts (packages, say) and ``workspaces`` the shares by the
    workspaces' names in the file; each is compared only where it is stated.
    """

    price: str
    description: str
    quantity: Decimal
    amount: Decimal
    line: str = ""
    parts: tuple[Decimal, ...] = ()
    workspaces: dict[str, Decimal] = {}


class ExpectedCredit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a statement's usage drew, and what it left in what was bought, by the packs' keys."""

    used: Decimal
    left: dict[str, Decimal]


class ExpectedStatement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The statement of one month; ``credit`` is compared where it is stated."""

    total: Decimal
    lines: tuple[ExpectedLine, ...]
    credit: ExpectedCredit | None = None


class Bought(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pack of the plan that the customer buys at a time."""

    pack: str
    time: datetime
    quantity: int = 1


class Committed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A commitment of the customer from the first month on; see ``plans.rating.Commitment``."""

    key: str
    name: str
    kind: str
    months: int
    amount: Decimal
    discount_percent: Decimal = Decimal(0)
    rollover_percent: Decimal = Decimal(0)
    rollover_months: int | None = None


class Lapsed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must have become of the credit of a prepaid commitment, and of what rolled over.

    ``drawn`` and ``expired`` are of the first grant, the others of the one that it rolled into.
    """

    drawn: Decimal
    rolled: Decimal
    expired: Decimal
    rolled_drawn: Decimal
    rolled_expired: Decimal


class Contract(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An outcome contract of the system's plan, in force from its first day on."""

    key: str
    name: str
    content: dict[str, Any]


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A step with each outcome of a claim, at a time; ``closed`` months are finalised before it."""

    do: Literal["verify", "reject", "dispute", "uphold", "dismiss", "reverse"]
    time: datetime
    closed: int = 0


class Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``count`` outcomes that are claimed in the same words, ``every_s`` seconds apart."""

    contract: str
    time: datetime
    count: int = 1
    every_s: int = 60
    value: str | None = None
    evidence: dict[str, Any] = {}
    steps: tuple[Step, ...] = ()


class JobReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a job reports when it completes; ``spans`` says that it lasted as long as the job."""

    type: str
    data: dict[str, Any] = {}
    spans: bool = False


class JobStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something that a service, or the customer, does with jobs at a time of the customer's clock.

    ``run`` asks for ``count`` jobs, several at a time unless ``one_by_one``, and completes each
    that is admitted: at once, or where it ``waits`` or ``lasts``, all of them then. ``start``
    leaves them running and ``finish`` completes these. ``ask`` asks whether one would be admitted.
    All others than those ``refused``, by code, must be admitted; where ``retry`` is true each
    refusal must say when to ask again.
    ``budget`` sets it, ``estimate`` must find the range, ``alerts`` are those that must have been
    made so far, in their order. ``elsewhere`` acts for another customer on the same plan.
    """

    do: Literal["run", "start", "finish", "ask", "budget", "estimate", "alerts"]
    time: datetime
    job_class: str = ""
    service_class: str = ""
    count: int = 1
    input_size: str = "1"
    waits_s: int = 0
    lasts_s: int = 0
    usage: tuple[JobReport, ...] = ()
    one_by_one: bool = False
    refused: dict[str, int] = {}
    retry: bool = False
    budget: dict[str, Any] = {}
    low: str = ""
    high: str = ""
    alerts: tuple[int, ...] = ()
    elsewhere: bool = False


class System(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One pricing system. The expected statements are those of ``month`` and the ones after.

    ``month_days`` is how many days the month must have, where amounts depend on it. ``features``
    are the keys of those that the plan must grant, compared where they are stated. One that takes
    longer than two months begins ``months_back`` earlier.
    """

    system: str
    title: str
    plan: str
    month: date
    catalogue: dict[str, Any]
    expected: tuple[ExpectedStatement, ...]
    usage: tuple[Generator, ...] = ()
    workspaces: tuple[str, ...] = ()
    month_days: int | None = None
    features: tuple[str, ...] = ()
    commitment: Committed | None = None
    lapsed: Lapsed | None = None
    months_back: int = 0
    contracts: tuple[Contract, ...] = ()
    outcomes: tuple[Claims, ...] = ()
    jobs: tuple[JobStep, ...] = ()
    bought: tuple[Bought, ...] = ()

    @property
    def months_at_first(self) -> int:
        """Return how many months are closed before outcomes need what was closed."""
        later = any(step.closed for claims in self.outcomes for step in claims.steps)
        return 1 if later else len(self.expected)


class UsageEvent(NamedTuple):
    """One event of a system; ``workspace`` is empty for the customer itself."""

    type: str
    workspace: str
    time: datetime
    data: dict[str, Any]


def read_systems(*, month: date) -> list[System]:
    """Return all shipped systems by name, their dates counted from the month; see read_system."""
    return [read_system(path, month=month) for path in sorted(FOLDER.glob("*.yaml"))]


def read_system(path: Path, *, month: date) -> System:
    """Return one system, its dates counted from the month's first day.

    One that needs a month of so many days has the last such month up to that one. Raises
    CatalogueInvalid, msgspec.ValidationError on a bad file.
    """
    text = yaml_text.read_text(path)
    said = yaml_text.parse(text, name=path.name)
    needed = said.get("month_days")
    month = month if needed is None else _month_of(needed, until=month)
    month = months_after(month, -said.get("months_back", 0))
    text = text.replace("{month}", f"{month:%Y-%m}")
    last = month_after(month) - timedelta(days=1)
    text = text.replace("{last}", f"{last:%Y-%m-%d}")
    text = text.replace("{next_month}", f"{month_after(month):%Y-%m}")
    text = _LATER.sub(lambda found: f"{months_after(month, int(found[1])):%Y-%m}", text)
    return msgspec.convert({**yaml_text.parse(text, name=path.name), "month": month}, System)


def _month_of(days: int, *, until: date) -> date:
    month = until.replace(day=1)
    while monthrange(month.year, month.month)[1] != days:
        month = (month - timedelta(days=1)).replace(day=1)
    return month


def catalogue_of(systems: Sequence[System]) -> Catalogue:
    """Return the meters and plans of all systems. Raises CatalogueInvalid."""
    contents = [(f"{system.system}.yaml", system.catalogue) for system in systems]
    return read_contents(contents)


def events(system: System) -> Iterator[UsageEvent]:
    """Yield the system's events in the order of the file."""
    for generator in system.usage:
        for number in range(generator.count):
            yield UsageEvent(
                type=generator.type,
                workspace=generator.workspace,
                time=generator.time + timedelta(seconds=number * generator.every_s),
                data=generator.data,
            )


def month_after(month: date) -> date:
    """Return the first day of the month after that of a date."""
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)
