"""A figure, its goal, and the lines that are printed for them."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "<": operator.lt,
    "=": operator.eq,
}


@dataclass(frozen=True)
class Goal:
    """What a figure is to reach: a comparison and a bound."""

    comparison: str
    bound: float

    def is_met(self, value: float) -> bool:
        """Tell whether the value reaches the goal."""
        return _COMPARISONS[self.comparison](value, self.bound)


# docs/design.md, "Figures", has the definitions.
GOALS = {
    "ingest_http_vs_copy": Goal(">=", 0.33),
    "ingest_10m_vs_empty": Goal(">=", 0.5),
    "rollup_vs_ingest": Goal("<=", 0.6),
    "close_vs_sql": Goal("<=", 4),
    "close_2_vs_1": Goal(">=", 1.6),
    "close_worker_peak_mib": Goal("<", 1024),
    "verify_differences": Goal("=", 0),
    "hold_settle_vs_insert": Goal(">=", 0.15),
    "balance_ms": Goal("<", 5),
    "outcome_claims_s": Goal("<", 60),
    "admission_vs_insert": Goal(">=", 0.10),
    "admission_hot_vs_insert": Goal(">=", 0.05),
    "admission_p99_ms": Goal("<", 25),
    "spend_lag_s": Goal("<=", 5),
    "estimate_p99_ms": Goal("<", 25),
    "estimate_in_range": Goal(">=", 0.75),
    "plans_list_ms": Goal("<", 300),
    "version_page_ms": Goal("<", 300),
    "comparison_ms": Goal("<", 300),
}


def print_figure(name: str, value: float, *context: str) -> None:
    """Print `name value goal ok|MISSED`, and the numbers behind it below."""
    goal = GOALS[name]
    verdict = "ok" if goal.is_met(value) else "MISSED"
    shown = str(value) if isinstance(value, int) else f"{value:.2f}"
    print(f"{name} {shown} {goal.comparison}{goal.bound:g} {verdict}")
    for line in context:
        print(f"    {line}")


def spread(values: Sequence[float], *, digits: int = 0) -> str:
    """Return the median and the range of repeated measurements."""
    lowest, highest = min(values), max(values)
    middle = f"{median(values):,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({lowest:,.{digits}f} to {highest:,.{digits}f})"
