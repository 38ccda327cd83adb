"""A statement with its explained lines, as plain values, in a fixed number of queries."""

from decimal import Decimal as D

from billing.models import Statement
from billing.queries.pages import explained_line, statement_page

TOKENS_IN_WORDS = (
    "3,500,000 tokens: 1,000,000 at 0.2 per 1,000 + 2,500,000 at 0.15 per 1,000, "
    "less 57.50 discount = 517.50"
)
GPU_IN_WORDS = (
    "A100 in the EU, 147,737 seconds: 147,737 at 3 per 3,600 = 123.114166666667, rounded to 123.11"
)


def stored(statement):
    return Statement.objects.select_related("customer").get(pk=statement.pk)


def test_a_page_has_every_line_with_its_amount(acme):
    page = statement_page(statement=stored(acme.october))

    assert [(line.position, line.description, str(line.amount)) for line in page.charges] == [
        (1, "Platform fee", "$49.00"),
        (2, "Tokens", "$517.50"),
        (3, "A100 in the EU", "$123.11"),
        (4, "H100", "$97.50"),
        (5, "Images", "$46.90"),
        (6, "Renders", "$15.00"),
        (7, "Marketplace fee", "$35.00"),
    ]
    assert page.adjustments == ()
    assert str(page.head.total) == "$884.01"
    assert page.head.number == "ACME-0001"
    assert str(page.head.span) == "October 2025"
    assert page.head.zone == "Europe/Berlin"


def test_lines_say_in_words_how_they_came_about(acme):
    page = statement_page(statement=stored(acme.october))

    assert [line.words for line in page.charges] == [
        "Platform fee: 49.00 flat = 49.00",
        TOKENS_IN_WORDS,
        GPU_IN_WORDS,
        "H100, 54,000 seconds: 54,000 at 6.5 per 3,600 = 97.50",
        "12,345 images, 10,000 of them included: 2,345 at 0.02 = 46.90",
        "250 renders: 3 packages of 100 at 5 = 15.00",
        "1,200 USD: 2.5% of 1,200, plus 5.00 to the minimum = 35.00",
    ]


def test_a_line_has_its_tiers_plan_meter_and_workspaces(acme):
    line = explained_line(statement=stored(acme.october), position=2)

    assert [(row.label, str(row.quantity), row.rate, str(row.amount)) for row in line.parts] == [
        ("0 to 1,000,000", "1,000,000", "$0.20 per 1,000 tokens", "$200.00"),
        ("Above 1,000,000", "2,500,000", "$0.15 per 1,000 tokens", "$375.00"),
    ]
    assert [(row.label, str(row.amount)) for row in line.changes] == [("Discount", "-$57.50")]
    assert [(row.name, str(row.quantity), row.share) for row in line.shares] == [
        ("Research", "2,625,000 tokens", "75.0%"),
        ("Studio", "875,000 tokens", "25.0%"),
    ]
    assert str(line.plan) == "Scale, version 1"
    assert line.meter.key == "tokens"
    assert not line.is_rounded


def test_a_matrix_line_names_the_dimension_values_of_its_events(acme):
    line = explained_line(statement=stored(acme.october), position=4)

    assert line.holds == ("model h100, region eu", "model h100, region us")


def test_a_correction_says_what_stood_and_what_it_comes_to_now(acme):
    page = statement_page(statement=stored(acme.november))

    (line,) = page.adjustments
    assert line.words == (
        "October 2025 now comes to $66.90; $46.90 was billed on ACME-0001; the difference is $20.00"
    )
    assert (str(line.billed), str(line.rated), str(line.amount)) == ("$46.90", "$66.90", "$20.00")
    assert line.quantity.value == D(1000)
    assert str(page.head.charges_total) == "$884.01"
    assert str(page.head.adjustments_total) == "$20.00"
    assert str(page.head.total) == "$904.01"


def test_a_page_takes_two_queries_however_many_lines(acme, django_assert_num_queries):
    statement = stored(acme.november)

    with django_assert_num_queries(2):
        statement_page(statement=statement)


def test_pages_continue_where_the_one_before_ended(acme):
    statement = stored(acme.october)

    first = statement_page(statement=statement, limit=5)
    second = statement_page(statement=statement, after=first.after, limit=5)

    assert [line.position for line in first.charges] == [1, 2, 3, 4, 5]
    assert [line.position for line in second.charges] == [6, 7]
    assert (first.after, second.after) == (5, None)
