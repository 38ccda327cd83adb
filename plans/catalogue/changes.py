"""What differs between two documents, row by row; pure, over their contents."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

Content = Mapping[str, Any]
Kind = Literal["new", "changed", "removed", "same"]


class Difference(NamedTuple):
    """One fact and what it was and is, in words; "" where it is not stated."""

    name: str
    before: str
    after: str

    @property
    def kind(self) -> Kind:
        """Return what happened to the fact."""
        if self.before == self.after:
            return "same"
        return "new" if not self.before else "changed" if self.after else "removed"


class Part(NamedTuple):
    """A part of a document (a price, a phase, the version itself) with its facts."""

    title: str
    rows: tuple[Difference, ...]

    @property
    def kind(self) -> Kind:
        """Return what happened to the part as a whole."""
        kinds = {row.kind for row in self.rows}
        return next(iter(kinds)) if len(kinds) == 1 else "changed"

    @property
    def moved(self) -> tuple[Difference, ...]:
        """Return the facts that are not as they were."""
        return tuple(row for row in self.rows if row.kind != "same")


Facts = dict[tuple[str, str], str]

_TIMES: Final = frozenset({"effective_from", "effective_until"})
_LEFT_OUT: Final = frozenset({"key", "unfinished"})
_KNOWN: Final = """
currency effective_from effective_until note name description model meter amount percent unit flat
label unit_size package_size default event_type aggregation property dimensions filters rounding
days months policy plan size credits credit beyond_credit
"""
_ORDER: Final = {name: place for place, name in enumerate(_KNOWN.split())}
_LISTS: Final = {
    "prices": "Price",
    "phases": "Phase",
    "service_classes": "Service class",
    "packs": "Pack",
    "allotments": "Allotment",
}


def version_parts(before: Content | None, after: Content | None) -> list[Part]:
    """Return what differs between two versions' contents, part by part; None is no version."""
    return _parts(_version_facts(before or {}), _version_facts(after or {}), before, after)


def content_part(title: str, before: Content | None, after: Content | None) -> Part:
    """Return the facts of one plain content: a meter, a feature, a plan without its versions."""
    parts = _parts(_facts(title, before or {}), _facts(title, after or {}), None, None)
    return parts[0] if parts else Part(title, ())


def price_parts(before: Content | None, after: Content | None) -> list[Part]:
    """Return what differs between two contents of one price."""
    there = _price_facts("Price", before) if before else {}
    here = _price_facts("Price", after) if after else {}
    return _parts(there, here, None, None)


def _parts(there: Facts, here: Facts, before: Content | None, after: Content | None) -> list[Part]:
    titles: dict[str, list[Difference]] = {}
    for place in [*here, *(place for place in there if place not in here)]:
        title, name = place
        row = Difference(name, there.get(place, ""), here.get(place, ""))
        titles.setdefault(title, []).append(row)
    for title, row in _orders(before, after):
        titles.setdefault(title, []).append(row)
    return [Part(title, tuple(rows)) for title, rows in titles.items()]


def _orders(before: Content | None, after: Content | None) -> Iterator[tuple[str, Difference]]:
    """Say where the same parts stand in another order."""
    for name in _LISTS:
        there = [each["key"] for each in (before or {}).get(name, ())]
        here = [each["key"] for each in (after or {}).get(name, ())]
        if there != here and sorted(there) == sorted(here):
            row = Difference(f"order of {_words(name)}", ", ".join(there), ", ".join(here))
            yield "Version", row


def _version_facts(content: Content) -> Facts:
    found = _facts("Version", {name: content[name] for name in content if name not in _NESTED})
    found |= {("Features", key): "granted" for key in content.get("features", ())}
    for limit in content.get("limits", ()):
        of_class = f", {limit['job_class']}" if limit.get("job_class") else ""
        found["Limits", f"{_words(limit['kind'])}{of_class}"] = _text(limit["value"])
    found |= _facts("Jobs", content.get("jobs", {}))
    for name in ("service_classes", "phases", "packs", "allotments"):
        for each in content.get(name, ()):
            found |= _facts(_title(name, each), each)
    for price in content.get("prices", ()):
        found |= _price_facts(_title("prices", price), price)
    return found


_NESTED: Final = frozenset({"features", "limits", "jobs", *_LISTS})


def _title(name: str, content: Content) -> str:
    return f"{_LISTS[name]} {content['key']}"


def _price_facts(title: str, price: Content) -> Facts:
    plain = {name: value for name, value in price.items() if name not in {"tiers", "rates"}}
    found = _facts(title, plain)
    for tier in price.get("tiers", ()):
        bound = "and above" if tier["up_to"] is None else f"up to {tier['up_to']}"
        found[title, f"tier {bound}"] = _charge(tier, without="up_to")
    for rate in price.get("rates", ()):
        match = ", ".join(f"{name} {value}" for name, value in rate["match"].items())
        found[title, f"rate for {match}"] = _charge(rate, without="match")
    return found


def _charge(content: Content, *, without: str) -> str:
    said = (f"{_words(name)} {value}" for name, value in _ordered(content) if name != without)
    return ", ".join(said) or "nothing"


def _facts(title: str, content: Content) -> Facts:
    return {
        (title, _words(name)): _time(value) if name in _TIMES else _text(value)
        for name, value in _ordered(content)
        if name not in _LEFT_OUT
    }


def _ordered(content: Content) -> list[tuple[str, Any]]:
    """Return the facts in the order in which people think; the database keeps none."""
    return sorted(content.items(), key=lambda item: _ORDER.get(item[0], len(_ORDER)))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _text(value: Any) -> str:
    if value is None:
        return "not stated yet"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{_words(name)}: {_text(each)}" for name, each in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_text(each) for each in value)
    return str(value)


def _time(value: str) -> str:
    return f"{datetime.fromisoformat(value):%d %B %Y %H:%M} UTC"
