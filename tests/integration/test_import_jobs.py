"""Jobs from a file: the good are stored once, the bad are named, and nothing is half stored."""

from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from plans.models import Customer, Subscription
from tests.fixtures.world import World, at
from usage.imports.column_map import read_map
from usage.models import Event, ImportRun, QuarantinedEvent
from usage.operations.import_jobs import ImportBusy, import_jobs
from usage.operations.newcomers import Newcomers

NOW = datetime(2024, 12, 1, tzinfo=UTC)
MAP = """
source: log
event_type: job.completed
id: {columns: [job]}
customer: who
time: {column: at}
status: {column: state, succeeded: [OK], failed: [ERR], unfinished: [RUN]}
properties:
  images: {column: n, type: integer}
"""
HEADER = "job,who,at,state,n"


@pytest.fixture
def shop(world: World) -> World:
    """A world in which images are sold, and acme buys them."""
    meter = world.meter(
        "images", event_type="job.completed", aggregation="sum", value_property="images",
        filters={"status": ["succeeded"]},
    )  # fmt: skip
    price = {"key": "images", "model": "per_unit", "meter": meter, "amount": "0.04"}
    plan = world.plan("images", prices=(price,))
    world.subscribe(world.customer(), plan, starts_at=at(2024, 11, 1))
    return world


@pytest.fixture
def paths(tmp_path):
    (tmp_path / "map.yaml").write_text(MAP)
    return tmp_path / "jobs.csv", tmp_path / "map.yaml"


def good(number: int, *, who: str = "acme", state: str = "OK", images: str = "2") -> str:
    return f"j{number},{who},2024-11-{1 + number % 28:02d} 10:00:00,{state},{images}"


def write(paths, *rows: str, header: str = HEADER) -> None:
    paths[0].write_text("\n".join([header, *rows]) + "\n")


def run(paths, *options: str) -> str:
    out = StringIO()
    try:
        call_command("import_jobs", str(paths[0]), "--map", str(paths[1]), *options, stdout=out)
    except CommandError as error:
        return f"{out.getvalue()}FAILED: {error}"
    return out.getvalue()


def stored() -> list[tuple]:
    rows = Event.objects.order_by("event_id").values_list("event_id", "properties")
    return [(key, said["status"], said.get("images")) for key, said in rows]


def test_finished_and_failed_jobs_are_stored_and_unfinished_ones_named(shop, paths) -> None:
    write(paths, good(1), good(2, state="ERR"), good(3, state="RUN", images=""), "", good(4))
    said = run(paths)
    assert stored() == [("j1", "succeeded", 2), ("j2", "failed", 2), ("j4", "succeeded", 2)]
    assert "4 rows" in said
    assert "3 accepted" in said
    assert "1 unfinished, not stored (lines 4)" in said
    assert "FAILED" not in said
    assert ImportRun.objects.get().skipped == {"unfinished": {"rows": 1, "lines": [4]}}


def test_each_bad_row_is_named_with_field_and_cause_and_the_good_ones_are_stored(
    shop, paths
) -> None:
    rows = [
        good(1),
        good(2, images="two"),
        good(3, images=""),
        good(4) + ",more",
        good(5, state="LOST"),
        "j6,acme,yesterday,OK,2",
        "j7,acme,2014-01-01 00:00:00,OK,2",
        good(8, images="-3"),
        good(9, who=""),
        good(10),
    ]
    write(paths, *rows)
    said = run(paths)
    assert [key for key, *_ in stored()] == ["j1", "j10"]
    for expected in (
        "line 3: n “two”: it is not a number",
        "line 4: n “”: it is empty, and the job succeeded",
        "line 5: the row has 6 fields, and the header 5",
        "line 6: state “LOST”: it is none of the statuses",
        "line 7: at “yesterday”: it is not a time",
        "line 8: at “2014-01-01 00:00:00+00:00”: “time” must lie between",
        "line 9: n “-3”: “images” must be at least 0",
        "line 10: who “”: the customer is empty",
        "FAILED: 8 of 10 rows were not taken.",
    ):
        assert expected in said
    found = ImportRun.objects.get()
    assert (found.rows_read, found.accepted, found.rejected_count) == (10, 2, 8)
    assert [row["line"] for row in found.rejected] == [3, 4, 5, 6, 7, 8, 9, 10]
    assert QuarantinedEvent.objects.count() == 0


