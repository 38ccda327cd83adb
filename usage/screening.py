"""See at once that nothing is wrong with a whole batch; pure: values in, values out.

`usage.ingest.find_fault` looks at one event and says what is wrong with it. With most batches
nothing is, and that shows sooner attribute by attribute over all events than event by event. The
answers here lean one way: what passes is without fault; what does not is to be looked at singly.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec.structs import astuple

from usage.ingest import (
    OWN_SOURCE,
    OWN_TYPES,
    QUANTITY_MAX,
    TEXT_LENGTH_MAX,
    CloudEvent,
    Span,
    TypeRules,
    ValueRule,
    find_data_fault,
)

# Source, id, type, time, subject, data.
SoundRow = tuple[str, str, str, datetime, str, dict[str, Any]]

_SCALARS = frozenset({str, int, Decimal, bool, float, type(None)})
_NUMBERS = frozenset({int, Decimal})
_TEXTS_AND_NUMBERS = frozenset({str, int, Decimal})


def find_sound_rows(
    events: Sequence[CloudEvent], *, types: Mapping[str, TypeRules], span: Span
) -> list[SoundRow] | None:
    """Return the events as rows if `find_fault` finds nothing in any of them, or None.

    Then they all have a time, and no two of them the same key. NUL characters, which the
    encoded batch shows, are left to the caller.
    """
    # A struct's values come in the order of its attributes.
    ids, sources, kinds, subjects, _, times, data, base64 = zip(*map(astuple, events), strict=True)
    if (
        None in times
        or base64.count(None) < len(events)
        or len(set(zip(sources, ids, strict=True))) < len(events)
        or not (_are_texts(ids) and _are_texts(set(sources)))
        or not (span.oldest <= min(times) and max(times) <= span.newest)
        or not set(kinds) <= types.keys()
        or OWN_SOURCE in sources
        or any(kind.startswith(OWN_TYPES) for kind in set(kinds))
    ):
        return None
    if None in data:
        data = tuple(each or {} for each in data)
    by_type: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for kind, each in zip(kinds, data, strict=True):
        by_type[kind].append(each)
    if not all(_is_data_sound(found, types[kind]) for kind, found in by_type.items()):
        return None
    return list(zip(sources, ids, kinds, times, subjects, data, strict=True))


def _are_texts(texts: Collection[str]) -> bool:
    lengths = set(map(len, texts))
    return 0 not in lengths and max(lengths) <= TEXT_LENGTH_MAX


def _is_data_sound(data: Sequence[dict[str, Any]], rules: TypeRules) -> bool:
    passed = (
        not rules.wide_dimensions
        and all(_are_scalars([each.get(name) for each in data]) for name in rules.scalars)
        and all(_are_values([each.get(rule.name) for each in data], rule) for rule in rules.values)
    )
    return passed or not any(find_data_fault(each, rules) for each in data)


def _are_scalars(values: Sequence[Any]) -> bool:
    """Tell whether these are short texts, numbers, truth values or nothing."""
    if not set(map(type, values)) <= _SCALARS:
        return False
    return max(len(value) if type(value) is str else 0 for value in values) <= TEXT_LENGTH_MAX


def _are_values(values: Sequence[Any], rule: ValueRule) -> bool:
    """Tell whether a meter takes each of these; one that its filters keep out may be anything."""
    kinds = set(map(type, values))
    if not rule.is_number:
        return kinds <= _TEXTS_AND_NUMBERS
    if not kinds <= _NUMBERS:
        return False
    decimals = [value for value in values if type(value) is Decimal]
    are_finite = all(map(Decimal.is_finite, decimals))
    return are_finite and min(values) >= 0 and max(values) < QUANTITY_MAX
