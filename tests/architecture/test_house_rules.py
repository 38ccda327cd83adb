"""The rules of the house that a program can check."""

import ast

from django.db.migrations.loader import MigrationLoader

from tests.architecture.sources import APPS, functions, imported_modules, sources

FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 400
CLOCKS = {
    ("timezone", "now"),
    ("timezone", "localtime"),
    ("timezone", "localdate"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("time", "time"),
}


def test_functions_are_small():
    long = [
        f"{source.at(node)} {node.name}: {length} lines"
        for source in sources()
        for node in functions(source)
        if (length := node.end_lineno - node.lineno + 1) > FUNCTION_LINES_MAX
    ]

    assert long == []


def test_modules_are_small():
    long = [f"{each.path}: {each.lines}" for each in sources() if each.lines > MODULE_LINES_MAX]

    assert long == []


def test_rows_are_locked_in_locks_modules_alone():
    elsewhere = [
        source.at(node)
        for source in sources()
        if not source.path.endswith("/locks.py")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and node.attr == "select_for_update"
    ]

    assert elsewhere == []


def test_there_are_no_signals():
    """Celery's, by which a worker starts the embedded services, are another thing."""
    found = [
        f"{source.at(node)} imports {name}"
        for source in sources()
        for node, name in imported_modules(source)
        if name.startswith(("django.dispatch", "django.db.models.signals", "django.core.signals"))
        or name == "django.db.models.signals"
    ]

    assert found == []


def test_the_clock_is_read_at_the_edges_alone():
    found = [
        f"{source.at(node)} reads {node.value.id}.{node.attr}"
        for source in sources(*APPS)
        if not source.is_edge
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if (node.value.id, node.attr) in CLOCKS
    ] + [
        f"{source.at(node)} imports {name}"
        for source in sources(*APPS)
        if not source.is_edge
        for node, name in imported_modules(source)
        if name in {"django.utils.timezone.now", "django.utils.timezone.localdate", "time.time"}
    ]

    assert found == []


def test_every_migration_can_be_undone():
    loader = MigrationLoader(None, ignore_no_migrations=True)
    one_way = [
        f"{app}.{name}: {operation.describe()}"
        for (app, name), migration in loader.disk_migrations.items()
        if app in APPS
        for operation in _flat(migration.operations)
        if not operation.reversible
    ]

    assert one_way == []


def _flat(operations):
    for operation in operations:
        yield operation
        yield from _flat(getattr(operation, "database_operations", []))
