"""The billing side of the admin: statements, journal, credit, dry runs, subscriptions, spend."""

from billing.admin import dry_runs, ledger, pools, requests, spend, statements, subscriptions

__all__ = ["dry_runs", "ledger", "pools", "requests", "spend", "statements", "subscriptions"]
