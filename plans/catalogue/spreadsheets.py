"""CSV and XLSX files as tables of text that is exactly what the person who made them sees.

A number in XLSX is a binary float. Excel keeps and shows 15 digits of it: a number that needs no
more is taken as those digits. One that needs more, as 0.1 + 0.2 does, was calculated and has lost
its exactness: it is refused. A cell that is shown in percent counts as it is shown, 25% as "25%".
"""

import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import tablib
from import_export.formats.base_formats import CSV, XLSX

from plans.errors import OperationError
from plans.grant_values import plain

MOST_BYTES: Final = 1_000_000
MOST_UNPACKED: Final = 20_000_000
MOST_ROWS: Final = 1000
MOST_COLUMNS: Final = 30
_DIGITS: Final = 15


class SpreadsheetInvalid(OperationError):
    """The file cannot be read as a table; nothing was stored."""

    code = "spreadsheet_invalid"


class Lost(str):
    """The text of a cell that cannot be taken, with what is wrong with it."""

    problem: str

    def __new__(cls, text: str, problem: str) -> "Lost":
        """Return the text with its problem."""
        found = super().__new__(cls, text)
        found.problem = problem
        return found


class ExactCSV(CSV):  # type: ignore[misc]
    """CSV in UTF-8, with commas or, where the first line has none, semicolons."""

    def create_dataset(self, in_stream: bytes, **_given: Any) -> tablib.Dataset:
        """Return the file's cells as text. Raises SpreadsheetInvalid."""
        try:
            text = in_stream.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise SpreadsheetInvalid("The file is not UTF-8 text. Save it as CSV UTF-8.") from error
        first = text.split("\n", 1)[0]
        delimiter = ";" if ";" in first and "," not in first else ","
        try:
            rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
            return _dataset([cell.strip() for cell in row] for row in rows)
        except csv.Error as error:
            raise SpreadsheetInvalid(f"The file is not CSV: {error}.") from error


class ExactXLSX(XLSX):  # type: ignore[misc]
    """The first sheet that is open in an XLSX file."""

    def create_dataset(self, in_stream: bytes) -> tablib.Dataset:
        """Return the sheet's cells as text. Raises SpreadsheetInvalid."""
        return _dataset(
            [_cell(cell, formula) for cell, formula in zip(row, formulas, strict=False)]
            for row, formulas in zip(
                _rows(in_stream, data_only=True), _rows(in_stream, data_only=False), strict=False
            )
        )

    def export_data(self, dataset: tablib.Dataset, **_given: Any) -> bytes:
        """Return a workbook; what begins with = stays text, and long numbers become text."""
        from openpyxl import Workbook

        book = Workbook(write_only=False)
        sheet: Any = book.active
        for row, values in enumerate([dataset.headers, *dataset], start=1):
            for column, value in enumerate(values, start=1):
                cell = sheet.cell(row=row, column=column)
                cell.value = _number(value) if row > 1 else value
                if isinstance(cell.value, str):
                    cell.data_type = "s"
        found = io.BytesIO()
        book.save(found)
        return found.getvalue()


FORMATS: Final[dict[str, Any]] = {"csv": ExactCSV, "xlsx": ExactXLSX}


def read_table(content: bytes, *, name: str) -> tablib.Dataset:
    """Return a file's table of text under its first row's names. Raises SpreadsheetInvalid."""
    kind = name.lower().rpartition(".")[2]
    if kind not in FORMATS:
        raise SpreadsheetInvalid(f"“{name}” is neither a .csv nor an .xlsx file. Save it as one.")
    if len(content) > MOST_BYTES:
        raise SpreadsheetInvalid(f"The file has more than {MOST_BYTES:,} bytes.")
    found: tablib.Dataset = FORMATS[kind]().create_dataset(content)
    return found


def _dataset(rows: Iterator[Sequence[str]]) -> tablib.Dataset:
    found = tablib.Dataset()
    headers = [_header(cell) for cell in next(rows, ())]
    while headers and not headers[-1]:
        headers.pop()
    if not headers:
        raise SpreadsheetInvalid("The file is empty. Its first row names the columns.")
    if len(headers) > MOST_COLUMNS:
        raise SpreadsheetInvalid(f"The file has more than {MOST_COLUMNS} columns.")
    found.headers = headers
    for number, row in enumerate(rows, start=2):
        if number > MOST_ROWS + 1:
            raise SpreadsheetInvalid(f"The file has more than {MOST_ROWS:,} rows.")
        cells = [*row, *[""] * (len(headers) - len(row))]
        if any(cells[len(headers) :]):
            raise SpreadsheetInvalid(f"Row {number} has more cells than there are columns.")
        found.append(cells[: len(headers)])
    return found


def _header(text: str) -> str:
    return str(text).strip()


def _rows(content: bytes, *, data_only: bool) -> Iterator[Sequence[Any]]:
    import openpyxl

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            if sum(each.file_size for each in packed.infolist()) > MOST_UNPACKED:
                raise SpreadsheetInvalid("The file is too large when it is unpacked.")
        book = openpyxl.load_workbook(
            io.BytesIO(content), read_only=True, data_only=data_only, keep_links=False
        )
        sheet: Any = book.active
        if sheet is None or not hasattr(sheet, "iter_rows"):
            raise SpreadsheetInvalid("The file has no sheet with cells open.")
        sheet.reset_dimensions()
        yield from sheet.iter_rows(max_col=MOST_COLUMNS + 1)
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError) as error:
        message = "The file cannot be read as XLSX. Save it anew, or as CSV."
        raise SpreadsheetInvalid(message) from error


def _cell(cell: Any, formula: Any) -> str:
    """Return what a cell shows, as text."""
    value = cell.value
    if value is None:
        if formula.value is not None:
            return Lost(str(formula.value), "The formula has no stored result: open and save it.")
        return ""
    if isinstance(value, bool):
        return Lost(str(value).lower(), f"“{str(value).lower()}” is not a number.")
    if isinstance(value, int | float):
        return _shown(Decimal(repr(value)), percent="%" in (cell.number_format or ""))
    if isinstance(value, str):
        return value.strip()
    return Lost(str(value), f"“{value}” is a date or a time, not a number.")


def _shown(value: Decimal, *, percent: bool) -> str:
    digits = "".join(map(str, plain(value).as_tuple().digits)).strip("0")
    if len(digits) > _DIGITS:
        problem = (
            f"{value:f} was calculated and has lost its exactness: round it in the sheet to "
            f"at most {_DIGITS} digits, or write it as text."
        )
        return Lost(f"{value:f}", problem)
    return f"{plain(value * 100):f}%" if percent else f"{plain(value):f}"


def _number(value: Any) -> Any:
    """Return text that is a number of at most 15 digits as one, for the sheet to count with."""
    text = str(value)
    if not text.replace(".", "", 1).isdecimal() or not text.isascii():
        return text
    number = Decimal(text)
    return number if len(number.as_tuple().digits) <= _DIGITS and f"{number:f}" == text else text
