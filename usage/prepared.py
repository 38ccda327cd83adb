"""Statements that are asked so often that planning them anew each time costs more than they do."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import abc, pq
from psycopg.adapt import AdaptersMap, PyFormat, Transformer
from psycopg.types.datetime import TimestamptzLoader
from psycopg.types.numeric import Int8Dumper

_ROWS: Final = pq.ExecStatus.TUPLES_OK
_PREPARED_MOST: Final = 100
_PLACES: Final = re.compile(r"%(?:%|s|\((\w+)\)s)")
_Values = Mapping[str, Any] | Sequence[Any]
_Row = tuple[Any, ...]


def first_row(statement: str, values: _Values) -> _Row | None:
    """Run a statement as `all_rows` does; return its first row, or None."""
    rows = all_rows(statement, values)
    return rows[0] if rows else None


def all_rows(statement: str, values: _Values) -> list[_Row]:
    """Run a statement that each connection prepares once; return its rows.

    Django binds values on its own side, so PostgreSQL would plan every request's text. Where
    queries are counted or wrapped they go Django's way, to be seen. Raises what a cursor raises.
    """
    # Once: each time that the name `connection` is asked it finds out anew whose thread this is.
    ours = connections[DEFAULT_DB_ALIAS]
    if ours.connection is None or not getattr(ours, "health_check_done", False):
        ours.close_if_health_check_failed()
        ours.ensure_connection()
    if _is_watched(ours):
        with ours.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())
    ours.validate_no_broken_transaction()
    with ours.wrap_database_errors:
        return _rows(ours.connection, statement, values)


def last_row(statement: str, values: _Values) -> _Row | None:
    """Run the last statement of a transaction as `first_row` does, and commit in the same message.

    So whoever waits for what is locked need not wait for an answer on its way, too. Django, which
    ends the transaction then, finds it over. One inside another goes on.
    """
    ours = connections[DEFAULT_DB_ALIAS]
    if _is_watched(ours) or ours.savepoint_ids or not ours.in_atomic_block:
        return first_row(statement, values)
    ours.validate_no_broken_transaction()
    with ours.wrap_database_errors:
        rows = _rows(ours.connection, statement, values, commits=True)
    return rows[0] if rows else None


def _is_watched(ours: BaseDatabaseWrapper) -> bool:
    return bool(ours.queries_logged or ours.execute_wrappers)


class _Native(NamedTuple):
    """A statement as PostgreSQL takes it: its values are numbered, in the order of ``names``."""

    text: bytes
    places: int
    names: tuple[str, ...]


@lru_cache(maxsize=256)
def _native(statement: str) -> _Native:
    names: list[str] = []

    def numbered(place: re.Match[str]) -> str:
        if place[0] == "%%":
            return "%"
        if place[1] is None or place[1] not in names:
            names.append(place[1] or "")
            return f"${len(names)}"
        return f"${names.index(place[1]) + 1}"

    text = _PLACES.sub(numbered, statement).encode()
    return _Native(text, len(names), tuple(filter(None, names)))


class _Known:
    """A statement that was prepared; how its columns are read is looked up with its first rows."""

    def __init__(self, name: bytes, columns: abc.Transformer) -> None:
        self.name = name
        self._columns = columns
        self._is_new = True

    def read(self, result: pq.abc.PGresult) -> list[_Row]:
        """Return the rows of a result."""
        self._columns.set_pgresult(result, set_loaders=self._is_new)
        self._is_new = False
        rows: list[_Row] = self._columns.load_rows(0, result.ntuples, tuple)
        self._columns.set_pgresult(None, set_loaders=False)
        return rows


class _Prepared:
    """What one connection has prepared, and how it reads and writes values."""

    def __init__(self, connection: psycopg.Connection) -> None:
        # By its adapters alone: this is kept as long as the connection, and must not keep it.
        adapters = AdaptersMap(connection.adapters)
        # Django's says the same in Python. Every connection's time zone is UTC.
        adapters.register_loader("timestamptz", TimestamptzLoader)
        # Else small and large numbers would be statements of their own.
        adapters.register_dumper(int, Int8Dumper)
        self._adapters = adapters
        self._values = Transformer(adapters)
        self._known: dict[tuple[bytes, tuple[int, ...] | None], _Known] = {}

    def rows(
        self, pgconn: pq.abc.PGconn, native: _Native, values: Sequence[Any], *, commits: bool
    ) -> list[_Row]:
        """Run a statement, and commit with it where it ``commits``; return its rows.

        Raises psycopg.Error.
        """
        said = self._values.dump_sequence(values, [PyFormat.AUTO] * native.places)
        types, formats = self._values.types, self._values.formats
        known = self._known.get((native.text, types))
        if known is None:
            if len(self._known) >= _PREPARED_MOST:
                _check(pgconn, pgconn.exec_(b"DEALLOCATE ALL"), pq.ExecStatus.COMMAND_OK)
                self._known.clear()
            known = _Known(f"tollgate_{len(self._known)}".encode(), Transformer(self._adapters))
            _check(pgconn, pgconn.prepare(known.name, native.text, types), pq.ExecStatus.COMMAND_OK)
            self._known[native.text, types] = known
        run = _run_and_commit if commits else _run
        return known.read(run(pgconn, known.name, said, formats))


_Said = Sequence[Any]
"""Values as they are sent. One may be NULL, whatever psycopg's types say."""


