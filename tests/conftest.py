"""What every test may use: real PostgreSQL, real Valkey, real workers, a real browser."""

import os

import hypothesis
import pytest
from django.test import override_settings

# Before anything imports the settings: the tests never speak to a deployment's database. Empty
# counts as unset, and also keeps `.env` from setting it.
for name in ("DATABASE_URL", "BROKER_URL", "DATABASE_POOL"):
    os.environ[name] = ""
os.environ["EMAIL_URL"] = "memorymail://"
os.environ["DEBUG"] = "false"

pytest_plugins = [
    "tests.fixtures.broker",
    "tests.fixtures.browser",
    "tests.fixtures.job_world",
    "tests.fixtures.migrated",
    "tests.fixtures.own_services",
    "tests.fixtures.staff",
    "tests.fixtures.statements",
    "tests.fixtures.usage",
    "tests.fixtures.world",
    "tests.fixtures.dry_runs",  # these after the world that they build on
    "tests.fixtures.jobs",
]

hypothesis.settings.register_profile("default", deadline=None, max_examples=100)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_configure(config):
    """Start the embedded services once, before pytest-django looks for its database."""
    if hasattr(config, "workerinput") or config.option.collectonly or config.option.help:
        return
    from config.embedded import ensure_services
    from tests.fixtures.migrated import forget_migrated

    ensure_services()
    forget_migrated()
    config.add_cleanup(forget_migrated)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Begin with what takes minutes and stays on one worker, so that the other never waits for it.

    These tests have services of their own, and leave nothing to those after them.
    """
    items.sort(key=lambda item: not _kills_services(item))


def _kills_services(item):
    return any(mark.args == ("kill",) for mark in item.iter_markers("xdist_group"))


@pytest.fixture(scope="session", autouse=True)
def quick_settings():
    """Spare tests what is slow: the hash of a password, and a look at every static file."""
    hasher = "django.contrib.auth.hashers.MD5PasswordHasher"
    with override_settings(PASSWORD_HASHERS=[hasher], WHITENOISE_AUTOREFRESH=True):
        yield


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Let commits on the test database wait for no disk: tests that kill one have their own.

    In the end no session but ours is left in it when it is dropped: a server process outlives its
    client for a moment, longer where a process was killed.
    """
    from django.db import connection

    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            name = connection.ops.quote_name(connection.settings_dict["NAME"])
            cursor.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        connection.close()
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 5000)), count(*)
               FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()"""
        )
