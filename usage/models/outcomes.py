"""Claimed results: what was claimed, on which terms, and each step since."""

from django.conf import settings
from django.db import models

from plans.models import Customer, OutcomeContract, OutcomeContractVersion, Workspace


class OutcomeState(models.TextChoices):
    """Where an outcome stands; ``usage.outcome_states`` has the moves."""

    PENDING = "pending", "Pending"
    VERIFIED = "verified", "Verified"
    REJECTED = "rejected", "Rejected"
    DISPUTED = "disputed", "Disputed"
    UPHELD = "upheld", "Dispute upheld"
    DISMISSED = "dismissed", "Dispute dismissed"
    REVERSED = "reversed", "Reversed"


class Outcome(models.Model):
    """One claimed result. What was claimed never changes; the state does, step by step.

    ``happened_at`` decides the period and the terms; ``claimed_at`` is when it was claimed, and
    windows count from it; ``recorded_at`` when the claim reached us. ``verify_by`` ends the time to
    verify a pending one, ``dispute_by`` that to dispute a verified one, and at ``release_at`` what
    was held back is due. ``key`` is the sender's, and ``digest`` of what was claimed under it.
    """

    contract = models.ForeignKey(OutcomeContract, on_delete=models.PROTECT, related_name="outcomes")
    version = models.ForeignKey(
        OutcomeContractVersion, on_delete=models.PROTECT, related_name="outcomes"
    )
    key = models.CharField(max_length=200)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="outcomes")
    workspace = models.ForeignKey(
        Workspace, on_delete=models.PROTECT, null=True, related_name="outcomes"
    )
    happened_at = models.DateTimeField()
    claimed_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    evidence = models.JSONField()
    value = models.DecimalField(max_digits=40, decimal_places=12)
    has_bonus = models.BooleanField(default=False)
    is_sampled = models.BooleanField(default=False)
    job = models.CharField(max_length=200, blank=True, default="")
    attempt = models.PositiveIntegerField(null=True)
    digest = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=OutcomeState.choices)
    steps = models.PositiveSmallIntegerField()
    decided_at = models.DateTimeField(null=True)
    verify_by = models.DateTimeField(null=True)
    dispute_by = models.DateTimeField(null=True)
    release_at = models.DateTimeField(null=True)
    released_at = models.DateTimeField(null=True)

    class Meta:
        permissions = [
            ("review_outcome", "Can verify and reject outcomes"),
            ("decide_outcome", "Can decide disputes and reverse outcomes"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["contract", "customer", "key"], name="one_outcome_per_key"
            ),
            models.CheckConstraint(
                condition=models.Q(claimed_at__gte=models.F("happened_at")),
                name="outcome_claimed_after_it_happened",
            ),
        ]
        indexes = [
            models.Index(
                fields=["verify_by"], name="outcomes_pending", condition=models.Q(state="pending")
            ),
            models.Index(
                fields=["release_at"],
                name="outcomes_held_back",
                condition=models.Q(release_at__isnull=False, released_at=None),
            ),
            models.Index(
                fields=["id"], name="outcomes_disputed", condition=models.Q(state="disputed")
            ),
            models.Index(fields=["customer", "happened_at"], name="outcomes_of_customer"),
            models.Index(
                fields=["customer", "job"], name="outcomes_of_job", condition=~models.Q(job="")
            ),
        ]

    def __str__(self) -> str:
        return self.key


class StepVia(models.TextChoices):
    """By which way a step was taken."""

    RULE = "rule", "The contract's rule"
    API = "api", "API"
    LINK = "link", "Link in an e-mail"
    PORTAL = "portal", "Portal"
    STAFF = "staff", "Staff"
    SILENCE = "silence", "Silence"
    SAMPLE = "sample", "Rate of the sample"
    TIME = "time", "Time"


class StepKind(models.TextChoices):
    """What was done with an outcome."""

    CLAIM = "claim", "Claimed"
    VERIFY = "verify", "Verified"
    REJECT = "reject", "Rejected"
    DISPUTE = "dispute", "Disputed"
    UPHOLD = "uphold", "Dispute upheld"
    DISMISS = "dismiss", "Dispute dismissed"
    REVERSE = "reverse", "Reversed"
    RELEASE = "release", "Holdback released"


class OutcomeStep(models.Model):
    """One step: what, when, who and why. Rows are only added.

    ``at`` is when it was taken, ``recorded_at`` when it reached us. ``who`` names a service or an
    address where there is no person among the users.
    """

    outcome = models.ForeignKey(Outcome, on_delete=models.PROTECT, related_name="log")
    number = models.PositiveSmallIntegerField()
    what = models.CharField(max_length=10, choices=StepKind.choices)
    at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    via = models.CharField(max_length=10, choices=StepVia.choices)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    who = models.CharField(max_length=200, blank=True, default="")
    reason = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["outcome", "number"], name="one_step_per_number"),
        ]

    def __str__(self) -> str:
        return self.get_what_display()
