"""Define what a plan may let a customer use at all."""

from typing import Literal

from plans.errors import OperationError, refusing
from plans.models import Feature
from plans.operations.versions import clean_problems, refuse_invalid


class FeatureKeyTaken(OperationError):
    """Another feature has the key."""

    code = "feature_key_taken"


def create_feature(*, key: str, name: str, description: str = "") -> Feature:
    """Create a feature that there is not yet. Raises PlanInvalid, FeatureKeyTaken."""
    feature = Feature(key=key, name=name, description=description)
    refuse_invalid(clean_problems(feature))
    refusal = FeatureKeyTaken(f"There is another feature with the key “{key}”.", field="key")
    with refusing({"plans_feature_key_key": refusal}):
        feature.save(force_insert=True)
    return feature


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
