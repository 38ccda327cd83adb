"""Outcome contracts as rows: written, submitted, approved by another, published, frozen."""

import pytest
from django.db import Error, transaction

from plans.models import Meter, OutcomeContract, OutcomeContractVersion, PriceOverride
from plans.operations.contracts import (
    ContractDateRefused,
    ContractFrozen,
    ContractInvalid,
    ContractKeyTaken,
    ContractStep,
    OwnContract,
    approve_contract,
    create_contract,
    discard_contract_version,
    publish_contract,
    return_contract,
    save_contract_version,
    start_contract_version,
    submit_contract,
)
from tests.fixtures.world import EVER, World, at

FEE = {"unit": "results", "fee": {"kind": "per_outcome", "amount": "10"}}
NOW = at(2026, 3, 1)

pytestmark = pytest.mark.django_db


@pytest.fixture
def plan():
    return World().plan(prices=({"key": "fee", "model": "flat", "amount": 1},))


def draft(plan, by=None, **said):
    given = {"key": "support", "name": "Resolutions", "currency": "USD", "content": FEE, **said}
    return create_contract(plan=plan, by=by, **given)


def test_two_people_put_a_contract_into_force(plan, django_user_model):
    ada, ben = (django_user_model.objects.create(username=name) for name in ("ada", "ben"))
    version = draft(plan, by=ada)
    with pytest.raises(ContractStep):
        publish_contract(version=version, effective_from=NOW, by=ada, now=NOW)
    submit_contract(version=version, by=ada, now=NOW)
    with pytest.raises(OwnContract):
        approve_contract(version=version, by=ada, now=NOW)
    with pytest.raises(ContractFrozen):
        save_contract_version(version=version, content=FEE, by=ben)
    with pytest.raises(ContractInvalid):
        return_contract(version=version, by=ben, comment=" ", now=NOW)
    return_contract(version=version, by=ben, comment="Too dear.", now=NOW)
    cheaper = {**FEE, "fee": {"kind": "per_outcome", "amount": "9"}}
    save_contract_version(version=version, content=cheaper, by=ada)
    submit_contract(version=version, by=ada, now=NOW)
    approve_contract(version=version, by=ben, now=NOW)
    with pytest.raises(ContractStep):
        approve_contract(version=version, by=ben, now=NOW)
    row = publish_contract(version=version, effective_from=at(2026, 4, 1), by=ada, now=NOW)
    assert (row.status_at(NOW), row.status_at(at(2026, 4, 1))) == ("scheduled", "in force")
    assert [each.what for each in row.reviews.order_by("id")] == [
        "submitted", "changes_requested", "submitted", "approved",
    ]  # fmt: skip
    (price,) = PriceOverride.objects.all()
    assert (price.price_key, price.plan, price.customer) == ("outcome/support", plan, None)
    assert (price.meter.event_type, price.meter.dimensions) == (
        "tollgate.outcome.support", ["step"],
    )  # fmt: skip


def test_the_database_keeps_what_is_published(plan, django_user_model):
    ada = django_user_model.objects.create(username="ada")
    version = publish_contract(version=draft(plan), effective_from=EVER, by=None, now=EVER)
    rows = OutcomeContractVersion.objects.filter(pk=version.pk)
    for change in (
        lambda: rows.update(content={}),
        lambda: rows.update(effective_from=NOW),
        rows.delete,
        lambda: OutcomeContract.objects.update(key="other"),
        lambda: OutcomeContract.objects.update(currency="EUR"),
        lambda: PriceOverride.objects.update(starts_at=NOW),
        lambda: Meter.objects.filter(key="support.count").update(value_property="value"),
    ):
        with pytest.raises(Error), transaction.atomic():
            change()
    own = start_contract_version(contract=version.contract, content=FEE, by=ada)
    submit_contract(version=own, by=ada, now=NOW)
    with pytest.raises(Error), transaction.atomic():
        OutcomeContractVersion.objects.filter(pk=own.pk).update(approved_at=NOW, approved_by=ada)
    with pytest.raises(Error), transaction.atomic():
        own.reviews.update(comment="Never said.")


def test_versions_follow_each_other(plan):
    first = publish_contract(version=draft(plan), effective_from=EVER, by=None, now=EVER)
    second = start_contract_version(contract=first.contract, content=FEE)
    with pytest.raises(ContractStep):
        start_contract_version(contract=first.contract, content=FEE)
    with pytest.raises(ContractDateRefused):
        publish_contract(version=second, effective_from=EVER, by=None, now=EVER)
    publish_contract(version=second, effective_from=NOW, by=None, now=NOW)
    first.refresh_from_db()
    assert first.effective_until == NOW
    ends = PriceOverride.objects.order_by("pk").values_list("starts_at", "ends_at")
    assert list(ends) == [(EVER, NOW), (NOW, None)]
    assert Meter.objects.filter(event_type="tollgate.outcome.support").count() == 1


def test_no_past_that_may_have_been_billed(plan):
    world = World()
    world.subscribe(world.customer(), plan, starts_at=at(2026, 2, 1))
    version = draft(plan)
    with pytest.raises(ContractDateRefused, match="has passed"):
        publish_contract(version=version, effective_from=at(2026, 2, 10), by=None, now=NOW)
    assert not PriceOverride.objects.exists()
    publish_contract(version=version, effective_from=NOW, by=None, now=NOW)


def test_what_cannot_be_is_refused_and_nothing_is_stored(plan):
    customer = World().customer()
    with pytest.raises(ContractInvalid) as refused:
        draft(plan, content={"unit": "results", "success": "speed > 1", "fee": {"kind": "percent"}})
    assert {problem.field for problem in refused.value.problems} == {"success", "fee.percent"}
    with pytest.raises(ContractInvalid):
        create_contract(key="a", name="A", currency="USD", content=FEE)
    with pytest.raises(ContractInvalid):
        draft(plan, customer=customer)
    with pytest.raises(ContractInvalid):
        draft(plan, key="a/b")
    assert not OutcomeContract.objects.exists()
    draft(plan)
    with pytest.raises(ContractKeyTaken):
        draft(plan)
    discard_contract_version(version=OutcomeContractVersion.objects.get())
    assert not OutcomeContract.objects.exists()
