"""Who is billed, and the parts of a customer whose usage is shown separately."""

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models

from plans.models.fields import key_field, validate_currency, validate_time_zone
from plans.models.records import Records


class Customer(models.Model):
    """A company or person that is billed.

    ``time_zone`` decides where its months begin and ``currency`` what it is billed in; the
    database refuses to change either once the customer has a subscription. A customer has a test
    clock from the beginning or never, and it only moves on; the database holds that, too.
    """

    key = key_field(
        unique=True,
        help_text="The name that services send as an event's subject. It cannot be shared.",
    )
    name = models.CharField(max_length=200)
    email = models.EmailField(blank=True, default="")
    currency = models.CharField(max_length=3, default="USD", validators=[validate_currency])
    time_zone = models.CharField(
        "billing time zone", max_length=64, default="UTC", validators=[validate_time_zone]
    )
    requires_review = models.BooleanField(
        "statements are reviewed",
        default=False,
        help_text="A person must approve each statement before it is finalised.",
    )
    grace_hours = models.PositiveSmallIntegerField(
        default=48,
        validators=[MaxValueValidator(24 * 28)],
        help_text="Hours after a period's end in which late usage still enters its statement.",
    )
    clock_at = models.DateTimeField(
        "test clock",
        null=True,
        blank=True,
        help_text="A customer to test with lives at this time until its clock is moved on. "
        "Empty: a real customer.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    history = Records(excluded_fields=["created_at"], no_db_index=["key"])

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(grace_hours__lte=24 * 28),
                name="customer_grace_at_most_28_days",
                violation_error_message="The grace time is at most 672 hours (28 days).",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Workspace(models.Model):
    """A part of a customer (a team, a project) whose usage is shown separately."""

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="workspaces")
    key = key_field(
        unique=True,
        help_text="The name that services send as an event's subject. It cannot be shared.",
    )
    name = models.CharField(max_length=200)

    history = Records(no_db_index=["key"])

    def __str__(self) -> str:
        return self.name


class Subject(models.Model):
    """What an event's ``subject`` may name: every customer's and every workspace's key.

    Triggers keep it, so that a key is unique over both tables and one look finds who is meant.
    """

    key = models.CharField(max_length=100, primary_key=True)
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="+")
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, null=True, related_name="+")

    def __str__(self) -> str:
        return self.key


class Membership(models.Model):
    """A portal user and the one customer whose statements the user may see."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="membership"
    )
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="memberships")

    history = Records(no_db_index=["user"])

    class Meta:
        verbose_name = "portal user"

    def __str__(self) -> str:
        return f"portal user {self.user_id}"
