"""The billing side of the admin: statements, and dry runs of plan versions."""

from billing.admin import dry_runs, statements

__all__ = ["dry_runs", "statements"]
