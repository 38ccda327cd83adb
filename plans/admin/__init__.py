"""The plans side of the admin: customers, meters, plans, their versions and prices."""

from plans.admin import (
    credit_units,
    customers,
    features,
    job_classes,
    meters,
    plans,
    versions,
)

__all__ = ["credit_units", "customers", "features", "job_classes", "meters", "plans", "versions"]
