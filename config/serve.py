"""Run the web server, one Celery worker and beat together, for the demo and for a desk.

They stand and fall together: if one ends, all end, with a message that says which and why. Their
output goes to files in TOLLGATE_HOME. `python -m config.serve` runs them in the foreground,
`python -m config.serve --stop` ends them, also where a killed run left them behind.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType

import psutil

from config.embedded import EmbeddedServiceError, ensure_services
from config.embedded.place import make_home, port_is_free
from config.env import PROJECT_DIR, Environment, load_environment

HOST = "127.0.0.1"
WEB_WORKERS = 2
WEB_THREADS = 8
_STOP_LIMIT_S = 10
_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_FILE_OF_PROCESSES = "serving"


class ServeError(Exception):
    """The services could not be started, or one of them ended; the message says which and why."""

    code = "serve"


class Services:
    """The running processes. `url` is the web server's address."""

    def __init__(self, *, home: Path, host: str, port: int) -> None:
        self.url = f"http://{host}:{port}"
        self._home = home
        self._logs = make_home(home=home) / "logs"
        self._logs.mkdir(exist_ok=True)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = threading.Event()
        self.failure: str | None = None

    def start(self, *, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        """Start one process in a group of its own: the terminal's Ctrl-C reaches us alone."""
        with (self._logs / f"{name}.log").open("wb") as stream:
            self._processes[name] = subprocess.Popen(  # noqa: S603
                command,
                cwd=PROJECT_DIR,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _record(self._home, self._processes[name].pid)

    def check(self) -> None:
        """Raise ServeError where a process has ended by itself."""
        for name, process in self._processes.items():
            if process.poll() is not None and not self._stopping.is_set():
                self.failure = self.failure or self._describe(name, process.returncode)
        if self.failure is not None:
            raise ServeError(self.failure)

    def wait(self) -> None:
        """Wait until a signal comes (KeyboardInterrupt) or a process ends (ServeError)."""
        while True:
            self.check()
            time.sleep(0.2)

    def watch(self) -> None:
        """Interrupt the main thread, whatever it is at, when a process ends by itself."""
        while not self._stopping.wait(0.2):
            try:
                self.check()
            except ServeError:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def stop(self) -> None:
        """End every process and its children: kindly first, then without mercy."""
        self._stopping.set()
        for process in self._processes.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + _STOP_LIMIT_S
        for process in self._processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            _kill_group(process.pid)
            process.wait()
        (self._home / _FILE_OF_PROCESSES).unlink(missing_ok=True)

    def _describe(self, name: str, status: int) -> str:
        log = self._logs / f"{name}.log"
        lines = log.read_text(errors="replace").splitlines()[-15:]
        return (
            f"The {name} process ended with status {status}, so everything was stopped. "
            f"The end of {log}:\n" + "\n".join(lines)
        )


@contextlib.contextmanager
def running(
    *, port: int = 8000, host: str = HOST, wait_s: float = 120, beat: bool = True
) -> Iterator[Services]:
    """Run web server, worker and beat for the length of a `with` block (main thread only).

    The block begins once /healthz answers. A SIGTERM ends it with KeyboardInterrupt; the end of
    a process ends it with ServeError, whose message says which process and shows its last lines.
    Raises ServeError at once where the port is in use.
    """
    env = load_environment()
    ensure_services(environment=env)
    _refuse_second_run(env.home)
    stop_serving(home=env.home)
    if not port_is_free(host=host, port=port):
        raise ServeError(
            f"Port {port} is in use by something else. Stop what uses it, or choose another port."
        )
    services = Services(home=env.home, host=host, port=port)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        _record(env.home, os.getpid())
        _start_all(services, env=env, host=host, port=port, beat=beat)
        threading.Thread(target=services.watch, daemon=True).start()
        _wait_until_healthy(services, wait_s=wait_s)
        yield services
    except KeyboardInterrupt:
        services.check()
        raise
    finally:
        with _undisturbed():
            services.stop()
        signal.signal(signal.SIGTERM, before)


def stop_serving(*, home: Path) -> int:
    """End the services of this home, also those that a killed run left; return how many ended."""
    owner, left = _recorded(home)
    if owner is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            owner.terminate()
        psutil.wait_procs([owner], timeout=_STOP_LIMIT_S + 5)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    psutil.wait_procs(left, timeout=_STOP_LIMIT_S)
    for process in left:
        _kill_group(process.pid)
    (home / _FILE_OF_PROCESSES).unlink(missing_ok=True)
    return len(left)


def _refuse_second_run(home: Path) -> None:
    if _recorded(home)[0] is not None:
        raise ServeError("The services are running already. Stop them first: `make stop`.")


def _recorded(home: Path) -> tuple[psutil.Process | None, list[psutil.Process]]:
    """Return the process that started the services, and the services, as far as they live."""
    kept = home / _FILE_OF_PROCESSES
    lines = kept.read_text().splitlines() if kept.is_file() else []
    found = [_same_process(line) for line in lines]
    return (found[0] if found else None), [process for process in found[1:] if process is not None]


def _start_all(services: Services, *, env: Environment, host: str, port: int, beat: bool) -> None:
    python = sys.executable
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    pool = {} if env.database_pool else {"DATABASE_POOL": str(WEB_THREADS)}
    services.start(
        name="web",
        command=[
            python, "-m", "granian", "--interface", "wsgi", "--host", host, "--port", str(port),
            "--workers", str(WEB_WORKERS), "--blocking-threads", str(WEB_THREADS), "--no-ws",
            "config.wsgi:application",
        ],
        environment=environment | pool,
    )  # fmt: skip
    celery = [python, "-m", "celery", "-A", "config"]
    services.start(
        name="worker",
        command=[*celery, "worker", "--loglevel=INFO", "--concurrency=2"],
        environment=environment,
    )
    if beat:
        services.start(
            name="beat",
            command=[*celery, "beat", "--loglevel=INFO", "--pidfile="],
            environment=environment,
        )


def _wait_until_healthy(services: Services, *, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while not _is_healthy(services.url):
        services.check()
        if time.monotonic() > deadline:
            raise ServeError(f"{services.url}/healthz did not answer within {wait_s:.0f} seconds.")
        time.sleep(0.1)


def _is_healthy(url: str) -> bool:
    from django.conf import settings

    name = next((host for host in settings.ALLOWED_HOSTS if host != "*"), "localhost").lstrip(".")
    request = urllib.request.Request(f"{url}/healthz", headers={"Host": name})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
            healthy: bool = response.status == 200
    except (urllib.error.URLError, OSError):
        return False
    return healthy


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _record(home: Path, pid: int) -> None:
    with (home / _FILE_OF_PROCESSES).open("a") as kept:
        kept.write(f"{pid} {psutil.Process(pid).create_time()!r}\n")


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Let no second signal interrupt the stopping: it would leave processes behind."""
    before = [(number, signal.signal(number, signal.SIG_IGN)) for number in _ENDING_SIGNALS]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _same_process(line: str) -> psutil.Process | None:
    """A number alone may belong to another process by now; with its starting time it does not."""
    pid, _, started = line.partition(" ")
    try:
        process = psutil.Process(int(pid))
        return process if repr(process.create_time()) == started else None
    except (psutil.Error, ValueError):
        return None


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def main() -> int:
    """Serve until interrupted; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m config.serve", description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--host", default=HOST)
    parser.add_argument(
        "--stop", action="store_true", help="end the services, however they were left"
    )
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        if options.stop:
            stopped = stop_serving(home=load_environment().home)
            sys.stdout.write(f"Serving processes: {stopped} stopped\n")
            return 0
        with running(port=options.port, host=options.host) as services:
            sys.stdout.write(f"Serving on {services.url}/ (Ctrl-C stops)\n")
            sys.stdout.flush()
            services.wait()
    except KeyboardInterrupt:
        return 130
    except (ServeError, EmbeddedServiceError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
