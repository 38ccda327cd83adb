"""What other apps know of a plan version: links from its page, and evidence for its approval.

They add to the lists here, since plans knows none of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from plans.models import PlanVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a version was found to do when it was tested.

    ``fingerprint`` covers what was tested and every result, ``totals`` says it in words, and
    ``is_current`` that the version's terms are still those that were tested.
    """

    fingerprint: str
    is_current: bool
    totals: str
    tested_at: datetime
    link: str


class VersionLink(NamedTuple):
    """A page about one version, which takes its id, for those who have the permission."""

    title: str
    view_name: str
    permission: str


EVIDENCE: list[Callable[[PlanVersion], Evidence | None]] = []
LINKS: list[VersionLink] = []


def latest_evidence(version: PlanVersion) -> Evidence | None:
    """Return the evidence for a version from the first app that has any."""
    for find in EVIDENCE:
        found = find(version)
        if found is not None:
            return found
    return None


def links_for(request: HttpRequest, version: PlanVersion) -> list[tuple[str, str]]:
    """Return title and address of the pages about a version that the person may open."""
    found = []
    for link in LINKS:
        try:
            address = reverse(f"admin:{link.view_name}", args=[version.pk])
        except NoReverseMatch:
            continue
        if request.user.has_perm(link.permission):
            found.append((link.title, address))
    return found
