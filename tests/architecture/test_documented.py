"""A variable, command or address that no page tells of does not exist for its users."""

import ast
import re
from functools import cache

import pytest
from django.urls import URLPattern, get_resolver

from tests.architecture.sources import PACKAGES, PROJECT, sources

# Django's own, not a setting of ours.
OF_OTHERS = {"DJANGO_SETTINGS_MODULE"}


@cache
def pages() -> str:
    """README.md and docs/, with the parameters of addresses made alike: {id} and {key} to {}."""
    found = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
    text = "\n".join(path.read_text() for path in found if path.is_file())
    return re.sub(r"\{\w+\}", "{}", text)


def variables() -> set[str]:
    """Every name that the sources look up: `_read(values, "NAME", …)`, `os.environ["NAME"]`, …"""
    found = set()
    for source in sources():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call):
                of_env = source.path == "config/env.py" or "environ" in ast.unparse(node.func)
                if of_env or "getenv" in ast.unparse(node.func):
                    found |= _names([*node.args, *(each.value for each in node.keywords)])
            elif isinstance(node, ast.Subscript) and "environ" in ast.unparse(node.value):
                found |= _names([node.slice])
    return found - OF_OTHERS


def _names(nodes) -> set[str]:
    texts = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return {text for text in texts if isinstance(text, str) and re.fullmatch("[A-Z][A-Z_]+", text)}


def commands() -> set[str]:
    return {
        path.stem
        for package in PACKAGES
        for path in (PROJECT / package).glob("management/commands/[a-z]*.py")
    }


def make_targets() -> set[str]:
    [phony, *_] = re.findall(r"^\.PHONY: (.*)$", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    return set(phony.split())


def addresses() -> set[str]:
    """Every address below /api/, and the first part of every other."""
    found = set(_walk(get_resolver(), "/"))
    api = {address for address in found if address.startswith("/api/")}
    return api | {f"/{address.split('/')[1]}" for address in found - api}


def _walk(resolver, prefix):
    for entry in resolver.url_patterns:
        address = prefix + re.sub(r"<[^>]+>", "{}", str(entry.pattern)).removeprefix("^")
        if isinstance(entry, URLPattern):
            yield address.rstrip("$")
        else:
            yield from _walk(entry, address)


def test_the_sources_are_really_read():
    assert {"DATABASE_URL", "BROKER_URL", "SECRET_KEY", "TOLLGATE_HOME"} <= variables()
    assert {"demo", "test", "check"} <= make_targets()
    assert {"/api/schema/", "/admin", "/healthz"} <= addresses()


@pytest.mark.parametrize(
    ("names", "written"),
    [
        (variables, "`{}`"),
        (commands, "manage.py {}"),
        (make_targets, "make {}"),
        (addresses, "{}"),
    ],
    ids=["variables", "commands", "make targets", "addresses"],
)
def test_everything_is_documented(names, written):
    untold = sorted(name for name in names() if written.replace("{}", name, 1) not in pages())

    assert untold == [], "Tell of these in README.md or docs/."
