"""kill -9 the importer, a worker and the database in the middle; start again; the same totals.

Real processes on services of their own. "In the middle" is certain: a lock holds each one up inside
a transaction, after it has done a part of its work and before it has done all.
"""

import csv
import random

import pytest

from tests.fixtures.own_services import OwnServices, kill, reach
from tests.fixtures.traces import MAP, PLAN, expected_bill, stored_bill

pytestmark = pytest.mark.xdist_group("kill")

JOBS = 3_000
CUSTOMERS = 800
BATCH = 100
MONTHS = ("2024-11", "2024-12")
COLUMNS = (
    "gmt_create", "predict_type", "predict_status", "exec_time_seconds", "groupId",
    "prompt_length", "negative_prompt_length", "num_images_per_prompt", "num_inference_steps",
    "checkpoint_model_version_id", "num_lora",
)  # fmt: skip
ROWS_READ = "SELECT max(rows_read) FROM usage_importrun"
DRAFTED = "SELECT count(*) FROM billing_statement WHERE drafted_at IS NOT NULL"
FINALISED = "SELECT count(*) FROM billing_statement WHERE status = 'finalised'"
CLAIMED = """SELECT c.key FROM billing_statement s JOIN plans_customer c ON c.id = s.customer_id
             WHERE s.claimed_until > now() AND s.status = 'due' LIMIT 1"""
EVENTS = "SELECT count(*) FROM usage_event"
# However busy the machine is: between the first statement and the last there is time to kill.
SLOWLY = """
CREATE FUNCTION take_a_while() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_sleep(0.002); RETURN NEW; END';
CREATE TRIGGER slowly BEFORE UPDATE ON billing_statement FOR EACH ROW
    WHEN (NEW.status = 'finalised') EXECUTE FUNCTION take_a_while()
"""
QUICKLY = "DROP FUNCTION take_a_while() CASCADE"


@pytest.fixture
def jobs(tmp_path):
    """A file of jobs like the real ones, the same each time; every tenth row stands there twice."""
    chance = random.Random(20241130)
    rows = []
    while len(rows) < JOBS:
        day = f"2024-1{chance.choice('12')}-{chance.randrange(1, 31):02d}"
        row = (
            f"{day} {chance.randrange(24):02d}:{chance.randrange(60):02d}:00",
            chance.choice(("TXT_2_IMG", "TXT_2_IMG", "IMG_2_IMG", "INPAINTING")),
            chance.choice(("SUCCEED",) * 18 + ("FAILED", "PENDING")),
            f"{chance.randrange(1, 400)}.0",
            f"G{chance.randrange(CUSTOMERS):04d}",
            "63.0", "", f"{chance.choice((1, 4, 8, 300))}.0", "30.0", "M0001", "0",
        )  # fmt: skip
        rows += [row] * (1 + (chance.random() < 0.1))
    path = tmp_path / "jobs.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([COLUMNS, *rows])
    return path


def test_whatever_is_killed_the_totals_are_the_same(own_services: OwnServices, jobs) -> None:
    own_services.manage("load_catalogue", PLAN, "--publish")
    kill_the_importer_and_the_database_under_it(own_services, jobs)
    kill_a_worker_and_the_database_under_one(own_services)

    with open(jobs) as stream:
        finished = [row for row in csv.DictReader(stream) if row["predict_status"] != "PENDING"]
    assert own_services.ask(EVENTS) == [(len(finished),)]
    keys = "SELECT count(*), count(DISTINCT (source, event_id)) FROM usage_event"
    assert own_services.ask(keys) == [(len(finished),) * 2]
    with own_services.connect() as connection:
        assert stored_bill(connection) == expected_bill(jobs, months=MONTHS)
    assert "agree with their facts" in own_services.manage("verify_statements")
    assert "0 opened, 0 drafted, 0 finalised" in own_services.manage(
        "close_period", "--until=2025-01-01"
    )


