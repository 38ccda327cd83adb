"""Jobs: units of asynchronous work, their attempts, and what these report.

What is billed of a job becomes usage events when it is settled; until then its reports lie here
and its hold stands for them.
"""

from decimal import Decimal
from uuid import uuid4

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.lookups import Exact, In, IsNull

from plans.models import Customer, JobClass, PlanVersion, Workspace


def money_field(**options: object) -> "models.DecimalField[Decimal, Decimal]":
    """Return a column for money in the customer's currency, to 12 decimals."""
    return models.DecimalField(max_digits=30, decimal_places=12, **options)  # type: ignore[arg-type]


class Job(models.Model):
    """One unit of work that was admitted, under the key by which its service asked.

    ``public_id`` is what addresses name it by. Money is in the customer's currency: the estimate at
    admission, ``held`` (what is reserved now, zero once its usage is rated), ``amount``, what it
    came to, and ``service_credit``, what is given back of that. ``silent_at`` is when it expires
    unless it reports. ``parent`` is the job whose step it is.
    """

    class State(models.TextChoices):
        ADMITTED = "admitted", "Admitted"
        RUNNING = "running", "Running"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"
        EXPIRED = "expired", "Expired"

    class Cause(models.TextChoices):
        PROVIDER = "provider", "By the provider"
        INPUT = "input", "By the input"

    public_id = models.UUIDField(default=uuid4, unique=True, editable=False)
    # Its indices by customer begin with it.
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="jobs", db_index=False
    )
    workspace = models.ForeignKey(
        Workspace, on_delete=models.PROTECT, null=True, related_name="jobs"
    )
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="steps")
    key = models.CharField(max_length=200)
    request_digest = models.CharField(max_length=64, default="")
    job_class = models.ForeignKey(JobClass, on_delete=models.PROTECT, related_name="jobs")
    service_class = models.CharField(max_length=100, blank=True, default="")
    input_size = models.DecimalField(
        max_digits=38, decimal_places=12, default=Decimal(1), validators=[MinValueValidator(0)]
    )
    dimensions = models.JSONField(default=dict, help_text="Property values known beforehand.")
    state = models.CharField(max_length=9, choices=State.choices, default=State.ADMITTED)
    cause = models.CharField(max_length=8, choices=Cause.choices, blank=True, default="")
    reason = models.TextField(blank=True, default="")

    estimate_low = money_field(default=Decimal(0))
    estimate_expected = money_field(default=Decimal(0))
    estimate_high = money_field(default=Decimal(0))
    estimate_basis = models.CharField(max_length=20, blank=True, default="")
    estimate_comparable = models.PositiveIntegerField(default=0)
    held = money_field(default=Decimal(0))
    amount = money_field(null=True)
    version = models.ForeignKey(
        PlanVersion,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="On whose terms it was admitted.",
    )
    held_quantities = models.JSONField(
        default=list, help_text="What is held for it: [meter, dimension values, quantity] each."
    )
    reported = models.JSONField(
        default=dict, help_text="What each attempt reported, by number, in the same form."
    )
    promised_start_at = models.DateTimeField(
        null=True, help_text="By when its service class promised to start it."
    )
    service_credit = money_field(default=Decimal(0))

    admitted_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    silent_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)
    settled_xid = models.BigIntegerField(
        null=True, help_text="The transaction that stored its events; see usage.horizon."
    )
    rated_at = models.DateTimeField(
        null=True, help_text="Since when the rated spend knows its usage, and its hold is gone."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customer", "key"], name="one_job_per_key"),
            models.CheckConstraint(condition=models.Q(held__gte=0), name="job_held_not_negative"),
            # Said once: the database reads a rule anew for each statement that stores a job.
            models.CheckConstraint(
                condition=Exact(
                    IsNull(models.F("ended_at"), True),
                    In(models.F("state"), ["admitted", "running"]),
                ),
                name="job_ends_once",
            ),
        ]
        indexes = [
            models.Index(
                fields=["silent_at"],
                name="job_to_expire",
                condition=models.Q(ended_at=None),
            ),
            models.Index(
                fields=["customer", "settled_xid"],
                name="job_unrated",
                condition=models.Q(settled_at__isnull=False, rated_at=None),
            ),
            models.Index(
                fields=["customer"], name="job_pending", condition=models.Q(rated_at=None)
            ),
            models.Index(
                fields=["settled_xid"],
                name="job_settled",
                condition=models.Q(settled_xid__isnull=False),
            ),
            models.Index(fields=["customer", "-id"], name="job_of_customer"),
            models.Index(
                fields=["customer", "job_class", "-ended_at", "-id"],
                name="job_comparable",
                condition=models.Q(state="succeeded"),
            ),
            models.Index(
                fields=["job_class", "-ended_at"],
                name="job_comparable_all",
                condition=models.Q(state="succeeded"),
            ),
        ]

    def __str__(self) -> str:
        return self.key


class JobAttempt(models.Model):
    """One try at a job, numbered from 1."""

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        ENDED = "ended", "Ended with its job"

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=9, choices=State.choices, default=State.RUNNING)
    cause = models.CharField(max_length=8, choices=Job.Cause.choices, blank=True, default="")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="one_attempt_per_number"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number}"


class JobUsage(models.Model):
    """What an attempt reported, once for its key; it becomes an event when it is billed."""

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="usage")
    attempt = models.PositiveSmallIntegerField()
    key = models.CharField(max_length=200)
    type = models.CharField(max_length=200)
    time = models.DateTimeField()
    until = models.DateTimeField(null=True, help_text="The end of usage that lasted.")
    properties = models.JSONField()
    billed = models.BooleanField(null=True, help_text="Null while the job runs.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "key"], name="one_job_usage_per_key"),
        ]

    def __str__(self) -> str:
        return self.key


class JobStep(models.Model):
    """One transition of a job, once for its key: when it was, when we were told, and the answer."""

    # Unique with its key.
    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="log", db_index=False)
    key = models.CharField(max_length=200)
    kind = models.CharField(max_length=20)
    happened_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    answer = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "key"], name="one_job_step_per_key"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class JobQuantity(models.Model):
    """What a job that succeeded used of a meter for each unit of its input: the estimates' history.

    Customer, class and time stand here too, so that the newest comparable ones are one index scan.
    """

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="quantities")
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+")
    job_class = models.ForeignKey(JobClass, on_delete=models.PROTECT, related_name="+")
    meter = models.CharField(max_length=100)
    dimensions = models.JSONField(default=list)
    quantity = models.DecimalField(max_digits=60, decimal_places=12)
    per_input = models.DecimalField(max_digits=60, decimal_places=24)
    ended_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(
                fields=["customer", "job_class", "-ended_at"], name="quantity_of_customer"
            ),
            models.Index(fields=["job_class", "-ended_at"], name="quantity_of_class"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.meter}"
