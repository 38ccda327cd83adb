"""Whole pricing systems built in the editor; what comes of it has the digest of their documents."""

import re

import pytest
from playwright.sync_api import expect

from billing.staff import EDITOR
from plans.catalogue import yaml_text
from plans.catalogue.document import read_contents
from plans.catalogue.systems import FOLDER
from plans.operations.meters import define_meter
from tests.browser.editor_person import Person, empty_draft

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def digest_of(catalogue):
    """Return the digest of a document's first plan."""
    for plan in catalogue["plans"]:
        plan.pop("effective_from", None)
    return read_contents([("system", catalogue)]).plans[0].versions[0].digest


def system(name):
    return yaml_text.parse((FOLDER / name).read_text(), name=name)["catalogue"]


@pytest.fixture
def person(signed_in_page, staff):
    """A finance editor with an empty draft on a screen of 1440 by 900."""
    page = signed_in_page(staff(EDITOR))
    page.set_viewport_size({"width": 1440, "height": 900})
    return Person(page, empty_draft()).open()


def test_s23_is_built_in_less_than_five_minutes_by_someone_new(person, screenshot):
    page = person.page
    screenshot("1-empty")
    person.add_price("Setup", "Flat fee")
    person.type("Fee", "5000")
    person.choose("When it is due", "Once, when the subscription starts")
    screenshot("2-setup")
    person.add_price("Platform", "Flat fee")
    person.type("Fee", "1000")
    person.add_price("Jobs", "Per unit")
    person.new_meter("Jobs", key="s23.jobs", event="s23.job.completed", unit="jobs")
    person.type("Price", "1.50")
    expect(person.card.locator("[data-words]")).to_contain_text("1.5 USD per")
    screenshot("3-jobs")
    person.add_price("Tokens", "Per unit")
    person.new_meter(
        "Tokens", key="s23.tokens", event="s23.job.completed", how="Sum of a property",
        value="tokens", unit="tokens",
    )  # fmt: skip
    person.type("Price", "2")
    person.type("Price is per", "1,000,000")
    person.add_price("GPU hours", "Per unit")
    person.type("Key", "gpu")
    person.new_meter(
        "GPU hours", key="s23.gpu_hours", event="s23.job.completed", how="Sum of a property",
        value="gpu_hours", unit="hours",
    )  # fmt: skip
    person.type("Price", "3")
    person.save()

    bill = page.locator("[data-quantities]")
    person.type("Jobs", "200", bill)
    person.type("Tokens", "40,000,000", bill)
    person.type("GPU hours", "12.5", bill)
    expect(page.locator("[data-total]")).to_have_text("6,417.50 USD")
    screenshot("4-built")
    person.dark()
    screenshot("4-built-dark")
    page.set_viewport_size({"width": 1024, "height": 768})
    screenshot("5-narrow-dark")
    person.light()
    screenshot("5-narrow")

    assert person.digest() == digest_of(system("s23.yaml"))
    assert person.seconds < 300, f"{person.steps} steps, {person.keys} keys"
    assert (person.steps, person.keys) == (49, 206)


def test_s10_is_built_with_its_tiers(person, screenshot):
    define_meter(
        key="s10.tasks", name="Tasks", event_type="s10.tasks.completed", aggregation="sum",
        value_property="tasks", unit="tasks",
    )  # fmt: skip
    person.open()
    person.add_price("Workspace", "Flat fee")
    person.type("Fee", "10000")
    person.add_price("Tasks", "Graduated tiers")
    person.choose("What is counted", "Tasks")
    person.tier(1, up_to="1000000", price="0")
    person.press("Add a tier", person.card)
    person.tier(2, up_to="5,000,000", price="0.008")
    person.tier(3, price="0.006")
    words = person.card.locator("[data-words]")
    expect(words).to_contain_text("up to 5,000,000 at 0.008, above at 0.006")
    as_file = person.card.get_by_role("link", name="Tiers as a file: CSV or XLSX")
    expect(as_file).to_be_hidden()
    person.save()
    expect(as_file).to_have_attribute("href", re.compile(r"/prices/tasks/table/$"))
    person.type("Tasks", "6200000", person.page.locator("[data-quantities]"))
    expect(person.page.locator("[data-total]")).to_have_text("49,200.00 USD")
    screenshot("built")
    person.dark()
    screenshot("built-dark")
    person.light()
    page = person.page
    person.press("Workspace")
    page.locator("#tg-prices").evaluate("heading => heading.scrollIntoView()")
    page.screenshot(path=screenshot("whole").with_name("plan_editor.png"))

    assert person.digest() == digest_of(system("s10.yaml"))


def test_s11_is_built_with_its_seats(person, screenshot):
    person.add_price("Seats", "Seats")
    person.new_meter(
        "Seats", key="s11.seats", event="s11.seats.changed",
        how="Sum of a level over time, in level-seconds", value="seats", unit="seats",
    )  # fmt: skip
    person.type("Price of a seat", "89")
    person.save()
    person.type("Seats", "12", person.page.locator("[data-quantities]"))
    expect(person.page.locator("[data-total]")).to_have_text("1,068.00 USD")
    screenshot("built")

    assert person.digest() == digest_of(system("s11.yaml"))