def test_a_mended_file_adds_only_what_was_missing(shop, paths) -> None:
    write(paths, good(1), good(2, images="two"))
    run(paths)
    write(paths, good(1), good(2))
    said = run(paths)
    assert "1 accepted" in said
    assert "1 duplicates" in said
    assert len(stored()) == 2


def test_the_same_id_with_other_content_is_a_conflict_and_the_first_stands(shop, paths) -> None:
    write(paths, good(1))
    run(paths)
    write(paths, good(1, images="9"))
    said = run(paths)
    assert "line 2: id “j1”: An event with this source and id, but with other content" in said
    assert stored() == [("j1", "succeeded", 2)]


def test_bytes_that_are_not_text_are_a_fault_of_their_row(shop, paths) -> None:
    lines = [HEADER, good(1), good(2, who="Z\udcfcrich"), good(3)]
    paths[0].write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    said = run(paths)
    assert "line 3: who “Z\\udcfcrich”: it is not text in the file's encoding" in said
    assert [key for key, *_ in stored()] == ["j1", "j3"]


def test_an_open_quote_is_named_with_the_lines_it_swallowed(shop, paths) -> None:
    write(paths, good(1), 'j2,"acme,2024', good(3))
    said = run(paths)
    assert "line 3: lines 3 to 4 are not a row of a CSV file" in said
    assert [key for key, *_ in stored()] == ["j1"]


def test_nul_characters_are_refused_and_the_import_goes_on(shop, paths) -> None:
    write(paths, good(1), good(2, who="ac\0me"), good(3))
    said = run(paths)
    assert "2 accepted" in said
    assert "line 3" in said
    assert "\0" not in said


@pytest.mark.parametrize(
    ("header", "cause"),
    [
        ("job,who,at,state", "properties.images.column: The file has no column “n”. Its columns: "),
        ("job,who,at,state,n,n", "names the column “n” twice"),
        ("", "The file is empty"),
    ],
)
def test_a_file_without_the_columns_is_refused_before_anything_is_stored(
    shop, paths, header, cause
) -> None:
    write(paths, good(1), header=header)
    assert cause in run(paths)
    assert (stored(), ImportRun.objects.count()) == ([], 0)


def test_what_cannot_be_read_is_said(shop, paths) -> None:
    assert "cannot be read: No such file" in run(paths)
    write(paths, good(1))
    paths[1].write_text(MAP.replace("source", "sauce"))
    assert "unknown field `sauce`" in run(paths)
    paths[1].write_text(MAP.replace("job.completed", "job.done"))
    assert "No meter counts events of the type “job.done”" in run(paths)
    assert (stored(), ImportRun.objects.count()) == ([], 0)


def test_columns_that_the_map_does_not_read_are_named(shop, paths) -> None:
    write(paths, good(1) + ",x", header=HEADER + ",extra")
    assert "columns that the map does not read: extra" in run(paths)


def test_unknown_customers_lie_in_quarantine_until_they_are_created(shop, paths) -> None:
    write(paths, good(1), good(2, who="nova"))
    said = run(paths)
    assert "line 3: who “nova”: No customer or workspace has the key “nova”." in said
    assert "It is kept in quarantine" in said
    assert QuarantinedEvent.objects.count() == 1
    said = run(paths, "--create-customers")
    assert "1 accepted" in said
    assert Customer.objects.filter(key="nova", currency="USD").exists()


