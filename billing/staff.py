"""The staff groups: who may read, write, publish and finalise. Portal users are in none of them.

``ROLES`` is the whole of it. A migration makes the groups; after a change here, or in the models,
``manage.py setup_staff`` brings them up to it.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.management import create_contenttypes
from django.db import transaction
from django.db.models import Q

APPS: Final = ("plans", "usage", "billing", "django_celery_beat")


class Role(NamedTuple):
    """A staff group: the apps all of which it reads, and what else it may do."""

    group: str
    reads: tuple[str, ...]
    may: tuple[str, ...] = ()


EDITOR: Final = "Finance editor"
APPROVER: Final = "Finance approver"
SUPPORT: Final = "Support"

ROLES: Final = (
    Role(
        group=EDITOR,
        reads=APPS,
        may=(
            "plans.add_customer plans.change_customer",
            "plans.add_workspace plans.change_workspace",
            "plans.add_membership plans.change_membership plans.delete_membership",
            "plans.add_meter plans.change_meter",
            "plans.add_feature plans.change_feature",
            "plans.add_creditunit plans.change_creditunit",
            "plans.add_jobclass plans.change_jobclass",
            "plans.add_jobclassusage plans.change_jobclassusage plans.delete_jobclassusage",
            "plans.add_plan plans.change_plan",
            "plans.add_planversion plans.change_planversion plans.delete_planversion",
            "plans.add_price plans.change_price plans.delete_price",
            "plans.add_tier plans.change_tier plans.delete_tier",
            "plans.add_matrixrate plans.change_matrixrate plans.delete_matrixrate",
            "plans.add_subscription plans.change_subscription",
            "plans.add_commitment plans.change_commitment plans.delete_commitment",
            "plans.change_budget",
            "billing.add_dryrun",
            "usage.change_quarantinedevent usage.review_outcome",
        ),
    ),
    Role(
        group=APPROVER,
        reads=APPS,
        may=(
            "plans.publish_planversion",
            "plans.approve_commitment",
            "billing.finalise_statement",
            "usage.review_outcome usage.decide_outcome",
            "billing.add_dryrun",
            "billing.add_unitofaccount billing.add_creditpool billing.add_creditgrant",
            "billing.change_unitofaccount billing.approve_creditrequest",
            "usage.change_quarantinedevent",
            "plans.change_budget",
            "usage.add_apikey usage.change_apikey",
            "billing.add_webhookendpoint billing.change_webhookendpoint",
            "django_celery_beat.change_periodictask",
            "django_celery_beat.add_crontabschedule django_celery_beat.change_crontabschedule",
            "django_celery_beat.add_intervalschedule django_celery_beat.change_intervalschedule",
        ),
    ),
    Role(group=SUPPORT, reads=APPS),
)


class UnknownPermission(Exception):
    """The table names a permission that no model has."""

    code = "unknown_permission"


@transaction.atomic
def ensure_groups() -> None:
    """Make the staff groups with exactly the permissions of ``ROLES``; running it again is safe.

    Permissions that Django would only make after the migrations are made here. Raises
    UnknownPermission.
    """
    for label in APPS:
        config = apps.get_app_config(label)
        create_contenttypes(config, verbosity=0)
        create_permissions(config, verbosity=0)
    for role in ROLES:
        group, _ = Group.objects.get_or_create(name=role.group)
        group.permissions.set([*_readable(role), *_named(role)])


def remove_groups() -> None:
    """Remove the staff groups; their members stay, without them."""
    Group.objects.filter(name__in=[role.group for role in ROLES]).delete()


def _readable(role: Role) -> Iterator[Permission]:
    found = Permission.objects.filter(content_type__app_label__in=role.reads)
    yield from found.filter(codename__startswith="view_")


def _named(role: Role) -> list[Permission]:
    wanted = {name for line in role.may for name in line.split()}
    condition = Q()
    for name in wanted:
        app, codename = name.split(".")
        condition |= Q(content_type__app_label=app, codename=codename)
    found = (
        list(Permission.objects.filter(condition).select_related("content_type")) if wanted else []
    )
    missing = wanted - {f"{each.content_type.app_label}.{each.codename}" for each in found}
    if missing:
        raise UnknownPermission(f"No model has the permission {', '.join(sorted(missing))}.")
    return found
