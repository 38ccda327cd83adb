"""The plans side of the admin: customers, meters, plans, versions, credits, contracts."""

from plans.admin import (
    contracts,
    credit_units,
    customers,
    features,
    job_classes,
    meters,
    plans,
    versions,
)

__all__ = [
    "contracts",
    "credit_units",
    "customers",
    "features",
    "job_classes",
    "meters",
    "plans",
    "versions",
]
