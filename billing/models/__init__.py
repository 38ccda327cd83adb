from billing.models.statements import Statement, StatementLine

__all__ = ["Statement", "StatementLine"]
