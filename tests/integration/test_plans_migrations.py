"""What was published before there were approvals counts as approved by who published it."""

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tests.integration.plans_fixtures import NEW_YEAR

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE, AFTER = [("plans", "0005_subject_covering")], [("plans", "0006_reviews")]


def migrate(target):
    executor = MigrationExecutor(connection)
    executor.loader.build_graph()
    executor.migrate(target)
    return MigrationExecutor(connection).loader.project_state(target).apps


def test_versions_of_before_are_taken_over_and_given_back():
    mara, noor = (get_user_model().objects.create_user(name) for name in ("mara", "noor"))
    try:
        old = migrate(BEFORE)
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
    finally:
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE plans_planversion CASCADE")
        migrate(BEFORE)
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())