def test_customers_are_created_and_subscribed_with_their_first_jobs(shop, paths) -> None:
    write(
        paths, good(1), good(2, who="nova"), good(3, who="vega", state="RUN"), good(4, who="b a d")
    )
    said = run(
        paths, "--create-customers", "--plan", "images", "--starts", "2024-11-01",
        "--ends", "2025-01-01",
    )  # fmt: skip
    assert "line 5: who “b a d”: no customer can have this key" in said
    terms = Subscription.objects.order_by("customer__key").values_list(
        "customer__key", "starts_at", "ends_at"
    )
    assert list(terms) == [
        ("acme", at(2024, 11, 1), None),
        ("nova", at(2024, 11, 1), at(2025, 1, 1)),
        ("vega", at(2024, 11, 1), at(2025, 1, 1)),
    ]


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        (("--plan", "none", "--starts", "2024-11-01"), "there is no plan “none”"),
        (("--plan", "images"), "--plan needs --starts"),
        (("--starts", "2024-11-01"), "name the plan, too"),
        (("--starts", "1.11.2024"), "“1.11.2024” is not a day"),
        (("--plan", "images", "--starts", "2019-01-01"), "has no version in force on 01 January"),
        (
            ("--plan", "images", "--starts", "2024-11-01", "--ends", "2024-11-01"),
            "A subscription ends after it starts",
        ),
    ],
)
def test_wrong_options_are_refused_before_anything_is_stored(shop, paths, options, cause) -> None:
    write(paths, good(1))
    assert cause in run(paths, *options)
    assert (stored(), ImportRun.objects.count()) == ([], 0)


def import_it(paths, **options):
    return import_jobs(
        path=paths[0],
        job_map=read_map(MAP, name="map"),
        clock=lambda: NOW,
        **options,
    )


class Stopped(Exception):
    pass


def stop_at(rows: int):
    def stop(found: ImportRun) -> None:
        if found.rows_read >= rows:
            raise Stopped

    return stop


def test_an_import_that_was_cut_off_goes_on_after_its_last_batch(shop, paths) -> None:
    write(paths, *(good(number) for number in range(50)))
    with pytest.raises(Stopped):
        import_it(paths, batch_rows=10, on_batch=stop_at(20))
    half = ImportRun.objects.get()
    assert (half.rows_read, half.finished_at, Event.objects.count()) == (20, None, 20)
    whole = import_it(paths, batch_rows=10)
    assert (whole.pk, whole.rows_read, whole.accepted, whole.duplicates) == (half.pk, 50, 50, 0)
    assert whole.finished_at == NOW


def test_two_imports_of_one_file_at_once_are_refused(shop, paths) -> None:
    write(paths, *(good(number) for number in range(30)))

    def another(found: ImportRun) -> None:
        if found.rows_read == 10:
            import_it(paths, batch_rows=10)

    with pytest.raises(ImportBusy, match="Another process is importing"):
        import_it(paths, batch_rows=10, on_batch=another)
    assert Event.objects.count() == 30
    assert ImportRun.objects.get().rows_read == 30


def test_a_batch_is_stored_whole_or_not_at_all(shop, paths) -> None:
    write(paths, *(good(number, who=f"c{number}") for number in range(20)))
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION refuse_it() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN IF NEW.event_id = 'j15' THEN RAISE 'no disk'; END IF; RETURN NEW; END $$;"
            "CREATE TRIGGER refuse_it BEFORE INSERT ON usage_eventkey"
            " FOR EACH ROW EXECUTE FUNCTION refuse_it()"
        )
    try:
        with pytest.raises(Exception, match="no disk"):
            import_it(paths, batch_rows=10, newcomers=Newcomers(create=True))
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION refuse_it CASCADE")
    assert (Event.objects.count(), ImportRun.objects.get().rows_read) == (10, 10)
    assert Customer.objects.filter(key__startswith="c").count() == 10
    assert import_it(paths, newcomers=Newcomers(create=True)).accepted == 20


def test_a_file_with_nothing_but_bad_rows_lists_the_first_and_counts_all(shop, paths) -> None:
    write(paths, *(good(number, images="x") for number in range(1_500)))
    found = import_it(paths)
    assert (found.rejected_count, len(found.rejected)) == (1_500, 1_000)
    assert found.rejected[-1]["line"] == 1_001
