"""The plans side of the admin: customers, meters, plans, their versions and prices."""

from plans.admin import customers, meters, plans, prices, versions

__all__ = ["customers", "meters", "plans", "prices", "versions"]
