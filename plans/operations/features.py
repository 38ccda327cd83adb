"""Define what a plan may let a customer use at all."""

from typing import Literal

from plans.models import Feature
from plans.operations.versions import clean_problems, refuse_invalid


def define_feature(
    *, key: str, name: str, description: str = ""
) -> Literal["created", "changed", "unchanged"]:
    """Create a feature, or bring its name and description up to date; say what was done.

    Raises PlanInvalid.
    """
    feature = Feature.objects.filter(key=key).first() or Feature(key=key)
    if feature.pk and (feature.name, feature.description) == (name, description):
        return "unchanged"
    is_new = feature.pk is None
    feature.name, feature.description = name, description
    refuse_invalid(clean_problems(feature))
    feature.save()
    return "created" if is_new else "changed"
