"""Make the people who read a customer's statements in the portal."""

from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from plans.errors import OperationError, Problem, refusing
from plans.models import Customer, Membership
from plans.operations.customers import add_portal_user


class PortalUserInvalid(OperationError):
    """What was said about the user cannot be; ``problems`` lists all of it."""

    code = "portal_user_invalid"


class UsernameTaken(OperationError):
    """Someone else has the user name."""

    code = "username_taken"


@transaction.atomic
def create_portal_user(
    *, customer: Customer, username: str, email: str, password: str
) -> Membership:
    """Create a user who belongs to a customer and may enter the portal, not the admin.

    Raises PortalUserInvalid, UsernameTaken.
    """
    user = get_user_model()(username=username, email=email)
    problems = _problems(user, password)
    if problems:
        first = problems[0]
        raise PortalUserInvalid(first.message, field=first.field, problems=problems)
    user.set_password(password)
    refusal = UsernameTaken(f"The user name “{username}” is taken.", field="username")
    with refusing({"auth_user_username_key": refusal}):
        user.save(force_insert=True)
    return add_portal_user(customer=customer, user=user)


def _problems(user: object, password: str) -> tuple[Problem, ...]:
    found: list[Problem] = []
    try:
        user.clean_fields(exclude={"password"})  # type: ignore[attr-defined]
    except ValidationError as error:
        found += [
            Problem("invalid", field, " ".join(messages))
            for field, messages in error.message_dict.items()
        ]
    try:
        validate_password(password, user)  # type: ignore[arg-type]
    except ValidationError as error:
        found.append(Problem("weak_password", "password", " ".join(error.messages)))
    return tuple(found)
