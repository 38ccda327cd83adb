"""How much is measured: chosen by BENCH_SIZE."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Size:
    """The amounts of one run. Events per customer in the closed month are about 100 in each."""

    name: str
    customers: int
    requests: int
    """HTTP requests of 1,000 events in each round of the ingest."""
    keys: int
    """Keys, with their events, that are present for ``ingest_10m_vs_empty``."""
    ingest_rounds: int
    rollup_events: int
    rollup_step: int
    """Events between two runs of the rollup: what a minute brings."""
    close_events: int
    close_rounds: int
    claims: int
    """Outcomes that are claimed and verified by rule."""


SIZES = {
    size.name: size
    for size in (
        Size(
            name="tiny",
            customers=60,
            requests=6,
            keys=5_000,
            ingest_rounds=1,
            rollup_events=4_000,
            rollup_step=2_000,
            close_events=6_000,
            close_rounds=1,
            claims=3_000,
        ),
        Size(
            name="small",
            customers=5_000,
            requests=100,
            keys=200_000,
            ingest_rounds=3,
            rollup_events=50_000,
            rollup_step=3_000,
            close_events=500_000,
            close_rounds=2,
            claims=100_000,
        ),
        Size(
            name="full",
            customers=100_000,
            requests=200,
            keys=10_000_000,
            ingest_rounds=3,
            rollup_events=1_000_000,
            rollup_step=60_000,
            close_events=10_000_000,
            close_rounds=1,
            claims=100_000,
        ),
    )
}
