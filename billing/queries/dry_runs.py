"""Dry runs as plain values for pages and files: totals, movers, new bounds, failures, a histogram.

Differences and shares describe amounts that rating has made; nothing is priced here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, Literal, NamedTuple

from django.db import connection
from django.db.models import Count, F, Q, QuerySet

from billing.dry_runs.months import Months
from billing.dry_runs.operations import months_of
from billing.models import DryRun, DryRunResult
from billing.wording import Money, moment
from plans.models import Plan, PlanVersion
from plans.rating.money import EXACT, minus
from plans.terms import terms_of

ROWS_MAX: Final = 50
_NO_SHARE: Final = "\N{EN DASH}"
_MINUS: Final = "\N{MINUS SIGN}"
_TENTH: Final = Decimal("0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Two amounts of one currency: by the terms in force, and by the version that was tried."""

    old: Money
    new: Money

    @property
    def amount(self) -> Decimal:
        """Return the difference, positive where the version asks for more."""
        return minus(self.new.amount, self.old.amount)

    @property
    def difference(self) -> str:
        """Write the difference with its sign."""
        sign = {-1: _MINUS, 0: "", 1: "+"}[_sign(self.amount)]
        return f"{sign}{Money(abs(self.amount), self.old.currency)}"

    @property
    def percent(self) -> str:
        """Write the difference as a share of the old amount; a dash where that is nothing."""
        if not self.old.amount:
            return _NO_SHARE
        exact = EXACT.divide(self.amount * 100, abs(self.old.amount))
        share = exact.quantize(_TENTH, rounding=ROUND_HALF_UP, context=EXACT)
        return f"{ {-1: _MINUS, 0: '', 1: '+'}[_sign(share)] }{abs(share):,}%"


class CustomerChange(NamedTuple):
    """What changes for one customer."""

    key: str
    name: str
    change: Change


class CustomerFailure(NamedTuple):
    """A customer whose usage cannot be rated; ``code`` is for programs, ``reason`` for people."""

    key: str
    name: str
    code: str
    reason: str


class UnpricedMeter(NamedTuple):
    """A meter whose usage has no price by the version, and of how many customers it had one."""

    name: str
    customers: int


class Bar(NamedTuple):
    """How many customers' amounts change by so much."""

    label: str
    kind: Literal["less", "same", "more"]
    customers: int


class Counts(NamedTuple):
    """How many customers each list has in full; a page shows the first of them."""

    up: int
    down: int
    same: int
    at_minimum: int
    at_maximum: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What stands at the top of a dry run, and in a row of a list of them."""

    id: int
    version_id: int
    version_name: str
    plan_name: str
    months: Months
    customer_keys: tuple[str, ...]
    requested: str
    state: str
    failure_reason: str
    customers: int
    customers_done: int
    customers_failed: int
    of_other_currency: int
    totals: Change
    fingerprint: str

    @property
    def is_under_way(self) -> bool:
        """Say whether there is more to come."""
        return self.state in (WAITING, RUNNING)


WAITING: Final = "Waiting for a worker"
RUNNING: Final = "Under way"
FAILED: Final = "Failed"
FINISHED: Final = "Finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a finished dry run found; each list has at most ``ROWS_MAX`` rows."""

    is_current: bool
    counts: Counts
    up: Sequence[CustomerChange]
    down: Sequence[CustomerChange]
    at_minimum: Sequence[CustomerChange]
    at_maximum: Sequence[CustomerChange]
    failures: Sequence[CustomerFailure]
    unpriced: Sequence[UnpricedMeter]
    bars: Sequence[Bar]


def head_of(run: DryRun) -> Head:
    """Return a dry run's head; its plan, version and person must have been read with it."""
    version: PlanVersion = run.version
    version_plan: Plan = version.plan
    plan: Plan = run.plan
    by = run.requested_by
    return Head(
        id=run.pk,
        version_id=run.version_id,
        version_name=f"{version_plan.name}, version {version.number}",
        plan_name=plan.name,
        months=months_of(run),
        customer_keys=tuple(run.customer_keys),
        requested=f"{moment(run.requested_at, zone='UTC')} UTC"
        + (f" by {by.get_username()}" if by else ""),
        state=_state(run),
        failure_reason=run.failure_reason,
        customers=run.customers_total,
        customers_done=min(run.customers_done, run.customers_total),
        customers_failed=run.customers_failed,
        of_other_currency=run.customers_of_other_currency,
        totals=Change(
            old=Money(run.old_total, run.currency), new=Money(run.new_total, run.currency)
        ),
        fingerprint=run.fingerprint,
    )


def _state(run: DryRun) -> str:
    if run.finished_at is not None:
        return FAILED if run.failure_code else FINISHED
    return WAITING if run.started_at is None else RUNNING


def listed(rows: QuerySet[DryRun]) -> QuerySet[DryRun]:
    """Read with dry runs what their heads need."""
    return rows.select_related("plan", "version__plan", "requested_by")


def latest_finished(*, version: PlanVersion) -> DryRun | None:
    """Return the newest dry run of a version that was finished, if there is any."""
    finished = DryRun.objects.filter(version=version, failure_code="").exclude(finished_at=None)
    return listed(finished).order_by("-id").first()


def is_current(run: DryRun) -> bool:
    """Say whether the version's terms are still those that were tried."""
    return terms_of([run.version_id])[run.version_id].digest == run.terms_digest


