"""How the admin names versions and writes their times."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from django.urls import reverse

from plans.admin.actions import Hindrance
from plans.models import PlanVersion
from plans.pricelist import PriceCard, publishing_problems

STATUS_LABELS: Final = {
    "draft": "warning",
    "submitted": "warning",
    "approved": "info",
    "scheduled": "info",
    "in force": "success",
    "retired": "default",
    "called off": "default",
}
_PATH = re.compile(r"^prices\[(\d+)\]\.?(.*)$")


def named(version: PlanVersion) -> str:
    """Name a version with its plan, which must be loaded."""
    return f"{version.plan.name}, version {version.number}"


def on(at: datetime | None) -> str:
    """Write a time in UTC, whose name stands beside; a dash for none."""
    return "—" if at is None else f"{at.astimezone(UTC):%d %B %Y %H:%M}"


def page_of(version: PlanVersion) -> str:
    """Return the address of a version's page."""
    return reverse("admin:plans_planversion_change", args=[version.pk])


def next_midnight(now: datetime) -> datetime:
    """Return the next midnight in UTC."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=1)


def hindrances(version: PlanVersion, cards: list[PriceCard]) -> list[Hindrance]:
    """Return what keeps a draft from being published, each with the page that mends it."""
    found = []
    for problem in publishing_problems(version):
        match = _PATH.match(problem.field)
        if match is None:
            found.append(Hindrance(where=problem.field, message=problem.message))
            continue
        price = cards[int(match[1])].price
        link = f"{page_of(version)}#price-{price.key}"
        where = f"{price.name}: {match[2].replace('_', ' ')}"
        found.append(Hindrance(where=where, message=problem.message, link=link))
    return found
