import pytest

from plans.models import Subject
from plans.operations.customers import (
    AlreadyPortalUser,
    CustomerInvalid,
    CustomerRow,
    KeyTaken,
    add_portal_user,
    create_customer,
    create_customers,
    create_workspace,
)
from tests.integration.plans_fixtures import customer, everything, person

pytestmark = pytest.mark.django_db


def test_a_customer_and_its_workspace_are_subjects():
    acme = create_customer(key="acme", name="Acme", currency="EUR", time_zone="Europe/Berlin")
    renders = create_workspace(customer=acme, key="acme.renders", name="Renders")

    found = {row.key: (row.customer_id, row.workspace_id) for row in Subject.objects.all()}
    assert found == {"acme": (acme.id, None), "acme.renders": (acme.id, renders.id)}


def test_a_key_is_unique_over_customers_and_workspaces():
    acme = customer("acme")
    create_workspace(customer=acme, key="renders", name="Renders")
    before = everything()
    attempts = [
        lambda: create_customer(key="acme", name="Other"),
        lambda: create_customer(key="renders", name="Other"),
        lambda: create_workspace(customer=acme, key="acme", name="Other"),
        lambda: create_workspace(customer=acme, key="renders", name="Other"),
        lambda: create_customers(rows=[CustomerRow("new", "New"), CustomerRow("renders", "R")]),
    ]
    for attempt in attempts:
        with pytest.raises(KeyTaken) as refusal:
            attempt()
        assert refusal.value.code == "key_taken"
        assert refusal.value.field == "key"
        assert everything() == before
    with pytest.raises(KeyTaken, match="The key “acme” is taken by another"):
        attempts[0]()


@pytest.mark.parametrize(
    ("wrong", "field", "message"),
    [
        ({"key": "no spaces"}, "key", "Use 1 to 100 letters, digits, and . _ : - ;"),
        ({"name": ""}, "name", "This field cannot be blank."),
        ({"currency": "DOLLAR"}, "currency", "“DOLLAR” is not a known currency."),
        ({"time_zone": "Berlin"}, "time_zone", "“Berlin” is not a known time zone."),
        ({"grace_hours": 700}, "grace_hours", "less than or equal to 672"),
        ({"email": "nobody"}, "email", "Enter a valid email address."),
    ],
)
def test_a_customer_that_cannot_be_is_refused(wrong, field, message):
    with pytest.raises(CustomerInvalid) as refusal:
        create_customer(**({"key": "acme", "name": "Acme"} | wrong))
    assert refusal.value.field == field
    assert message in " ".join(problem.message for problem in refusal.value.problems)
    assert everything()["Customer"] == []


def test_an_import_creates_customers_once(django_assert_max_num_queries):
    acme = create_customer(key="acme", name="Acme, as finance calls it")
    rows = [CustomerRow(f"c{number}", f"Customer {number}") for number in range(500)]
    rows += [CustomerRow("acme", "acme"), CustomerRow("c0", "twice")]
    with django_assert_max_num_queries(8):
        ids = create_customers(rows=rows)
    assert len(ids) == 501
    assert ids["acme"] == acme.id
    acme.refresh_from_db()
    assert acme.name == "Acme, as finance calls it"
    before = everything()
    assert create_customers(rows=rows) == ids
    assert everything() == before


def test_an_import_with_a_bad_row_creates_nobody():
    rows = [CustomerRow("good", "Good"), CustomerRow("bad key", "Bad", currency="XYZ")]
    with pytest.raises(CustomerInvalid) as refusal:
        create_customers(rows=rows)
    assert {problem.field for problem in refusal.value.problems} == {
        "rows[1].key",
        "rows[1].currency",
    }
    assert everything()["Customer"] == []


def test_a_portal_user_sees_one_customer():
    owner, acme, zeta = person("owner"), customer("acme"), customer("zeta")
    first = add_portal_user(customer=acme, user=owner)
    assert add_portal_user(customer=acme, user=owner) == first
    before = everything()
    with pytest.raises(AlreadyPortalUser, match="“owner” is a portal user of another"):
        add_portal_user(customer=zeta, user=owner)
    assert everything() == before
