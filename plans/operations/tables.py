"""Replace all tiers or rates of a draft's price at once."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from plans import locks
from plans.catalogue.dump import price_content
from plans.errors import OperationError
from plans.models import MatrixRate, PlanVersion, Price, Tier
from plans.operations.drafts import PriceGone, save_price
from plans.operations.versions import refuse_frozen
from plans.queries import price_rows_of


class PriceChanged(OperationError):
    """The price is not what it was when the table was shown. Nothing was stored."""

    code = "price_changed"


@transaction.atomic
def replace_table(
    *,
    version: PlanVersion,
    price_key: str,
    shown: Mapping[str, Any],
    tiers: Sequence[Tier],
    rates: Sequence[MatrixRate],
    by: AbstractBaseUser | None,
) -> Price:
    """Give a draft's price exactly these tiers or rates, where it is still as it was ``shown``.

    ``shown`` is the price as a document states it. Raises VersionFrozen, PriceGone, PriceChanged,
    PlanInvalid.
    """
    refuse_frozen(locks.version(version_id=version.pk))
    rows = price_rows_of(version_id=version.pk, price_key=price_key)
    if rows is None:
        raise PriceGone("The price was removed meanwhile.")
    if price_content(rows) != shown:
        raise PriceChanged(
            "The price has changed since the table was shown. Look at it again: this is what "
            "would be replaced now."
        )
    return save_price(version=version, price=rows.price, tiers=tiers, rates=rates, by=by)
