"""Whether `make bench` runs, at a size at which its figures mean nothing. Nothing timed."""

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
FIGURES = {
    "ingest_http_vs_copy",
    "ingest_10m_vs_empty",
    "rollup_vs_ingest",
    "close_vs_sql",
    "close_2_vs_1",
    "close_worker_peak_mib",
    "verify_differences",
    "hold_settle_vs_insert",
    "balance_ms",
    "outcome_claims_s",
    "admission_vs_insert",
    "admission_hot_vs_insert",
    "admission_p99_ms",
    "spend_lag_s",
    "estimate_p99_ms",
    "plans_list_ms",
    "version_page_ms",
    "comparison_ms",
}


def run_bench(**variables):
    return subprocess.run(
        [sys.executable, "-m", "bench"],
        cwd=PROJECT, env=os.environ | variables, capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip


def test_every_figure_is_printed_and_every_statement_agrees_with_its_facts(
    worker_id, migrated_database
):
    done = run_bench(
        BENCH_SIZE="tiny",
        BENCH_DATABASE=f"tollgate_bench_smoke_{worker_id}",
        BENCH_MIGRATED=migrated_database,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    printed = dict(line.split(" ", 1) for line in done.stdout.splitlines() if line[:1].strip())
    # Real jobs are replayed where the trace lies beside the project.
    assert printed.keys() - {"size", "estimate_in_range"} == FIGURES
    assert printed["verify_differences"] == "0 =0 ok"


def test_a_size_that_does_not_exist_is_refused():
    done = run_bench(BENCH_SIZE="huge")

    assert done.returncode == 2
    assert "BENCH_SIZE is 'huge'. Set it to one of: tiny, small, full." in done.stderr
