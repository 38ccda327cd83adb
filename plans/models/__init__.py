from plans.models.budgets import Budget
from plans.models.credit_terms import CreditAllotment, CreditPack, CreditUnit
from plans.models.customers import Customer, Membership, Subject, Workspace
from plans.models.grants import Feature, Limit, Phase, ServiceClass, VersionFeature
from plans.models.history import VersionChange, VersionEvent
from plans.models.job_terms import JobClass, JobClassUsage, JobTerms
from plans.models.meters import Meter
from plans.models.outcomes import (
    OutcomeContract,
    OutcomeContractReview,
    OutcomeContractVersion,
)
from plans.models.overrides import PriceOverride
from plans.models.prices import MatrixRate, Price, Tier
from plans.models.reviews import VersionReview
from plans.models.subscriptions import Subscription, VersionPin
from plans.models.versions import Plan, PlanVersion

__all__ = [
    "Budget",
    "CreditAllotment",
    "CreditPack",
    "CreditUnit",
    "Customer",
    "Feature",
    "JobClass",
    "JobClassUsage",
    "JobTerms",
    "Limit",
    "MatrixRate",
    "Membership",
    "Meter",
    "OutcomeContract",
    "OutcomeContractReview",
    "OutcomeContractVersion",
    "Phase",
    "Plan",
    "PlanVersion",
    "Price",
    "PriceOverride",
    "ServiceClass",
    "Subject",
    "Subscription",
    "Tier",
    "VersionChange",
    "VersionEvent",
    "VersionFeature",
    "VersionPin",
    "VersionReview",
    "Workspace",
]
