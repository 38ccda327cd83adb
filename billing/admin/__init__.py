"""The billing side of the admin: statements, the journal, credit pools, dry runs of versions."""

from billing.admin import dry_runs, ledger, pools, statements

__all__ = ["dry_runs", "ledger", "pools", "statements"]
