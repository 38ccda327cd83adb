"""The locks of this app. Each is taken inside a transaction and held to its end."""

from django.db import connection

from usage.models import ImportRun, RollupState


def lock_rollup_state() -> RollupState:
    """Lock the one rollup state, which is made unless it exists; rollups run one at a time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT usage_xid()")
    return RollupState.objects.select_for_update(of=("self",)).get()


def lock_import_run(*, run_id: int) -> ImportRun:
    """Lock an import's row: one process at a time stores a batch of it."""
    return ImportRun.objects.select_for_update(of=("self",)).get(pk=run_id)
