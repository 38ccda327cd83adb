"""Print the figures: `python -m bench`, or `make bench`.

BENCH_SIZE is small (the default), full or tiny; BENCH_ONLY names some of ingest, rollup, close,
credits, outcomes, admission, spend, estimates, pages; BENCH_KEEP=1 leaves the databases behind,
BENCH_DATABASE names them otherwise.
"""

import importlib
import os
import sys
import time

from bench.database import Databases, point_settings_here
from bench.sizes import SIZES, Size

# Each is a module here with a function `measure`; they are imported once the settings stand.
GROUPS = (
    "ingest", "rollup", "close", "credits", "outcomes", "admission", "spend", "estimates", "pages",
)  # fmt: skip


def main() -> int:
    """Run the chosen groups of figures, each on a fresh database; return the exit status."""
    try:
        size, groups = _chosen()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    databases = point_settings_here()
    import django

    django.setup()
    try:
        _run(databases, size, groups)
    finally:
        if not os.environ.get("BENCH_KEEP"):
            databases.drop()
    return 0


def _chosen() -> tuple[Size, list[str]]:
    name = os.environ.get("BENCH_SIZE") or "small"
    if name not in SIZES:
        raise ValueError(f"BENCH_SIZE is {name!r}. Set it to one of: {', '.join(SIZES)}.")
    only = os.environ.get("BENCH_ONLY") or ",".join(GROUPS)
    groups = [group.strip() for group in only.split(",")]
    unknown = set(groups) - set(GROUPS)
    if unknown:
        raise ValueError(
            f"BENCH_ONLY names {', '.join(sorted(unknown))}. Choose from: {', '.join(GROUPS)}."
        )
    return SIZES[name], groups


def _run(databases: Databases, size: Size, groups: list[str]) -> None:
    from django.core.management import call_command

    from bench.world import make_world

    databases.create()
    call_command("migrate", verbosity=0)
    make_world(customers=size.customers)
    databases.keep_as_template()
    print(f"size {size.name}; the goals are those of the size full", flush=True)
    for group in groups:
        started = time.perf_counter()
        databases.reset()
        importlib.import_module(f"bench.{group}").measure(size)
        print(f"    {group} took {time.perf_counter() - started:.0f} s in all", flush=True)


if __name__ == "__main__":
    sys.exit(main())
