"""Decide where the embedded services keep their data, and as which user they run.

PostgreSQL refuses to run as root, so root's servers run as an unprivileged user. Where that user
cannot reach TOLLGATE_HOME or the binaries (below a 0700 home, say), data and a copy of the
binaries go to a folder of our own under /var/lib. Permissions of folders that we did not make
are never changed.
"""

import contextlib
import fcntl
import hashlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from django.core.exceptions import ImproperlyConfigured

START_LIMIT_S = 600
_OUTSIDE = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108


class EmbeddedServiceError(Exception):
    """An embedded service could not be started, reached or stopped; the message says why."""

    code = "embedded_service"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the services live (`folder`) and who runs them; uid and gid are None for ourselves."""

    folder: Path
    uid: int | None
    gid: int | None

    def run(self, *command: str, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command as the services' user with a bare environment; output is captured.

        Output goes through files, not pipes: a server that the command leaves behind would
        hold a pipe open for ever.
        """
        out = self.folder / f"output-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            with out.open("w+") as stream:
                done = subprocess.run(  # noqa: S603
                    command, cwd=cwd, check=False, text=True,
                    stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
                    start_new_session=True, env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                    **self._identity(), **options,
                )  # fmt: skip
                stream.seek(0)
                done.stdout = stream.read()
        finally:
            out.unlink(missing_ok=True)
        return done

    def make_folder(self, *, name: str) -> Path:
        """Make a folder that belongs to the services' user alone, unless it exists."""
        folder = self.folder / name
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
            if self.uid is not None and self.gid is not None:
                os.chown(folder, self.uid, self.gid)
        return folder

    def _identity(self) -> dict[str, Any]:
        return _identity(uid=self.uid, gid=self.gid)


@contextlib.contextmanager
def locked(*, home: Path) -> Iterator[None]:
    """Hold the one lock over starting and stopping services of this home.

    Raises EmbeddedServiceError where another process keeps it for longer than a start may take.
    """
    make_home(home=home)
    deadline = time.monotonic() + START_LIMIT_S
    with (home / "lock").open("w") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EmbeddedServiceError(
                        f"Another process has held {home / 'lock'} for {START_LIMIT_S} seconds. "
                        "End it and try again."
                    ) from None
                time.sleep(0.05)
        yield


def make_home(*, home: Path) -> Path:
    """Make TOLLGATE_HOME unless it exists.

    Raises ImproperlyConfigured where that is not possible.
    """
    try:
        if not home.is_dir():
            home.mkdir(parents=True, exist_ok=True)
            home.chmod(0o755 if os.geteuid() == 0 else 0o700)
    except OSError as error:
        raise ImproperlyConfigured(
            f"TOLLGATE_HOME is {home}, which cannot be made ({error.strerror}). "
            "Set it to a folder that this user may write to."
        ) from error
    return home


def keep_secret(*, home: Path, name: str) -> str:
    """Return the secret kept under this name in TOLLGATE_HOME (0600), made on first use.

    Raises ImproperlyConfigured where it can be neither read nor made.
    """
    path = make_home(home=home) / name
    try:
        if not path.exists():
            _write_once(path, secrets.token_urlsafe(50))
        return path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"{path} cannot be read or made ({error.strerror}). Run as the user who owns "
            "TOLLGATE_HOME, or set TOLLGATE_HOME to a folder of your own."
        ) from error


def find_place(*, home: Path) -> Place | None:
    """Return where the services of this home live, or None where they have yet to get a place."""
    if os.geteuid() != 0:
        return Place(folder=home, uid=None, gid=None)
    for folder in (home, *_outside(home)):
        if (folder / "postgres").is_dir() or (folder / "valkey").is_dir():
            uid, gid = _service_user(folder)
            return Place(folder=folder, uid=uid, gid=gid)
    return None


def choose_place(*, home: Path) -> Place:
    """Return where the services of this home live, and decide it on first use.

    Raises EmbeddedServiceError where no place will do.
    """
    found = find_place(home=make_home(home=home))
    if found is None:
        uid, gid = _service_user(home)
        inside = _can_enter(home, uid=uid, gid=gid)
        folder = home if inside else _make_outside(home, uid=uid, gid=gid)
        found = Place(folder=folder, uid=uid, gid=gid)
    if found.folder != home:
        _require_ours(found.folder)
    return found


