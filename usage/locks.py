"""The locks of this app. Each is taken inside a transaction and held to its end."""

from django.db import connection

from usage.models import RollupState


def lock_rollup_state() -> RollupState:
    """Lock the one rollup state, which is made unless it exists; rollups run one at a time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT usage_xid()")
    return RollupState.objects.select_for_update(of=("self",)).get()
