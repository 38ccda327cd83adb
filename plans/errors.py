"""What an operation answers when it refuses: one base that views, admin and commands translate."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, NamedTuple

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, transaction


class Problem(NamedTuple):
    """One thing that is wrong: a stable code, where it is (``prices[0].amount``), what it is."""

    code: str
    field: str
    message: str


class OperationError(Exception):
    """A refusal. Nothing was written.

    ``code`` is stable and for programs, the message is for people, ``field`` names the argument
    that is wrong where one is. ``problems`` lists everything that is wrong, and is never empty.
    """

    code: ClassVar[str] = "refused"

    def __init__(
        self, message: str, *, field: str = "", problems: tuple[Problem, ...] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.problems = problems or (Problem(self.code, field, message),)


def validation_problems(error: ValidationError, *, path: str = "") -> tuple[Problem, ...]:
    """Return a model's validation errors as problems, their fields under ``path``."""
    if not hasattr(error, "error_dict"):
        return tuple(_problem(one, path) for one in error.error_list)
    found = []
    for field, errors in error.error_dict.items():
        name = "" if field == NON_FIELD_ERRORS else field
        where = ".".join(part for part in (path, name) if part)
        found += [_problem(one, where) for one in errors]
    return tuple(found)


def _problem(error: ValidationError, field: str) -> Problem:
    return Problem(error.code or "invalid", field, " ".join(error.messages))


@contextmanager
def refusing(constraints: dict[str, OperationError]) -> Iterator[None]:
    """Run a block as a savepoint, and raise the named error where a constraint refuses it.

    The keys are names of database constraints. Any other IntegrityError passes through.
    """
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        refusal = constraints.get(_constraint_name(error))
        if refusal is None:
            raise
        raise refusal from error


def _constraint_name(error: IntegrityError) -> str:
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None) or ""
