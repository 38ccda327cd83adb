from plans.models.customers import Customer, Membership, Subject, Workspace
from plans.models.meters import Meter
from plans.models.prices import MatrixRate, Price, Tier
from plans.models.subscriptions import Subscription
from plans.models.versions import Plan, PlanVersion

__all__ = [
    "Customer",
    "MatrixRate",
    "Membership",
    "Meter",
    "Plan",
    "PlanVersion",
    "Price",
    "Subject",
    "Subscription",
    "Tier",
    "Workspace",
]
