"""The billing side of the admin: statements, the journal, credit, budgets, jobs, webhooks."""

from billing.admin import (
    budgets,
    dry_runs,
    jobs,
    ledger,
    pools,
    requests,
    statements,
    subscriptions,
    webhooks,
)

__all__ = [
    "budgets",
    "dry_runs",
    "jobs",
    "ledger",
    "pools",
    "requests",
    "statements",
    "subscriptions",
    "webhooks",
]