def kill_the_importer_and_the_database_under_it(services: OwnServices, jobs) -> None:
    command = (
        "import_jobs", jobs, "--map", MAP, f"--batch={BATCH}", "--create-customers",
        "--plan=image-generation", "--starts=2024-11-01", "--ends=2025-01-01",
    )  # fmt: skip
    importer = services.begin(*command)
    first = reach(services, ROWS_READ, least=BATCH)
    with services.held_up("usage_event"):
        kill(importer)
    stored = services.ask(ROWS_READ)[0][0]
    assert first <= stored < JOBS
    assert_whole_batches(services, jobs, rows=stored)

    importer = services.begin(*command)
    reach(services, ROWS_READ, least=stored + BATCH)
    with services.held_up("usage_event"):
        services.kill_database()
    out, _ = importer.communicate(timeout=60)
    assert importer.returncode == 1
    assert "The connection to the database was lost" in out
    assert "Run the same command again" in out

    services.start()
    stored = services.ask(ROWS_READ)[0][0]
    assert_whole_batches(services, jobs, rows=stored)
    out = services.manage(*command)
    assert services.ask("SELECT count(*), count(finished_at) FROM usage_importrun") == [(1, 1)]
    assert "  0 duplicates" in out


def assert_whole_batches(services: OwnServices, jobs, *, rows: int) -> None:
    """What is stored is what the rows up to the last counted batch say, and nothing beyond."""
    assert 0 < rows < JOBS
    assert rows % BATCH == 0
    with open(jobs) as stream:
        read = list(csv.DictReader(stream))[:rows]
    events = sum(row["predict_status"] != "PENDING" for row in read)
    assert services.ask(EVENTS) == [(events,)]
    assert services.ask("SELECT accepted FROM usage_importrun") == [(events,)]
    customers = {row["groupId"] for row in read}
    assert services.ask("SELECT count(*) FROM plans_customer") == [(len(customers),)]
    assert services.ask("SELECT count(*) FROM plans_subscription") == [(len(customers),)]


def kill_a_worker_and_the_database_under_one(services: OwnServices) -> None:
    worker = services.worker()
    services.send("usage.tasks.roll_up")
    services.send("billing.tasks.open_and_draft")
    reach(services, DRAFTED, least=1)
    with services.held_up("billing_statementline"):
        worker.kill()
    statements = services.ask("SELECT count(*) FROM billing_statement")[0][0]
    assert 0 < services.ask(DRAFTED)[0][0] < statements
    lines = "SELECT count(*) FROM billing_statementline WHERE statement_id IN ({})"
    undrafted = "SELECT id FROM billing_statement WHERE drafted_at IS NULL"
    assert services.ask(lines.format(undrafted)) == [(0,)]

    (claimed,) = services.ask(CLAIMED)[0]
    out = services.manage("close_period", "--until=2025-01-01", f"--customer={claimed}", status=1)
    assert "a run is working on them, or was cut off. Run this again from" in out
    let_claims_pass(services)
    services.worker()
    services.send("billing.tasks.draft")
    reach(services, DRAFTED, least=statements)

    services.run(SLOWLY)
    services.send("billing.tasks.finalise_due")
    reach(services, FINALISED, least=1)
    with services.held_up("billing_statement"):
        services.kill_database()
    services.start()
    services.run(QUICKLY)
    assert 0 < services.ask(FINALISED)[0][0] < statements
    let_claims_pass(services)
    # The worker has outlived its database, and goes on.
    services.send("billing.tasks.finalise_due")
    reach(services, FINALISED, least=statements)


def let_claims_pass(services: OwnServices) -> None:
    """Move the end of the claims of the dead into the past, where waiting would take it."""
    with services.connect() as connection:
        connection.execute(
            "UPDATE billing_statement SET claimed_until = claimed_until - interval '1 hour'"
            " WHERE claimed_until IS NOT NULL AND status <> 'finalised'"
        )
