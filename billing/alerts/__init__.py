"""Messages at shares of a budget, and when it is about to end; see ``noticing`` and ``sending``."""

from billing.alerts.noticing import alert_spend

__all__ = ["alert_spend"]
