"""The billing side of the admin: statements, the journal, credit pools."""

from billing.admin import ledger, pools, statements

__all__ = ["ledger", "pools", "statements"]
