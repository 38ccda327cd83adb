"""Ids of jobs: from the columns that hold them, or from the row's content and its occurrence."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Final

from usage.imports.column_map import ColumnMap, IdRule
from usage.imports.reading import RowFault

_CACHE_KIB: Final = 64 * 1024
_COUNT: Final = """
INSERT INTO seen (digest, times) VALUES (?, 1)
ON CONFLICT (digest) DO UPDATE SET times = times + 1 RETURNING times
"""

NameRow = Callable[[Mapping[str, str]], str | RowFault]


def row_ids(job_map: ColumnMap) -> NameRow:
    """Return a function that names each row; it must see the file's rows from the first one on."""
    rule = job_map.id
    return _from_columns(rule) if rule.columns else _from_content(rule)


def _from_columns(rule: IdRule) -> NameRow:
    def name(cells: Mapping[str, str]) -> str | RowFault:
        values = [cells[column] for column in rule.columns]
        for column, value in zip(rule.columns, values, strict=True):
            if not value:
                return RowFault("missing_value", column, "", "the job's id is empty")
        if len(values) == 1:
            return values[0]
        return "/".join(value.replace("%", "%25").replace("/", "%2F") for value in values)

    return name


def _from_content(rule: IdRule) -> NameRow:
    """Count equal rows in a temporary file that SQLite keeps, so that memory stays bounded."""
    seen = sqlite3.connect("", isolation_level=None)
    seen.execute("PRAGMA journal_mode = OFF")
    seen.execute("PRAGMA synchronous = OFF")
    seen.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    seen.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY, times INTEGER) WITHOUT ROWID")
    seen.execute("BEGIN")

    def name(cells: Mapping[str, str]) -> str:
        content = json.dumps([cells[column] for column in rule.content])
        digest = hashlib.sha256(content.encode()).digest()[:16]
        (times,) = seen.execute(_COUNT, (digest,)).fetchone()
        return f"{digest.hex()}-{times}"

    return name
