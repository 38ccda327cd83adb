"""Who changed what, when and why, as people read it: one timeline for each object.

Each kind of object has sources, functions that return entries; another app, or another part of
this one, adds its own to ``SOURCES``. A timeline merges what they return by time.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from django.contrib.auth import get_user_model
from django.db.models import Field, ForeignKey, Model, OuterRef, QuerySet, Subquery

from plans.catalogue.changes import price_parts, version_parts
from plans.models import (
    Budget,
    CreditUnit,
    Customer,
    Feature,
    JobClass,
    Membership,
    Meter,
    Plan,
    PlanVersion,
    PriceOverride,
    Subscription,
    VersionChange,
    VersionEvent,
    VersionReview,
    Workspace,
)
from plans.rating.charge import number

MOST: Final = 100


class Move(NamedTuple):
    """One fact and what it was and became, in words; "" where it was, or is, nothing."""

    what: str
    before: str
    after: str


class Entry(NamedTuple):
    """One thing that was done: when, by whom ("" for the system), what, why, and what moved."""

    at: datetime
    by: str
    title: str
    reason: str = ""
    moves: tuple[Move, ...] = ()


Source = Callable[[Any, datetime | None], Iterable[Entry]]
SOURCES: dict[type[Model], list[Source]] = {}


def timeline(row: Model, *, until: datetime | None = None) -> list[Entry]:
    """Return the newest entries of an object, at most ``MOST`` and one; up to a time where given.

    The one beyond ``MOST`` says that there are older ones.
    """
    found = [entry for source in SOURCES.get(type(row), ()) for entry in source(row, until)]
    return sorted(found, key=lambda entry: entry.at, reverse=True)[: MOST + 1]


def entries_of(
    rows: "QuerySet[Any]",
    *,
    until: datetime | None,
    title: Callable[[Any, bool], str],
    zone: str = "UTC",
    hidden: Iterable[str] = (),
) -> list[Entry]:
    """Return rows of a django-simple-history model as entries, each against the one before it.

    ``title`` names what was done from the row and whether it is the first of its object. Saves that
    changed nothing, and gave no reason, are left out.
    """
    key = _key_of(rows.model.instance_type)
    before = rows.model.objects.filter(
        **{key: OuterRef(key)}, history_id__lt=OuterRef("history_id")
    )
    newest = rows.filter(history_date__lte=until) if until else rows
    newest = newest.annotate(
        before_id=Subquery(before.order_by("-history_id").values("history_id")[:1])
    )
    listed = list(newest.select_related("history_user").order_by("-history_id")[: MOST + 1])
    earlier = rows.model.objects.in_bulk([row.before_id for row in listed if row.before_id])
    words = _Words(rows.model, [*listed, *earlier.values()], zone=zone, hidden=set(hidden))
    found = []
    for row in listed:
        moves = words.moves(earlier.get(row.before_id), row)
        if moves or row.history_change_reason or row.history_type != "~" or not row.before_id:
            found.append(
                Entry(
                    at=row.history_date,
                    by=person(row.history_user),
                    title=title(row, row.before_id is None),
                    reason=row.history_change_reason or "",
                    moves=moves,
                )
            )
    return found


def person(user: Any) -> str:
    """Name the person who did something; "" for the system."""
    return "" if user is None else user.get_full_name() or user.get_username()


class _Words:
    """The facts of history rows in words, the names of what they refer to looked up once."""

    def __init__(self, model: Any, rows: Sequence[Any], *, zone: str, hidden: set[str]) -> None:
        self._zone = ZoneInfo(zone)
        self._fields = [
            field
            for field in model.tracked_fields
            if not field.primary_key and field.name not in hidden
        ]
        self._names = {
            field.name: _names(field, rows)
            for field in self._fields
            if isinstance(field, ForeignKey)
        }

    def moves(self, before: Any, row: Any) -> tuple[Move, ...]:
        """Return what differs from the row before; all of it where there is none or it is gone."""
        if row.history_type == "-":
            return ()
        found: list[Move] = []
        for field in self._fields:
            there = None if before is None else getattr(before, field.attname)
            here = getattr(row, field.attname)
            if before is not None and there == here:
                continue
            if field.name == "content":
                found += _price_moves(there, here)
                continue
            move = Move(_label(field), self._text(field, there), self._text(field, here))
            if move.before != move.after:
                found.append(move)
        return tuple(found)

    def _text(self, field: "Field[Any, Any]", value: Any) -> str:
        if value is None or value in ("", [], {}):
            return ""
        if field.name in self._names:
            return self._names[field.name].get(value, "one that is gone")
        if field.choices:
            return str(dict(field.flatchoices).get(value, value))
        if isinstance(value, bool):
            return "yes" if value else "no"
        return self._plain(value)

    def _plain(self, value: Any) -> str:
        if isinstance(value, datetime):
            return f"{value.astimezone(self._zone):%d %B %Y %H:%M} ({self._zone.key})"
        if isinstance(value, date):
            return f"{value:%d %B %Y}"
        if isinstance(value, Decimal):
            return number(value)
        if isinstance(value, dict):
            return "; ".join(f"{name}: {self._plain(each)}" for name, each in value.items())
        if isinstance(value, list):
            return ", ".join(str(each) for each in value)
        return str(value)


def _names(field: "ForeignKey[Any, Any]", rows: Sequence[Any]) -> dict[Any, str]:
    ids = {getattr(row, field.attname) for row in rows} - {None}
    model: Any = field.related_model
    found = model.objects.in_bulk(ids)
    return {pk: person(row) if model is get_user_model() else str(row) for pk, row in found.items()}


def _label(field: "Field[Any, Any]") -> str:
    return str(field.verbose_name)


def _price_moves(before: Any, after: Any) -> list[Move]:
    return [
        Move(row.name, row.before, row.after)
        for part in price_parts(before, after)
        for row in part.moved
    ]


# Customers, with all that hangs on them -------------------------------------------------------


def _titled(noun: str, *, added: str = "was created", gone: str = "was deleted") -> Any:
    def title(row: Any, first: bool) -> str:
        named = noun.format(row=row)
        if row.history_type == "+":
            return f"{named} {added}"
        if row.history_type == "-":
            return f"{named} {gone}"
        return f"{named} stood like this when its history began" if first else (
            f"{named} was changed"
        )  # fmt: skip

    return title


def _customer(row: Customer, until: datetime | None) -> Iterable[Entry]:
    own = _history(Customer).filter(id=row.pk)
    yield from entries_of(own, until=until, zone=row.time_zone, title=_titled("The customer"))
    for model, title in (
        (Workspace, _titled("The workspace “{row.name}”", added="was added", gone="was removed")),
        (Membership, _titled("A portal user", added="was added", gone="was removed")),
        (Subscription, _titled("A subscription", added="was started")),
        (PriceOverride, _titled("The agreed price “{row.price_key}”", added="was agreed")),
        (Budget, _titled("A budget", added="was set", gone="was removed")),
    ):
        rows = _history(model).filter(customer_id=row.pk)
        yield from entries_of(
            rows, until=until, zone=row.time_zone, title=title, hidden=["customer"]
        )


def _history(model: Any) -> "QuerySet[Any]":
    rows: QuerySet[Any] = model.history.model.objects.all()
    return rows


def _key_of(model: type[Model]) -> str:
    key = model._meta.pk
    assert key is not None, "every model has one"
    return key.attname


def own_rows(model: type[Model], noun: str, *, added: str = "was created") -> Source:
    """Return the source of a model's own history."""

    def source(row: Any, until: datetime | None) -> list[Entry]:
        title = _titled(noun, added=added)
        own = _history(model).filter(**{_key_of(model): row.pk})
        return entries_of(own, until=until, title=title)

    return source


