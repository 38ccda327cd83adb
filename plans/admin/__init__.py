"""The plans side of the admin: customers, meters, plans, their versions and prices."""

from plans.admin import contracts, customers, features, meters, plans, versions

__all__ = ["contracts", "customers", "features", "meters", "plans", "versions"]
