"""What Beat and workers run. A task is only a nudge: the due rows are the work.

Each is safe to run twice and at the same time as another: statements are claimed. A task that
stops at its time limit with work left sends itself again.
"""

from datetime import datetime, timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from billing import runs
from billing.alerts import sending
from billing.alerts.noticing import alert_spend, customers_to_look_at, forget_days
from billing.alerts.sending import customers_to_tell
from billing.credits.allotting import allot_credit
from billing.credits.expiring import expire_grants
from billing.credits.holding import expire_holds
from billing.credits.low_balance import notice_low_balances, pools_to_watch
from billing.credits.prepaid import grant_prepaid
from billing.credits.telling import send_low_balance, unsent_low_balances
from billing.credits.topping_up import pools_to_top_up, top_up
from billing.dry_runs.running import abandoned_runs, run_dry_run
from billing.jobs.drawn import draw_for_jobs
from billing.jobs.sweeping import PAGE, expire_silent
from billing.ledger.checks import check_ledger
from billing.locks import Scope
from billing.models import Statement
from billing.outcome_links import note_due_requests, send_noted_requests
from billing.spend import sweeping
from billing.spend.rating import rate_spend
from billing.statements.opening import open_statements
from billing.statements.sweeping import sweep_credit
from billing.statements.verify import Difference, verify_statements
from billing.webhooks.sending import deliver_due
from billing.webhooks.telling import tell_of_jobs

SECONDS_MAX = 240
SWEEP_SECONDS_MAX = 20
TASKS_MAX = 8
ALERT_PAGE = 1000


def scope_of(customer_ids: list[int] | None) -> Scope:
    """Return the scope of a task's argument: some customers, or everyone."""
    return Scope(customer_ids=customer_ids)


@shared_task
def open_and_draft(customer_ids: list[int] | None = None) -> None:
    """Open a statement for every period that has ended, and set workers to draft them.

    What prepaid commitments have come to is granted first, so that their usage draws on it.
    """
    now = timezone.now()
    grant_prepaid(now=now, customer_ids=customer_ids)
    open_statements(until=now, scope=scope_of(customer_ids))
    for _ in range(_workers_for(Statement.Status.DUE)):
        draft.delay(customer_ids)


@shared_task
def draft(customer_ids: list[int] | None = None) -> None:
    """Draft statements that are due until none is left or the time is up."""
    report = runs.draft_due(
        now=timezone.now(), seconds_max=SECONDS_MAX, scope=scope_of(customer_ids)
    )
    if not report.finished:
        draft.delay(customer_ids)


@shared_task
def refresh(customer_ids: list[int] | None = None) -> None:
    """Build drafts in their grace time again with the usage that has come since."""
    report = runs.refresh_drafts(
        now=timezone.now(), seconds_max=SECONDS_MAX, scope=scope_of(customer_ids)
    )
    if not report.finished:
        refresh.delay(customer_ids)


@shared_task
def finalise_due(customer_ids: list[int] | None = None) -> None:
    """Set workers to finalise the statements whose grace time is over."""
    for _ in range(_workers_for(Statement.Status.DRAFT)):
        finalise.delay(customer_ids)


@shared_task
def finalise(customer_ids: list[int] | None = None) -> None:
    """Finalise statements until none is left or the time is up."""
    report = runs.finalise_due(
        now=timezone.now(), seconds_max=SECONDS_MAX, scope=scope_of(customer_ids)
    )
    if not report.finished:
        finalise.delay(customer_ids)


@shared_task
def retry_parked() -> None:
    """Let the customers that were parked be tried again; success clears them."""
    runs.retry_parked()


@shared_task
def dry_run(run_id: int) -> None:
    """Work on a dry run until it is finished or the time is up."""
    if run_dry_run(run_id=run_id, now=timezone.now(), seconds_max=SECONDS_MAX):
        dry_run.delay(run_id)


@shared_task
def continue_dry_runs() -> None:
    """Set workers to the dry runs that none has in hand."""
    for run_id in abandoned_runs(now=timezone.now()):
        dry_run.delay(run_id)


@shared_task(ignore_result=True)
def sweep_spend() -> None:
    """Rate the spend of customers with new usage, unless another worker does; then alert them."""
    now = timezone.now()
    rated = sweeping.sweep_spend(now=now, seconds_max=SWEEP_SECONDS_MAX).rated
    draw_for_jobs(customer_ids=rated, now=now)
    for start in range(0, len(rated), ALERT_PAGE):
        for customer_id in alert_spend(customer_ids=rated[start : start + ALERT_PAGE], now=now):
            send_alerts.delay(customer_id)


