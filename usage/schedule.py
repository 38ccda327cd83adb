"""Beat's schedule as rows, which people see and edit in the admin."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """One task and when Beat sends it: each so many minutes or seconds, or by crontab fields (UTC).

    One that is sent each few seconds lapses when the next is due: a backlog helps nobody.
    """

    name: str
    task: str
    description: str
    every_minutes: int | None = None
    every_seconds: int | None = None
    crontab: tuple[tuple[str, str], ...] = ()


ENTRIES = (
    Entry(
        name="Roll up usage",
        task="usage.tasks.roll_up",
        description="Adds the events of the last minute to the rollups.",
        every_minutes=1,
    ),
    Entry(
        name="Keep partitions",
        task="usage.tasks.keep_partitions",
        description="Makes the event tables of the coming months.",
        crontab=(("hour", "0"), ("minute", "10")),
    ),
    Entry(
        name="Replay quarantine",
        task="usage.tasks.replay_quarantine",
        description="Tries events again whose customer or type was unknown.",
        every_minutes=60,
    ),
    Entry(
        name="Settle outcomes",
        task="usage.tasks.settle_outcomes",
        description="Decides outcomes whose window is over; releases what was held back.",
        every_minutes=5,
    ),
)


def ensure_schedule(entries: Sequence[Entry], *, apps: Any) -> None:
    """Create the entries that are missing; what people have edited stays as it is.

    ``apps`` is Django's registry, or a migration's.
    """
    task_model = apps.get_model("django_celery_beat", "PeriodicTask")
    for entry in entries:
        if not task_model.objects.filter(name=entry.name).exists():
            task_model.objects.create(
                name=entry.name,
                task=entry.task,
                description=entry.description,
                **_time(entry, apps=apps),
            )


def remove_schedule(entries: Sequence[Entry], *, apps: Any) -> None:
    """Remove the entries, by name."""
    task_model = apps.get_model("django_celery_beat", "PeriodicTask")
    task_model.objects.filter(name__in=[entry.name for entry in entries]).delete()


def _time(entry: Entry, *, apps: Any) -> dict[str, Any]:
    intervals = apps.get_model("django_celery_beat", "IntervalSchedule").objects
    if entry.every_minutes is not None:
        interval, _ = intervals.get_or_create(every=entry.every_minutes, period="minutes")
        return {"interval": interval}
    if entry.every_seconds is not None:
        interval, _ = intervals.get_or_create(every=entry.every_seconds, period="seconds")
        return {"interval": interval, "expire_seconds": entry.every_seconds}
    crontab, _ = apps.get_model("django_celery_beat", "CrontabSchedule").objects.get_or_create(
        **{"minute": "0", "hour": "*", "timezone": "UTC", **dict(entry.crontab)}
    )
    return {"crontab": crontab}
