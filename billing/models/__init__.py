from billing.models.alerts import BudgetAlert, SpendDay
from billing.models.credit_use import CreditDraw, CreditPurchase, CreditSweep
from billing.models.credits import CreditGrant, CreditPool, Hold
from billing.models.dry_runs import DryRun, DryRunResult
from billing.models.ledger import LedgerAccount, LedgerEntry, LedgerTransaction, UnitOfAccount
from billing.models.outcomes import OutcomeRequest
from billing.models.requests import CreditRequest
from billing.models.spend import Spend, SpendSweep
from billing.models.statements import Statement, StatementLine
from billing.models.top_up import LowBalance, LowBalanceAlert, PoolLimit, TopUp
from billing.models.webhooks import (
    EventType,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
)

__all__ = [
    "BudgetAlert",
    "CreditDraw",
    "CreditGrant",
    "CreditPool",
    "CreditPurchase",
    "CreditRequest",
    "CreditSweep",
    "DryRun",
    "DryRunResult",
    "EventType",
    "Hold",
    "LedgerAccount",
    "LedgerEntry",
    "LedgerTransaction",
    "LowBalance",
    "LowBalanceAlert",
    "OutcomeRequest",
    "PoolLimit",
    "Spend",
    "SpendDay",
    "SpendSweep",
    "Statement",
    "StatementLine",
    "TopUp",
    "UnitOfAccount",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookEvent",
]
