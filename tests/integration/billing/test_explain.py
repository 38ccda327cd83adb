"""`manage.py explain LINE`."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.fixtures.statements import DECEMBER, berlin, finalised_statement


def explain(line):
    out = StringIO()
    call_command("explain", line, stdout=out)
    return out.getvalue()


def test_a_line_is_said_in_words_with_its_tiers_and_events(busy_acme):
    finalised_statement(
        busy_acme.customer, busy_acme.version, start=DECEMBER, end=berlin(2026, 1, 1)
    )

    assert (
        explain("ACME-0003:2")
        == """\
ACME-0003, line 2: Tokens, $517.50
Acme Pictures, 1 to 31 December 2025 (Europe/Berlin)
3,500,000 tokens: 1,000,000 at 0.2 per 1,000 + 2,500,000 at 0.15 per 1,000, \
less 57.50 discount = 517.50.

  0 to 1,000,000: 1,000,000 at $0.20 per 1,000 tokens = $200.00
  Above 1,000,000: 2,500,000 at $0.15 per 1,000 tokens = $375.00
  Discount: -$57.50

Plan     Scale, version 1, price tokens
Meter    Tokens (tokens), added up over the events
Used by  Research: 2,625,000 tokens 75.0%
Used by  Studio: 875,000 tokens 25.0%
Events   18
"""
    )


def test_a_rounded_line_of_a_matrix_says_what_it_holds(acme):
    said = explain("ACME-0001:3")

    assert "Rounded from $123.114166666667" in said
    assert "Holds    model a100, region eu" in said
    assert "Events   0" in said


def test_a_fee_has_no_events(acme):
    assert "Events" not in explain("ACME-0001:1")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ACME-0001", "NUMBER:POSITION"),
        ("ACME-0001:two", "NUMBER:POSITION"),
        ("ACME-0009:1", "There is no statement ACME-0009."),
        ("ACME-0001:99", "Statement ACME-0001 has no line 99."),
    ],
)
def test_a_line_that_is_not_there_is_said(acme, line, said):
    with pytest.raises(CommandError, match=said):
        explain(line)
