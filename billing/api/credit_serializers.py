"""How credit looks in the API: amounts as strings, times in UTC."""

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.models import CreditGrant, LedgerAccount, LedgerTransaction
from plans.models.fields import validate_key

_GRANTED = (
    CreditGrant.Source.PROMOTION,
    CreditGrant.Source.SERVICE,
    CreditGrant.Source.BOUGHT,
)


@extend_schema_field({"type": "string", "format": "decimal", "example": "9250"})
class UnitsField(serializers.Field):  # type: ignore[type-arg]
    """An amount in a unit of account, without trailing zeros."""

    def to_representation(self, value: Decimal) -> str:
        """Write the number exactly."""
        return f"{value.normalize():f}" if value else "0"


class BalanceQuery(serializers.Serializer[Any]):
    """At which instant balances are asked for."""

    at = serializers.DateTimeField(
        required=False,
        help_text="From now on: credit that lapses until then is left out. Default: now.",
    )


class GrantsQuery(serializers.Serializer[Any]):
    """Which grants are asked for."""

    pool = serializers.CharField(required=False, help_text="The pool's key.")
    after = serializers.IntegerField(
        required=False, min_value=1, help_text="`next` of the page before."
    )


class JournalQuery(serializers.Serializer[Any]):
    """From where the journal goes on."""

    after = serializers.IntegerField(
        required=False, min_value=1, help_text="`next` of the page before."
    )


class PoolSerializer(serializers.Serializer[Any]):
    """A pool and its balance: settled = held + available + what may not be used yet or by all."""

    pool = serializers.CharField(help_text="The pool's key.")
    name = serializers.CharField()
    unit = serializers.CharField(help_text="A currency, or a named credit.")
    settled = UnitsField(help_text="Granted, and neither used nor lapsed.")
    held = UnitsField(help_text="Reserved of it.")
    available = UnitsField(help_text="What any meter and job class may use.")


class BalanceSerializer(serializers.Serializer[Any]):
    """A customer's pools at an instant."""

    customer = serializers.CharField()
    at = serializers.DateTimeField()
    pools = PoolSerializer(many=True)


class GrantSerializer(serializers.Serializer[Any]):
    """One addition to a pool."""

    key = serializers.CharField()
    pool = serializers.CharField(source="pool.key")
    unit = serializers.CharField(source="pool.unit_id")
    source = serializers.ChoiceField(CreditGrant.Source.choices)  # type: ignore[assignment]
    amount = UnitsField()
    remaining = UnitsField(help_text="Neither used nor lapsed.")
    held = UnitsField(help_text="Reserved of what remains.")
    priority = serializers.IntegerField(help_text="A lower number is used first.")
    effective_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    meters = serializers.ListField(child=serializers.CharField())
    job_classes = serializers.ListField(child=serializers.CharField())
    cost = UnitsField(help_text="What it was sold for; 0: given away.")
    currency = serializers.CharField(help_text="Of the cost; empty where there is none.")
    needs_payment = serializers.BooleanField()
    paid_at = serializers.DateTimeField(allow_null=True)
    note = serializers.CharField()


class GrantRequestSerializer(serializers.Serializer[Any]):
    """Credit that a person is to approve before it is granted."""

    key = serializers.CharField(help_text="The Idempotency-Key; the grant will have it.")
    pool = serializers.CharField(source="pool.key")
    unit = serializers.CharField(source="pool.unit_id")
    amount = UnitsField()
    status = serializers.CharField(help_text="`requested`: it waits for a person.")
    requested_at = serializers.DateTimeField()
    note = serializers.CharField(source="reason")


class GrantListSerializer(serializers.Serializer[Any]):
    """A page of grants."""

    results = GrantSerializer(many=True)
    next = serializers.IntegerField(
        allow_null=True, help_text="Ask on with `after`; null: the end."
    )


class NewGrantSerializer(serializers.Serializer[Any]):
    """Credit to add to a pool; the Idempotency-Key is the grant's key."""

    pool = serializers.CharField(help_text="The pool's key.")
    source = serializers.ChoiceField(  # type: ignore[assignment]
        [(each.value, each.label) for each in _GRANTED]
    )
    amount = serializers.DecimalField(max_digits=38, decimal_places=12)
    cost = serializers.DecimalField(
        max_digits=38,
        decimal_places=12,
        default=Decimal(0),
        help_text="What it is sold for, in the customer's currency.",
    )
    effective_at = serializers.DateTimeField(required=False, help_text="Default: now.")
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="Default: never."
    )
    priority = serializers.IntegerField(min_value=0, max_value=32767, default=100)
    meters = serializers.ListField(child=serializers.CharField(max_length=100), default=list)
    job_classes = serializers.ListField(child=serializers.CharField(max_length=100), default=list)
    note = serializers.CharField(max_length=2000, help_text="Why; kept in the journal.")


class IdempotencyHeader(serializers.Serializer[Any]):
    """The header under which a grant is made once."""

    key = serializers.CharField(max_length=100, validators=[validate_key])


class EntrySerializer(serializers.Serializer[Any]):
    """A signed amount on one account; a debit is above zero."""

    account = serializers.ChoiceField(LedgerAccount.Kind.choices, source="account.kind")
    unit = serializers.CharField(source="account.unit_id")
    amount = UnitsField()
    grant = serializers.SerializerMethodField()

    @extend_schema_field({"type": "string", "nullable": True})
    def get_grant(self, entry: Any) -> str | None:
        """Return the key of the grant that the entry moves; null: none."""
        return entry.grant.key if entry.grant else None


class PostedSerializer(serializers.Serializer[Any]):
    """One business event in the ledger; its entries sum to zero in every unit."""

    key = serializers.CharField()
    reason = serializers.ChoiceField(LedgerTransaction.Reason.choices)
    note = serializers.CharField()
    happened_at = serializers.DateTimeField()
    recorded_at = serializers.DateTimeField()
    statement = serializers.SerializerMethodField()
    corrects = serializers.SerializerMethodField()
    entries = serializers.SerializerMethodField()

    @extend_schema_field({"type": "string", "nullable": True})
    def get_statement(self, posted: Any) -> str | None:
        """Return the number of the statement that was posted; null: none."""
        return posted.statement.number if posted.statement else None

    @extend_schema_field({"type": "string", "nullable": True})
    def get_corrects(self, posted: Any) -> str | None:
        """Return the key of the event that this one takes back; null: none."""
        return posted.corrects.key if posted.corrects else None

    @extend_schema_field(EntrySerializer(many=True))
    def get_entries(self, posted: Any) -> Any:
        """Return the entries in the order in which they were posted."""
        return EntrySerializer(posted.entries.all(), many=True).data


class JournalSerializer(serializers.Serializer[Any]):
    """A page of the journal."""

    results = PostedSerializer(many=True)
    next = serializers.IntegerField(
        allow_null=True, help_text="Ask on with `after`; null: the end."
    )
