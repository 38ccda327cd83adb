"""config -> billing -> usage -> plans -> plans.rating: imports and foreign keys point one way."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps

from tests.architecture.sources import APPS, PROJECT, imported_modules, sources

LEVEL = {name: level for level, name in enumerate(APPS)}


def test_the_import_contracts_hold():
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_rating_uses_the_standard_library_alone():
    foreign = [
        f"{source.at(node)} imports {name}"
        for source in sources("plans")
        if source.path.startswith("plans/rating/")
        for node, name in imported_modules(source)
        if name.partition(".")[0] not in sys.stdlib_module_names
        and not name.startswith("plans.rating")
    ]

    assert foreign == []


@pytest.mark.parametrize("app", APPS)
def test_foreign_keys_point_one_way(app):
    upwards = [
        f"{model.__name__}.{field.name} -> {field.related_model._meta.label}"
        for model in apps.get_app_config(app).get_models()
        for field in model._meta.get_fields(include_hidden=True)
        if field.is_relation and field.concrete and field.related_model is not None
        if LEVEL.get(field.related_model._meta.app_label, -1) > LEVEL[app]
    ]

    assert upwards == []
