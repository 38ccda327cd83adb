from billing.models.credit_use import CreditDraw, CreditPurchase, CreditSweep
from billing.models.credits import CreditGrant, CreditPool, Hold, HoldSlice
from billing.models.dry_runs import DryRun, DryRunResult
from billing.models.ledger import LedgerAccount, LedgerEntry, LedgerTransaction, UnitOfAccount
from billing.models.spend import Spend
from billing.models.statements import Statement, StatementLine

__all__ = [
    "CreditDraw",
    "CreditGrant",
    "CreditPool",
    "CreditPurchase",
    "CreditSweep",
    "DryRun",
    "DryRunResult",
    "Hold",
    "HoldSlice",
    "LedgerAccount",
    "LedgerEntry",
    "LedgerTransaction",
    "Spend",
    "Statement",
    "StatementLine",
    "UnitOfAccount",
]
