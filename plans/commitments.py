"""Commitments as rating values: the only mapper from their rows."""

from collections.abc import Collection, Sequence

from plans.arrays import array
from plans.grant_values import plain, plain_or_none
from plans.models import Commitment, CommitmentInstalment
from plans.rating import commitments as rating


def commitments_of(
    customer_ids: Collection[int],
) -> dict[int, list[tuple[int, rating.Commitment]]]:
    """Return the approved commitments of customers with their ids, by customer id, oldest first.

    In one query where there is none, whatever the number of customers, and else in two.
    """
    rows = Commitment.objects.raw(
        """SELECT * FROM plans_commitment
           WHERE customer_id = ANY(%s::bigint[]) AND approved_at IS NOT NULL
           ORDER BY start_date, id""",
        [array(customer_ids)],
    )
    found: dict[int, list[tuple[int, rating.Commitment]]] = {}
    for row in rows.prefetch_related("instalments"):
        found.setdefault(row.customer_id, []).append((row.pk, commitment_value(row)))
    return found


def commitment_value(
    row: Commitment, instalments: Sequence[CommitmentInstalment] | None = None
) -> rating.Commitment:
    """Return a commitment as a value, with instalments that need not be stored."""
    stored = row.instalments.all() if instalments is None else instalments
    return rating.Commitment(
        key=row.key,
        name=row.name,
        kind=Commitment.Kind(row.kind).value,  # type: ignore[arg-type]
        start=row.start_date,
        instalments=tuple(
            rating.Instalment(each.months, plain(each.amount))
            for each in sorted(stored, key=lambda each: each.position)
        ),
        discount_percent=plain(row.discount_percent),
        beyond_percent=plain_or_none(row.beyond_percent),
        counts=Commitment.Counts(row.counts).value,  # type: ignore[arg-type]
        meters=tuple(sorted(row.meters)),
        measured_by=Commitment.MeasuredBy(row.measured_by).value,  # type: ignore[arg-type]
        rollover_percent=plain(row.rollover_percent),
        rollover_months=row.rollover_months,
        ended_on=row.ended_on,
        shortfall_due=row.shortfall_due,
    )
