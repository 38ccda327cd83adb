"""Tables from CSV and XLSX: exact or refused, every problem at its row; and back again."""

import io
import zipfile
from datetime import datetime
from decimal import Decimal as D

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.catalogue.spreadsheets import MOST_ROWS, Lost, SpreadsheetInvalid, read_table
from plans.catalogue.tables import export_table, from_content, read_rows
from plans.models import MatrixRate, Meter, Price, Tier
from plans.terms import PriceRows

GPU = Meter(key="gpu", name="GPU", dimensions=["gpu", "region"])
GRADUATED = Price(key="p", name="P", model="graduated", meter=Meter(key="m", name="M"))
PERCENT = Price(key="p", name="P", model="graduated_percentage", meter=Meter(key="m", name="M"))
MATRIX = Price(key="p", name="P", model="matrix", meter=GPU)


def xlsx(*rows, formats=None):
    """A workbook's bytes, its cells as given; ``formats`` by cell (``A2``)."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for cell, number_format in (formats or {}).items():
        book.active[cell].number_format = number_format
    found = io.BytesIO()
    book.save(found)
    return found.getvalue()


def read(content, price=GRADUATED, name="t.csv"):
    data = content.encode() if isinstance(content, str) else content
    return read_rows(read_table(data, name=name), price=price)


def said(table):
    """What is wrong, by row; under 0 what is wrong with the whole."""
    found = {row.number: list(row.problems) for row in table.rows if row.problems}
    return found | ({0: list(table.problems)} if table.problems else {})


def values(table):
    return [(tier.up_to, tier.unit_amount, tier.flat_amount) for tier in table.tiers]


GOOD = [(D(1000), D("0.04"), D(5)), (D(5000), D("0.035"), D(0)), (None, D("0.03"), D(0))]


@pytest.mark.parametrize(
    "text",
    [
        "up_to,unit,flat\n1000,0.04,5\n5000,0.035,0\n,0.03,\n",
        "\ufeffUp to;Unit;Flat\r\n1000;0.04;5\r\n5000;0.035;\r\nand above;0.03;\r\n;;\r\n",
        'flat,unit,up_to\n"5","0.04","1000"\n,0.035,5000\n0,0.03,∞\n',
    ],
)
def test_a_csv_file_becomes_tiers(text):
    table = read(text)
    assert (said(table), values(table)) == ({}, GOOD)


def test_a_sheet_becomes_tiers():
    rows = ["up_to", "unit", "flat"], [1000, 0.04, 5], ["5000", "0.035", None], [None, 0.03, 0]
    table = read(xlsx(*rows), name="T.XLSX")
    assert (said(table), values(table)) == ({}, GOOD)


@pytest.mark.parametrize(
    ("value", "number_format", "taken"),
    [
        (0.1, "General", "0.1"),
        (0.04, "0.00", "0.04"),
        (1e-07, "General", "0.0000001"),
        (123456789012345, "General", "123456789012345"),
        (1000.0, "#,##0", "1000"),
        (0.25, "0%", "25%"),
        (0.029, "0.0%", "2.9%"),
        (" 7 ", "General", "7"),
        (None, "General", ""),
    ],
)
def test_a_cell_is_what_the_sheet_shows(value, number_format, taken):
    content = xlsx(["a", "b"], [value, "x"], formats={"A2": number_format})
    assert read_table(content, name="t.xlsx")[0] == (taken, "x")


def with_number(content, *, raw):
    """The workbook with the number 7 written as Excel writes one: with all digits that it has."""
    found = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(found, "w") as new:
        for each in old.namelist():
            new.writestr(each, old.read(each).replace(b"<v>7</v>", f"<v>{raw}</v>".encode()))
    return found.getvalue()


LOST = "round it in the sheet to at most 15 digits, or write it as text."


@pytest.mark.parametrize("raw", ["0.30000000000000004", "1234567890123456789"])
def test_a_number_that_needs_more_digits_than_a_sheet_keeps_is_refused_at_its_row(raw):
    content = with_number(xlsx(["up_to", "unit"], [7, 1], [None, 2]), raw=raw)
    table = read(content, name="t.xlsx")
    problem = f"{raw} was calculated and has lost its exactness: {LOST}"
    assert said(table) == {2: [f"up_to: {problem}"]}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (True, "“true” is not a number."),
        (datetime(2026, 1, 2), "“2026-01-02 00:00:00” is a date or a time, not a number."),
        ("=1+1", "The formula has no stored result: open and save it."),
    ],
)
def test_a_cell_that_is_not_exact_is_refused_at_its_row(value, problem):
    content = xlsx(["up_to", "unit"], [value, 1], [None, 2])
    assert isinstance(read_table(content, name="t.xlsx")[0][0], Lost)
    table = read(content, name="t.xlsx")
    assert said(table) == {2: [f"up_to: {problem}"]}
    assert not table.is_good


def not_a_number(text):
    return f"unit: “{text}” is not a number of 0 or more: {NOT}"


OPEN = "Only the last tier can be open: state up to which quantity this one goes."
NOT = "write digits with at most one point, and no separators."


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("up_to,unit\n1000,\"0,04\"\n,1\n", {2: [not_a_number("0,04")]}),
        ("up_to,unit\n1000,-1\n,1\n", {2: [not_a_number("-1")]}),
        ("up_to,unit\n1000,NaN\n,1\n", {2: [not_a_number("NaN")]}),
        ("up_to,unit\n1000,5%\n,1\n", {2: ["unit: “5%” is in percent, and this is not."]}),
        ("up_to,unit\n1000,\n,1\n", {2: ["unit: It is empty: write 0 where nothing is charged."]}),
        (
            "up_to,unit\n1000,1\n,2\n5000,3\n",
            {3: [f"up_to: {OPEN}"]},
        ),
        (
            "up_to,unit\n1000,1\n500,2\n,3\n",
            {3: ["up_to: This tier ends at 500, and the one before at 1000: bounds must rise."]},
        ),
        (
            "up_to,unit\n1000,1\n1000,2\n,3\n",
            {3: ["up_to: This tier ends at 1000, and the one before at 1000: bounds must rise."]},
        ),
        (
            "up_to,unit\n1000,1\n2000,3\n",
            {3: ["up_to: Nothing is priced above 2000: leave the last tier's bound empty."]},
        ),
        (
            "up_to,unit\n0,1\n,2\n",
            {2: ["up_to: A tier cannot end at 0: state a quantity above zero."]},
        ),
        ("up_to,price\n1,1\n", {0: [
            "“price” is not a column of this price: it has up_to, unit, flat.",
            "The column “unit” is missing.",
        ]}),
        ("up_to,unit,unit\n1,1,1\n", {0: ["The column “unit” stands twice."]}),
        ("up_to,unit\n", {0: ["The file has no rows below the first."]}),
        ("up_to,unit\n,\n", {0: ["The file has no rows below the first."]}),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_row(text, problems):
    table = read(text)
    assert said(table) == problems
    assert not table.is_good


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "t.csv", "The file is empty. Its first row names the columns."),
        (b"\xff\xfe", "t.csv", "The file is not UTF-8 text. Save it as CSV UTF-8."),
        (b"a,b\n1,2,3\n", "t.csv", "Row 2 has more cells than there are columns."),
        (b"a\n" + b"1\n" * (MOST_ROWS + 1), "t.csv", "The file has more than 1,000 rows."),
        (b",".join([b"a"] * 31), "t.csv", "The file has more than 30 columns."),
        (b'a\n"b', "t.csv", "The file is not CSV: unexpected end of data."),
        (b"PK", "t.xlsx", "The file cannot be read as XLSX. Save it anew, or as CSV."),
        (b"x" * 1_000_001, "t.csv", "The file has more than 1,000,000 bytes."),
        (b"x", "t.ods", "“t.ods” is neither a .csv nor an .xlsx file. Save it as one."),
    ],
)
def test_a_file_that_is_no_table_is_refused(content, name, message):
    with pytest.raises(SpreadsheetInvalid) as refusal:
        read_table(content, name=name)
    assert refusal.value.message == message


def test_percent_tiers():
    rows = ["up_to", "percent", "flat"], [1000, 0.029, 0], [None, "2", 1]
    table = read(xlsx(*rows, formats={"B2": "0.0%"}), PERCENT, "t.xlsx")
    assert said(table) == {}
    assert [(tier.up_to, tier.percent, tier.flat_amount) for tier in table.tiers] == [
        (D(1000), D("2.9"), D(0)), (None, D(2), D(1)),
    ]  # fmt: skip


def test_rates_have_a_column_for_each_dimension():
    table = read("region,gpu,unit,label\neu,a100,4,A100 in the EU\n*,a100,3,\n,,1.5,\n", MATRIX)
    assert said(table) == {}
    assert [(rate.match, rate.unit_amount, rate.label) for rate in table.rates] == [
        (["a100", "eu"], D(4), "A100 in the EU"), (["a100", None], D(3), ""),
        ([None, None], D("1.5"), ""),
    ]  # fmt: skip
    clash = read("gpu,region,unit\na100,eu,4\na100,eu,3\n", MATRIX)
    assert said(clash) == {
        3: ["match: Rate 1 matches the same values, a100 / eu: remove one."],
    }


def test_a_dimension_may_have_the_name_of_a_column():
    meter = Meter(key="m", name="M", dimensions=["unit"])
    price = Price(key="p", name="P", model="matrix", meter=meter)
    table = read("value of unit,unit\ntokens,2\n", price)
    assert [(rate.match, rate.unit_amount) for rate in table.rates] == [(["tokens"], D(2))]


amounts = st.decimals(0, 10**17, places=12, allow_nan=False) | st.integers(0, 10**15).map(D)
bounds = st.sets(st.decimals("0.000001", 10**9, places=6) | st.integers(1, 10**9).map(D))


@given(bounds, st.data(), st.sampled_from(["csv", "xlsx"]))
def test_a_file_of_tiers_is_those_tiers(ends, data, kind):
    listed = [*sorted(ends)[:6], None]
    tiers = [
        Tier(up_to=end, unit_amount=data.draw(amounts), flat_amount=data.draw(amounts))
        for end in listed
    ]
    written = export_table(PriceRows(GRADUATED, tiers), kind=kind)
    table = read(written, name=f"t.{kind}")
    assert said(table) == {}
    assert values(table) == [(each.up_to, each.unit_amount, each.flat_amount) for each in tiers]
    assert from_content(table.content(), price=GRADUATED).rows == tuple(
        row._replace(number=number) for number, row in enumerate(table.rows, start=2)
    )


words = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]),
    min_size=1, max_size=8,
).filter(lambda text: text != "*" and text.isprintable())  # fmt: skip


@given(st.lists(st.tuples(words, words, words), max_size=5, unique_by=lambda row: row[:2]),
       st.sampled_from(["csv", "xlsx"]))  # fmt: skip
def test_a_file_of_rates_is_those_rates(said_rates, kind):
    rates = [MatrixRate(match=[a, b], unit_amount=D("0.5"), label=c) for a, b, c in said_rates]
    rates.append(MatrixRate(match=[None, None], unit_amount=D(1), label="=1+1"))
    table = read(export_table(PriceRows(MATRIX, (), rates), kind=kind), MATRIX, f"t.{kind}")
    assert said(table) == {}
    assert [(r.match, r.label) for r in table.rates] == [(r.match, r.label) for r in rates]
