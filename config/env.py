"""Read the environment into one typed value, and say plainly what is wrong with it.

Owns: which variables exist, their types, their defaults and their error messages.
Does not own: what the settings make of them (`config.settings`).
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

PROJECT_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY_LENGTH_MIN = 50

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}
_DATABASE_SCHEMES = {"postgres", "postgresql", "pgsql", "psql"}
_BROKER_SCHEMES = {"redis", "rediss", "amqp", "amqps", "sentinel"}
_EMAIL_SCHEMES = {
    "smtp", "smtps", "smtp+tls", "smtp+ssl",
    "consolemail", "filemail", "memorymail", "dummymail",
}  # fmt: skip

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What the environment says. `None` means: unset, and the embedded service stands in."""

    debug: bool
    secret_key: str | None
    allowed_hosts: tuple[str, ...]
    csrf_trusted_origins: tuple[str, ...]
    behind_proxy: bool
    plain_http: bool
    database_url: str | None
    database_pool: int
    broker_url: str | None
    email_url: str
    email_from: str
    public_url: str
    webhook_private_hosts: tuple[str, ...]
    home: Path
    postgres_port: int
    valkey_port: int

    @property
    def is_deployment(self) -> bool:
        """Tell whether this is a real deployment: it brings its own database."""
        return self.database_url is not None


def load_environment(*, project_dir: Path = PROJECT_DIR) -> Environment:
    """Read the process's environment, and `.env` beside manage.py for what it leaves unset.

    Raises ImproperlyConfigured naming the variable, what is wrong with it and what to do.
    """
    dotenv = project_dir / ".env"
    if dotenv.is_file():
        environ.Env.read_env(str(dotenv))
    return read_environment(values=os.environ, project_dir=project_dir)


def read_environment(*, values: Mapping[str, str], project_dir: Path) -> Environment:
    """Turn variables into an `Environment`; an empty variable counts as unset.

    Raises ImproperlyConfigured naming the variable, what is wrong with it and what to do.
    """
    env = Environment(
        debug=_read(values, "DEBUG", _boolean, default=False),
        secret_key=_read(values, "SECRET_KEY", _secret_key, default=None),
        allowed_hosts=_read(values, "ALLOWED_HOSTS", _hosts, default=()),
        csrf_trusted_origins=_read(values, "CSRF_TRUSTED_ORIGINS", _origins, default=()),
        behind_proxy=_read(values, "BEHIND_PROXY", _boolean, default=False),
        plain_http=_read(values, "PLAIN_HTTP", _boolean, default=False),
        database_url=_read(values, "DATABASE_URL", _database_url, default=None),
        database_pool=_read(values, "DATABASE_POOL", _pool_size, default=0),
        broker_url=_read(values, "BROKER_URL", _broker_url, default=None),
        email_url=_read(values, "EMAIL_URL", _email_url, default="consolemail://"),
        email_from=_read(values, "EMAIL_FROM", _sender, default="Tollgate <tollgate@localhost>"),
        public_url=_read(values, "PUBLIC_URL", _origin, default=""),
        webhook_private_hosts=_read(values, "WEBHOOK_PRIVATE_HOSTS", _hosts, default=()),
        home=_read(values, "TOLLGATE_HOME", _path(project_dir), default=project_dir / ".tollgate"),
        postgres_port=_read(values, "EMBEDDED_POSTGRES_PORT", _port, default=55432),
        valkey_port=_read(values, "EMBEDDED_VALKEY_PORT", _port, default=56379),
    )
    _require_deployment_values(env)
    return env


def text(*, values: Mapping[str, str], name: str) -> str | None:
    """Return the variable's text without surrounding blanks, or None where it is unset or empty."""
    return values.get(name, "").strip() or None


def _require_deployment_values(env: Environment) -> None:
    if not env.is_deployment:
        return
    for name, value in (("SECRET_KEY", env.secret_key), ("ALLOWED_HOSTS", env.allowed_hosts)):
        if not value:
            raise ImproperlyConfigured(
                f"{name} is not set, but DATABASE_URL is, so this is a real deployment. "
                f"Set {name} (see docs/operating.md), or unset DATABASE_URL to use the "
                "embedded PostgreSQL."
            )