# Versions, by their documents -----------------------------------------------------------------


def _version(row: PlanVersion, until: datetime | None) -> Iterable[Entry]:
    changes = VersionChange.objects.filter(version_id=row.pk)
    found = _version_entries(changes, until, name="The version")
    yield from found
    yield from _before_history(row, until, told={change.what for change in changes.only("what")})


def _plans_versions(row: Plan, until: datetime | None) -> Iterable[Entry]:
    changes = VersionChange.objects.filter(plan_id=row.pk)
    yield from _version_entries(changes, until, name="")


def _version_entries(
    changes: "QuerySet[VersionChange]", until: datetime | None, *, name: str
) -> list[Entry]:
    listed = changes.filter(at__lte=until) if until else changes
    return [
        Entry(
            at=change.at,
            by=person(change.by),
            title=f"{name or f'Version {change.number}'} {change.get_what_display()}",
            reason=change.reason,
            moves=_document_moves(change),
        )
        for change in listed.select_related("by").order_by("-pk")[: MOST + 1]
    ]


def _document_moves(change: VersionChange) -> tuple[Move, ...]:
    if change.what == VersionEvent.DELETED:
        return ()
    return tuple(
        Move(f"{part.title}: {row.name}" if part.title != "Version" else row.name,
             row.before, row.after)
        for part in version_parts(change.before, change.after)
        for row in part.moved
    )  # fmt: skip


def _reviewed(row: PlanVersion, until: datetime | None) -> Iterable[Entry]:
    """Tell what was said of a version: submitted, sent back, approved, called off."""
    said = VersionReview.objects.filter(version=row).select_related("by").order_by("-pk")
    if until:
        said = said.filter(at__lte=until)
    for step in said[: MOST + 1]:
        title = step.get_what_display()
        yield Entry(at=step.at, by=person(step.by), title=title, reason=step.comment)


def _before_history(row: PlanVersion, until: datetime | None, *, told: set[str]) -> Iterable[Entry]:
    """Tell what the version itself says of the time before its history was kept."""
    said = (
        (VersionEvent.STARTED, row.created_at, row.created_by),
        (VersionEvent.PUBLISHED, row.published_at, row.published_by),
    )
    for what, at, by in said:
        if at is not None and what not in told and (until is None or at <= until):
            yield Entry(at=at, by=person(by), title=f"The version {what.label}")


SOURCES.update(
    {
        Customer: [_customer],
        Meter: [own_rows(Meter, "The meter")],
        Feature: [own_rows(Feature, "The feature")],
        CreditUnit: [own_rows(CreditUnit, "The credit")],
        JobClass: [own_rows(JobClass, "The job class")],
        Plan: [own_rows(Plan, "The plan"), _plans_versions],
        PlanVersion: [_version, _reviewed],
    }
)
