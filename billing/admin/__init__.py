"""The billing side of the admin: statements, the journal, credit, dry runs, subscriptions."""

from billing.admin import dry_runs, ledger, pools, requests, statements, subscriptions

__all__ = ["dry_runs", "ledger", "pools", "requests", "statements", "subscriptions"]
