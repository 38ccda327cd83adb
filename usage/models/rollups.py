"""A cache over the events: what each meter came to on each day."""

from django.contrib.postgres.fields import ArrayField
from django.db import models


class RollupState(models.Model):
    """How far the rollups have come: every event stored by a transaction before ``horizon`` is in.

    There is one row. ``system`` names the database cluster whose transaction numbers are counted,
    ``epoch`` how often the data moved to another one: ``horizon``, and an event's ``xid``, is
    epoch * 2^48 + transaction number, so that it never goes back (migration 0003).

    ``meters`` holds the meters that are rolled up with a fingerprint of their definition. A meter
    that is new or was changed is read from the events until the next run has caught up with it.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    horizon = models.BigIntegerField(default=0)
    system = models.BigIntegerField()
    epoch = models.SmallIntegerField(default=0)
    meters = models.JSONField(default=dict)
    rolled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="one_rollup_state"),
        ]

    def __str__(self) -> str:
        return f"rolled up to {self.rolled_at}"


class Rollup(models.Model):
    """One meter of one customer (and workspace) on one day of the customer's time zone.

    ``quantity`` is the sum, the count, the highest or the latest value, as the meter aggregates;
    ``dimensions`` are the values in the order that the meter declares them. Meters that count
    unique values or weigh by time are read from the events.
    """

    customer_id = models.BigIntegerField()
    meter_id = models.BigIntegerField()
    day = models.DateField()
    workspace_id = models.BigIntegerField(null=True)
    dimensions = ArrayField(models.TextField())
    quantity = models.DecimalField(max_digits=60, decimal_places=12)
    latest_at = models.DateTimeField(null=True)
    events = models.BigIntegerField()

    class Meta:
        managed = False
        db_table = "usage_rollup"

    def __str__(self) -> str:
        return f"meter {self.meter_id} on {self.day}"
