"""The web server of a deployment, for the time of a measurement, and clients that load it."""

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, NamedTuple

import psutil

HOST = "127.0.0.1"
WORKERS = 2
THREADS = 8
CLIENTS = 8
_READY_WITHIN_S = 60
# The proxy in front of a deployment ends TLS.
_FORWARDED = {"X-Forwarded-Proto": "https"}
_LENGTH = b"content-length:"


class RequestRefused(Exception):
    """A request of the measurement was not answered as it should have been."""


class _Target(NamedTuple):
    """What is posted to, and the status that it must answer."""

    path: str
    wanted: int


class Sent(NamedTuple):
    """What sending took: wall clock, and CPU of this process, which makes the requests."""

    seconds: float
    client_cpu_s: float


class Line:
    """A kept connection that posts JSON and reads the answer: so little that what is measured is
    the server, which shares the processors with its clients.
    """

    def __init__(self, port: int, *, path: str, headers: dict[str, str]) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        said = {
            "Host": f"{HOST}:{port}",
            "Content-Type": "application/json",
            **headers,
            **_FORWARDED,
        }
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items())]
        self._head = "\r\n".join(lines).encode()
        self._answer = b""

    def fileno(self) -> int:
        """Return the socket's descriptor, to wait for an answer."""
        return self._socket.fileno()

    def post(self, body: bytes, **headers: str) -> tuple[int, bytes]:
        """Post a body with headers of its own; return status and body of the answer.

        Raises OSError where the server ends the connection.
        """
        self.send(body, **headers)
        while (answer := self.receive()) is None:
            pass
        return answer

    def send(self, body: bytes, **headers: str) -> None:
        """Post a body with headers of its own, whose answer is to be received."""
        said = "".join([f"\r\n{name}: {value}" for name, value in headers.items()]).encode()
        length = b"\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._socket.sendall(b"".join((self._head, said, length, body)))

    def receive(self) -> tuple[int, bytes] | None:
        """Wait for what comes next; return status and body once the answer is whole.

        Raises OSError where the server ends the connection.
        """
        more = self._socket.recv(65536)
        if not more:
            raise OSError("The web server ended the connection.")
        answer = self._answer = self._answer + more
        end = answer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = answer[:end].lower()
        wanted = int(head[head.index(_LENGTH) + len(_LENGTH) :].partition(b"\r\n")[0])
        if len(answer) < end + 4 + wanted:
            return None
        self._answer = b""
        return int(head[9:12]), answer[end + 4 :]

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


@contextmanager
def running_server(
    *, workers: int = WORKERS, threads: int = THREADS, pool: int = THREADS
) -> Iterator[int]:
    """Run granian over the working database; give its port.

    With a ``pool`` of 0 each thread keeps a connection of its own.
    """
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--host", HOST,
        "--port", str(port), "--workers", str(workers), "--blocking-threads", str(threads),
        "--no-ws", "config.wsgi:application",
    ]  # fmt: skip
    environment = os.environ | {"DATABASE_POOL": str(pool)}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            _wait_until_healthy(process, port, log)
            yield port
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the server: kindly first; one that is told while it starts a worker may not notice."""
    if process.poll() is not None:
        return
    all_of_it = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        for each in all_of_it:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()


def _wait_until_healthy(process: "subprocess.Popen[bytes]", port: int, log: IO[str]) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while not _is_healthy(port):
        if process.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            raise RequestRefused(f"The web server does not answer:\n{log.read()[-2000:]}")
        time.sleep(0.1)


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/healthz", headers=_FORWARDED)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def post_events(port: int, bodies: Sequence[bytes], *, secret: str) -> Sent:
    """Post each body of events once; return what it took. Raises RequestRefused."""
    return post_bodies(
        port, bodies, secret=secret, path="/api/v1/events", wanted=204,
        content_type="application/cloudevents-batch+json",
    )  # fmt: skip


def post_bodies(
    port: int, bodies: Sequence[bytes], *, secret: str, path: str, content_type: str, wanted: int
) -> Sent:
    """Post each body once over a few kept connections; return what it took.

    Raises RequestRefused for any answer but the wanted status.
    """
    waiting = deque(bodies)
    failures: list[str] = []
    headers = {
        "Authorization": f"Bearer {secret}",
        "Content-Type": content_type,
        **_FORWARDED,
    }
    target = _Target(path, wanted)
    threads = [
        threading.Thread(target=_client, args=(port, target, waiting, headers, failures))
        for _ in range(CLIENTS)
    ]
    cpu, started = time.process_time(), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent = Sent(time.perf_counter() - started, time.process_time() - cpu)
    if failures:
        raise RequestRefused(failures[0])
    return sent


def _client(
    port: int, target: _Target, waiting: deque[bytes], headers: dict[str, str], failures: list[str]
) -> None:
    connection = http.client.HTTPConnection(HOST, port, timeout=120)
    try:
        while not failures:
            try:
                body = waiting.popleft()
            except IndexError:
                return
            connection.request("POST", target.path, body=body, headers=headers)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status != target.wanted:
                failures.append(f"POST {target.path}: {answer.status} {said[:500]!r}")
    except OSError as error:
        failures.append(f"POST {target.path}: {error!r}")
    finally:
        connection.close()
