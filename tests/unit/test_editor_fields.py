"""The editor asks for all that the catalogue's schema has, for each charge model."""

import re
from pathlib import Path

import pytest

from plans.admin import editor_fields
from plans.catalogue.schema import MODELS, OVERAGES, SCHEMA
from plans.models.prices import ChargeModel

TEMPLATES = Path(__file__).parents[2] / "templates" / "admin" / "plans" / "editor"
PAGE = "".join(path.read_text() for path in sorted(TEMPLATES.glob("*.html")))
ASKED_IN_TABLES = {
    each.name
    for each in (
        *editor_fields.OWN_FIELDS, *editor_fields.INCLUDED_FIELDS, *editor_fields.MORE_FIELDS,
        editor_fields.BEYOND_CREDIT,
    )
}  # fmt: skip
ON_THE_PAGE = set(re.findall(r'data-(?:name|list|field)="([a-z_]+)"', PAGE)) | {"once"}


@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_field_of_a_model_is_asked(model):
    assert set(MODELS[model]["properties"]) - ASKED_IN_TABLES - ON_THE_PAGE == set()


def test_every_model_and_overage_policy_can_be_chosen():
    assert {model for model, _, _ in editor_fields.MODEL_CHOICES} == set(ChargeModel.values)
    assert {policy for policy, _ in editor_fields.OVERAGES} == set(OVERAGES)
    asked = {(policy, field.name) for policy, field in editor_fields.OVERAGE_FIELDS}
    wanted = {(policy, name) for policy, shape in OVERAGES.items() for name in shape["properties"]}
    assert wanted - asked == {(policy, "policy") for policy in OVERAGES}


@pytest.mark.parametrize("part", ["limit", "service_class", "phase", "pack", "allotment"])
def test_every_field_of_a_versions_other_parts_is_asked(part):
    lengths = {"days", "months"}
    assert set(SCHEMA["$defs"][part]["properties"]) - lengths - ON_THE_PAGE == set()


def test_every_term_of_jobs_is_asked():
    asked = {field.name for field in editor_fields.JOB_FIELDS}
    assert asked == set(SCHEMA["$defs"]["jobs"]["properties"])
