"""Write dry runs: ask for one, store what a chunk came to, and end it. Nothing else is written."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction
from django.db.models import F

from billing.dry_runs.months import Months
from billing.dry_runs.outcome import FingerprintedRow, Outcome, fingerprint
from billing.dry_runs.sample import Sample, count_candidates, subscribed_keys
from billing.models import DryRun, DryRunResult
from billing.statements.operations import ClaimLost
from plans import locks
from plans.errors import OperationError, Problem
from plans.models import Plan, PlanVersion
from plans.pricelist import publishing_problems
from plans.terms import terms_of

MONTHS_MAX = 12
CUSTOMERS_MAX = 1_000
KEPT = 20


class MonthsRefused(OperationError):
    """The months are not a range of past months that a dry run can look at."""

    code = "months_refused"


class VersionNotReady(OperationError):
    """The version's prices cannot be billed; ``problems`` lists all that is wrong with them."""

    code = "version_not_ready"


class CustomersRefused(OperationError):
    """The customers that were named are too many, or not subscribers of the plan."""

    code = "customers_refused"


class NobodySubscribed(OperationError):
    """Nobody was on the plan in these months: there is nothing to rate."""

    code = "nobody_subscribed"


def months_of(run: DryRun) -> Months:
    """Return the months that a dry run looks at."""
    return Months(run.first_month, run.last_month)


def sample_of(run: DryRun) -> Sample:
    """Return whom a dry run looks at."""
    return Sample(run.plan_id, tuple(run.customer_keys), months_of(run), run.requested_at)


@transaction.atomic
def request_dry_run(
    *,
    version: PlanVersion,
    plan: Plan,
    months: Months,
    customer_keys: Collection[str] = (),
    by: AbstractBaseUser | None,
    now: datetime,
) -> DryRun:
    """Ask for a dry run of a version on the subscribers of a plan, all or those with the keys.

    The same one that is not finished yet is returned, rather than made twice; of each version the
    newest are kept. Raises MonthsRefused, VersionNotReady, CustomersRefused, NobodySubscribed.
    """
    locks.version(version_id=version.pk)
    keys = sorted(set(customer_keys))
    _refuse_months(months, now=now)
    _refuse_unready(version)
    _refuse_customers(Sample(plan.pk, tuple(keys), months, now), plan=plan)
    run, is_new = DryRun.objects.get_or_create(
        version=version,
        plan=plan,
        first_month=months.first,
        last_month=months.last,
        customer_keys=keys,
        finished_at=None,
        defaults={
            "currency": version.currency,
            "requested_by_id": by.pk if by else None,
            "requested_at": now,
        },
    )
    if is_new:
        _forget_old(version)
    return run


def _refuse_months(months: Months, *, now: datetime) -> None:
    if months.last < months.first:
        raise MonthsRefused("The last month lies before the first.", field="last_month")
    if months.length > MONTHS_MAX:
        raise MonthsRefused(
            f"{months.length} months are too many: choose at most {MONTHS_MAX}.", field="last_month"
        )
    if months.ends_at > now:
        raise MonthsRefused(
            f"{Months(months.last, months.last)} has not ended: choose an earlier month.",
            field="last_month",
        )


def _refuse_unready(version: PlanVersion) -> None:
    found = publishing_problems(version)
    if found:
        problems = tuple(Problem(one.code, one.field, one.message) for one in found)
        listed = " ".join(f"{problem.field}: {problem.message}" for problem in problems)
        raise VersionNotReady(f"The version cannot be billed yet. {listed}", problems=problems)


def _refuse_customers(sample: Sample, *, plan: Plan) -> None:
    keys = sample.customer_keys
    if len(keys) > CUSTOMERS_MAX:
        raise CustomersRefused(
            f"{len(keys):,} customers are too many to name: name at most {CUSTOMERS_MAX:,}, or "
            "none for all.",
            field="customer_keys",
        )
    missing = sorted(set(keys) - subscribed_keys(sample)) if keys else []
    if missing:
        raise CustomersRefused(
            f"Not a subscriber of {plan.name} in {sample.months}: {', '.join(missing[:10])}"
            f"{' and others' if len(missing) > 10 else ''}. Correct the keys or leave them out.",
            field="customer_keys",
        )
    if not keys and not count_candidates(sample):
        raise NobodySubscribed(
            f"Nobody was subscribed to {plan.name} in {sample.months}. Choose other months, or "
            "another plan whose subscribers the version is tried on.",
            field="plan",
        )


