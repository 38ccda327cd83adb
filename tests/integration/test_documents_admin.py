"""Documents in the admin: what is wrong or what would change, then exactly that, and back."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from billing.staff import APPROVER, EDITOR, SUPPORT
from plans.catalogue import yaml_text
from plans.catalogue.changes import Difference, version_parts
from plans.catalogue.document import Source
from plans.catalogue.load import load_sources
from plans.catalogue.preview import preview
from plans.models import Feature, Meter, Plan, PlanVersion, VersionChange
from plans.operations.drafts import change_draft
from plans.operations.features import define_feature
from plans.operations.versions import describe_plan
from plans.timeline import timeline
from tests.integration.plans_fixtures import MARCH, everything
from tests.unit.catalogue.documents import good

pytestmark = pytest.mark.django_db

PAGE = "admin:plans_plan_import_documents"
PRICE = "plans.0.prices.1"


def text(**changes):
    return yaml_text.write(good(**changes))


def stored(*texts, publish=True):
    sources = [Source(f"{number}.yaml", each) for number, each in enumerate(texts)]
    return load_sources(sources, publish=publish, by=None, now=MARCH)


@pytest.fixture
def editor(client, staff):
    user = staff(EDITOR)
    client.force_login(user)
    return user


def shown(client, *texts):
    """The page that answers an upload."""
    files = [SimpleUploadedFile(f"{n}.yaml", each.encode()) for n, each in enumerate(texts)]
    return client.post(reverse(PAGE), {"uploads": files, "text": ""})


def confirmed(client, page, **changes):
    """What comes of pressing the button of a page that shows a difference."""
    initial = page.context["confirm"].initial
    return client.post(reverse(PAGE), {**initial, "reason": "Agreed", **changes})


def kinds(page):
    return [(one.title, one.kind) for one in page.context["shown"].sections]


def moved(section):
    return {part.title: list(part.moved) for part in section.parts if part.moved}


def test_new_documents_are_shown_then_stored_by_the_person(client, editor):
    before = everything()
    page = shown(client, text())
    assert kinds(page) == [
        ("Meter tokens", "new"), ("Plan api", "new"), ("Plan api, version 1 in USD", "new"),
    ]  # fmt: skip
    assert everything() == before
    done = confirmed(client, page)
    assert [(one["what"], one["outcome"]) for one in done.context["loaded"]] == [
        ("Meter tokens", "created"), ("Plan api", "version 1 draft"),
    ]  # fmt: skip
    version = PlanVersion.objects.get()
    assert (version.created_by, version.published_at) == (editor, None)
    for row in (version, version.plan, Meter.objects.get()):
        assert {(entry.by, entry.reason) for entry in timeline(row)} == {
            (editor.username, "Agreed")
        }
    assert VersionChange.objects.count() == 1


def test_a_change_is_shown_row_by_row(client, editor):
    stored(text())
    changed = good(**{
        f"{PRICE}.tiers.0.unit": "0.05", f"{PRICE}.tiers.1.unit": "0.02",
        "plans.0.prices.0.amount": "450", "plans.0.name": "API, new",
    })  # fmt: skip
    changed["plans"][0]["prices"][1]["tiers"].insert(1, {"up_to": 5000, "unit": "0.03"})
    changed["plans"][0]["prices"].pop(2)
    changed["plans"][0]["features"] = ["sso"]
    changed["features"] = [{"key": "sso", "name": "Single sign-on"}]
    page = shown(client, yaml_text.write(changed))
    sections = page.context["shown"].sections
    assert [(one.title, one.kind) for one in sections] == [
        ("Meter tokens", "same"), ("Feature sso", "new"), ("Plan api", "changed"),
        ("Plan api, version 2 in USD", "new"),
    ]  # fmt: skip
    assert moved(sections[2]) == {"Plan api": [Difference("name", "API", "API, new")]}
    assert sections[3].outcome == "It becomes a draft. Compared with version 1:"
    assert moved(sections[3]) == {
        "Features": [Difference("sso", "", "granted")],
        "Price fee": [Difference("amount", "500", "450")],
        "Price tokens": [
            Difference("tier up to 1000", "unit 0.04, flat 5", "unit 0.05, flat 5"),
            Difference("tier up to 5000", "", "unit 0.03"),
            Difference("tier and above", "unit 0.03", "unit 0.02"),
        ],
        "Price models": [
            Difference("name", "Models", ""), Difference("model", "matrix", ""),
            Difference("meter", "tokens", ""), Difference("default", "refuse", ""),
            Difference("rate for model gpt-4o, queue *", "unit 0.5", ""),
        ],
    }  # fmt: skip
    page_text = page.content.decode()
    assert "<del>500</del>" in page_text
    assert "<ins>450</ins>" in page_text
    confirmed(client, page)
    assert PlanVersion.objects.get(number=2).prices.count() == 2
    assert Feature.objects.get().name == "Single sign-on"


def test_what_is_stored_already_changes_nothing_and_has_no_button(client, editor):
    stored(text())
    page = shown(client, text())
    assert page.context["shown"].changes_nothing
    assert "Store as drafts" not in page.content.decode()
    before = everything()
    confirmed(client, page)
    assert everything() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda: describe_plan(plan=Plan.objects.get(), name="Other", description=""),
        lambda: change_draft(
            version=PlanVersion.objects.get(), currency="USD", note="Mine", by=None
        ),
        lambda: Meter.objects.update(name="Other"),
        lambda: define_feature(key="sso", name="Other"),
        lambda: load_sources(
            [Source("a", text(**{f"{PRICE}.tiers.1.unit": "9"}))],
            publish=False, by=None, now=MARCH,
        ),
    ],
    ids=["plan", "draft", "meter", "feature", "version"],
)  # fmt: skip
def test_a_confirmation_of_what_is_no_longer_true_stores_nothing_and_shows_it_anew(
    client, editor, change
):
    define_feature(key="sso", name="SSO")
    stored(text(), publish=False)
    said = good(**{f"{PRICE}.tiers.1.unit": "0.02", "features": [{"key": "sso", "name": "S"}]})
    page = shown(client, yaml_text.write(said))
    change()
    before = everything()
    again = confirmed(client, page)
    assert "has changed since the difference was made" in again.content.decode()
    assert everything() == before
    if again.context.get("shown"):
        assert confirmed(client, again).context["loaded"]
        assert everything() != before


def test_documents_that_are_not_those_that_were_shown_store_nothing(client, editor):
    page = shown(client, text())
    other = json.dumps([["0.yaml", text(**{"plans.0.key": "other"})]])
    before = everything()
    again = confirmed(client, page, documents=other)
    assert kinds(again)[1] == ("Plan other", "new")
    assert confirmed(client, page, documents="{").status_code == 200
    assert confirmed(client, page, documents="[1]").status_code == 200
    assert everything() == before


def test_everything_that_is_wrong_is_listed_and_nothing_stored(client, editor):
    before = everything()
    page = shown(client, text(**{f"{PRICE}.tiers.0.unit": 0.04}), "plans: [")
    assert [(one.file, one.path, one.code) for one in page.context["found"]] == [
        ("1.yaml", "line 1, column 9", "yaml_syntax"),
        ("0.yaml", "plans[0].prices[1].tiers[0].unit", "float"),
    ]
    assert "2 things are wrong" in page.content.decode()
    stored(text())
    before = everything()
    page = shown(client, text(**{"meters.0.unit": "words"}))
    assert [one.code for one in page.context["found"]] == ["meter_differs"]
    assert everything() == before


def test_text_may_be_pasted_and_nothing_is_asked_for(client, editor):
    page = client.post(reverse(PAGE), {"text": text().replace("\n", "\r\n")})
    assert len(page.context["shown"].sections) == 3
    assert confirmed(client, page).context["loaded"]
    empty = client.post(reverse(PAGE), {"text": " "})
    assert "Choose a file, or paste" in empty.content.decode()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([b"a: 1"] * 21, "Choose at most 20 files."),
        ([b"#" * 600_000] * 2, "The files have more than 1,000,000 bytes together."),
        ([b"\xff"], "The file is not UTF-8 text."),
    ],
)
def test_what_is_sent_has_its_bounds(client, editor, files, message):
    sent = [SimpleUploadedFile(f"{n}.yaml", each) for n, each in enumerate(files)]
    page = client.post(reverse(PAGE), {"uploads": sent, "text": ""})
    assert message in page.content.decode()


@pytest.mark.parametrize("group", [APPROVER, SUPPORT, None])
def test_only_who_may_make_plans_imports(client, staff, group):
    client.force_login(staff(group))
    before = everything()
    for answer in (client.get(reverse(PAGE)), client.post(reverse(PAGE), {"text": text()})):
        assert answer.status_code in {302, 403}
    assert everything() == before


def test_download_of_all_of_a_plan_and_of_a_version(client, staff):
    two = good(**{"plans.0.key": "b"})
    stored(text(), yaml_text.write({"plans": two["plans"]}))
    stored(text(**{f"{PRICE}.tiers.1.unit": "0.02"}), publish=False)
    client.force_login(staff(SUPPORT))
    plan = Plan.objects.get(key="api")
    draft = plan.versions.get(number=2)
    for address, name, plans in (
        (reverse("admin:plans_plan_download_all"), "plans", ["api", "b"]),
        (reverse("admin:plans_plan_download_plan", args=[plan.pk]), "api", ["api"]),
        (reverse("admin:plans_planversion_download_version", args=[draft.pk]), "api-2", ["api"]),
    ):
        answer = client.get(address)
        assert answer["Content-Disposition"] == f'attachment; filename="{name}.yaml"'
        said = answer.content.decode()
        assert [each["key"] for each in yaml_text.parse(said, name="d")["plans"]] == plans
        assert preview([Source("d", said)]).changes_nothing
    client.force_login(staff())
    assert client.get(reverse("admin:plans_plan_download_all")).status_code in {302, 403}


def test_the_order_of_prices_is_a_difference():
    content = good()["plans"][0]
    other = content | {"prices": [content["prices"][1], content["prices"][0], content["prices"][2]]}
    (part,) = [part for part in version_parts(content, other) if part.moved]
    assert (part.title, part.moved) == (
        "Version",
        (Difference("order of prices", "fee, tokens, models", "tokens, fee, models"),),
    )
    assert not [part for part in version_parts(content, content) if part.moved]
