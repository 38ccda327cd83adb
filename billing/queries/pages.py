"""One statement with its explained lines, in a fixed number of queries."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from django.db.models import QuerySet

from billing.models import Statement, StatementLine
from billing.queries.explained import ExplainedLine, MeterRef, Names, PlanRef, explained
from billing.statements.values import Explanation, Line
from billing.wording import Money, Span, day_of, moment
from plans.grant_values import plain
from plans.models import Customer, Meter, Plan, PlanVersion, Workspace
from plans.rating.money import minus

LINES_PER_PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What stands at the top of a statement, and in a row of a list of them."""

    id: int
    number: str
    customer_key: str
    customer_name: str
    span: Span
    status: str
    status_words: str
    total: Money
    charges_total: Money
    adjustments_total: Money
    finalised_at: datetime | None
    finalise_due_at: datetime

    @property
    def zone(self) -> str:
        """Return the customer's billing time zone."""
        return self.span.zone

    @property
    def final_since(self) -> str:
        """Return since when the statement no longer changes."""
        return moment(self.finalised_at, zone=self.zone) if self.finalised_at else ""

    @property
    def final_from(self) -> str:
        """Return the day from which the statement can be finalised."""
        return day_of(self.finalise_due_at, zone=self.zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementPage:
    """A statement and a page of its lines; ``after`` is the position to go on from."""

    head: Head
    charges: tuple[ExplainedLine, ...]
    adjustments: tuple[ExplainedLine, ...]
    line_count: int
    after: int | None

    @property
    def changes_plan(self) -> bool:
        """Say whether a line covers a part of the period only, so that spans are shown."""
        return any(line.span != self.head.span for line in self.charges)


def head_of(statement: Statement) -> Head:
    """Return a statement's head; its customer must have been read with it."""
    customer: Customer = statement.customer
    currency = statement.currency
    return Head(
        id=statement.pk,
        number=statement.number or "",
        customer_key=customer.key,
        customer_name=customer.name,
        span=Span(statement.period_start, statement.period_end, customer.time_zone),
        status=statement.status,
        status_words=Statement.Status(statement.status).label,
        total=Money(statement.total, currency),
        charges_total=Money(minus(statement.total, statement.adjustments_total), currency),
        adjustments_total=Money(statement.adjustments_total, currency),
        finalised_at=statement.finalised_at,
        finalise_due_at=statement.finalise_due_at,
    )


def statement_page(*, statement: Statement, after: int = 0, limit: int = 0) -> StatementPage:
    """Return a statement with its lines beyond the position ``after``, in two queries."""
    limit = limit or LINES_PER_PAGE
    rows = list(_rows(statement).filter(position__gt=after)[: limit + 1])
    lines = _explained_rows(rows[:limit], statement=statement)
    return StatementPage(
        head=head_of(statement),
        charges=tuple(line for line in lines if not line.is_adjustment),
        adjustments=tuple(line for line in lines if line.is_adjustment),
        line_count=statement.line_count,
        after=rows[limit - 1].position if len(rows) > limit else None,
    )


def explained_line(*, statement: Statement, position: int) -> ExplainedLine:
    """Return one line of a statement. Raises StatementLine.DoesNotExist."""
    row = _rows(statement).get(position=position)
    return _explained_rows([row], statement=statement)[0]


def line_value(row: StatementLine) -> Line:
    """Return a stored line as the value it was built as; its meter must have been read with it."""
    meter: Meter | None = row.meter
    return Line(
        kind=row.kind,
        origin=row.origin_id,
        version=row.version_id,
        meter=meter.key if meter else None,
        price_key=row.price_key,
        line_key=row.line_key,
        description=row.description,
        start=row.period_start,
        end=row.period_end,
        unit=row.unit,
        usage_quantity=plain(row.usage_quantity),
        quantity=plain(row.quantity),
        amount=plain(row.amount),
        explanation=msgspec.convert(row.explanation, Explanation),
    )


def names_for(
    *, meters: Iterable[Meter], versions: Iterable[PlanVersion], workspace_keys: Iterable[str]
) -> Names:
    """Return what lines refer to, in one query; versions must have been read with their plan."""
    return Names(
        meters={meter.key: _meter_ref(meter) for meter in meters},
        plans={version.pk: _plan_ref(version) for version in versions},
        workspaces=_workspace_names(workspace_keys),
    )


def _rows(statement: Statement) -> QuerySet[StatementLine]:
    lines = StatementLine.objects.filter(statement=statement)
    return lines.select_related("meter", "version__plan").order_by("position")


def _explained_rows(rows: Sequence[StatementLine], *, statement: Statement) -> list[ExplainedLine]:
    lines = [line_value(row) for row in rows]
    names = names_for(
        meters=(row.meter for row in rows if row.meter is not None),
        versions=(row.version for row in rows),
        workspace_keys={key for line in lines for key, _ in line.explanation.workspaces},
    )
    customer: Customer = statement.customer
    return [
        explained(
            line,
            position=row.position,
            currency=statement.currency,
            zone=customer.time_zone,
            names=names,
        )
        for row, line in zip(rows, lines, strict=True)
    ]


def _meter_ref(meter: Meter) -> MeterRef:
    return MeterRef(
        id=meter.pk,
        key=meter.key,
        name=meter.name,
        unit=meter.unit,
        aggregation=meter.aggregation,
        dimensions=tuple(meter.dimensions),
    )


def _plan_ref(version: PlanVersion) -> PlanRef:
    plan: Plan = version.plan
    return PlanRef(version_id=version.pk, key=plan.key, name=plan.name, number=version.number)


def _workspace_names(keys: Iterable[str]) -> Mapping[str, str]:
    return dict(Workspace.objects.filter(key__in=list(keys)).values_list("key", "name"))
