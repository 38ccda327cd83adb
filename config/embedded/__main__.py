"""Start, stop and look at the embedded services: `python -m config.embedded COMMAND`."""

import argparse
import sys
from types import ModuleType
from typing import TextIO

from django.core.exceptions import ImproperlyConfigured

from config.embedded import EmbeddedServiceError, postgres, valkey
from config.embedded.place import find_place
from config.env import Environment, load_environment


def main() -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m config.embedded", description=__doc__)
    parser.add_argument("command", choices=["start", "stop", "status", "url"])
    chosen = parser.parse_args().command
    commands = {"start": _start, "stop": _stop, "status": _status, "url": _url}
    try:
        return commands[chosen](load_environment())
    except (EmbeddedServiceError, ImproperlyConfigured) as error:
        _say(str(error), to=sys.stderr)
        return 1


def _start(env: Environment) -> int:
    for name, service, port in _services(env):
        started = service.start(home=env.home, port=port)
        _say(f"{name}: {'started' if started else 'already running'} on port {port}")
    return 0


def _stop(env: Environment) -> int:
    for name, service, port in _services(env):
        stopped = service.stop(home=env.home, port=port)
        _say(f"{name}: {'stopped' if stopped else 'was not running'}")
    return 0


def _status(env: Environment) -> int:
    running = []
    for name, service, port in _services(env):
        running.append(service.is_running(home=env.home, port=port))
        _say(f"{name}: {f'running on port {port}' if running[-1] else 'not running'}")
    place = find_place(home=env.home)
    _say(f"Data: {place.folder if place else 'none yet'}")
    return 0 if all(running) else 3


def _url(env: Environment) -> int:
    _say(f"DATABASE_URL={postgres.url(home=env.home, port=env.postgres_port)}")
    _say(f"BROKER_URL={valkey.url(home=env.home, port=env.valkey_port)}")
    return 0


def _services(env: Environment) -> list[tuple[str, ModuleType, int]]:
    return [("PostgreSQL", postgres, env.postgres_port), ("Valkey", valkey, env.valkey_port)]


def _say(message: str, *, to: TextIO = sys.stdout) -> None:
    to.write(message + "\n")


if __name__ == "__main__":
    sys.exit(main())
