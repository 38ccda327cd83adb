"""Every row lock of the app, by name.

In this order: plan, versions, meters, credit units; and customer, then what is the customer's.
"""

from collections.abc import Collection
from datetime import datetime

from django.db.models import Q

from plans.models import (
    Budget,
    Commitment,
    CreditAllotment,
    CreditPack,
    CreditUnit,
    Customer,
    Feature,
    JobClass,
    Meter,
    OutcomeContract,
    OutcomeContractVersion,
    Plan,
    PlanVersion,
    Price,
    PriceOverride,
    Subscription,
)


def plan(*, plan_id: int) -> Plan:
    """Lock a plan's row: one at a time numbers, publishes or retires its versions."""
    return Plan.objects.select_for_update(of=("self",)).get(pk=plan_id)


def versions_of(*, plan_id: int) -> list[PlanVersion]:
    """Lock all versions of a plan, ordered by primary key; the plan's own lock comes first."""
    versions = PlanVersion.objects.filter(plan_id=plan_id)
    return list(versions.select_for_update(of=("self",)).order_by("pk"))


def version(*, version_id: int) -> PlanVersion:
    """Lock a version's row, so that it is not published while its prices are written."""
    return PlanVersion.objects.select_for_update(of=("self",)).get(pk=version_id)


def meters_of(*, version_id: int) -> list[Meter]:
    """Lock the meters that a version's prices read, so that none is redefined meanwhile."""
    read = Price.objects.filter(version_id=version_id).values("meter_id")
    meters = Meter.objects.filter(pk__in=read)
    return list(meters.select_for_update(of=("self",)).order_by("pk"))


def credit_units_of(*, version_id: int) -> list[CreditUnit]:
    """Lock the credits that a version is in, so that none gets other decimals meanwhile."""
    named = (
        Price.objects.filter(version_id=version_id, credit_unit__isnull=False).values(
            "credit_unit"
        ),
        CreditPack.objects.filter(version_id=version_id).values("unit"),
        CreditAllotment.objects.filter(version_id=version_id, unit__isnull=False).values("unit"),
    )
    units = CreditUnit.objects.filter(pk__in=named[0].union(*named[1:], all=True))
    return list(units.select_for_update(of=("self",)).order_by("pk"))


def credit_unit(*, code: str) -> CreditUnit:
    """Lock a credit's row."""
    return CreditUnit.objects.select_for_update(of=("self",)).get(pk=code)


def job_class(*, job_class_id: int) -> JobClass:
    """Lock a job class's row."""
    return JobClass.objects.select_for_update(of=("self",)).get(pk=job_class_id)


def catalogue(
    *,
    plan_keys: Collection[str],
    meter_keys: Collection[str],
    feature_keys: Collection[str],
    credit_codes: Collection[str] = (),
    job_class_keys: Collection[str] = (),
    contract_keys: Collection[str] = (),
) -> None:
    """Lock what documents name of what is stored, versions of plans and contracts with it."""
    for rows in (
        Plan.objects.filter(key__in=list(plan_keys)),
        PlanVersion.objects.filter(plan__key__in=list(plan_keys)),
        Meter.objects.filter(key__in=list(meter_keys)),
        Feature.objects.filter(key__in=list(feature_keys)),
        CreditUnit.objects.filter(pk__in=list(credit_codes)),
        JobClass.objects.filter(key__in=list(job_class_keys)),
        OutcomeContract.objects.filter(key__in=list(contract_keys)),
        OutcomeContractVersion.objects.filter(contract__key__in=list(contract_keys)),
    ):
        list(rows.select_for_update(of=("self",)).order_by("pk").values_list("pk"))


def customer(*, customer_id: int) -> Customer:
    """Lock a customer's row; others may still refer to it.

    Who writes a row of which a customer has one at a time takes this first: two at once would each
    wait for the other's row, which is a deadlock, not a refusal.
    """
    return Customer.objects.select_for_update(of=("self",), no_key=True).get(pk=customer_id)


def subscription(*, subscription_id: int) -> Subscription:
    """Lock a subscription's row."""
    return Subscription.objects.select_for_update(of=("self",)).get(pk=subscription_id)


def subscriptions_from(*, customer_id: int, starts_at: datetime) -> list[Subscription]:
    """Lock a customer's subscription that starts at a time, if there is one."""
    rows = Subscription.objects.filter(customer_id=customer_id, starts_at=starts_at)
    return list(rows.select_for_update(of=("self",)).order_by("pk"))


def price_override(*, override_id: int) -> PriceOverride:
    """Lock an agreed price's row."""
    return PriceOverride.objects.select_for_update(of=("self",)).get(pk=override_id)


def commitment(*, commitment_id: int) -> Commitment:
    """Lock a commitment's row, with its customer beside it."""
    rows = Commitment.objects.select_for_update(of=("self",)).select_related("customer")
    return rows.get(pk=commitment_id)


def contract(*, contract_id: int) -> OutcomeContract:
    """Lock an outcome contract's row: one at a time numbers or publishes its versions."""
    rows = OutcomeContract.objects.select_for_update(of=("self",))
    return rows.select_related("plan", "customer").get(pk=contract_id)


def contract_version(*, version_id: int) -> OutcomeContractVersion:
    """Lock a version of an outcome contract; the contract's own lock comes first."""
    rows = OutcomeContractVersion.objects.select_for_update(of=("self",))
    return rows.select_related("contract__plan", "contract__customer").get(pk=version_id)


def budget_of(*, customer_id: int, workspace_id: int | None) -> Budget | None:
    """Lock the budget of a customer, or of one of its workspaces; None where there is none."""
    whole = Q(workspace=None) if workspace_id is None else Q(workspace_id=workspace_id)
    rows = Budget.objects.filter(whole, customer_id=customer_id)
    return rows.select_for_update(of=("self",)).first()


def budgets_of(*, customer_id: int) -> list[Budget]:
    """Lock all budgets of a customer: none changes while their alerts are decided."""
    rows = Budget.objects.filter(customer_id=customer_id).select_related("customer", "workspace")
    return list(rows.select_for_update(of=("self",)).order_by("pk"))
