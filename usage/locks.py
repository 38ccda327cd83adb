"""Every row lock of the app, by name."""

from usage.models import ImportRun


def import_run(*, run_id: int) -> ImportRun:
    """Lock an import's row: one process at a time stores a batch of it."""
    return ImportRun.objects.select_for_update(of=("self",)).get(pk=run_id)
