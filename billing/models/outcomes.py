"""Whom was asked for a word on outcomes."""

from django.db import models

from plans.models import Customer


class OutcomeRequest(models.Model):
    """An e-mail that asks a customer about its pending outcomes from one id to another.

    ``noted_at`` is when it was found due; ``sent_at`` when it was sent, empty until then.
    """

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+")
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    email = models.EmailField()
    noted_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.email}, {self.noted_at:%d %B %Y}"
