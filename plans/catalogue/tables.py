"""A price's tiers or rates as a table: one row for each, to and from CSV and XLSX."""

import copy
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final, NamedTuple

import tablib
from import_export import resources, widgets
from import_export.fields import Field

from plans import rating
from plans.catalogue.rows import ANY
from plans.catalogue.spreadsheets import FORMATS, Lost, SpreadsheetInvalid
from plans.catalogue.stated import amount_text
from plans.models import MatrixRate, Price, Tier
from plans.models.prices import RATED_MODELS, TIERED_MODELS, ChargeModel
from plans.operations.versions import clean_problems
from plans.terms import PriceRows, price_value

_AMOUNT: Final = re.compile(r"^(0|[1-9][0-9]{0,17})(\.[0-9]{1,12})?$")
_ABOVE: Final = frozenset({"", "and above", "∞"})
_OF_TIERS: Final = {"up_to": "up_to", "unit_amount": "unit", "flat_amount": "flat"}
_PROBLEM: Final = re.compile(r"^(?:tiers|rates)\[(\d+)\]\.?(.*)$")


class Amount(widgets.Widget):  # type: ignore[misc]
    """A number of 0 or more, exactly as it is written."""

    percent = False

    def __init__(self, *, empty: str = "") -> None:
        super().__init__()
        self._empty = empty

    def clean(self, value: Any, *_: Any, **_given: Any) -> Decimal:
        """Return the number. Raises ValueError with what is wrong."""
        if isinstance(value, Lost):
            raise ValueError(value.problem)
        text = str(value or self._empty).strip()
        if not text:
            raise ValueError("It is empty: write 0 where nothing is charged.")
        if text.endswith("%"):
            if not self.percent:
                raise ValueError(f"“{text}” is in percent, and this is not.")
            text = text[:-1].strip()
        if not _AMOUNT.match(text):
            raise ValueError(
                f"“{text}” is not a number of 0 or more: write digits with at most one point, and "
                "no separators."
            )
        return Decimal(text)

    def render(self, value: Any, *_: Any, **_given: Any) -> str:
        """Return the number without the zeros that its column pads it with."""
        return "" if value is None else amount_text(value)


class Percent(Amount):
    """A percentage: 25, or 25%."""

    percent = True


class Bound(Amount):
    """Where a tier ends; nothing for the last one."""

    def clean(self, value: Any, *_: Any, **_given: Any) -> Any:
        """Return the bound, None for "and above"."""
        if not isinstance(value, Lost) and str(value or "").strip().lower() in _ABOVE:
            return None
        return super().clean(value)


class Text(widgets.Widget):  # type: ignore[misc]
    """Words as they are."""

    def clean(self, value: Any, *_: Any, **_given: Any) -> str:
        """Return the words."""
        return str(value or "").strip()


class TierTable(resources.Resource):  # type: ignore[misc]
    """Tiers with a price of a unit."""

    up_to = Field("up_to", "up_to", Bound())
    unit = Field("unit_amount", "unit", Amount())
    flat = Field("flat_amount", "flat", Amount(empty="0"))


class PercentTierTable(resources.Resource):  # type: ignore[misc]
    """Tiers with a percentage."""

    up_to = Field("up_to", "up_to", Bound())
    percent = Field("percent", "percent", Percent())
    flat = Field("flat_amount", "flat", Amount(empty="0"))


class Value(Field):  # type: ignore[misc]
    """The value of one dimension of a rate: ``*``, or nothing, matches any."""

    def __init__(self, place: int, column_name: str) -> None:
        super().__init__("match", column_name, Text())
        self.place = place

    def export(self, instance: Any, **_given: Any) -> str:
        """Return the value, * for any."""
        match = instance.match
        value = match[self.place] if self.place < len(match) else None
        return ANY if value is None else value


_OPTIONAL: Final = frozenset({"flat", "label"})


class TableRow(NamedTuple):
    """A row of a file: its number there, its cells by column, and what is wrong with it."""

    number: int
    cells: tuple[str, ...]
    problems: tuple[str, ...]


class Table(NamedTuple):
    """A file as tiers or rates. ``problems`` are those of the file as a whole."""

    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    problems: tuple[str, ...]
    tiers: tuple[Tier, ...] = ()
    rates: tuple[MatrixRate, ...] = ()

    @property
    def is_good(self) -> bool:
        """Say whether the table can be stored."""
        return not self.problems and not any(row.problems for row in self.rows)

    def content(self) -> list[dict[str, str]]:
        """Return the rows as they were read, by column."""
        return [dict(zip(self.columns, row.cells, strict=True)) for row in self.rows]


def has_table(price: Price) -> bool:
    """Say whether a price has tiers or rates."""
    return price.model in TIERED_MODELS or price.model in RATED_MODELS


def columns_of(price: Price) -> dict[str, Field]:
    """Return the fields of a price's table by column, in order."""
    if price.model == ChargeModel.GRADUATED_PERCENTAGE:
        return _by_column(PercentTierTable)
    if price.model in TIERED_MODELS:
        return _by_column(TierTable)
    dimensions = price.meter.dimensions if price.meter else []
    taken = {"unit", "label"}
    names = [f"value of {name}" if name in taken else name for name in dimensions]
    found: dict[str, Field] = {name: Value(place, name) for place, name in enumerate(names)}
    return {
        **found,
        "unit": Field("unit_amount", "unit", Amount()),
        "label": Field("label", "label", Text()),
    }


def export_table(rows: PriceRows, *, kind: str) -> bytes:
    """Return a price's tiers or rates as a file; ``kind`` is csv or xlsx."""
    columns = columns_of(rows.price)
    found = tablib.Dataset(headers=list(columns))
    for row in _listed(rows):
        found.append([field.export(row) for field in columns.values()])
    data: bytes | str = FORMATS[kind]().export_data(found)
    return data if isinstance(data, bytes) else data.encode()


