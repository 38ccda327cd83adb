"""Beat's schedule: rows that people may edit, each naming a task that exists."""

import pytest
from django.apps import apps
from django_celery_beat.models import PeriodicTask

from billing.schedule import ENTRIES as BILLING
from config.celery import app
from usage.schedule import ENTRIES as USAGE
from usage.schedule import ensure_schedule, remove_schedule

pytestmark = pytest.mark.django_db
ALL = [*USAGE, *BILLING]


@pytest.fixture
def schedule():
    remove_schedule(ALL, apps=apps)
    ensure_schedule(ALL, apps=apps)


def test_every_entry_names_a_task_that_workers_know(schedule) -> None:
    app.loader.import_default_modules()
    scheduled = set(PeriodicTask.objects.values_list("task", flat=True))
    assert {entry.task for entry in ALL} <= scheduled
    assert {entry.task for entry in ALL} <= set(app.tasks)


def test_what_people_edited_stays_as_it_is(schedule) -> None:
    PeriodicTask.objects.filter(name="Finalise statements").update(enabled=False)
    before = PeriodicTask.objects.count()
    ensure_schedule(ALL, apps=apps)
    assert PeriodicTask.objects.count() == before
    assert PeriodicTask.objects.get(name="Finalise statements").enabled is False


def test_each_entry_has_a_time_and_says_what_it_is_for(schedule) -> None:
    for entry in ALL:
        task = PeriodicTask.objects.get(name=entry.name)
        assert (task.interval is None) != (task.crontab is None)
        assert task.description == entry.description