def _forget_old(version: PlanVersion) -> None:
    finished = DryRun.objects.filter(version=version).exclude(finished_at=None)
    old = list(finished.order_by("-id").values_list("id", flat=True)[KEPT - 1 :])
    DryRun.objects.filter(id__in=old).delete()


def start_dry_run(run: DryRun, *, now: datetime) -> DryRun:
    """Note, the first time, when a claimed run starts, which terms it tries and on how many.

    Raises ClaimLost.
    """
    if run.started_at is None:
        terms = terms_of([run.version_id])[run.version_id]
        run.started_at, run.terms_digest = now, terms.digest
        run.currency = terms.terms.currency
        run.customers_total = count_candidates(sample_of(run))
        _update(
            run,
            started_at=now,
            terms_digest=run.terms_digest,
            currency=run.currency,
            customers_total=run.customers_total,
        )
    return run


@transaction.atomic
def store_outcomes(
    run: DryRun, outcomes: Sequence[Outcome], *, done: int, of_other_currency: int, reached: int
) -> None:
    """Store what a chunk of ``done`` customers up to the id ``reached`` came to.

    Raises ClaimLost, with nothing stored, where the run is no longer ours.
    """
    rated = [outcome for outcome in outcomes if not outcome.is_failure]
    _update(
        run,
        reached_customer_id=reached,
        customers_done=F("customers_done") + done,
        customers_failed=F("customers_failed") + len(outcomes) - len(rated),
        customers_of_other_currency=F("customers_of_other_currency") + of_other_currency,
        old_total=F("old_total") + sum(outcome.old_amount or 0 for outcome in rated),
        new_total=F("new_total") + sum(outcome.new_amount or 0 for outcome in rated),
    )
    with connection.cursor() as cursor, cursor.copy(_COPY_RESULTS) as copy:
        for outcome in outcomes:
            copy.write_row((run.pk, *outcome))


_COPY_RESULTS = f"COPY billing_dryrunresult (run_id, {', '.join(Outcome._fields)}) FROM STDIN"


@transaction.atomic
def finish_dry_run(run: DryRun, *, now: datetime) -> None:
    """End a run whose customers are all done, with the fingerprint. Raises ClaimLost."""
    rows = list(_fingerprinted(run))
    _update(
        run,
        finished_at=now,
        claimed_until=None,
        customers_total=len(rows),
        customers_done=len(rows),
        fingerprint=fingerprint(
            terms_digest=run.terms_digest,
            plan_key=run.plan.key,
            customer_keys=run.customer_keys,
            months=months_of(run),
            rows=rows,
        ),
    )


def _fingerprinted(run: DryRun) -> Iterator[FingerprintedRow]:
    results = DryRunResult.objects.filter(run=run).order_by("customer__key")
    columns = ("customer__key", *FingerprintedRow._fields[1:])
    for row in results.values_list(*columns).iterator():
        yield FingerprintedRow(*row)


def fail_dry_run(run: DryRun, *, code: str, reason: str, now: datetime) -> None:
    """End a run that cannot be finished, with the reason; its results go. Raises ClaimLost."""
    with transaction.atomic():
        _update(run, finished_at=now, claimed_until=None, failure_code=code, failure_reason=reason)
        DryRunResult.objects.filter(run=run).delete()


def release_dry_run(run: DryRun) -> None:
    """Let another worker go on with a run where this one stops. Raises ClaimLost."""
    _update(run, claimed_until=None)


def _update(run: DryRun, **values: object) -> None:
    """Change a run that this worker has claimed."""
    ours = DryRun.objects.filter(id=run.pk, claimed_until=run.claimed_until, finished_at=None)
    if not ours.update(**values):
        raise ClaimLost("Another worker has taken over the dry run, or it was deleted.")
