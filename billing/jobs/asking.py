"""A service's request for a job, and the digest by which the same request is known again."""

import hashlib
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class JobRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """What a service asks admission for.

    ``subject`` is the key of a customer or a workspace, ``input_size`` counts what the class
    counts, ``dimensions`` are property values known beforehand, ``features`` those that the job
    needs. ``parent`` is the job whose step it is.
    """

    subject: _Text
    job_class: _Text
    service_class: str = ""
    input_size: Decimal = Decimal(1)
    dimensions: dict[str, str] = {}
    features: tuple[str, ...] = ()
    parent: UUID | None = None


_encoder = msgspec.json.Encoder(order="deterministic")


def digest_of(request: Any) -> str:
    """Return the SHA-256 of a request: equal requests have equal ones."""
    return hashlib.sha256(_encoder.encode(request)).hexdigest()
