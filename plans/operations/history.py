"""Write history that a save does not write by itself: of versions, and of rows stored in bulk."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction
from django.db.models import Model
from psycopg import sql

from plans.acting import current
from plans.catalogue.dump import version_content
from plans.models import PlanVersion, VersionChange, VersionEvent
from plans.terms import with_terms

_RECORDING: ContextVar[frozenset[int]] = ContextVar("recording", default=frozenset())


@contextmanager
def recorded(
    *,
    version: PlanVersion,
    what: VersionEvent = VersionEvent.CHANGED,
    by: AbstractBaseUser | None = None,
) -> Iterator[None]:
    """Keep what a block does to a version as one entry, with the document before and after.

    Enter it under the version's lock. A block inside another one for the same version adds nothing
    of its own, and a change that changes nothing leaves no entry. ``by`` unless given is the person
    of ``plans.acting``.
    """
    version_id, outer = version.pk, _RECORDING.get()
    if version_id in outer:
        yield
        return
    before = None if what == VersionEvent.STARTED else _content(version_id)
    token = _RECORDING.set(outer | {version_id})
    try:
        with transaction.atomic():
            yield
            after = _content(version_id)
            if before != after:
                _keep(version, version_id, what, by, before=before, after=after)
    finally:
        _RECORDING.reset(token)


def _keep(
    version: PlanVersion,
    version_id: int,
    what: VersionEvent,
    by: AbstractBaseUser | None,
    *,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> None:
    act = current()
    VersionChange.objects.create(
        version_id=version_id,
        plan_id=version.plan_id,
        number=version.number,
        what=what,
        before=before,
        after=after,
        reason=act.reason,
        by_id=by.pk if by else act.by.pk if act.by else None,
    )


def _content(version_id: int) -> dict[str, Any] | None:
    version = with_terms(PlanVersion.objects.filter(pk=version_id)).first()
    return None if version is None else version_content(version, starts=())


def keep_created(model: type[Model], *, ids: Collection[int]) -> None:
    """Keep the beginning of rows that were stored in bulk, in one statement.

    A row that has a history is left out, so that ``ids`` may name rows that were there before.
    """
    _keep_rows(model, ids=ids, kind="+")


def keep_changed(model: type[Model], *, ids: Collection[int]) -> None:
    """Keep rows as they stand after they were changed in bulk, in one statement."""
    _keep_rows(model, ids=ids, kind="~")


def _keep_rows(model: type[Model], *, ids: Collection[int], kind: str) -> None:
    act, history = current(), _history_of(model)
    columns = [sql.Identifier(field.column) for field in history.tracked_fields]
    statement = sql.SQL(
        "INSERT INTO {history} ({columns}, history_date, history_type, history_user_id,"
        " history_change_reason)"
        " SELECT {columns}, statement_timestamp(), %(kind)s, %(by)s, %(reason)s"
        " FROM {table} AS row WHERE row.id = ANY(%(ids)s) AND (%(kind)s = '~' OR NOT EXISTS"
        " (SELECT FROM {history} AS kept WHERE kept.id = row.id)) ORDER BY row.id"
    ).format(
        history=sql.Identifier(history._meta.db_table),
        table=sql.Identifier(model._meta.db_table),
        columns=sql.SQL(", ").join(columns),
    )
    given = {"kind": kind, "by": act.by.pk if act.by else None, "reason": act.reason or None}
    with connection.cursor() as cursor:
        cursor.execute(statement, {**given, "ids": list(ids)})


def _history_of(model: type[Model]) -> Any:
    manager: Any = model
    return manager.history.model