def findings_of(run: DryRun) -> Findings:
    """Return what a finished dry run found, in a fixed number of queries."""
    results = DryRunResult.objects.filter(run=run).select_related("customer")
    rated = results.filter(old_amount__isnull=False, new_amount__isnull=False)
    rated = rated.annotate(difference=F("new_amount") - F("old_amount"))
    rising, falling = (
        rated.order_by("-difference", "customer__key"),
        rated.order_by("difference", "customer__key"),
    )
    return Findings(
        is_current=is_current(run),
        counts=_counts(rated, failed=run.customers_failed),
        up=_changes(rising.filter(difference__gt=0), run),
        down=_changes(falling.filter(difference__lt=0), run),
        at_minimum=_changes(rising.filter(newly_at_minimum=True), run),
        at_maximum=_changes(falling.filter(newly_at_maximum=True), run),
        failures=_failures(results),
        unpriced=_unpriced(run),
        bars=_bars(run),
    )


def _counts(rated: QuerySet[DryRunResult], *, failed: int) -> Counts:
    found = rated.aggregate(
        up=Count("pk", filter=Q(difference__gt=0)),
        down=Count("pk", filter=Q(difference__lt=0)),
        same=Count("pk", filter=Q(difference=0)),
        at_minimum=Count("pk", filter=Q(newly_at_minimum=True)),
        at_maximum=Count("pk", filter=Q(newly_at_maximum=True)),
    )
    return Counts(failed=failed, **found)


def _changes(rows: QuerySet[DryRunResult], run: DryRun) -> list[CustomerChange]:
    columns = ("customer__key", "customer__name", "old_amount", "new_amount")
    return [
        CustomerChange(
            key, name, Change(old=Money(old, run.currency), new=Money(new, run.currency))
        )
        for key, name, old, new in rows.values_list(*columns)[:ROWS_MAX]
    ]


def _failures(results: QuerySet[DryRunResult]) -> list[CustomerFailure]:
    failed = results.exclude(error_code="").order_by("customer__key")
    columns = ("customer__key", "customer__name", "error_code", "error_reason")
    return [CustomerFailure(*row) for row in failed.values_list(*columns)[:ROWS_MAX]]


_UNPRICED = """
SELECT m.name, count(*) FROM billing_dryrunresult r
CROSS JOIN unnest(r.newly_unpriced) AS u(key) JOIN plans_meter m ON m.key = u.key
WHERE r.run_id = %s GROUP BY m.name ORDER BY 2 DESC, 1 LIMIT %s
"""


def _unpriced(run: DryRun) -> list[UnpricedMeter]:
    with connection.cursor() as cursor:
        cursor.execute(_UNPRICED, [run.pk, ROWS_MAX])
        return [UnpricedMeter(*row) for row in cursor.fetchall()]


_SAME: Final = 10
_FROM_NOTHING: Final = 11
# In the order of the chart; the numbers are those that the query counts under.
_BARS: Final[tuple[tuple[int, str, Literal["less", "same", "more"]], ...]] = (
    (0, "over \N{MINUS SIGN}50%", "less"),
    (1, "\N{MINUS SIGN}50 to \N{MINUS SIGN}25%", "less"),
    (2, "\N{MINUS SIGN}25 to \N{MINUS SIGN}10%", "less"),
    (3, "\N{MINUS SIGN}10 to \N{MINUS SIGN}5%", "less"),
    (4, "\N{MINUS SIGN}5 to 0%", "less"),
    (_SAME, "no change", "same"),
    (5, "0 to +5%", "more"),
    (6, "+5 to +10%", "more"),
    (7, "+10 to +25%", "more"),
    (8, "+25 to +50%", "more"),
    (9, "over +50%", "more"),
    (_FROM_NOTHING, "from nothing", "more"),
)

_HISTOGRAM = """
SELECT CASE WHEN new_amount = old_amount THEN %(same)s
            WHEN old_amount = 0 THEN %(from_nothing)s
            ELSE width_bucket((new_amount - old_amount) / abs(old_amount),
                 ARRAY[-0.5, -0.25, -0.1, -0.05, 0, 0.05, 0.1, 0.25, 0.5]) END AS bar, count(*)
FROM billing_dryrunresult
WHERE run_id = %(run)s AND old_amount IS NOT NULL AND new_amount IS NOT NULL
GROUP BY bar
"""


def _bars(run: DryRun) -> list[Bar]:
    values = {"run": run.pk, "same": _SAME, "from_nothing": _FROM_NOTHING}
    with connection.cursor() as cursor:
        cursor.execute(_HISTOGRAM, values)
        counted = dict(cursor.fetchall())
    return [Bar(label, kind, counted.get(number, 0)) for number, label, kind in _BARS]


CSV_HEADER: Final = (
    "customer", "name", "currency", "old", "new", "difference", "newly_at_minimum",
    "newly_at_maximum", "newly_unpriced", "error_code", "error_reason",
)  # fmt: skip


def csv_rows(run: DryRun) -> Iterator[tuple[str, ...]]:
    """Yield a row of ``CSV_HEADER`` for each customer, by key; amounts as plain numbers."""
    results = DryRunResult.objects.filter(run=run).order_by("customer__key")
    columns = (
        "customer__key", "customer__name", "old_amount", "new_amount", "newly_at_minimum",
        "newly_at_maximum", "newly_unpriced", "error_code", "error_reason",
    )  # fmt: skip
    for key, name, old, new, at_minimum, at_maximum, unpriced, code, reason in results.values_list(
        *columns
    ).iterator(chunk_size=2000):
        yield (
            _cell(key),
            _cell(name),
            run.currency,
            _number(old),
            _number(new),
            "" if old is None or new is None else _number(minus(new, old)),
            "yes" if at_minimum else "",
            "yes" if at_maximum else "",
            " ".join(unpriced),
            code,
            _cell(reason),
        )


def _number(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount:f}"


def _cell(text: str) -> str:
    """Return a text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _sign(amount: Decimal) -> int:
    return (amount > 0) - (amount < 0)
