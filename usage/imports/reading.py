"""Read the rows of a CSV file as a stream, so that one bad row never hides the next."""

import csv
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from plans.errors import OperationError, Problem
from usage.imports.column_map import ColumnMap

_SHOWN_LENGTH_MAX = 100


class FileRefused(OperationError):
    """The file cannot be read at all, or its columns are not those that the map names."""

    code = "file_refused"


class RowFault(NamedTuple):
    """Why a row is not taken: a stable code, the column at fault, its value, the cause."""

    code: str
    field: str
    value: str
    cause: str


class Row(NamedTuple):
    """One row of the file: the line that it starts on, and its values, or why it has none."""

    line: int
    cells: dict[str, str]
    fault: RowFault | None = None


def digest_of(path: Path, job_map: ColumnMap) -> str:
    """Return the SHA-256 of the file's content and the map. Raises FileRefused."""
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256")
    except OSError as error:
        raise _unreadable(path, error) from error
    found.update(job_map.canonical())
    return found.hexdigest()


@contextmanager
def opened(path: Path, job_map: ColumnMap) -> Iterator[Iterator[Row]]:
    """Open the file and check its columns; give its rows, blank lines left out.

    Raises FileRefused where the file cannot be read, has no header, or lacks a column.
    """
    with _open(path, job_map) as stream:
        reader = _reader(stream, job_map)
        header = _header(reader)
        _check_header(header, job_map)
        yield _rows(reader, header)


def unused_columns(path: Path, job_map: ColumnMap) -> list[str]:
    """Return the file's columns that the map does not read. Raises FileRefused."""
    with _open(path, job_map) as stream:
        header = _header(_reader(stream, job_map))
    used = {name for _, name in job_map.columns()}
    return [shown(name) for name in header if name not in used]


def _open(path: Path, job_map: ColumnMap) -> TextIO:
    name = job_map.csv.encoding
    encoding = "utf-8-sig" if name.lower().replace("_", "-") in {"utf-8", "utf8"} else name
    try:
        # What is not text in that encoding is kept as it is, and found in its own row.
        return path.open(encoding=encoding, errors="surrogateescape", newline="")
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> FileRefused:
    return FileRefused(f"The file cannot be read: {error.strerror}.", field=path.name)


def _reader(stream: TextIO, job_map: ColumnMap) -> Any:
    return csv.reader(stream, delimiter=job_map.csv.delimiter, strict=True)


def _header(reader: Any) -> list[str]:
    try:
        return next(reader, [])
    except csv.Error as error:
        raise FileRefused(f"The first line cannot be read: {error}.", field="line 1") from error


def _rows(reader: Any, header: list[str]) -> Iterator[Row]:
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            cause = f"lines {line} to {reader.line_num} are not a row of a CSV file: {error}"
            yield Row(line, {}, RowFault("malformed_row", "", "", cause))
            continue
        if cells:
            yield _row(line, cells, header)


def _row(line: int, cells: list[str], header: list[str]) -> Row:
    if len(cells) != len(header):
        cause = f"the row has {len(cells)} fields, and the header {len(header)}"
        return Row(line, {}, RowFault("field_count", "", shown(",".join(cells)), cause))
    named = dict(zip(header, cells, strict=True))
    for name, value in named.items():
        if not value.isascii() and any("\udc80" <= char <= "\udcff" for char in value):
            cause = "it is not text in the file's encoding"
            return Row(line, {}, RowFault("encoding", name, shown(value), cause))
    return Row(line, named)


def shown(value: str) -> str:
    """Return a value as it may be printed and stored: bounded, and text for certain."""
    text = value.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\0")
    return text if len(text) <= _SHOWN_LENGTH_MAX else f"{text[:_SHOWN_LENGTH_MAX]}…"


def _check_header(header: list[str], job_map: ColumnMap) -> None:
    if not any(header):
        raise FileRefused("The file is empty: its first line names the columns.", field="line 1")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        said = f"The first line names the column “{shown(twice[0])}” twice."
        raise FileRefused(said, field=shown(twice[0]))
    known = ", ".join(shown(name) for name in header)
    problems = tuple(
        Problem("unknown_column", field, f"The file has no column “{name}”. Its columns: {known}.")
        for field, name in job_map.columns()
        if name not in header
    )
    if problems:
        listed = "\n".join(f"{problem.field}: {problem.message}" for problem in problems)
        raise FileRefused(listed, field=problems[0].field, problems=problems)
