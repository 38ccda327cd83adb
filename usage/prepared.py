"""Statements that are asked so often that planning them anew each time costs more than they do."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections


def first_row(statement: str, values: Mapping[str, Any] | Sequence[Any]) -> tuple[Any, ...] | None:
    """Run a statement as `all_rows` does; return its first row, or None."""
    rows = all_rows(statement, values)
    return rows[0] if rows else None


def all_rows(statement: str, values: Mapping[str, Any] | Sequence[Any]) -> list[tuple[Any, ...]]:
    """Run a statement that each connection prepares once; return its rows.

    Django binds values on its own side, so PostgreSQL would plan every request's text. Where
    queries are counted or wrapped they go Django's way, to be seen. Raises what a cursor raises.
    """
    # Once: each time that the name `connection` is asked it finds out anew whose thread this is.
    ours = connections[DEFAULT_DB_ALIAS]
    ours.close_if_health_check_failed()
    ours.ensure_connection()
    if ours.queries_logged or ours.execute_wrappers:
        with ours.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())
    ours.validate_no_broken_transaction()
    # Django turns it off; its own cursors bind values themselves, and prepare nothing even so.
    ours.connection.prepare_threshold = 0
    with ours.wrap_database_errors, psycopg.Cursor(ours.connection) as direct:
        direct.execute(statement, values, prepare=True)
        return direct.fetchall()
