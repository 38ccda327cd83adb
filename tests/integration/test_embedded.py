"""The embedded services, each test with servers of its own on ports and folders of their own."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from django.core.exceptions import ImproperlyConfigured

from config.embedded import EmbeddedServiceError, place, postgres, valkey

PROJECT = Path(__file__).resolve().parents[2]
IS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not IS_ROOT, reason="Only root can become another user.")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stop_everything(home, port):
    postgres.stop(home=home, port=port)
    valkey.stop(home=home, port=port)


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def home(port):
    """A TOLLGATE_HOME that every user may enter, with its servers stopped at the end."""
    folder = Path(tempfile.mkdtemp(prefix="tollgate-test-"))
    folder.chmod(0o755)
    yield folder
    stop_everything(folder, port)
    shutil.rmtree(folder)


@pytest.fixture
def closed_home(port):
    """A TOLLGATE_HOME below a folder that only its owner may enter, as a home directory is."""
    parent = Path(tempfile.mkdtemp(prefix="tollgate-test-"))
    home = parent / "project" / ".tollgate"
    yield home
    stop_everything(home, port)
    found = place.find_place(home=home)
    if found is not None and found.folder != home:
        shutil.rmtree(found.folder)
    shutil.rmtree(parent)


def connect(home, port):
    return psycopg.connect(postgres.url(home=home, port=port), autocommit=True)


def remember(home, port, value):
    with connect(home, port) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS remembered (value text)")
        connection.execute("INSERT INTO remembered VALUES (%s)", [value])


def remembered(home, port):
    with connect(home, port) as connection:
        return [row[0] for row in connection.execute("SELECT value FROM remembered")]


def pid_file(home):
    return home / "postgres" / "data" / "postmaster.pid"


def kill_postmaster(home):
    """As a crash would: the postmaster dies at once, nothing is shut down."""
    process = psutil.Process(int(pid_file(home).read_text().split()[0]))
    process.kill()
    process.wait(timeout=10)


def command_line(home, port, *arguments):
    environment = {
        **os.environ,
        "TOLLGATE_HOME": str(home),
        "EMBEDDED_POSTGRES_PORT": str(port),
        "EMBEDDED_VALKEY_PORT": str(free_port() if arguments == () else port + 1),
    }
    return {
        "args": [sys.executable, "-m", "config.embedded", *arguments],
        "cwd": PROJECT,
        "env": environment,
        "text": True,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
    }


def test_a_second_start_finds_the_first(home, port):
    assert postgres.start(home=home, port=port) is True
    pid = pid_file(home).read_text()

    assert postgres.start(home=home, port=port) is False
    assert pid_file(home).read_text() == pid


def test_it_is_a_durable_server_for_this_machine_alone(home, port):
    postgres.start(home=home, port=port)

    with connect(home, port) as connection:
        told = {
            name: connection.execute(f"SHOW {name}").fetchone()[0]
            for name in ("listen_addresses", "fsync", "synchronous_commit", "server_encoding")
        }
        version = connection.info.server_version

    assert told == {
        "listen_addresses": "127.0.0.1",
        "fsync": "on",
        "synchronous_commit": "on",
        "server_encoding": "UTF8",
    }
    assert version >= 180000


def test_it_asks_for_the_password(home, port):
    postgres.start(home=home, port=port)

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgres://tollgate:wrong@127.0.0.1:{port}/tollgate")
    assert (home / "postgres-password").stat().st_mode & 0o777 == 0o600


def test_data_survives_a_restart(home, port):
    postgres.start(home=home, port=port)
    remember(home, port, "before")

    assert postgres.stop(home=home, port=port) is True
    assert postgres.is_running(home=home, port=port) is False
    assert postgres.stop(home=home, port=port) is False
    postgres.start(home=home, port=port)

    assert remembered(home, port) == ["before"]


def test_data_survives_a_killed_postmaster(home, port):
    postgres.start(home=home, port=port)
    remember(home, port, "committed")
    kill_postmaster(home)

    assert postgres.start(home=home, port=port) is True

    assert remembered(home, port) == ["committed"]


def test_it_outlives_the_process_that_started_it(home, port):
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from config.embedded import postgres\n"
        "postgres.start(home=Path(sys.argv[1]), port=int(sys.argv[2]))\n"
        "print('started', flush=True); time.sleep(60)\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", script, str(home), str(port)],
        cwd=PROJECT, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert starter.stdout.readline() == "started\n"

    os.killpg(starter.pid, signal.SIGKILL)
    starter.wait()
    starter.stdout.close()

    assert postgres.is_running(home=home, port=port)


def test_two_starts_at_once_make_one_server(home, port):
    both = [subprocess.Popen(**command_line(home, port, "start")) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert sorted("PostgreSQL: started" in each for each in said) == [False, True]
    assert sorted("Valkey: started" in each for each in said) == [False, True]


@pytest.mark.parametrize(
    "contents",
    ["", "nonsense\n", "{dead}\n", "{other}\n"],
    ids=["empty", "nonsense", "of a dead process", "of some other process"],
)
def test_a_misleading_pid_file(home, port, contents):
    postgres.start(home=home, port=port)
    remember(home, port, "kept")
    postgres.stop(home=home, port=port)
    dead = subprocess.Popen(["true"])
    dead.wait()
    pid_file(home).write_text(contents.format(dead=dead.pid, other=os.getpid()))

    postgres.start(home=home, port=port)

    assert remembered(home, port) == ["kept"]


def test_an_unfinished_data_directory_is_made_again(home, port):
    folder = place.choose_place(home=home).make_folder(name="postgres")
    (folder / "data.new").mkdir()
    (folder / "data.new" / "PG_VERSION").write_text("18\n")

    postgres.start(home=home, port=port)

    assert postgres.is_running(home=home, port=port)


@pytest.mark.parametrize(
    ("service", "variable"),
    [(postgres, "EMBEDDED_POSTGRES_PORT"), (valkey, "EMBEDDED_VALKEY_PORT")],
    ids=["postgres", "valkey"],
)
def test_a_port_in_use_is_named_with_its_variable(home, port, service, variable):
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", port))
        stranger.listen()

        with pytest.raises(EmbeddedServiceError) as caught:
            service.start(home=home, port=port)

    assert f"Port {port} is in use by something else" in str(caught.value)
    assert f"Set {variable} to a free port" in str(caught.value)


@pytest.mark.parametrize(
    ("service", "variable"),
    [(postgres, "EMBEDDED_POSTGRES_PORT"), (valkey, "EMBEDDED_VALKEY_PORT")],
    ids=["postgres", "valkey"],
)
def test_one_folder_is_never_served_twice(home, port, service, variable):
    service.start(home=home, port=port)
    other = free_port()

    with pytest.raises(
        EmbeddedServiceError, match=f"already running on port {port}, but {variable}"
    ):
        service.start(home=home, port=other)


def test_a_copied_home_has_a_server_of_its_own(home, port):
    postgres.start(home=home, port=port)
    copy = Path(tempfile.mkdtemp(prefix="tollgate-test-"))
    shutil.copy(home / "postgres-password", copy)
    try:
        assert postgres.is_running(home=copy, port=port) is False
    finally:
        shutil.rmtree(copy)


@pytest.mark.parametrize("service", [postgres, valkey], ids=["postgres", "valkey"])
def test_a_folder_removed_under_a_running_server_does_not_block_its_port(home, port, service):
    service.start(home=home, port=port)
    for path in home.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    assert service.is_running(home=home, port=port) is False
    assert service.start(home=home, port=port) is True
    assert service.is_running(home=home, port=port) is True


def test_a_password_that_does_not_fit_is_said_at_once(home, port):
    postgres.start(home=home, port=port)
    postgres.stop(home=home, port=port)
    (home / "postgres-password").unlink()

    with pytest.raises(EmbeddedServiceError, match="does not fit the data"):
        postgres.start(home=home, port=port)


def test_a_server_that_cannot_start_shows_its_log(home, port):
    postgres.start(home=home, port=port)
    postgres.stop(home=home, port=port)
    (home / "postgres" / "data" / "global" / "pg_control").unlink()

    with pytest.raises(EmbeddedServiceError, match="pg_control"):
        postgres.start(home=home, port=port)


def test_messages_survive_a_killed_broker(home, port):
    valkey.start(home=home, port=port)
    with redis.Redis.from_url(valkey.url(home=home, port=port)) as client:
        client.lpush("celery", "a message")
    process = psutil.Process(int((home / "valkey" / "pid").read_text()))
    process.kill()
    process.wait(timeout=10)

    assert valkey.start(home=home, port=port) is True

    with redis.Redis.from_url(valkey.url(home=home, port=port)) as client:
        assert client.lrange("celery", 0, -1) == [b"a message"]
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_messages_survive_a_restart(home, port):
    valkey.start(home=home, port=port)
    with redis.Redis.from_url(valkey.url(home=home, port=port, database=3)) as client:
        client.lpush("celery", "a message")

    assert valkey.stop(home=home, port=port) is True
    assert valkey.stop(home=home, port=port) is False
    valkey.start(home=home, port=port)

    with redis.Redis.from_url(valkey.url(home=home, port=port, database=3)) as client:
        assert client.llen("celery") == 1


@needs_root
def test_root_steps_down(home, port):
    postgres.start(home=home, port=port)

    process = psutil.Process(int(pid_file(home).read_text().split()[0]))

    assert process.username() == "nobody"


@needs_root
def test_a_home_that_others_cannot_enter_keeps_its_permissions(closed_home, port):
    parents = [closed_home.parent.parent, closed_home.parent]
    closed_home.parent.mkdir()
    before = [folder.stat().st_mode for folder in parents]

    postgres.start(home=closed_home, port=port)
    valkey.start(home=closed_home, port=free_port())
    remember(closed_home, port, "outside")
    postgres.stop(home=closed_home, port=port)
    postgres.start(home=closed_home, port=port)

    assert remembered(closed_home, port) == ["outside"]
    assert [folder.stat().st_mode for folder in parents] == before
    found = place.find_place(home=closed_home)
    assert found.folder.name.startswith("tollgate-")
    assert not (closed_home / "postgres").exists()


@needs_root
def test_a_folder_that_somebody_else_made_is_not_used(closed_home):
    [outside, *_] = place._outside(closed_home)
    outside.mkdir()
    nobody = pwd.getpwnam("nobody")
    os.chown(outside, nobody.pw_uid, nobody.pw_gid)
    try:
        with pytest.raises(EmbeddedServiceError, match="is not ours"):
            place.choose_place(home=closed_home)
    finally:
        outside.rmdir()


@needs_root
def test_programs_that_others_cannot_reach_are_copied(home):
    hidden = Path(tempfile.mkdtemp(prefix="tollgate-test-")) / "install"
    (hidden / "bin").mkdir(parents=True)
    shutil.copy("/bin/true", hidden / "bin" / "server")
    chosen = place.choose_place(home=home)
    try:
        programs = place.reachable_binaries(
            place=chosen, binaries=hidden / "bin", program="server", version="1"
        )
        assert programs == home / "programs-1" / "bin"
        assert chosen.run(str(programs / "server"), cwd=Path("/")).returncode == 0
    finally:
        shutil.rmtree(hidden.parent)


AS_ORDINARY_USER = """
import encodings.idna, os, pwd, sys
from pathlib import Path
import psycopg
from config.embedded import postgres, valkey

