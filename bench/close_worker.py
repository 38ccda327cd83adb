"""One worker of the close, in a process of its own: a command a line in, an answer a line out.

Started by `bench.close`. Commands: `open`, `draft`, `finalise`, and `cost` for what the process
has used since it was up. BENCH_PROFILE names a path for cProfile's statistics of it.
"""

import cProfile
import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import django

django.setup()

from django.db import connection  # noqa: E402

from bench.processes import backend_cpu_s, peak_memory_mib  # noqa: E402
from bench.world import MONTH_END  # noqa: E402
from billing import runs  # noqa: E402
from billing.locks import Scope  # noqa: E402
from billing.statements.opening import open_statements  # noqa: E402

# Every grace time is over by then.
NOW = MONTH_END + timedelta(days=10)
_SECONDS_MAX = 24 * 3600.0


def _do(command: str) -> int:
    """Run one step to its end; return how many statements it moved on."""
    if command == "open":
        return open_statements(until=NOW, scope=Scope(until=MONTH_END))
    if command == "draft":
        report = runs.draft_due(now=NOW, seconds_max=_SECONDS_MAX)
        done = report.drafted
    else:
        report = runs.finalise_due(now=NOW, seconds_max=_SECONDS_MAX)
        done = report.finalised
    assert report.finished, report
    assert not report.parked, report
    return done


def _serve() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    python, database = time.process_time(), backend_cpu_s(backend)
    for line in sys.stdin:
        command = line.strip()
        if command == "cost":
            answer = {
                "peak_mib": peak_memory_mib(),
                "python_cpu_s": time.process_time() - python,
                "database_cpu_s": backend_cpu_s(backend) - database,
            }
        else:
            answer = {"done": _do(command)}
        print(json.dumps(answer), flush=True)


def main() -> None:
    """Serve until the commands end."""
    target = os.environ.get("BENCH_PROFILE")
    if not target:
        _serve()
        return
    profile = cProfile.Profile()
    profile.runcall(_serve)
    profile.dump_stats(Path(target).with_suffix(f".{os.getpid()}.prof"))


if __name__ == "__main__":
    main()
