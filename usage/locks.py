"""The locks of this app. Each is taken inside a transaction and held to its end."""

from collections.abc import Sequence

from django.db import connection

from usage.models import ApiKey, ImportRun, Job, RollupState


def lock_rollup_state() -> RollupState:
    """Lock the one rollup state, which is made unless it exists; rollups run one at a time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT usage_xid()")
    return RollupState.objects.select_for_update(of=("self",)).get()


def hold_rollup_state() -> None:
    """Keep the rollups from running until the transaction ends; readers may hold it together."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM usage_rollupstate FOR SHARE")


def lock_waiting(*, ids: Sequence[int]) -> list[tuple[int, str]]:
    """Lock those of these events that still wait in quarantine and that nobody else has locked.

    Returns (id, payload as JSON text): as text, its numbers are exact.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, payload::text FROM usage_quarantinedevent"
            " WHERE id = ANY(%s) AND replayed_at IS NULL AND dismissed_at IS NULL"
            " ORDER BY id FOR UPDATE SKIP LOCKED",
            [list(ids)],
        )
        return list(cursor.fetchall())


def lock_api_key(*, key_id: int) -> ApiKey | None:
    """Lock an API key's row, so that it is revoked once; None where there is no such key."""
    return ApiKey.objects.select_for_update(of=("self",)).filter(pk=key_id).first()


def lock_import_run(*, run_id: int) -> ImportRun:
    """Lock an import's row: one process at a time stores a batch of it."""
    return ImportRun.objects.select_for_update(of=("self",)).get(pk=run_id)


def lock_job(*, job_id: int) -> Job:
    """Lock a job with its customer, class, workspace and parent beside it.

    Who holds money for jobs has locked the customer's row of spend before.
    """
    rows = Job.objects.select_related("customer", "workspace", "job_class", "parent")
    return rows.select_for_update(of=("self",), no_key=True).get(pk=job_id)