def _read(values: Mapping[str, str], name: str, parse: Callable[[str], T], *, default: T) -> T:
    found = text(values=values, name=name)
    if found is None:
        return default
    try:
        return parse(found)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} {error}") from error


def _boolean(found: str) -> bool:
    if found.lower() in _TRUE:
        return True
    if found.lower() in _FALSE:
        return False
    raise ValueError(f"is {found!r}, which is neither true nor false. Set it to true or false.")


def _port(found: str) -> int:
    if found.isascii() and found.isdigit() and 1 <= int(found) <= 65535:
        return int(found)
    raise ValueError(f"is {found!r}, which is no port. Set it to a number from 1 to 65535.")


def _pool_size(found: str) -> int:
    if found.isascii() and found.isdigit() and int(found) <= 1000:
        return int(found)
    raise ValueError(
        f"is {found!r}, which is no pool size. "
        "Set it to the most connections a process may hold, 0 to 1000 (0 for no pool)."
    )


def _secret_key(found: str) -> str:
    if len(found) >= SECRET_KEY_LENGTH_MIN and len(set(found)) >= 5:
        return found
    raise ValueError(
        f"is too easy to guess. Set it to at least {SECRET_KEY_LENGTH_MIN} random characters: "
        'python3 -c "import secrets; print(secrets.token_urlsafe(50))" makes some.'
    )


def _words(found: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in found.split(",") if word.strip())


def _hosts(found: str) -> tuple[str, ...]:
    for host in _words(found):
        if not re.fullmatch(r"\*|\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]", host):
            raise ValueError(
                f"has {host!r}, which is no host name. Set it to names without scheme or port, "
                "separated by commas: billing.example.com,localhost."
            )
    return _words(found)


def _origins(found: str) -> tuple[str, ...]:
    for origin in _words(found):
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path:
            raise ValueError(
                f"has {origin!r}, which is no origin. Set it to scheme and host, "
                "separated by commas: https://billing.example.com."
            )
    return _words(found)


def _origin(found: str) -> str:
    if len(_words(found)) != 1:
        raise ValueError("is one origin. Set it to scheme and host: https://billing.example.com.")
    return _origins(found.rstrip("/"))[0]


def _sender(found: str) -> str:
    if "@" not in parseaddr(found)[1]:
        raise ValueError(
            f"is {found!r}, which holds no address. Set it to Name <billing@example.com>."
        )
    return found


def _database_url(found: str) -> str:
    parts = _split_url(found, example="postgres://user:password@host:5432/tollgate")
    if parts.scheme not in _DATABASE_SCHEMES:
        raise ValueError(
            f"has the scheme {parts.scheme!r}, but Tollgate needs PostgreSQL 15 or newer. "
            "Set it to postgres://user:password@host:5432/tollgate."
        )
    if not parts.path.strip("/"):
        raise ValueError(
            "names no database. Set it to postgres://user:password@host:5432/tollgate."
        )
    return found


def _broker_url(found: str) -> str:
    parts = _split_url(found, example="redis://host:6379/0")
    if parts.scheme not in _BROKER_SCHEMES:
        raise ValueError(
            f"has the scheme {parts.scheme!r}. Set it to Redis or Valkey (redis://host:6379/0) "
            "or RabbitMQ (amqp://user:password@host:5672//)."
        )
    return found


def _email_url(found: str) -> str:
    scheme = found.partition(":")[0]
    if scheme not in _EMAIL_SCHEMES or "://" not in found:
        raise ValueError(
            f"begins with {scheme!r}. Set it to smtp+tls://user:password@host:587, "
            "consolemail:// (prints), filemail:///folder or dummymail:// (drops)."
        )
    _split_url(found, example="smtp+tls://user:password@host:587")
    return found


def _split_url(found: str, *, example: str) -> SplitResult:
    try:
        parts = urlsplit(found)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"is no address ({error}). Set it to {example}.") from error
    return parts


def _path(project_dir: Path) -> Callable[[str], Path]:
    return lambda found: (project_dir / Path(found).expanduser()).resolve()
