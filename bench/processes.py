"""What processes cost: CPU seconds of PostgreSQL's, and peak memory of our own."""

import resource
import sys
from pathlib import Path

import psutil
from django.db import connection


class NotHere(Exception):
    """The database server runs on another machine, so its CPU cannot be read."""


class ServerCpu:
    """CPU seconds, user and system, of the database server behind a connection.

    The connection is held open, so that its backend's counter covers all that it ran.
    """

    def __init__(self, backend_pid: int) -> None:
        try:
            self._backend = psutil.Process(backend_pid)
            parent = self._backend.parent()
        except psutil.NoSuchProcess as error:
            raise NotHere(f"There is no process {backend_pid} here.") from error
        if "postgres" not in self._backend.name() or parent is None:
            raise NotHere(f"The process {backend_pid} is no PostgreSQL.")
        self._postmaster = parent

    @classmethod
    def of_django(cls) -> "ServerCpu":
        """Return that of Django's connection. Raises NotHere."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (pid,) = cursor.fetchone()
        return cls(pid)

    def backend_s(self) -> float:
        """Return what the connection's own backend has used, to the nanosecond on Linux."""
        exact = Path(f"/proc/{self._backend.pid}/schedstat")
        if exact.is_file() and (on_cpu_ns := int(exact.read_text().split()[0])):
            return on_cpu_ns / 1e9
        used = self._backend.cpu_times()
        return float(used.user + used.system)

    def server_s(self) -> float:
        """Return what all of the server's processes have used, with those that have ended."""
        used = self._postmaster.cpu_times()
        total = used.user + used.system + used.children_user + used.children_system
        for child in self._postmaster.children():
            try:
                own = child.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += own.user + own.system
        return float(total)


def backend_cpu_s(backend_pid: int) -> float:
    """Return the CPU seconds that a backend has used; 0 where the server is not on this machine."""
    try:
        return ServerCpu(backend_pid).backend_s()
    except NotHere:
        return 0.0


def peak_memory_mib() -> float:
    """Return the most resident memory that this process has had: VmHWM where there is one.

    Linux hands the rusage of the process that forked us on to us; VmHWM is ours alone.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)
