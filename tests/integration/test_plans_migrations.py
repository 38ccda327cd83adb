"""What was published before there were approvals counts as approved by who published it."""

from contextlib import contextmanager

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tests.integration.plans_fixtures import NEW_YEAR

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE, AFTER = [("plans", "0005_subject_covering")], [("plans", "0006_reviews")]


@contextmanager
def empty_database():
    """Work on a database of this test's own: what comes after these migrations is not in it."""
    usual = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{usual}_before"')
    connection.close()
    connection.settings_dict["NAME"] = f"{usual}_before"
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = usual
        with connection.cursor() as cursor:
            cursor.execute(f'DROP DATABASE "{usual}_before" WITH (FORCE)')


def migrate(target):
    executor = MigrationExecutor(connection)
    executor.loader.build_graph()
    executor.migrate(target)
    return MigrationExecutor(connection).loader.project_state(target).apps


def test_versions_of_before_are_taken_over_and_given_back():
    with empty_database():
        old = migrate(BEFORE)
        users = old.get_model("auth", "User").objects
        mara, noor = (users.create(username=name) for name in ("mara", "noor"))
        plan = old.get_model("plans", "Plan").objects.create(key="a", name="A")
        versions = old.get_model("plans", "PlanVersion").objects
        in_force = {"published_at": NEW_YEAR, "effective_from": NEW_YEAR}
        for number, currency, by in (
            (1, "USD", {"created_by_id": mara.pk}),
            (2, "EUR", {"created_by_id": mara.pk, "published_by_id": noor.pk, **in_force}),
            (3, "GBP", {"created_by_id": mara.pk, "published_by_id": mara.pk, **in_force}),
            (4, "JPY", in_force),
            (5, "CHF", {"created_by_id": mara.pk, **in_force}),
        ):
            versions.create(plan=plan, number=number, currency=currency, **by)

        new = migrate(AFTER)

        rows = new.get_model("plans", "PlanVersion").objects.order_by("number")
        assert list(rows.values_list("author_ids", "approved_by", "approved_at")) == [
            ([mara.pk], None, None),
            ([mara.pk], noor.pk, NEW_YEAR),
            ([], mara.pk, NEW_YEAR),
            ([], None, None),
            ([], None, None),
        ]

        before = migrate(BEFORE).get_model("plans", "PlanVersion").objects.order_by("number")
        assert list(before.values_list("currency", "published_by")) == [
            ("USD", None),
            ("EUR", noor.pk),
            ("GBP", mara.pk),
            ("JPY", None),
            ("CHF", None),
        ]
