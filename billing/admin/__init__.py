"""The billing side of the admin: statements, and the money of subscriptions."""

from billing.admin import statements, subscriptions

__all__ = ["statements", "subscriptions"]
