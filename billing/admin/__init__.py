"""The billing side of the admin: statements."""

from billing.admin import statements

__all__ = ["statements"]
