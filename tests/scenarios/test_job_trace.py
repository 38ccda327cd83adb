"""Real jobs in the order of time: an estimate before each, compared with what it came to.

The first 1,500 of them; `make bench` replays all (`estimate_in_range`).
"""

import pytest

from bench.job_trace import find_trace, read_trace, replay
from tests.fixtures.traces import needs_trace

JOBS = 1_500


@needs_trace
@pytest.mark.django_db
def test_four_of_five_jobs_come_to_something_in_their_range(clean_usage) -> None:
    file = find_trace()
    assert file is not None
    jobs = read_trace(file, limit=JOBS)
    assert jobs == sorted(jobs, key=lambda job: job.asked_at)

    done = replay(jobs)

    assert done.jobs == JOBS
    assert done.counted > 0.95 * JOBS
    assert 0.75 <= done.share_in_range <= 0.85
    # Neither end is where the misses are: the range lies where the jobs do.
    assert done.found["below"] < 0.15 * done.counted
    assert done.found["above"] < 0.15 * done.counted
    assert done.bases["customer"] > 0
    assert done.bases["class"] > 0
