"""`outcome_claims_s`: outcomes claimed in batches, and verified by rule, over HTTP."""

import random
from datetime import UTC, datetime, timedelta

import msgspec
from django.db import connection

from bench.events import CLOCK_START, time_ordered_id
from bench.figures import print_figure
from bench.server import CLIENTS, THREADS, WORKERS, post_bodies, running_server
from bench.sizes import Size
from bench.world import MONTH_START, customer_key
from plans.models import Plan
from plans.operations.contracts import create_contract, publish_contract
from usage.operations.api_keys import issue_key

_PER_REQUEST = 1000
_CONTRACT = "bench.documents"


def measure(size: Size) -> None:
    """Print the figure; the working database is fresh."""
    now = datetime.now(tz=UTC)
    _make_contract()
    _, secret = issue_key(name="bench", scopes=["outcomes"], now=now)
    bodies = _bodies(size)
    with running_server() as port:
        sent = post_bodies(
            port, bodies, secret=secret, path="/api/v1/outcomes", wanted=200,
            content_type="application/json",
        )  # fmt: skip
    verified, events = _stored()
    assert verified == events == size.claims, f"{verified} outcomes, {events} events"
    print_figure(
        "outcome_claims_s",
        sent.seconds,
        f"{size.claims / sent.seconds:,.0f} outcomes/s: {len(bodies)} requests of "
        f"{_PER_REQUEST:,}, each with evidence, a condition and a bonus; each outcome with two "
        f"steps and its usage event; {WORKERS} workers of {THREADS} threads, {CLIENTS} clients",
    )


def _make_contract() -> None:
    """Put a contract into force before anyone was billed; the customers are subscribed since."""
    content = {
        "unit": "documents",
        "evidence": [{"name": "accuracy", "kind": "number"}, {"name": "status", "kind": "text"}],
        "success": 'status is "done" and accuracy >= 0.9',
        "dispute_days": 30,
        "fee": {
            "kind": "per_outcome", "amount": "0.10", "bonus_amount": "0.05",
            "bonus_when": "accuracy > 0.99",
        },
    }  # fmt: skip
    version = create_contract(
        key=_CONTRACT, name="Documents", currency="USD", content=content,
        plan=Plan.objects.get(key="bench"),
    )  # fmt: skip
    # As of the month's start, which a person could not do after the fact: the clock is the world's.
    publish_contract(version=version, effective_from=MONTH_START, by=None, now=MONTH_START)


def _bodies(size: Size) -> list[bytes]:
    noise = random.Random(7)
    start_ms = int(CLOCK_START.timestamp()) * 1000
    claims = [
        {
            "id": time_ordered_id(start_ms + number, noise),
            "contract": _CONTRACT,
            "subject": customer_key(noise.randrange(size.customers)),
            "happened_at": CLOCK_START + timedelta(milliseconds=number),
            "evidence": {"accuracy": f"0.9{noise.randrange(1000):03d}", "status": "done"},
            "value": "12.50",
            "job": f"job-{number}",
            "attempt": 1,
        }
        for number in range(size.claims)
    ]
    return [
        msgspec.json.encode(claims[first : first + _PER_REQUEST])
        for first in range(0, len(claims), _PER_REQUEST)
    ]


def _stored() -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT (SELECT count(*) FROM usage_outcome WHERE state = 'verified'),
                      (SELECT count(*) FROM usage_event WHERE source = 'tollgate/outcomes')"""
        )
        verified, events = cursor.fetchone()
    return verified, events
