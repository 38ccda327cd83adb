from usage.models.access import ApiKey, Scope
from usage.models.events import Event, EventKey, QuarantinedEvent
from usage.models.imports import ImportRun
from usage.models.outcomes import Outcome, OutcomeState, OutcomeStep, StepKind, StepVia
from usage.models.rollups import Rollup, RollupState

__all__ = [
    "ApiKey",
    "Event",
    "EventKey",
    "ImportRun",
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
