"""The demo's customers and what they use: the same from run to run, as far as the present reaches.

Pure: the events of a day depend on the customer and the day alone, so a demo that is started again
sends what has happened since and nothing twice.
"""

import datetime as dt
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

SOURCE = "demo/jobs"
MONTHS = 3

Event = dict[str, Any]


class DemoCustomer(NamedTuple):
    """A customer of the demo and how it uses the product."""

    key: str
    name: str
    plan: str
    currency: str
    time_zone: str
    workspaces: tuple[tuple[str, str], ...]
    usage: Callable[["DemoCustomer", random.Random, dt.datetime], Iterator[Event]]
    requires_review: bool = False


def events_of_day(customer: DemoCustomer, day: dt.date, *, until: dt.datetime) -> list[Event]:
    """Return the CloudEvents of one customer and day (UTC) that lie before ``until``."""
    chance = random.Random(f"{customer.key} {day}")  # noqa: S311 - a story, not a secret
    start = dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC)
    drafts = customer.usage(customer, chance, start)
    return [
        {
            "specversion": "1.0",
            "id": f"{customer.key}-{day:%Y%m%d}-{number:04d}",
            "source": SOURCE,
            **draft,
            "time": draft["time"].isoformat(),
        }
        for number, draft in enumerate(drafts)
        if draft["time"] < until
    ]


def first_day(today: dt.date) -> dt.date:
    """Return the first day of the story: the start of a month two months before this one."""
    month = today.year * 12 + today.month - 1 - (MONTHS - 1)
    return dt.date(month // 12, month % 12 + 1, 1)


def _moment(chance: random.Random, start: dt.datetime) -> dt.datetime:
    return start + dt.timedelta(seconds=chance.randrange(86_400))


def _renders(
    customer: DemoCustomer, chance: random.Random, start: dt.datetime, *, jobs: int, gpus: str
) -> Iterator[Event]:
    subjects = [key for key, _ in customer.workspaces] or [customer.key]
    for _ in range(jobs):
        failed = chance.random() < 0.03
        yield {
            "type": "render.completed",
            "subject": chance.choice(subjects),
            "time": _moment(chance, start),
            "data": {
                "job": f"job-{chance.randrange(10**9):09d}",
                "status": "failed" if failed else "succeeded",
                "images": chance.choice((1, 1, 2, 4, 8)),
                "gpu_seconds": str(chance.randrange(50, 6_000) / 10),
                "gpu": chance.choice(gpus.split()),
            },
        }


def _inference(
    customer: DemoCustomer, chance: random.Random, start: dt.datetime, *, jobs: int
) -> Iterator[Event]:
    subjects = [key for key, _ in customer.workspaces] or [customer.key]
    for _ in range(jobs):
        yield {
            "type": "inference.completed",
            "subject": chance.choice(subjects),
            "time": _moment(chance, start),
            "data": {
                "tokens": chance.randrange(10_000, 900_000),
                "model": chance.choice(("small", "small", "large")),
                "queue": chance.choice(("batch", "on_demand")),
            },
        }


def _studio(customer: DemoCustomer, chance: random.Random, start: dt.datetime) -> Iterator[Event]:
    yield from _renders(customer, chance, start, jobs=chance.randrange(15, 40), gpus="a100 h100")


def _lab(customer: DemoCustomer, chance: random.Random, start: dt.datetime) -> Iterator[Event]:
    if start.day == 1:
        yield {
            "type": "seats.set",
            "subject": customer.key,
            "time": start + dt.timedelta(hours=12),
            "data": {"seats": 6 + start.month % 3},
        }
    yield from _inference(customer, chance, start, jobs=chance.randrange(10, 30))


def _group(customer: DemoCustomer, chance: random.Random, start: dt.datetime) -> Iterator[Event]:
    yield from _renders(customer, chance, start, jobs=chance.randrange(40, 80), gpus="a100 h100")
    yield from _inference(customer, chance, start, jobs=chance.randrange(5, 20))
    if start.day % 7 == 0:
        yield {
            "type": "export.created",
            "subject": customer.key,
            "time": _moment(chance, start),
            "data": {},
        }


def _newcomer(customer: DemoCustomer, chance: random.Random, start: dt.datetime) -> Iterator[Event]:
    """Uses a GPU that its plan has no rate for, so its statement waits for a person."""
    yield from _renders(customer, chance, start, jobs=2, gpus="a100 b200")


CUSTOMERS = (
    DemoCustomer(
        key="aurora",
        name="Aurora Studio",
        plan="studio",
        currency="USD",
        time_zone="America/Los_Angeles",
        workspaces=(("aurora-film", "Film"), ("aurora-ads", "Advertising")),
        usage=_studio,
    ),
    DemoCustomer(
        key="lumen",
        name="Lumen Labs",
        plan="inference",
        currency="USD",
        time_zone="UTC",
        workspaces=(),
        usage=_lab,
        requires_review=True,
    ),
    DemoCustomer(
        key="meridian",
        name="Meridian Group",
        plan="scale",
        currency="EUR",
        time_zone="Europe/Berlin",
        workspaces=(
            ("meridian-retail", "Retail"),
            ("meridian-design", "Design"),
            ("meridian-research", "Research"),
        ),
        usage=_group,
    ),
    DemoCustomer(
        key="tidal",
        name="Tidal Works",
        plan="studio",
        currency="USD",
        time_zone="Asia/Tokyo",
        workspaces=(),
        usage=_newcomer,
    ),
)


def stray_events(day: dt.date) -> list[Event]:
    """Return events of a customer that nobody has set up yet: they wait in quarantine."""
    noon = dt.datetime.combine(day, dt.time(12), tzinfo=dt.UTC)
    return [
        {
            "specversion": "1.0",
            "id": f"harbor-{number}",
            "source": SOURCE,
            "type": "render.completed",
            "subject": "harbor",
            "time": (noon + dt.timedelta(minutes=number)).isoformat(),
            "data": {"status": "succeeded", "images": 1, "gpu_seconds": "12.5", "gpu": "a100"},
        }
        for number in range(3)
    ]
