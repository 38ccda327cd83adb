"""Which version prices a subscription where another than the one in force is tried out.

A relation of plan versions that stands in for the table: all of what a dry run changes about the
facts of a statement is here.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, Final

IN_FORCE: Final = "plans_planversion"

_WITH_ONE_INSTEAD: Final = """(
    SELECT id, plan_id, currency, published_at, effective_from, effective_until
    FROM plans_planversion WHERE plan_id <> %(plan)s
    UNION ALL
    SELECT id, %(plan)s, currency, '-infinity', '-infinity', 'infinity'
    FROM plans_planversion WHERE id = %(version)s)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Substitution:
    """In the periods of these ids, subscriptions to a plan are priced by one version throughout.

    The version may be a draft, and of another plan. Customers billed in another currency than the
    version's have no price by it.
    """

    plan_id: int
    version_id: int
    periods: Collection[int]

    versions: ClassVar[str] = _WITH_ONE_INSTEAD

    @property
    def values(self) -> dict[str, int]:
        """Return the parameters of ``versions``."""
        return {"plan": self.plan_id, "version": self.version_id}
