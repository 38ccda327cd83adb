"""What happened: immutable usage events, their keys, and those that could not be taken yet.

What each time means: ``time`` is when it happened, by its sender, and decides the period and the
terms; ``recorded_at`` is when it reached us. ``xid`` is the transaction that stored the row: a
reader that knows a transaction horizon knows exactly which rows lie before it (``usage.rollup``).
"""

from django.conf import settings
from django.db import models

from plans.models import Customer, Workspace


class EventKey(models.Model):
    """The key of every event ever stored: (source, event_id) is unique for ever, over all months.

    ``customer_id`` and ``time`` lead to the event itself through its index.
    """

    pk = models.CompositePrimaryKey("source", "event_id")
    source = models.CharField(max_length=200)
    event_id = models.CharField(max_length=200)
    customer_id = models.BigIntegerField()
    time = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "usage_eventkey"

    def __str__(self) -> str:
        return f"{self.source} {self.event_id}"


class Event(models.Model):
    """One immutable fact. The table is partitioned by the month of ``time`` (UTC)."""

    pk = models.CompositePrimaryKey("source", "event_id")
    source = models.CharField(max_length=200)
    event_id = models.CharField(max_length=200)
    type = models.CharField(max_length=200)
    time = models.DateTimeField()
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, db_constraint=False, related_name="+"
    )
    workspace = models.ForeignKey(
        Workspace, on_delete=models.PROTECT, null=True, db_constraint=False, related_name="+"
    )
    properties = models.JSONField()
    recorded_at = models.DateTimeField()
    xid = models.BigIntegerField()

    class Meta:
        managed = False
        db_table = "usage_event"

    def __str__(self) -> str:
        return f"{self.source} {self.event_id}"


class QuarantinedEvent(models.Model):
    """An event of an unknown customer or type, kept whole until the cause is mended."""

    source = models.CharField(max_length=200)
    event_id = models.CharField(max_length=200)
    code = models.CharField(max_length=40)
    reason = models.TextField()
    payload = models.JSONField(help_text="The CloudEvent as it came.")
    received_at = models.DateTimeField()
    replayed_at = models.DateTimeField(null=True)
    dismissed_at = models.DateTimeField(null=True)
    dismissed_reason = models.TextField(blank=True, default="")
    dismissed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source", "event_id"], name="one_quarantined_event_per_key"
            ),
        ]
        indexes = [
            models.Index(
                fields=["id"],
                name="quarantine_waiting",
                condition=models.Q(replayed_at=None, dismissed_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.event_id}"
