"""The proof of one statement."""

from billing.models import Statement
from billing.statements.verify import Difference, verify_statements


def verify_one(*, statement: Statement) -> list[Difference]:
    """Return how a finalised statement differs from what its facts bear out; nothing if not at all.

    The customer's whole chain is walked, since the hash covers the statements before it.
    """
    found = verify_statements(customer_ids=[statement.customer_id])
    differences = [each for each in found if isinstance(each, Difference)]
    return [each for each in differences if each.number == statement.number]
