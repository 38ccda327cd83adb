"""The published schema is the code's, and it is a schema."""

import json
from pathlib import Path

import jsonschema
import pytest

from plans.catalogue.check import schema_problems
from plans.catalogue.schema import MODELS, SCHEMA
from plans.catalogue.version_checks import document_field
from plans.models.prices import ChargeModel

PUBLISHED = Path(__file__).parents[3] / "docs" / "catalogue.schema.json"


def test_the_published_file_is_the_schema():
    text = json.dumps(SCHEMA, indent=2, ensure_ascii=False) + "\n"
    assert PUBLISHED.read_text() == text


def test_it_is_a_schema_of_the_stated_draft():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_charge_model_has_a_shape():
    assert set(MODELS) == set(ChargeModel.values)


def test_problems_come_in_the_documents_order():
    content = {"meters": [{}, {}], "plans": [{}] * 11}
    paths = [problem.path for problem in schema_problems(content, file="f")]
    assert paths[:2] == ["meters[0].key", "meters[0].name"]
    assert paths.index("plans[2].key") < paths.index("plans[10].key")


@pytest.mark.parametrize(
    ("rating", "document"),
    [
        ("prices[0].unit_amount", "prices[0].amount"),
        ("prices[0].tiers[1].unit_amount", "prices[0].tiers[1].unit"),
        ("prices[0].tiers[1].flat_amount", "prices[0].tiers[1].flat"),
        ("prices[2].package_amount", "prices[2].amount"),
        ("prices[2].rates[0].match", "prices[2].rates[0].match"),
        ("prices[2].rates[0].unit_amount", "prices[2].rates[0].unit"),
        ("prices[0].dimensions", "prices[0].meter"),
        ("currency", "currency"),
    ],
)
def test_ratings_fields_have_their_names_in_a_document(rating, document):
    assert document_field(rating) == document
