"""How a queue of work on the admin's home page is said: its first rows, counts and links."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeVar

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

SHOWN: Final = 5
COUNTED: Final = 50

Found = TypeVar("Found")


class Row(NamedTuple):
    """One piece of work; ``retry`` is the page that tries it again."""

    title: str
    detail: str
    link: str = ""
    retry: str = ""


class WorkQueue(NamedTuple):
    """One kind of work: how much waits ("50+" where there is more), its list, its first rows."""

    title: str
    counted: str
    link: str
    rows: Sequence[Row]
    quiet: str = "Nothing waits."


Provider = Callable[[HttpRequest], WorkQueue | None]


def first(rows: Iterable[Found]) -> tuple[list[Found], str]:
    """Return the rows to show, and how many there are in words."""
    found = list(rows)
    return found[:SHOWN], counted(len(found), has_more=len(found) > COUNTED)


def counted(rows: int, *, has_more: bool) -> str:
    """Return how many there are, "50+" where there is more."""
    return f"{COUNTED}+" if has_more else str(rows)


def link(view: str, query: str = "", *, pk: int | None = None) -> str:
    """Return an admin page's address; "" where that page is not there."""
    try:
        address = reverse(f"admin:{view}", args=[] if pk is None else [pk])
    except NoReverseMatch:
        return ""
    return f"{address}?{query}" if query else address


def day(at: datetime) -> str:
    """Return the day of a time, in UTC."""
    return f"{at.astimezone(UTC):%d %B %Y}"
