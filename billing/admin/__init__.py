"""The billing side of the admin: statements, the journal, credit, dry runs, subscriptions."""

from billing.admin import (
    dry_runs,
    ledger,
    outcome_report,
    pools,
    requests,
    statements,
    subscriptions,
)

__all__ = [
    "dry_runs",
    "ledger",
    "outcome_report",
    "pools",
    "requests",
    "statements",
    "subscriptions",
]
