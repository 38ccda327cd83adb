"""One worker of the close, in a process of its own: a command a line in, an answer a line out.

Started by `bench.close`. Commands: `open`, `draft`, `finalise`, and `usage` for what the process
has cost. With BENCH_PROFILE a file of cProfile's statistics is written to that path at the end.
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

from billing import runs  # noqa: E402
from billing.locks import Scope  # noqa: E402
from billing.statements.opening import open_statements  # noqa: E402
from bench.processes import ServerCpu, peak_memory_mib  # noqa: E402
from bench.world import MONTH_END  # noqa: E402

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


def _cost(cpu: ServerCpu | None) -> dict[str, float]:
    return {
        "peak_mib": peak_memory_mib(),
        "python_cpu_s": time.process_time(),
        "database_cpu_s": cpu.backend_s() if cpu else 0.0,
    }


def _serve() -> None:
    cpu = ServerCpu.here()
    for line in sys.stdin:
        command = line.strip()
        answer = _cost(cpu) if command == "usage" else {"done": _do(command)}
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
