"""`plans_list_ms`, `version_page_ms`, `comparison_ms`: server time of what finance opens most."""

import time
from collections.abc import Callable
from decimal import Decimal
from statistics import median
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from bench.figures import print_figure, spread
from bench.sizes import Size

if TYPE_CHECKING:
    from plans.models import Meter
    from plans.terms import PriceRows

PLANS = 60
PRICES, TIERS = 40, 5
RUNS = 15


def measure(_size: Size) -> None:
    """Print the server time of the list of plans, a large version, and a comparison of two."""
    call_command("collectstatic", interactive=False, verbosity=0)
    addresses = _make_plans()
    client = Client(SERVER_NAME=settings.ALLOWED_HOSTS[0])
    client.force_login(get_user_model().objects.create_superuser("bench"))
    for name, (address, what) in addresses.items():
        times = _times(lambda address=address: _get(client, address))  # type: ignore[misc]
        print_figure(
            name, median(times), f"{spread(times, digits=1)} ms of {RUNS} requests: {what}"
        )


def _make_plans() -> dict[str, tuple[str, str]]:
    from plans.models import Meter
    from plans.operations.versions import create_plan, new_version_from, start_version

    meter = Meter.objects.order_by("pk").first()
    assert meter is not None
    for number in range(PLANS):
        listed = create_plan(key=f"listed-{number}", name=f"Plan {number}")
        start_version(plan=listed, currency="USD")
    plan = create_plan(key="large", name="Large")
    version = start_version(plan=plan, currency="USD", rows=_rows(meter, "0.01"))
    other = new_version_from(version=version, by=None)
    for price in other.prices.all():
        price.tiers.filter(up_to=10).update(unit_amount=Decimal("0.02"))
    page = reverse("admin:plans_planversion_change", args=[version.pk])
    compare = reverse("admin:plans_planversion_compare", args=[other.pk])
    large = f"{PRICES} prices with {PRICES * TIERS} tiers"
    return {
        "plans_list_ms": (reverse("admin:plans_plan_changelist"), f"{PLANS + 2} plans, 50 a page"),
        "version_page_ms": (page, f"a version of {large}"),
        "comparison_ms": (
            f"{compare}?with={version.number}",
            f"two versions of {large}, all changed",
        ),
    }


def _rows(meter: "Meter", amount: str) -> "list[PriceRows]":
    from plans.models import Price, Tier
    from plans.terms import PriceRows

    bounds = [10, 100, 1000, 10_000, None]
    return [
        PriceRows(
            Price(key=f"p{place}", name=f"Price {place}", model="graduated", meter=meter),
            [Tier(up_to=bound, unit_amount=Decimal(amount)) for bound in bounds],
        )
        for place in range(PRICES)
    ]


def _get(client: Client, address: str) -> None:
    answer = client.get(address, secure=True)
    assert answer.status_code == 200, f"{address}: {answer.status_code}"


def _times(run: Callable[[], None]) -> list[float]:
    """Return the milliseconds of each run after the first."""
    run()
    found = []
    for _ in range(RUNS):
        started = time.perf_counter()
        run()
        found.append(1000 * (time.perf_counter() - started))
    return found
