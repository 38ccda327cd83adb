"""How history is kept: rows that are only ever added; the database refuses the rest."""

from typing import Any

from django.conf import settings
from django.db import models
from simple_history.models import HistoricalRecords

from plans.acting import current


class Records(HistoricalRecords):  # type: ignore[misc]
    """One row for every save and deletion, with the person and the reason of ``plans.acting``.

    What is written in bulk keeps its history by ``plans.operations.history``. A person who made
    history cannot be deleted.
    """

    def __init__(self, **options: Any) -> None:
        options.setdefault("history_id_field", models.BigAutoField())
        super().__init__(**options)

    def get_history_user(self, instance: models.Model) -> Any:  # noqa: ARG002 - as it is called
        """Return the person who acts now."""
        return current().by

    def get_change_reason_for_object(self, *_: Any) -> str | None:
        """Return the reason that is given now."""
        return current().reason or None

    def _get_history_user_fields(self) -> dict[str, Any]:
        return {
            "history_user": models.ForeignKey(
                settings.AUTH_USER_MODEL, null=True, related_name="+", on_delete=models.PROTECT
            )
        }
