"""Signed messages to services of customers, or of ours: to whom, which, and what was answered."""

from uuid import uuid4

from django.contrib.postgres.fields import ArrayField
from django.db import models

from plans.models import Customer
from plans.models.records import Records


class EventType(models.TextChoices):
    """What webhooks tell of."""

    BUDGET_ALERT = "budget.alert", "A budget reached one of its shares"
    BUDGET_FORECAST = "budget.forecast", "A budget will end before its period"
    CREDIT_LOW_BALANCE = "credit.low_balance", "A pool of credit is low"
    JOB_SETTLED = "job.settled", "A job was settled"
    JOB_EXPIRED = "job.expired", "A job fell silent and expired"
    STATEMENT_FINALISED = "statement.finalised", "A statement was finalised"
    TEST = "endpoint.test", "A test, sent by hand"


class WebhookEndpoint(models.Model):
    """An address that is told of events: of one customer, or of all where it has none.

    ``secret`` signs what is sent; it is shown once. While ``previous_until`` has not passed what it
    was before signs too, so that a receiver can change without losing a message. ``failing_since``
    is the first failure after the last success; an endpoint that fails for days is disabled.
    """

    customer = models.ForeignKey(
        Customer,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="webhook_endpoints",
        help_text="Empty: events of every customer.",
    )
    url = models.URLField("address", max_length=500)
    description = models.CharField(max_length=200, blank=True, default="")
    event_types = ArrayField(models.CharField(max_length=30, choices=EventType.choices))
    secret = models.CharField(max_length=100, editable=False)
    previous_secret = models.CharField(max_length=100, blank=True, default="", editable=False)
    previous_until = models.DateTimeField(null=True, editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)
    disabled_at = models.DateTimeField(null=True, editable=False)
    disabled_reason = models.TextField(blank=True, default="", editable=False)
    jobs_horizon = models.BigIntegerField(
        null=True, editable=False, help_text="Jobs settled by later transactions are told of."
    )
    created_at = models.DateTimeField(editable=False)

    history = Records(
        excluded_fields=["secret", "previous_secret", "failing_since", "jobs_horizon", "created_at"]
    )

    def __str__(self) -> str:
        return self.url


class WebhookEvent(models.Model):
    """One fact that endpoints are told of, once for its key; ``payload`` is what is signed."""

    public_id = models.UUIDField(default=uuid4, unique=True)
    key = models.CharField(max_length=200, unique=True)
    type = models.CharField(max_length=30, choices=EventType.choices)
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, null=True, db_index=False, related_name="+"
    )
    happened_at = models.DateTimeField()
    payload = models.TextField()

    def __str__(self) -> str:
        return self.key

    @property
    def message_id(self) -> str:
        """Return the id by which a receiver knows that it had the message already."""
        return f"msg_{self.public_id.hex}"


class WebhookDelivery(models.Model):
    """A message on its way to one endpoint. A pending row is the work; a task is only a nudge."""

    class Status(models.TextChoices):
        PENDING = "pending", "Waits for its next attempt"
        DELIVERED = "delivered", "Delivered"
        FAILED = "failed", "Given up"

    event = models.ForeignKey(WebhookEvent, on_delete=models.PROTECT, related_name="deliveries")
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.PROTECT, related_name="deliveries"
    )
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField()
    claimed_until = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        constraints = [
            models.UniqueConstraint(fields=["event", "endpoint"], name="one_delivery_per_endpoint"),
        ]
        indexes = [
            models.Index(
                fields=["next_at", "id"],
                name="webhook_to_send",
                condition=models.Q(status="pending"),
            ),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk}"


class WebhookAttempt(models.Model):
    """One try to deliver a message: what was asked of whom, and what came back."""

    delivery = models.ForeignKey(WebhookDelivery, on_delete=models.PROTECT, related_name="log")
    at = models.DateTimeField()
    address = models.CharField(max_length=100, blank=True, default="", help_text="As resolved.")
    headers = models.JSONField(default=dict)
    duration_ms = models.PositiveIntegerField(default=0)
    status_code = models.PositiveSmallIntegerField(null=True)
    answer = models.TextField(blank=True, default="")
    error = models.TextField(blank=True, default="")

    def __str__(self) -> str:
        return f"attempt {self.pk}"
