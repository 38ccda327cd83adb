"""The ledger: accounts, transactions and their entries. It only grows.

Amounts are signed: a debit is above zero, a credit below. The database holds that each transaction
sums to zero in every unit at commit, that balances are the sums of entries, and that nothing is
changed or deleted; see ``migrations/0008_ledger_rules.py``.
"""

from django.conf import settings
from django.contrib.postgres.functions import TransactionNow
from django.db import models

from billing.models.statements import Statement
from plans.models import Customer
from plans.models.fields import validate_currency


def set_index(field: str, *, name: str) -> models.Index:
    """Return an index over the rows that have the field: few of many, and no write for the rest."""
    return models.Index(
        fields=[field], name=name, condition=models.Q(**{f"{field}__isnull": False})
    )


class UnitOfAccount(models.Model):
    """What amounts are counted in: a currency, or a named credit that finance defines.

    ``decimals`` is the currency's minor unit, or the finest part in which a credit is used.
    """

    class Kind(models.TextChoices):
        CURRENCY = "currency", "Currency"
        CREDIT = "credit", "Credit"

    code = models.CharField(max_length=20, primary_key=True)
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    decimals = models.PositiveSmallIntegerField(default=0)
    approval_above = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="Above this, credit that is moved by hand needs a second person. Empty: never.",
    )

    class Meta:
        verbose_name_plural = "units of account"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(decimals__lte=12),
                name="unit_decimals_at_most_12",
                violation_error_message="A unit of account has at most 12 decimals.",
            ),
        ]

    def __str__(self) -> str:
        return self.code

    def clean(self) -> None:
        """Refuse a currency that is none."""
        if self.kind == self.Kind.CURRENCY:
            validate_currency(self.code)


class LedgerAccount(models.Model):
    """One customer's account of a kind in a unit, and where it has one, of a credit pool.

    Every account belongs to a customer, so that no transaction ever spans two. ``balance`` is the
    sum of its entries, kept by the database.
    """

    class Kind(models.TextChoices):
        RECEIVABLE = "receivable", "Receivable: what the customer owes"
        UNBILLED = "unbilled", "Unbilled: sold, not yet on a statement"
        CASH = "cash", "Cash: what the customer has paid"
        REVENUE = "revenue", "Revenue"
        DEFERRED = "deferred", "Deferred revenue: sold, not yet used"
        BREAKAGE = "breakage", "Breakage: sold, expired unused"
        CREDIT = "credit", "Credit: what the customer may use"
        ISSUED = "issued", "Credit issued"
        USED = "used", "Credit used"
        EXPIRED = "expired", "Credit expired"

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, db_index=False, related_name="accounts"
    )
    kind = models.CharField(max_length=12, choices=Kind.choices)
    unit = models.ForeignKey(
        UnitOfAccount, on_delete=models.PROTECT, db_index=False, related_name="+"
    )
    balance = models.DecimalField(max_digits=38, decimal_places=12, default=0, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "kind", "unit"], name="one_account_per_kind_and_unit"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, {self.unit_id}"


class LedgerTransaction(models.Model):
    """One business event: why, when it happened, when it was recorded, and its entries.

    ``key`` is the event's idempotency key: the same event is posted once. A correction is a new
    transaction that names the old one in ``corrects``.
    """

    class Reason(models.TextChoices):
        STATEMENT = "statement", "Statement finalised"
        PAYMENT = "payment", "Payment"
        REFUND = "refund", "Refund"
        CREDIT_NOTE = "credit_note", "Credit note"
        GRANT = "grant", "Credit granted"
        USE = "use", "Credit used"
        EXPIRY = "expiry", "Credit expired"
        ROLLOVER = "rollover", "Credit carried over"
        TRANSFER = "transfer", "Credit transferred"
        CORRECTION = "correction", "Correction"

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, db_index=False, related_name="ledger_transactions"
    )
    key = models.CharField(max_length=200)
    reason = models.CharField(max_length=12, choices=Reason.choices)
    note = models.TextField(blank=True, default="")
    statement = models.ForeignKey(
        Statement,
        on_delete=models.PROTECT,
        null=True,
        db_index=False,
        related_name="ledger_transactions",
    )
    corrects = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, db_index=False, related_name="corrections"
    )
    happened_at = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=TransactionNow(), editable=False)
    recorded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        db_index=False,
        related_name="+",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customer", "key"], name="one_transaction_per_key"),
        ]
        indexes = [
            models.Index(fields=["customer", "-id"], name="transaction_of_customer"),
            set_index("statement", name="transaction_of_statement"),
            set_index("corrects", name="transaction_corrects"),
            set_index("recorded_by", name="transaction_recorded_by"),
        ]

    def __str__(self) -> str:
        return self.key


class LedgerEntry(models.Model):
    """A signed amount on one account, as a part of a transaction; debits are above zero.

    What moves credit names the grant. That all three are there is held by the trigger that keeps
    balances, once for all entries of a statement: a foreign key would ask for each entry again.
    """

    transaction = models.ForeignKey(
        LedgerTransaction, on_delete=models.PROTECT, db_constraint=False, related_name="entries"
    )
    account = models.ForeignKey(
        LedgerAccount,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        related_name="entries",
    )
    grant = models.ForeignKey(
        "billing.CreditGrant",
        on_delete=models.PROTECT,
        null=True,
        db_constraint=False,
        related_name="entries",
    )
    amount = models.DecimalField(max_digits=38, decimal_places=12)

    class Meta:
        verbose_name_plural = "ledger entries"
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(amount=0),
                name="entry_not_zero",
                violation_error_message="An entry moves something.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} on account {self.account_id}"
