"""The plans side of the admin: customers, meters, plans, their versions and prices."""

from plans.admin import customers, features, meters, plans, versions

__all__ = ["customers", "features", "meters", "plans", "versions"]
