from billing.models.ledger import LedgerAccount, LedgerEntry, LedgerTransaction, UnitOfAccount
from billing.models.statements import Statement, StatementLine

__all__ = [
    "LedgerAccount",
    "LedgerEntry",
    "LedgerTransaction",
    "Statement",
    "StatementLine",
    "UnitOfAccount",
]
