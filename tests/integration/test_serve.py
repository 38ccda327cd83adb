"""The supervisor that the demo uses, with real processes on the test database."""

import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest
from django.db import connection

from tests.fixtures.broker import PROJECT, wait_for, worker_environment
from tests.integration.test_embedded import free_port

pytestmark = pytest.mark.xdist_group("serve")


@pytest.fixture
def serve(transactional_db, clean_broker, broker_url, tmp_path):
    """A function that starts `python -m config.serve` on a port and waits until it serves."""
    environment = worker_environment(connection.settings_dict, broker_url) | {
        "TOLLGATE_HOME": str(tmp_path),
    }
    started = []

    def start(port, *, ready=True):
        process = subprocess.Popen(
            [sys.executable, "-m", "config.serve", f"--port={port}"],
            cwd=PROJECT, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        started.append(process)
        if ready:
            assert process.stdout.readline().startswith("Serving on"), process.stdout.read()
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()
    subprocess.run(
        [sys.executable, "-m", "config.serve", "--stop"],
        cwd=PROJECT, env=environment, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def children(tmp_path) -> list[psutil.Process]:
    """The web server, the worker and beat, as recorded after the supervisor itself."""
    lines = (Path(tmp_path) / "serving").read_text().splitlines()
    return [psutil.Process(int(line.split()[0])) for line in lines[1:]]


def gone(processes) -> bool:
    return not any(process.is_running() for process in processes)


def test_it_serves_and_a_signal_ends_everything(serve, tmp_path):
    port = free_port()
    process = serve(port)
    running = children(tmp_path)

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as response:
        assert response.read() == b'{"status": "ok"}'
    second = serve(port, ready=False)
    assert "running already" in second.communicate(timeout=30)[0]
    assert second.returncode == 1

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=40) == 130
    wait_for(lambda: gone(running))
    assert not (tmp_path / "serving").exists()


def test_if_one_dies_all_stop_with_a_message(serve, tmp_path):
    process = serve(free_port())
    running = [_, worker, _] = children(tmp_path)

    worker.kill()
    said = process.communicate(timeout=40)[0]

    assert process.returncode == 1
    assert "The worker process ended with status -9, so everything was stopped." in said
    wait_for(lambda: gone(running))


def test_a_port_in_use_is_named(serve):
    port = free_port()
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", port))
        stranger.listen()
        process = serve(port, ready=False)
        said = process.communicate(timeout=40)[0]

    assert process.returncode == 1
    assert f"Port {port} is in use by something else." in said
