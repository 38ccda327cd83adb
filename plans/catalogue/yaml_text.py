"""Read and write the small, safe part of YAML that catalogue documents need.

Plain scalars mean what YAML 1.2's core schema says: ``on`` and ``no`` are text, ``1:30`` and
``010`` are text, dates are text. A number with a decimal point is read as a float, so that the
schema can refuse it: an amount in a float has lost its exactness already.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode

from plans.catalogue.problems import CatalogueInvalid, CatalogueProblem

MAX_BYTES = 1_000_000
MAX_DEPTH = 20


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without aliases, duplicate keys, depth, or YAML 1.1's surprises."""

    depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            raise _marked("Anchors and aliases (& and *) are not used here.", event.start_mark)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _marked(f"More than {MAX_DEPTH} levels are nested.", event.start_mark)
        node: Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _construct_map(loader: _Loader, node: MappingNode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, ScalarNode):
            raise _marked("A name must be plain text.", key.start_mark)
        if key.value in found:
            raise _marked(f"“{key.value}” is written twice.", key.start_mark)
        found[key.value] = loader.construct_object(value, deep=True)
    return found


def _construct_text(_loader: _Loader, node: ScalarNode) -> str:
    text: str = node.value
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise _marked("The text holds a character that cannot be stored.", node.start_mark)
    return text


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"[-+]?[0-9]*\.[0-9]*(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|nan)", "-+.0123456789"),
    ("null", r"null|~|", "n~\0"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(rf"^(?:{_pattern})$"),
        list(_first.replace("\0", "")),
    )
_Loader.yaml_implicit_resolvers[""] = [("tag:yaml.org,2002:null", re.compile("^$"))]
_Loader.add_constructor("tag:yaml.org,2002:map", _construct_map)
_Loader.add_constructor("tag:yaml.org,2002:str", _construct_text)


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, with lists indented and no aliases."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _represent_text(dumper: _Dumper, text: str) -> ScalarNode:
    quoted = bool(re.match(r"[-+.0-9]", text)) or not text.isprintable()
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if quoted else None)


_Dumper.add_representer(str, _represent_text)


def read_text(path: Path) -> str:
    """Return a document's text. Raises CatalogueInvalid where it cannot be read, or is too long."""
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"The file cannot be read: {error.strerror}."
        raise _refused(
            path.name, "unreadable", message, "Check its name and its rights."
        ) from error
    return decoded(content, name=path.name)


def decoded(content: bytes, *, name: str) -> str:
    """Return a document's bytes as text. Raises CatalogueInvalid where it is too long, or not."""
    if len(content) > MAX_BYTES:
        message = f"The file is longer than {MAX_BYTES:,} bytes."
        raise _refused(name, "too_long", message, "Split it into several files.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = "The file is not UTF-8 text."
        raise _refused(name, "not_utf8", message, "Save it as UTF-8.") from error


def parse(text: str, *, name: str) -> Any:
    """Return a YAML document's content. Raises CatalogueInvalid with the line and the column."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        cause = _sentence(error.problem or "The text is not YAML.")
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise _refused(name, "yaml_syntax", cause, "Mend the YAML there.", where) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        cause = _sentence(str(error).splitlines()[0])
        raise _refused(name, "yaml_syntax", cause, "Save it as plain YAML text.") from error


def write(content: Any) -> str:
    """Return content as YAML: block style, its own order of keys, text kept text."""
    text: str = yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=96, indent=2
    )
    return text


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _marked(message: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(problem=message, problem_mark=mark)


def _refused(name: str, code: str, cause: str, remedy: str, path: str = "") -> CatalogueInvalid:
    return CatalogueInvalid([CatalogueProblem(name, path, code, cause, remedy)])
