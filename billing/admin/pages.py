"""What the pages of a statement say: the effects of its actions, and what only finance sees."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest

from billing.models import Statement
from billing.queries.pages import head_of
from billing.runs import retry_parked
from billing.statements.operations import approve_statement
from billing.wording import moment
from plans.admin.action_forms import ConfirmForm
from plans.admin.actions import ActionPage
from plans.models import Customer

NOTHING = "\N{EN DASH}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finance:
    """What finance sees beside the statement; times are in the customer's zone."""

    status: str
    parked_since: str
    parked_code: str
    parked_reason: str
    times: tuple[tuple[str, str], ...]
    hashes: tuple[tuple[str, str], ...]
    horizon: str
    has_facts: bool


def finance_of(statement: Statement) -> Finance:
    """Return what finance sees of a statement read with its customer and without its facts."""
    customer: Customer = statement.customer
    zone = customer.time_zone
    instants = (
        ("Draft due", statement.draft_due_at),
        ("Drafted", statement.drafted_at),
        ("Can be finalised from", statement.finalise_due_at),
        (_approved_by(statement), statement.approved_at),
        ("Finalised", statement.finalised_at),
    )
    hashes = (
        ("Content", statement.content_hash),
        ("Lines", statement.lines_hash),
        ("Statement before", statement.previous_hash),
    )
    return Finance(
        status=statement.get_status_display(),
        parked_since=moment(statement.parked_at, zone=zone) if statement.parked_at else "",
        parked_code=statement.parked_code,
        parked_reason=statement.parked_reason,
        times=tuple((name, moment(at, zone=zone)) for name, at in instants if at),
        hashes=tuple((name, text) for name, text in hashes if text),
        horizon=f"{statement.horizon:,}",
        has_facts=statement.drafted_at is not None,
    )


def _approved_by(statement: Statement) -> str:
    by = statement.approved_by
    return f"Approved by {by.get_username()}" if by else "Approved"


def approve_page(
    statement: Statement, *, data: Any, by: Any, now: datetime, back: str
) -> ActionPage:
    """Return the page that approves a statement."""
    head = head_of(statement)

    def run(_: dict[str, Any]) -> str:
        approve_statement(statement_id=statement.pk, by=by, now=now)
        return f"Approved: {head.customer_name}, {head.span}, {head.total}."

    return ActionPage(
        title=f"Approve {head.customer_name}, {head.span}",
        button=f"Approve {head.total}",
        form=ConfirmForm(data),
        effects=(
            f"{head.customer_name} ({head.customer_key}) is billed {head.total}.",
            f"It covers {head.span.dates} ({head.zone}), in {statement.line_count} lines.",
            "The next run gives it its number and freezes it as it stands here.",
            "Usage that arrives from now on becomes a correction on the next statement.",
        ),
        run=run,
        back=back,
    )


def retry_page(statement: Statement, *, data: Any, back: str) -> ActionPage:
    """Return the page that lets a parked statement be tried again."""
    head = head_of(statement)

    def run(_: dict[str, Any]) -> str:
        retry_parked(statement_ids=[statement.pk])
        return f"{head.customer_name}, {head.span}, is tried again by the next run."

    return ActionPage(
        title=f"Retry {head.customer_name}, {head.span}",
        button="Retry",
        form=ConfirmForm(data),
        effects=(
            f"It was set aside: {statement.parked_reason}",
            "The next run builds it again. If the cause is not mended, it is set aside again.",
        ),
        run=run,
        back=back,
    )


def page_position(request: HttpRequest) -> int:
    """Return the line after which the page goes on. Raises Http404 for what none has offered."""
    text = request.GET.get("after", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Http404
    return int(text)
