"""Change a budget and look at its alerts at once: what a person does takes effect now."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from billing.alerts.effects import effects_of
from billing.alerts.noticing import alert_spend, use_of
from billing.models import BudgetAlert, Spend
from billing.wording import Money
from plans.models import Budget
from plans.operations.budgets import BudgetTerms, Scope, set_budget, terms_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A budget as it is, None where there is none, with what counts against it."""

    terms: BudgetTerms | None
    used: Decimal
    running: int
    sent: dict[int, Decimal]
    currency: str

    @property
    def used_words(self) -> Money:
        """Return what is spent or held now."""
        return Money(self.used.normalize() + 0, self.currency)

    def effects_of(self, new: BudgetTerms | None) -> tuple[str, ...]:
        """Return in words what new terms, or none, do at once."""
        if new is not None and not (new.amount.is_finite() and new.amount > 0):
            return ()
        return effects_of(
            old=self.terms,
            new=new,
            used=self.used,
            running=self.running,
            sent=self.sent,
            currency=self.currency,
        )


def standing_of(scope: Scope) -> Standing:
    """Return a budget with what counts against it; nothing counts until a period was rated."""
    budgets = Budget.objects.filter(customer=scope.customer, workspace=scope.workspace)
    budget = budgets.select_related("customer", "workspace").first()
    spend = Spend.objects.filter(pk=scope.customer.pk).first()
    probe = budget or Budget(customer=scope.customer, workspace=scope.workspace)
    use = use_of(probe, spend=spend)
    sent: dict[int, Decimal] = {}
    if use is not None:
        alerts = BudgetAlert.objects.filter(
            customer=scope.customer,
            workspace=scope.workspace,
            period_start=use.period_start,
            kind=BudgetAlert.Kind.THRESHOLD,
            rearmed_at=None,
        )
        sent = {alert.percent: alert.standing_amount for alert in alerts}
    return Standing(
        terms=terms_of(budget) if budget else None,
        used=use.total if use else Decimal(0),
        running=spend.running if spend else 0,
        sent=sent,
        currency=scope.customer.currency,
    )


@transaction.atomic
def change_budget(*, scope: Scope, terms: BudgetTerms, now: datetime) -> Budget:
    """Set or change a budget and store the alerts that are due by it; Beat sends them.

    Raises BudgetInvalid, BudgetTaken.
    """
    budget = set_budget(scope=scope, terms=terms)
    alert_spend(customer_ids=[scope.customer.pk], now=now)
    return budget
