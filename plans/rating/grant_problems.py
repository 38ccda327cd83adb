"""What is wrong with what terms grant beside prices: phases, classes, limits, features."""

from collections.abc import Iterator, Sequence

from plans.rating.money import HUNDRED, ONE, ZERO
from plans.rating.prices import Limit, Phase, ServiceClass
from plans.rating.problem import (
    Problem,
    discount_problems,
    not_numbers,
    number_problems,
    twice,
)
from plans.rating.words import limit_name


def feature_problems(features: Sequence[str]) -> Iterator[Problem]:
    """Yield what is wrong with the keys of features: none is named twice."""
    for index in sorted(twice(features)):
        message = f"The feature {features[index]!r} is granted already: remove one of the two."
        yield Problem("duplicate_feature", f"features[{index}]", message)


def limit_problems(limits: Sequence[Limit]) -> Iterator[Problem]:
    """Yield what is wrong with limits: above zero, whole for jobs, one for each kind and class."""
    repeated = twice((limit.kind, limit.job_class) for limit in limits)
    for index, limit in enumerate(limits):
        path = f"limits[{index}]"
        if index in repeated:
            message = f"There is a limit on {limit_name(limit)} already: remove one of them."
            yield Problem("duplicate_limit", f"{path}.kind", message)
        unreadable = tuple(not_numbers(limit, path))
        yield from unreadable or _limit_value(f"{path}.value", limit)


def _limit_value(field: str, limit: Limit) -> Iterator[Problem]:
    if limit.value <= ZERO:
        message = f"A limit of {limit.value} admits nothing: state more than zero, or remove it."
        yield Problem("limit_not_positive", field, message)
    elif limit.kind != "spend_per_day" and limit.value != limit.value.to_integral_value():
        message = f"{limit.value} is no number of jobs: state a whole one."
        yield Problem("limit_not_whole", field, message)


def service_class_problems(classes: Sequence[ServiceClass]) -> Iterator[Problem]:
    """Yield what is wrong with service classes: their keys, multipliers and promised starts."""
    repeated = twice(each.key for each in classes)
    for index, each in enumerate(classes):
        path = f"service_classes[{index}]"
        yield from _identity(path, each, "service class")
        if index in repeated:
            message = f"Two service classes have the key {each.key!r}: give this one another."
            yield Problem("duplicate_key", f"{path}.key", message)
        unreadable = tuple(not_numbers(each, path))
        yield from unreadable or number_problems(f"{path}.", each)
        if each.start_within_minutes is not None and each.start_within_minutes < 0:
            message = "A start cannot be promised for the past: state the minutes, 0 or more."
            yield Problem("negative", f"{path}.start_within_minutes", message)
        if not unreadable and each.late_start_percent:
            yield from _late_start_problems(f"{path}.late_start_percent", each)


def _late_start_problems(field: str, each: ServiceClass) -> Iterator[Problem]:
    if each.late_start_percent > HUNDRED:
        message = f"{each.late_start_percent}% is more than was paid: state 0 to 100."
        yield Problem("percent_out_of_range", field, message)
    if each.start_within_minutes is None:
        message = "No start is promised, so none can be late: state within how many minutes."
        yield Problem("no_promised_start", field, message)
    if each.multiplier <= ONE:
        message = "The class costs no premium that could be given back: leave this empty."
        yield Problem("no_premium", field, message)


def phase_problems(phases: Sequence[Phase]) -> Iterator[Problem]:
    """Yield what is wrong with phases: keys, discounts, and lengths; only the last one is open."""
    repeated = twice(phase.key for phase in phases)
    for index, phase in enumerate(phases):
        path = f"phases[{index}]"
        yield from _identity(path, phase, "phase")
        if index in repeated:
            message = f"Two phases have the key {phase.key!r}: give this one another."
            yield Problem("duplicate_key", f"{path}.key", message)
        yield from _length(path, phase, is_last=index == len(phases) - 1)
        unreadable = tuple(not_numbers(phase, path))
        yield from unreadable or _phase_numbers(path, phase)


def _length(path: str, phase: Phase, *, is_last: bool) -> Iterator[Problem]:
    stated = {
        name: value
        for name, value in (("days", phase.days), ("months", phase.months))
        if value is not None
    }
    for name, value in stated.items():
        if value < 1:
            message = f"A phase of {value} {name} does not last: state 1 or more."
            yield Problem("length_not_positive", f"{path}.{name}", message)
    if is_last and stated:
        message = "The last phase goes on for good: leave its length empty, or add one after it."
        yield Problem("last_phase_not_open", f"{path}.{next(iter(stated))}", message)
    elif len(stated) == 2:
        message = "A phase lasts days or months, not both: leave one of them empty."
        yield Problem("days_and_months", f"{path}.days", message)
    elif not is_last and not stated:
        message = "Only the last phase can be open: state for how many days or months this lasts."
        yield Problem("open_phase_not_last", f"{path}.days", message)


def _phase_numbers(path: str, phase: Phase) -> Iterator[Problem]:
    yield from number_problems(f"{path}.", phase)
    yield from discount_problems(f"{path}.discount_percent", phase.discount_percent)


def _identity(path: str, found: Phase | ServiceClass, noun: str) -> Iterator[Problem]:
    if not found.key:
        message = f"The {noun} has no key: give it a short one, unique in the version."
        yield Problem("no_key", f"{path}.key", message)
    if not found.name:
        message = f"The {noun} has no name: give it the one customers read."
        yield Problem("no_name", f"{path}.name", message)
