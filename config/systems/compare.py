"""Compare a statement with the one that a pricing system must come to; pure."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from plans.catalogue.systems import ExpectedLine, ExpectedStatement


class BilledLine(NamedTuple):
    """A line as it stands on a statement; ``workspaces`` by their names in the system's file."""

    price: str
    line: str
    description: str
    quantity: Decimal
    amount: Decimal
    parts: tuple[Decimal, ...]
    workspaces: dict[str, Decimal]


class BilledStatement(NamedTuple):
    """A statement, why it is not finalised where it is not, and what its versions grant."""

    status: str
    reason: str
    total: Decimal
    lines: tuple[BilledLine, ...]
    features: frozenset[str] = frozenset()


def differences(
    billed: Sequence[BilledStatement],
    expected: Sequence[ExpectedStatement],
    *,
    features: Sequence[str] = (),
) -> list[str]:
    """Return each difference between statements, month by month, in words.

    Where ``features`` are stated, the versions that priced each statement must grant just them.
    """
    found = []
    if len(billed) != len(expected):
        found.append(f"{len(billed)} statements instead of {len(expected)}")
    for number, (has, wants) in enumerate(zip(billed, expected, strict=False), start=1):
        place = f"month {number}: " if len(expected) > 1 else ""
        found += [f"{place}{each}" for each in _in_statement(has, wants)]
        if features and has.features != set(features):
            said = f"{_names(has.features)} instead of {_names(features)}"
            found.append(f"{place}the features: {said}")
    return found


def _in_statement(billed: BilledStatement, expected: ExpectedStatement) -> Iterator[str]:
    if billed.status != "finalised":
        yield f"the statement is {billed.status}: {billed.reason or 'not finalised in time'}"
        return
    if len(billed.lines) != len(expected.lines):
        yield f"{len(billed.lines)} lines instead of {len(expected.lines)}"
    for line, wanted in zip(billed.lines, expected.lines, strict=False):
        yield from (f"{wanted.description}: {each}" for each in _in_line(line, wanted))
    if billed.total != expected.total:
        yield f"the total: {_said(billed.total)} instead of {_said(expected.total)}"


def _in_line(line: BilledLine, wanted: ExpectedLine) -> Iterator[str]:
    pairs: list[tuple[str, object, object]] = [
        ("description", line.description, wanted.description),
        ("price", line.price, wanted.price),
        ("rate", line.line, wanted.line),
        ("quantity", line.quantity, wanted.quantity),
        ("amount", line.amount, wanted.amount),
    ]
    if wanted.parts:
        pairs.append(("quantities of the parts", line.parts, wanted.parts))
    if wanted.workspaces:
        pairs.append(("shares of workspaces", line.workspaces, wanted.workspaces))
    for name, has, wants in pairs:
        if has != wants:
            yield f"the {name}: {_said(has)} instead of {_said(wants)}"


def _names(keys: Iterable[str]) -> str:
    return ", ".join(sorted(keys)) or "none"


def _said(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_said, value)) or "nothing"
    if isinstance(value, dict):
        return ", ".join(f"{key} {each}" for key, each in sorted(value.items())) or "nothing"
    return f"{value.normalize():f}" if isinstance(value, Decimal) else f"“{value}”"
