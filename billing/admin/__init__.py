"""The billing side of the admin: statements, credit, commitments, budgets, jobs, webhooks."""

from billing.admin import (
    budgets,
    commitments,
    dry_runs,
    jobs,
    ledger,
    outcome_report,
    pools,
    requests,
    spend,
    statements,
    subscriptions,
    webhooks,
)

__all__ = [
    "budgets",
    "commitments",
    "dry_runs",
    "jobs",
    "ledger",
    "outcome_report",
    "pools",
    "requests",
    "spend",
    "statements",
    "subscriptions",
    "webhooks",
]