def _run(pgconn: pq.abc.PGconn, name: bytes, said: _Said, formats: Any) -> pq.abc.PGresult:
    return _check(pgconn, pgconn.exec_prepared(name, said, formats), _ROWS)


def _run_and_commit(
    pgconn: pq.abc.PGconn, name: bytes, said: _Said, formats: Any
) -> pq.abc.PGresult:
    """Send both before either is answered. Where the first fails, nothing is committed."""
    pgconn.enter_pipeline_mode()
    try:
        pgconn.send_query_prepared(name, said, formats)
        pgconn.send_query_params(b"COMMIT", None)
        pgconn.pipeline_sync()
        answers = list(_answers(pgconn))
    finally:
        if pgconn.status == pq.ConnStatus.OK:
            pgconn.exit_pipeline_mode()
    for answer, wanted in zip(answers, (_ROWS, pq.ExecStatus.COMMAND_OK), strict=False):
        _check(pgconn, answer, wanted)
    if len(answers) < 2:
        raise psycopg.OperationalError(pgconn.get_error_message())
    return answers[0]


def _answers(pgconn: pq.abc.PGconn) -> Iterator[pq.abc.PGresult]:
    """Yield the answers to what was sent, up to the end of the pipeline or of the connection."""
    while pgconn.status == pq.ConnStatus.OK:
        result = pgconn.get_result()
        if result is None:
            continue
        if result.status == pq.ExecStatus.PIPELINE_SYNC:
            return
        yield result


_prepared: WeakKeyDictionary[psycopg.Connection, _Prepared] = WeakKeyDictionary()


def _rows(
    connection: psycopg.Connection, statement: str, values: _Values, *, commits: bool = False
) -> list[_Row]:
    """Run a statement beside psycopg's cursor, which does much that none of these needs.

    Nothing is prepared by psycopg itself: after a rollback it would deallocate ours, too.
    """
    pgconn = connection.pgconn
    if not connection.autocommit and pgconn.transaction_status == pq.TransactionStatus.IDLE:
        _check(pgconn, pgconn.exec_(b"BEGIN"), pq.ExecStatus.COMMAND_OK)
    prepared = _prepared.get(connection)
    if prepared is None:
        prepared = _prepared[connection] = _Prepared(connection)
    native = _native(statement)
    if isinstance(values, Mapping):
        values = [values[name] for name in native.names]
    return prepared.rows(pgconn, native, values, commits=commits)


def _check(
    pgconn: pq.abc.PGconn, result: pq.abc.PGresult, wanted: pq.ExecStatus
) -> pq.abc.PGresult:
    if result.status == wanted:
        return result
    if pgconn.status == pq.ConnStatus.BAD:
        raise psycopg.OperationalError(pgconn.get_error_message())
    raise psycopg.errors.error_from_result(result)
