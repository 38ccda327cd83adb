"""POST /api/v1/events as OpenMeter's SDK, LiteLLM's callback and our own services call it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from plans.operations.customers import create_customer, create_workspace
from plans.operations.meters import define_meter
from tests.fixtures.usage import event
from usage.models import ApiKey, Event, QuarantinedEvent
from usage.operations.api_keys import UnknownScope, issue_key, revoke_key, use_key
from usage.operations.ingest import ingest

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
URL = "/api/v1/events"
SINGLE, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"


def sent(id="e1", **said):
    time = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    return {"specversion": "1.0", "id": id, "source": "test", "type": "llm", "subject": "acme",
            "time": time, "data": {"tokens": 5}} | said  # fmt: skip


@pytest.fixture
def post(db):
    create_customer(key="acme", name="Acme")
    define_meter(
        key="tokens", name="Tokens", event_type="llm", aggregation="sum", value_property="tokens"
    )
    _, secret = issue_key(name="gateway", scopes=["ingest"], now=NOW)

    def post(body, content_type="application/json", secret=secret, **headers):
        content = body if isinstance(body, bytes | str) else json.dumps(body)
        headers = {"Authorization": f"Bearer {secret}"} | headers
        return Client(headers=headers).post(URL, content, content_type=content_type)

    return post


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (SINGLE, sent()),
        (SINGLE + "; charset=utf-8", sent()),
        (BATCH, [sent()]),
        ("application/json", sent()),
        ("application/json", [sent()]),
        ('application/json; charset="UTF-8"', [sent()]),
        ("application/json", " \n" + json.dumps([sent(traceparent="x", datacontenttype="a/b")])),
    ],
    ids=["one", "one-charset", "batch", "json-one", "json-batch", "json-quoted", "json-spaced"],
)
def test_every_shape_is_taken_and_answered_204(post, content_type, body):
    answer = post(body, content_type)
    assert (answer.status_code, answer.content) == (204, b"")
    assert Event.objects.get().properties == {"tokens": 5}
    answer = post(body, content_type)
    assert (answer.status_code, answer.headers.get("Content-Type")) == (204, None)
    assert Event.objects.count() == 1


def test_a_report_comes_where_it_is_preferred(post):
    one = sent("e1")
    answer = post([one, one, sent("e2")], Prefer="return=representation")
    assert answer.status_code == 200
    assert answer.json() == {"accepted": 2, "duplicates": 1, "rejected": []}
    assert answer["Preference-Applied"] == "return=representation"


def test_some_rejected_is_207_with_the_report(post):
    body = [
        sent("e0"),
        sent("e1", data={}),
        {"id": "e2"},
        7,
        sent("e4", subject="nobody"),
        sent("e5", time="2026-01-01T00:00:00"),
        sent("e6", data="text"),
        sent("e7", specversion="0.3"),
    ]
    answer = post(body, BATCH)
    assert answer.status_code == 207
    assert answer["Content-Type"] == "application/json"
    report = answer.json()
    assert (report["accepted"], report["duplicates"]) == (1, 0)
    said = [(r["index"], r["id"], r["code"], r.get("field")) for r in report["rejected"]]
    assert said == [
        (1, "e1", "missing_value", "data.tokens"),
        (2, "e2", "missing_field", "specversion"),
        (3, "", "malformed", None),
        (4, "e4", "unknown_subject", "subject"),
        (5, "e5", "invalid_time", "time"),
        (6, "e6", "invalid_data", "data"),
        (7, "e7", "malformed", "specversion"),
    ]
    assert [r.get("quarantined") for r in report["rejected"]] == [None] * 3 + [True] + [None] * 3
    assert Event.objects.count() == 1


def test_a_single_rejected_event_is_a_problem_with_its_code(post):
    answer = post(sent(data={"tokens": -1}))
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["code"], problem["status"]) == ("invalid_value", 400)
    assert [each["field"] for each in problem["rejected"]] == ["data.tokens"]
    assert Event.objects.count() == 0


def test_all_rejected_is_a_problem_and_the_unknown_are_kept(post):
    answer = post([sent("e1", subject="nobody"), sent("e2", data={})])
    assert answer.status_code == 400
    assert answer.json()["code"] == "all_rejected"
    assert [each["code"] for each in answer.json()["rejected"]] == [
        "unknown_subject", "missing_value",
    ]  # fmt: skip
    assert (Event.objects.count(), QuarantinedEvent.objects.count()) == (0, 1)


@pytest.mark.parametrize(
    "body", [b" ", b"{", b"[{]", b"nonsense", b'"text"', b"\xff\xfe", b"[" * 5000, b"{" * 5000]
)
def test_what_is_not_json_is_refused_whole(post, body):
    answer = post(body)
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "malformed"
    assert Event.objects.count() == 0


def test_the_place_of_the_mistake_is_named(post):
    good = json.dumps(sent("e1"))
    answer = post(f"[{good}, {good[:-1]}, }}]")
    assert "byte" in answer.json()["detail"]
    assert Event.objects.count() == 0


@pytest.mark.parametrize(
    "number", ["1e400000", "-1e400000", "1e-400000", "1" + "0" * 5000, "0." + "1" * 5000]
)
def test_absurd_numbers_are_refused_and_the_others_go_on(post, number):
    odd = json.dumps(sent("e1", data={"tokens": 1, "x": "#"})).replace('"#"', number)
    answer = post(f"[{odd}, {json.dumps(sent('e2'))}]")
    assert answer.status_code == 207
    assert [each["code"] for each in answer.json()["rejected"]] == ["invalid_data"]
    assert Event.objects.get().event_id == "e2"


def test_other_content_types_are_refused(post):
    for content_type in ("text/plain", "application/xml", "application/json; charset=latin-1"):
        answer = post([sent()], content_type)
        assert answer.status_code == 415
        assert answer["Content-Type"] == "application/problem+json"
    assert Event.objects.count() == 0


def test_large_bodies_are_read_up_to_the_limit(post, settings):
    events = [sent(f"e{n:05}", data={"tokens": n, "note": "x" * 600}) for n in range(4000)]
    assert post(events).status_code == 204
    settings.USAGE_BODY_BYTES_MAX = 1000
    answer = post(events)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    settings.USAGE_BODY_BYTES_MAX, settings.USAGE_BATCH_EVENTS_MAX = 16_000_000, 100
    answer = post(events)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_many_events")
    assert Event.objects.count() == 4000


def test_without_a_valid_key_nobody_passes(post):
    _, reader = issue_key(name="reader", scopes=["read"], now=NOW)
    revoked, old = issue_key(name="old", scopes=["ingest"], now=NOW)
    assert revoke_key(key_id=revoked.pk, now=NOW) is True
    assert revoke_key(key_id=revoked.pk, now=NOW) is False
    for secret, status in [("", 401), ("tg_wrong", 401), (old, 401), (reader, 403)]:
        answer = post([sent()], secret=secret)
        assert answer.status_code == status
        assert answer["Content-Type"] == "application/problem+json"
    answer = Client().post(URL, json.dumps([sent()]), content_type="application/json")
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert Event.objects.count() == 0


def test_the_secret_is_never_stored(db):
    key, secret = issue_key(name="gateway", scopes=["ingest", "read"], now=NOW)
    row = ApiKey.objects.filter(pk=key.pk).values().get()
    assert secret not in json.dumps(row, default=str)
    assert secret.startswith(row["prefix"])
    assert len(secret) > 40
    assert key.scopes == ["ingest", "read"]


def test_a_key_is_found_whole_until_it_is_revoked(db):
    key, secret = issue_key(name="gateway", scopes=["ingest", "read"], now=NOW)
    found = use_key(secret=secret, now=NOW)
    (row,) = ApiKey.objects.filter(pk=key.pk).values()
    assert {name: getattr(found, name) for name in row} == row | {"last_used_at": None}
    revoke_key(key_id=key.pk, now=NOW)
    assert use_key(secret=secret, now=NOW) is None
    assert use_key(secret="tg_unknown", now=NOW) is None


def test_use_is_noted_at_most_once_a_minute(db):
    key, secret = issue_key(name="gateway", scopes=["ingest"], now=NOW)
    for seconds, noted in [(0, 0), (59, 0), (61, 61), (90, 61)]:
        use_key(secret=secret, now=NOW + timedelta(seconds=seconds))
        key.refresh_from_db()
        assert key.last_used_at == NOW + timedelta(seconds=noted)


@pytest.mark.parametrize("scopes", [[], ["all"], ["ingest", "root"]])
def test_unknown_scopes_are_refused(db, scopes):
    with pytest.raises(UnknownScope):
        issue_key(name="gateway", scopes=scopes, now=NOW)
    assert ApiKey.objects.count() == 0


@pytest.fixture
def get(db):
    acme = create_customer(key="acme", name="Acme")
    create_workspace(customer=acme, key="acme-eu", name="Acme EU")
    create_customer(key="other", name="Other")
    define_meter(
        key="tokens", name="Tokens", event_type="llm", aggregation="sum", value_property="n",
        dimensions=["model"], unit="tokens",
    )  # fmt: skip
    exact = "0.100000000001"
    batch = [
        event("e1", type="llm", data={"n": exact, "model": "a"}),
        event("e2", type="llm", data={"n": 1}, subject="acme-eu"),
        event("e3", type="llm", data={"n": 7}, subject="other"),
        event("e4", type="llm", data={"n": 9, "model": "a"}, time=NOW),
    ]
    assert ingest(batch, now=NOW).accepted == 4
    _, secret = issue_key(name="reader", scopes=["read"], now=NOW)

    def get(key="acme", secret=secret, **span):
        client = Client(headers={"Authorization": f"Bearer {secret}"})
        span = {"from": "2026-03-10T00:00:00Z", "to": "2026-03-10T13:00:00+01:00"} | span
        return client.get(f"/api/v1/customers/{key}/usage", span)

    return get


def test_usage_is_told_by_meter_dimension_and_workspace(get):
    answer = get()
    assert answer.status_code == 200
    assert answer.json() == {
        "customer": "acme",
        "from": "2026-03-10T00:00:00Z",
        "to": "2026-03-10T12:00:00Z",
        "meters": [
            {
                "meter": "tokens",
                "name": "Tokens",
                "unit": "tokens",
                "quantity": "1.100000000001",
                "values": [
                    {"dimensions": {"model": ""}, "quantity": "1"},
                    {"dimensions": {"model": "a"}, "quantity": "0.100000000001"},
                ],
                "workspaces": [
                    {"workspace": None, "quantity": "0.100000000001"},
                    {"workspace": "acme-eu", "quantity": "1"},
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"key": "nobody"}, 404, "unknown_customer"),
        ({"from": "yesterday"}, 422, "invalid"),
        ({"to": "2026-03-09T00:00:00Z"}, 422, "invalid_span"),
        ({"to": "2036-03-09T00:00:00Z"}, 422, "invalid_span"),
        ({"secret": "tg_wrong"}, 401, "authentication_failed"),
    ],
)
def test_what_cannot_be_read_is_a_problem(get, asked, status, code):
    answer = get(**asked)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer["Content-Type"] == "application/problem+json"


def test_a_key_without_the_scope_reads_nothing(get):
    _, writer = issue_key(name="writer", scopes=["ingest"], now=NOW)
    assert get(secret=writer).status_code == 403


def test_the_api_is_described(db):
    paths = Client().get("/api/schema/?format=json").json()["paths"]
    events = paths["/api/v1/events"]["post"]
    assert set(events["requestBody"]["content"]) == {SINGLE, BATCH, "application/json"}
    refused = {"400", "401", "403", "406", "413", "415"}
    assert set(events["responses"]) == {"200", "204", "207"} | refused
    usage = paths["/api/v1/customers/{key}/usage"]["get"]
    assert {each["name"] for each in usage["parameters"]} == {"key", "from", "to"}
    assert events["security"] == usage["security"] == [{"apiKey": []}]
