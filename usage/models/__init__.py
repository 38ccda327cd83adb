from usage.models.access import ApiKey, Scope
from usage.models.events import Event, EventKey, QuarantinedEvent
from usage.models.imports import ImportRun
from usage.models.rollups import Rollup, RollupState

__all__ = [
    "ApiKey",
    "Event",
    "EventKey",
    "ImportRun",
    "QuarantinedEvent",
    "Rollup",
    "RollupState",
    "Scope",
]
