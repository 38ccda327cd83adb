from usage.models.access import ApiKey, Scope
from usage.models.events import Event, EventKey, QuarantinedEvent
from usage.models.imports import ImportRun
from usage.models.jobs import Job, JobAttempt, JobQuantity, JobStep, JobUsage
from usage.models.outcomes import Outcome, OutcomeState, OutcomeStep, StepKind, StepVia
from usage.models.rollups import Rollup, RollupState

__all__ = [
    "ApiKey",
    "Event",
    "EventKey",
    "ImportRun",
    "Job",
    "JobAttempt",
    "JobQuantity",
    "JobStep",
    "JobUsage",
    "Outcome",
    "OutcomeState",
    "OutcomeStep",
    "QuarantinedEvent",
    "Rollup",
    "RollupState",
    "Scope",
    "StepKind",
    "StepVia",
]