@shared_task(ignore_result=True)
def rate_customers(customer_ids: list[int]) -> None:
    """Rate the spend of customers at once, without waiting for the sweep."""
    now = timezone.now()
    rate_spend(customer_ids=customer_ids, now=now)
    draw_for_jobs(customer_ids=customer_ids, now=now)


@shared_task
def expire_jobs() -> None:
    """End the jobs that fell silent; what is left after a page is found by the next run."""
    while expire_silent(now=timezone.now()).expired == PAGE:
        pass


@shared_task
def expire_credit() -> None:
    """End the holds whose time is up, then expire the credit whose time is up."""
    now = timezone.now()
    while expire_holds(now=now):
        pass
    while expire_grants(now=now):
        pass


@shared_task
def draw_credit() -> None:
    """Grant what plans allot, and draw what usage has come to since it was last looked at.

    Then packs are bought for the pools that are low, and somebody is told of those that stay so.
    """
    now, after = timezone.now(), 0
    allot_credit(now=now)
    while (last := sweep_credit(now=now, after=after)) is not None:
        after = last
    refill(now=now)


def refill(*, now: datetime) -> None:
    """Buy packs for the pools that are low, store alerts of those that stay so, and mail these."""
    after = 0
    while page := pools_to_top_up(now=now, after=after):
        top_up(pool_ids=page, now=now)
        after = page[-1]
    after = 0
    while page := pools_to_watch(after=after):
        notice_low_balances(pool_ids=page, now=now)
        after = page[-1]
    for alert_id in unsent_low_balances(now=now):
        tell_of_low_balance.delay(alert_id)


@shared_task
def tell_of_low_balance(alert_id: int) -> None:
    """Mail one alert of a low balance."""
    send_low_balance(alert_id=alert_id, now=timezone.now())


@shared_task
def check_the_ledger() -> None:
    """Prove the ledger; fail with the first fault."""
    for fault in check_ledger():
        raise LedgerFaulty(f"{fault.where}: {fault.what}")


class LedgerFaulty(Exception):
    """The ledger does not add up; ``check_ledger`` lists all."""


@shared_task
def ask_for_verification() -> None:
    """Send customers a link to outcomes that came since they were last asked; none without URL."""
    if not settings.PUBLIC_URL:
        return
    now = timezone.now()
    note_due_requests(now=now)
    send_noted_requests(base=settings.PUBLIC_URL, now=now)


@shared_task
def verify() -> None:
    """Build all finalised statements again from their facts; fail with the first difference."""
    for found in verify_statements():
        if isinstance(found, Difference):
            raise StatementsDiffer(f"{found.number}: {found.what}")


class StatementsDiffer(Exception):
    """A finalised statement is not what its facts say; ``verify_statements`` lists all."""


@shared_task
def alert_budgets(customer_ids: list[int] | None = None) -> None:
    """Store the alerts of all budgets that are due, or of some customers', and mail what waits."""
    now = timezone.now()
    after = 0
    if customer_ids is not None:
        alert_spend(customer_ids=customer_ids, now=now)
        return
    while page := customers_to_look_at(after=after, limit=ALERT_PAGE):
        alert_spend(customer_ids=page, now=now)
        after = page[-1]
    for customer_id in customers_to_tell(now=now, limit=ALERT_PAGE):
        send_alerts.delay(customer_id)


@shared_task
def send_alerts(customer_id: int) -> None:
    """Mail the alerts of a customer that wait, in order."""
    sending.send_alerts(customer_id=customer_id, now=timezone.now())


@shared_task
def deliver_webhooks() -> None:
    """Store what endpoints are to be told of jobs, then send what is due until nothing is."""
    until = timezone.now() + timedelta(seconds=SECONDS_MAX)
    while tell_of_jobs() and timezone.now() < until:
        pass
    while deliver_due(clock=timezone.now) and timezone.now() < until:
        pass


@shared_task
def forget_spend_days() -> None:
    """Delete what days came to that no forecast looks at any more."""
    forget_days(now=timezone.now())


def _workers_for(status: str) -> int:
    """Return how many tasks to send: one for each chunk of work, but at least one and few."""
    waiting = Statement.objects.filter(status=status)[: runs.CHUNK * TASKS_MAX]
    return max(1, -(-waiting.count() // runs.CHUNK))
