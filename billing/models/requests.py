"""What a person wants done with credit that needs a second person."""

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from billing.models.credits import CreditGrant, CreditPool, amount_field
from usage.models import ApiKey


class CreditRequest(models.Model):
    """A grant, an expiry or a transfer above what one person may do alone.

    A person asks for it, or a service by its API key. ``terms`` holds the rest of what the
    operation takes. ``approved_by`` and ``declined_by`` say who decided; nobody approves what they
    asked for.
    """

    class Kind(models.TextChoices):
        GRANT = "grant", "Grant"
        EXPIRE = "expire", "Expiry"
        TRANSFER = "transfer", "Transfer"

    class Status(models.TextChoices):
        REQUESTED = "requested", "Awaiting approval"
        APPROVED = "approved", "Approved"
        DECLINED = "declined", "Declined"

    kind = models.CharField(max_length=8, choices=Kind.choices)
    pool = models.ForeignKey(CreditPool, on_delete=models.PROTECT, related_name="requests")
    grant = models.ForeignKey(CreditGrant, on_delete=models.PROTECT, null=True, related_name="+")
    to_pool = models.ForeignKey(CreditPool, on_delete=models.PROTECT, null=True, related_name="+")
    key = models.CharField(max_length=200)
    amount = amount_field()
    terms = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    reason = models.TextField()
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.REQUESTED)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    requested_key = models.ForeignKey(
        ApiKey,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="The service that asked for it, where no person did.",
    )
    requested_at = models.DateTimeField()
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    declined_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    decided_at = models.DateTimeField(null=True)
    answer = models.TextField(blank=True, default="")

    class Meta:
        permissions = [("approve_creditrequest", "Can approve or decline credit requests")]
        constraints = [
            models.UniqueConstraint(fields=["pool", "kind", "key"], name="one_request_per_key"),
            models.CheckConstraint(
                condition=models.Q(amount__gt=0), name="credit_request_of_something"
            ),
            models.CheckConstraint(
                condition=models.Q(requested_by=None, requested_key__isnull=False)
                | models.Q(requested_by__isnull=False, requested_key=None),
                name="credit_request_of_one",
            ),
            models.CheckConstraint(
                condition=models.Q(approved_by=None)
                | ~models.Q(approved_by=models.F("requested_by")),
                name="credit_request_second_person",
                violation_error_message="Another person approves what you asked for.",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    status="requested", approved_by=None, declined_by=None, decided_at=None
                )
                | models.Q(
                    status="approved",
                    approved_by__isnull=False,
                    declined_by=None,
                    decided_at__isnull=False,
                )
                | models.Q(
                    status="declined",
                    approved_by=None,
                    declined_by__isnull=False,
                    decided_at__isnull=False,
                ),
                name="credit_request_decided_once",
            ),
        ]
        indexes = [
            models.Index(
                fields=["requested_at"],
                name="credit_request_waiting",
                condition=models.Q(status="requested"),
            ),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def asker(self) -> str:
        """Name who asked: a person's user name, or the service with its key's prefix."""
        by = self.requested_by
        return by.get_username() if by is not None else str(self.requested_key)