def cells_of(rows: PriceRows) -> list[list[str]]:
    """Return a price's tiers or rates as text, column by column."""
    columns = columns_of(rows.price)
    return [[field.export(row) for field in columns.values()] for row in _listed(rows)]


def _listed(rows: PriceRows) -> Sequence[Any]:
    if rows.price.model in RATED_MODELS:
        return rows.rates
    return sorted(rows.tiers, key=_bound)


def read_rows(dataset: tablib.Dataset, *, price: Price) -> Table:
    """Return a file's rows as tiers or rates of a price, with all that is wrong at its row."""
    fields = columns_of(price)
    names = {_normal(name): name for name in fields}
    headers = [names.get(_normal(header), header) for header in dataset.headers or ()]
    problems = _header_problems(headers, fields)
    if problems:
        return Table(tuple(headers), (), tuple(problems))
    listed = [dict(zip(headers, row, strict=True)) for row in dataset]
    numbered = [(index, row) for index, row in enumerate(listed, start=2) if any(row.values())]
    if not numbered:
        return Table(tuple(headers), (), ("The file has no rows below the first.",))
    built = [(number, row, *_built(price, row, fields)) for number, row in numbered]
    return _checked(price, tuple(headers), built)


def from_content(content: Sequence[Mapping[str, str]], *, price: Price) -> Table:
    """Return rows as ``Table.content`` gave them. Raises SpreadsheetInvalid where they are not."""
    columns = list(content[0]) if content else []
    if any(list(row) != columns for row in content):
        raise SpreadsheetInvalid("The rows did not arrive whole. Upload the file again.")
    dataset = tablib.Dataset(headers=columns)
    for row in content:
        dataset.append([str(row[name]) for name in columns])
    return read_rows(dataset, price=price)


def _by_column(table: Any) -> dict[str, Field]:
    return {field.column_name: field for field in table().get_export_fields()}


def _normal(name: str) -> str:
    return re.sub(r"[\s_]+", " ", name.strip().lower())


def _header_problems(headers: Sequence[str], fields: Mapping[str, Field]) -> list[str]:
    known = ", ".join(fields)
    found = [
        f"“{name}” is not a column of this price: it has {known}."
        for name in headers
        if name not in fields
    ]
    found += [
        f"The column “{name}” stands twice." for name in {*headers} if headers.count(name) > 1
    ]
    missing = [name for name in fields if name not in headers and name not in _OPTIONAL]
    return found + [f"The column “{name}” is missing." for name in missing]


def _built(
    price: Price, cells: Mapping[str, str], fields: Mapping[str, Field]
) -> tuple[Any, list[str]]:
    """Return a row as a tier or a rate, and what is wrong with its cells."""
    tiered = price.model in TIERED_MODELS
    row: Any = Tier() if tiered else MatrixRate(match=[], unit_amount=Decimal(0))
    problems = []
    for name, field in fields.items():
        if name not in cells:
            continue
        try:
            value = field.clean(cells)
        except ValueError as error:
            problems.append(f"{name}: {error}")
            continue
        if isinstance(field, Value):
            row.match.append(None if value in {"", ANY} else value)
        else:
            setattr(row, field.attribute, value)
    return row, problems


def _bound(tier: Tier) -> tuple[bool, Decimal]:
    return tier.up_to is None, tier.up_to or Decimal(0)


def _checked(price: Price, headers: tuple[str, ...], built: Sequence[Any]) -> Table:
    """Add what the rating engine and the columns find wrong to the rows that it is about."""
    rows = [row for _, _, row, _ in built]
    tiered = price.model in TIERED_MODELS
    problems = [list(found) for *_, found in built]
    whole: list[str] = []
    if tiered and not any(problems):
        _check_order(rows, problems)
    if not any(problems):
        for problem in rating.problems(_valued(price, rows, tiered=tiered)):
            match = _PROBLEM.match(problem.field)
            if match:
                name = _OF_TIERS.get(match[2], match[2])
                problems[int(match[1])].append(f"{name}: {problem.message}")
            elif problem.field in {"tiers", "rates", "dimensions"}:
                whole.append(problem.message)
        for index, row in enumerate(rows):
            if not problems[index]:
                found = clean_problems(row, exclude=["price"])
                problems[index] += [f"{one.field}: {one.message}" for one in found]
    listed = tuple(
        TableRow(number, tuple(str(cells[name]) for name in headers), tuple(problems[index]))
        for index, (number, cells, *_) in enumerate(built)
    )
    if tiered:
        return Table(headers, listed, tuple(whole), tiers=tuple(rows))
    return Table(headers, listed, tuple(whole), rates=tuple(rows))


def _check_order(tiers: Sequence[Tier], problems: Sequence[list[str]]) -> None:
    """Find tiers that do not stand in order; the rating engine would see them sorted."""
    for index, (tier, following) in enumerate(pairwise(tiers)):
        if tier.up_to is None:
            problems[index].append(
                "up_to: Only the last tier can be open: state up to which quantity this one goes."
            )
        elif following.up_to is not None and following.up_to <= tier.up_to:
            problems[index + 1].append(
                f"up_to: This tier ends at {amount_text(following.up_to)}, and the one before at "
                f"{amount_text(tier.up_to)}: bounds must rise."
            )


def _valued(price: Price, rows: Sequence[Any], *, tiered: bool) -> rating.Price:
    unsaved = copy.copy(price)
    return price_value(PriceRows(unsaved, rows, ()) if tiered else PriceRows(unsaved, (), rows))
