"""Who may call the API."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from plans.models.records import Records


class Scope(models.TextChoices):
    """What an API key may do."""

    INGEST = "ingest", "Post usage events"
    JOBS = "jobs", "Ask for admission of jobs"
    OUTCOMES = "outcomes", "Claim and verify outcomes"
    READ = "read", "Read customers, usage and statements"
    TEST = "test", "Move the clocks of test customers"
    BUDGETS = "budgets", "Set budgets of customers"


class ApiKey(models.Model):
    """A service's key: shown once when it is made, stored only as a SHA-256 digest.

    The secret has 256 random bits, so a fast digest is enough; ``prefix`` names it to people.
    """

    name = models.CharField(max_length=200, help_text="The service that uses the key.")
    prefix = models.CharField(max_length=16, unique=True, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=10, choices=Scope.choices))
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)

    history = Records(
        excluded_fields=["digest", "created_at", "last_used_at"], no_db_index=["prefix"]
    )

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
