"""The billing side of the admin: statements, the journal, credit, dry runs, subscriptions."""

from billing.admin import (
    commitments,
    dry_runs,
    ledger,
    pools,
    requests,
    statements,
    subscriptions,
)

__all__ = [
    "commitments",
    "dry_runs",
    "ledger",
    "pools",
    "requests",
    "statements",
    "subscriptions",
]
