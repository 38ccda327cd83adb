"""The databases of a run: made, filled and dropped by the run, on the server in use.

Nothing here touches the database that DATABASE_URL or the demo names: it only says which server.
Importing this module reads no settings; `point_settings_here` must come before what does.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

_BROKER_DATABASE = 63


class Databases:
    """A working database and the template it is made from, on one server."""

    def __init__(self, *, server: str, name: str) -> None:
        self._server = server
        self.name = name
        self._template = f"{name}_template"
        self.url = urlunsplit(urlsplit(server)._replace(path=f"/{name}"))

    def create(self) -> None:
        """Make the working database anew, empty or from that which BENCH_MIGRATED names."""
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)
        origin = os.environ.get("BENCH_MIGRATED") or "template1"
        self._run("CREATE DATABASE {} TEMPLATE {}", self.name, origin)

    def keep_as_template(self) -> None:
        """Make what the working database holds the state that `reset` goes back to."""
        self._close()
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", self._template)
        self._run("ALTER DATABASE {} RENAME TO {}", self.name, self._template)
        self.reset()

    def reset(self) -> None:
        """Put the working database back to the template's state."""
        from usage.operations.partitions import forget_partitions

        self._close()
        forget_partitions()
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)
        self._run("CREATE DATABASE {} TEMPLATE {}", self.name, self._template)

    def drop(self) -> None:
        """Remove both databases."""
        self._close()
        for name in (self.name, self._template):
            self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _run(self, statement: str, *names: str) -> None:
        composed = sql.SQL(statement).format(*map(sql.Identifier, names))
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(composed)

    @staticmethod
    def _close() -> None:
        from django.db import connections

        connections.close_all()


def point_settings_here() -> Databases:
    """Start the services, and point this process and those it starts at databases of our own.

    Settings are those of a deployment behind a proxy that ends TLS.
    """
    from config.embedded import ensure_services, postgres, valkey
    from config.env import load_environment

    env = load_environment()
    ensure_services(environment=env)
    server = env.database_url or postgres.url(home=env.home, port=env.postgres_port)
    broker = env.broker_url or valkey.url(
        home=env.home, port=env.valkey_port, database=_BROKER_DATABASE
    )
    databases = Databases(server=server, name=os.environ.get("BENCH_DATABASE") or "tollgate_bench")
    os.environ.update(
        DJANGO_SETTINGS_MODULE="config.settings",
        DATABASE_URL=databases.url,
        BROKER_URL=broker,
        SECRET_KEY=secrets.token_urlsafe(50),
        ALLOWED_HOSTS="127.0.0.1",
        BEHIND_PROXY="true",
        DEBUG="false",
        EMAIL_URL="dummymail://",
    )
    return databases


@contextmanager
def direct_connection(*, autocommit: bool = False) -> Iterator[psycopg.Connection]:
    """Give a psycopg connection to the working database, beside Django's."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=autocommit) as connection:
        yield connection


def run_sql(*statements: str) -> None:
    """Run statements one by one outside a transaction, as VACUUM needs it."""
    with direct_connection(autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def settle() -> None:
    """Write out what earlier work left behind, so that it is not paid for by what comes next.

    Without the right to do so, on a server that is not ours alone, nothing is done.
    """
    with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
        run_sql("CHECKPOINT")
