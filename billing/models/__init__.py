from billing.models.dry_runs import DryRun, DryRunResult
from billing.models.statements import Statement, StatementLine

__all__ = ["DryRun", "DryRunResult", "Statement", "StatementLine"]
