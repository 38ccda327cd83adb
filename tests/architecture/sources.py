"""The project's own Python sources, parsed once."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ("config", "plans", "usage", "billing")
APPS = ("plans", "usage", "billing")

# Where the outside world is met: the clock is read here and passed on.
EDGE_FOLDERS = {"api", "admin", "management", "portal"}
EDGE_MODULES = {"views.py", "tasks.py", "admin.py"}


@dataclass(frozen=True)
class Source:
    path: str
    lines: int
    tree: ast.Module

    @property
    def is_edge(self) -> bool:
        parts = Path(self.path).parts
        return bool(EDGE_FOLDERS & set(parts)) or parts[-1] in EDGE_MODULES

    def at(self, node: ast.AST) -> str:
        return f"{self.path}:{node.lineno}"


@cache
def sources(*packages: str) -> tuple[Source, ...]:
    """Parse every module of the packages (all of them, unless named), without migrations."""
    found = []
    for package in packages or PACKAGES:
        for path in sorted((PROJECT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                text = path.read_text()
                name = str(path.relative_to(PROJECT))
                found.append(Source(name, len(text.splitlines()), ast.parse(text, filename=name)))
    return tuple(found)


def functions(source: Source) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(source.tree) if isinstance(node, kinds)]


def imported_modules(source: Source) -> list[tuple[ast.AST, str]]:
    """List what a module imports, by absolute name; relative imports are resolved."""
    found = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            found += [(node, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(source, node)
            found += [(node, f"{base}.{alias.name}") for alias in node.names]
    return found


def _absolute(source: Source, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = Path(source.path).parts[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])
