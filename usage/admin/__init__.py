"""The usage side of the admin: API keys, events, the quarantine, the state of the rollups."""

from usage.admin import access, outcomes, quarantine, rollups

__all__ = ["access", "outcomes", "quarantine", "rollups"]