def processes_in(*, folder: Path, program: str) -> list[psutil.Process]:
    """List the processes of a program that work in this folder, whatever a pid file says."""
    return [each for each in _processes_at(folder, program) if not _is_orphan(each, folder)]


def end_orphans(*, folder: Path, program: str) -> None:
    """End a program's processes whose folder was removed while they ran: they hold its port.

    Their data is gone, so there is nothing left that they could save.
    """
    orphans = [each for each in _processes_at(folder, program) if _is_orphan(each, folder)]
    for process in orphans:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(orphans, timeout=10)


def port_is_free(*, host: str, port: int) -> bool:
    """Tell whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(*, host: str) -> int:
    """Return a port at which a server could listen now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
    return port


def reachable_binaries(*, place: Place, binaries: Path, program: str, version: str) -> Path:
    """Return a folder like `binaries` that the services' user can run `program` from.

    That is `binaries` itself, or a copy of the tree around it inside the place.
    """
    if place.uid is None or _can_run(binaries / program, uid=place.uid, gid=place.gid):
        return binaries
    copy = place.folder / f"programs-{version}"
    if not copy.is_dir():
        unfinished = place.folder / f"programs-{version}.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(binaries.parent, unfinished, symlinks=True)
        unfinished.chmod(0o755)
        unfinished.rename(copy)
    return copy / binaries.name


def _write_once(path: Path, value: str) -> None:
    """Two processes may get here at once: the first to link its file wins."""
    draft = path.with_name(f"{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(value + "\n")
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _processes_at(folder: Path, program: str) -> list[psutil.Process]:
    path = str(folder.resolve())
    return [
        process
        for process in psutil.process_iter()
        if _ask(process, "name") == program
        and (_ask(process, "cwd") or "").removesuffix(" (deleted)") == path
    ]


def _is_orphan(process: psutil.Process, folder: Path) -> bool:
    """Tell whether a process works in a folder that was removed, and perhaps made again since."""
    link = Path(f"/proc/{process.pid}/cwd")
    try:
        return link.is_symlink() and not link.samefile(folder)
    except FileNotFoundError:
        return link.is_symlink()


def _ask(process: psutil.Process, question: str) -> str | None:
    try:
        answer: str = getattr(process, question)()
    except psutil.Error:
        return None
    return answer


def _outside(home: Path) -> list[Path]:
    name = f"tollgate-{hashlib.sha256(str(home).encode()).hexdigest()[:16]}"
    return [parent / name for parent in _OUTSIDE]


def _make_outside(home: Path, *, uid: int, gid: int) -> Path:
    for folder in _outside(home):
        if not _can_enter(folder.parent, uid=uid, gid=gid):
            continue
        try:
            folder.mkdir(mode=0o755)
        except FileExistsError:
            _require_ours(folder)
        except OSError:
            continue
        else:
            folder.chmod(0o755)
        return folder
    raise EmbeddedServiceError(
        f"The unprivileged user that PostgreSQL runs as can reach neither {home} nor "
        f"{' nor '.join(map(str, _OUTSIDE))}. Set TOLLGATE_HOME to a folder that every user "
        "may enter, or do not run as root."
    )


def _require_ours(folder: Path) -> None:
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise EmbeddedServiceError(
            f"{folder} exists but is not ours. Look at it and remove it, or set TOLLGATE_HOME "
            "to a folder that every user may enter."
        )


def _service_user(folder: Path) -> tuple[int, int]:
    """The owner of data that is there already, or nobody."""
    cluster = folder / "postgres"
    if cluster.is_dir() and cluster.stat().st_uid != 0:
        return cluster.stat().st_uid, cluster.stat().st_gid
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return 65534, 65534
    return nobody.pw_uid, nobody.pw_gid


def _can_enter(folder: Path, *, uid: int, gid: int) -> bool:
    return _succeeds(["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)], uid=uid, gid=gid)


def _can_run(program: Path, *, uid: int, gid: int | None) -> bool:
    return _succeeds([str(program), "--version"], uid=uid, gid=gid)


def _succeeds(command: list[str], *, uid: int, gid: int | None) -> bool:
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd="/", check=False, capture_output=True, env={"PATH": os.defpath},
            **_identity(uid=uid, gid=gid),
        )  # fmt: skip
    except PermissionError:
        return False
    return done.returncode == 0


def _identity(*, uid: int | None, gid: int | None) -> dict[str, Any]:
    if uid is None:
        return {}
    return {"user": uid, "group": gid, "extra_groups": []}