home, port = Path(sys.argv[1]), int(sys.argv[2])
postgres.is_running(home=home, port=port), valkey.is_running(home=home, port=port)
try:
    psycopg.connect(host="127.0.0.1", port=port, user="x", connect_timeout=5)
except psycopg.OperationalError:
    pass  # what is imported late is in memory now: the user below may not be able to read it
nobody = pwd.getpwnam("nobody")
os.setgroups([]); os.setgid(nobody.pw_gid); os.setuid(nobody.pw_uid)
print(postgres.start(home=home, port=port), postgres.start(home=home, port=port))
print(valkey.start(home=home, port=port + 1), valkey.start(home=home, port=port + 1))
print(postgres.stop(home=home, port=port), valkey.stop(home=home, port=port + 1))
"""


@needs_root
def test_an_ordinary_user_needs_no_root(home, port):
    nobody = pwd.getpwnam("nobody")
    if not place._can_run(
        postgres.wheel_programs() / "postgres", uid=nobody.pw_uid, gid=nobody.pw_gid
    ):
        pytest.skip("An ordinary user cannot reach this installation.")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    home.chmod(0o700)
    done = subprocess.run(
        [sys.executable, "-c", AS_ORDINARY_USER, str(home), str(port)],
        cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.stdout.split() == ["True", "False"] * 2 + ["True", "True"], done.stderr
    owners = {path.stat().st_uid for path in home.rglob("*")}
    assert owners <= {0, nobody.pw_uid}


def test_a_home_that_cannot_be_made_is_explained():
    with pytest.raises(ImproperlyConfigured, match=r"^TOLLGATE_HOME is /dev/null/x"):
        place.make_home(home=Path("/dev/null/x"))


def test_a_secret_is_made_once(home):
    first = place.keep_secret(home=home, name="secret-key")

    assert len(first) >= 50
    assert place.keep_secret(home=home, name="secret-key") == first
    assert (home / "secret-key").stat().st_mode & 0o777 == 0o600


def test_the_command_line(home, port):
    def run(command):
        done = subprocess.run(**command_line(home, port, command), timeout=120, check=False)
        return done.returncode, done.stdout

    assert run("status")[0] == 3
    assert run("start")[0] == 0
    status, said = run("status")
    assert (status, f"PostgreSQL: running on port {port}" in said) == (0, True)
    assert f"DATABASE_URL={postgres.url(home=home, port=port)}" in run("url")[1]
    assert run("stop") == (0, "PostgreSQL: stopped\nValkey: stopped\n")
    deadline = time.monotonic() + 5
    while run("status")[0] != 3:
        assert time.monotonic() < deadline
