"""The editor as people work in it: what it says while they type, and what they can do and undo."""

import re

import pytest
from playwright.sync_api import expect

from billing.staff import EDITOR, SUPPORT
from plans.catalogue.editing import content_of, revision_of, save_typed
from plans.operations.features import define_feature
from plans.operations.meters import define_meter
from plans.operations.publishing import publish_version
from tests.browser.editor_person import Person, empty_draft
from tests.integration.plans_fixtures import NEW_YEAR

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

TIERS = [{"up_to": "1000", "unit": "0.04"}, {"up_to": "5000", "unit": "0.03"}, {"unit": "0.02"}]
BASE = {"key": "base", "name": "Base fee", "model": "flat", "amount": "99"}
CALLS = {"key": "calls", "name": "Calls", "model": "graduated", "meter": "calls", "tiers": TIERS}
TOKENS = {
    "key": "tokens", "name": "Tokens", "model": "matrix", "meter": "tokens", "unit_size": "1000000",
    "default": "refuse",
    "rates": [
        {"match": {"model": "large", "direction": "out"}, "unit": "15"},
        {"match": {"model": "large"}, "unit": "5"},
        {"match": {}, "unit": "1", "label": "Other models"},
    ],
}  # fmt: skip


@pytest.fixture
def draft(transactional_db):
    """A draft with a fee, calls in tiers, and tokens by a matrix."""
    define_meter(key="calls", name="Calls", event_type="call", aggregation="count", unit="calls")
    define_meter(
        key="tokens", name="Tokens", event_type="llm", aggregation="sum", value_property="n",
        dimensions=["model", "direction"], unit="tokens",
    )  # fmt: skip
    version = empty_draft(name="Scale")
    store(version, BASE, CALLS, TOKENS)
    return version


def store(version, *prices, **said):
    save_typed(
        version=version,
        typed={"currency": "USD", "prices": list(prices), **said},
        revision=revision_of(content_of(version)),
        by=None,
    )


@pytest.fixture
def person(signed_in_page, staff, draft):
    page = signed_in_page(staff(EDITOR))
    page.set_viewport_size({"width": 1440, "height": 900})
    return Person(page, draft).open()


def names(person):
    return person.page.locator("[data-price] [data-title]").all_text_contents()


def test_the_curve_and_the_words_follow_what_is_typed(person, draft, screenshot):
    person.press("Calls")
    card = person.price("Calls")
    expect(card.locator(".ed-chart")).to_have_attribute("data-points", re.compile("1000"))
    before = card.locator(".ed-chart").get_attribute("data-points")

    person.type("Price of a unit", "0.01", card.get_by_role("row", name="tier 3"))
    expect(card.locator("[data-words]")).to_contain_text("above at 0.01")
    expect(card.locator(".ed-chart")).not_to_have_attribute("data-points", before)
    expect(person.page.locator("[data-state]")).to_have_text("Unsaved changes")
    screenshot("curve")
    person.dark()
    screenshot("curve-dark")

    assert content_of(draft)["prices"][1]["tiers"][2]["unit"] == "0.02", "nothing is stored"


def test_a_wrong_tier_is_marked_at_its_row_and_keeps_the_draft_from_being_stored(
    person, draft, screenshot
):
    before = content_of(draft)
    person.press("Calls")
    card = person.price("Calls")
    row = card.get_by_role("row", name="tier 2")

    person.type("Up to", "500", row)
    expect(row.get_by_text("bounds must rise")).to_be_visible()
    expect(row.get_by_label("Up to")).to_have_attribute("aria-invalid", "true")
    expect(person.page.get_by_role("button", name="1 thing to put right")).to_be_visible()
    person.press("Close all")
    person.page.keyboard.press("Control+s")
    expect(row.get_by_label("Up to")).to_be_focused()
    expect(person.page.locator("[data-state]")).to_contain_text("Nothing was saved")
    screenshot("refused")
    assert content_of(draft) == before

    person.type("Up to", "2,000", row)
    expect(row.get_by_text("bounds must rise")).to_have_count(0)
    person.save()
    assert content_of(draft)["prices"][1]["tiers"][1] == {"up_to": "2000", "unit": "0.03"}


def test_a_fresh_price_asks_for_one_thing_only(person):
    person.press("Add a price")

    expect(person.page.get_by_role("button", name="1 thing still to fill in")).to_be_visible()
    expect(person.card.locator(".ed-problem:visible")).to_have_count(0)
    expect(person.card.get_by_label("Price of a unit").first).to_be_hidden()
    expect(person.card.get_by_label("What is counted")).to_be_hidden()

    person.choose("How it charges", "Percentage")
    expect(person.card.get_by_label("Percentage", exact=True)).to_be_visible()
    expect(person.card.get_by_label("What is counted")).to_be_visible()
    person.choose("How it charges", "Flat fee")
    expect(person.card.get_by_label("What is counted")).to_be_hidden()
    expect(person.card.get_by_label("Fee", exact=True)).to_be_visible()


def test_prices_are_moved_duplicated_removed_and_brought_back(person, draft):
    person.press("Move Base fee down")
    assert names(person) == ["Calls", "Base fee", "Tokens"]
    person.press("Duplicate Base fee")
    assert names(person) == ["Calls", "Base fee", "Base fee (copy)", "Tokens"]
    person.press("Remove Calls")
    assert names(person) == ["Base fee", "Base fee (copy)", "Tokens"]
    expect(person.page.get_by_role("status")).to_have_text(re.compile("Calls removed"))
    person.press("Undo: bring Calls back")
    person.press("Remove Tokens")
    person.save()

    stored = content_of(draft)["prices"]
    assert [price["key"] for price in stored] == ["calls", "base", "base-copy"]
    assert stored[0]["tiers"][0] == {"up_to": "1000", "unit": "0.04"}
    expect(person.page.get_by_text("was removed")).to_have_count(0)


def test_a_matrix_has_a_column_for_each_dimension_of_its_meter(person, draft, screenshot):
    person.press("Tokens")
    card = person.price("Tokens")
    first = card.get_by_role("row", name="rate 1")
    expect(first.get_by_label("direction")).to_have_value("out")
    expect(card.get_by_role("row", name="rate 3").get_by_label("model")).to_have_value("")
    screenshot("matrix")

    person.choose("All other combinations", "Are charged at a rate", card)
    person.type("Rate of all others", "2", card)
    person.type("Rate", "16", first)
    expect(card.locator("[data-words]")).to_contain_text("large / out at 16")
    person.choose("What is counted", "Calls", card)
    expect(card.get_by_label("direction")).to_have_count(0)
    person.choose("What is counted", "Tokens", card)
    expect(card.get_by_label("direction").first).to_be_visible()


def test_tiers_are_pasted_from_a_spreadsheet(person, draft):
    person.press("Calls")
    card = person.price("Calls")
    cell = card.get_by_role("row", name="tier 1").get_by_label("Up to")

    paste(cell, "Up to\tPrice\tFee\r\n1,000\t0.05\t10\r\n20 000\t0.04\t\r\nand above\t0.03\t0\r\n")
    person.save()

    assert content_of(draft)["prices"][1]["tiers"] == [
        {"up_to": "1000", "unit": "0.05", "flat": "10"},
        {"up_to": "20000", "unit": "0.04"},
        {"up_to": None, "unit": "0.03"},
    ]


def paste(cell, text):
    cell.focus()
    cell.evaluate(
        """(cell, text) => {
            const data = new DataTransfer();
            data.setData("text/plain", text);
            cell.dispatchEvent(new ClipboardEvent(
                "paste", { clipboardData: data, bubbles: true, cancelable: true }));
        }""",
        text,
    )


def test_what_a_plan_grants_beside_its_prices(person, draft, screenshot):
    define_feature(key="sso", name="Single sign-on")
    person.open()
    page = person.page
    page.get_by_label("Single sign-on").check()
    person.press("New feature")
    dialog = page.get_by_role("dialog", name="New feature")
    person.type("Name of the feature", "Audit log", dialog)
    person.press("Make the feature", dialog)
    expect(page.get_by_label("Audit log")).to_be_checked()
    person.press("Add a limit")
    person.choose("What is limited", "Jobs in a day", page)
    person.type("At most", "1,000", page)
    person.press("Add a service class")
    person.type("Name of the service class", "Fast", page)
    person.type("Price times", "1.5", page)
    person.type("Starts within minutes", "15", page)
    person.type("Share of the premium given back if late", "50", page)
    person.press("Add a phase")
    person.type("Name of the phase", "Trial", page)
    person.press("Add a phase")
    person.type("How long the phase lasts", "2", page.get_by_role("row", name="phase 1"))
    person.type("Discount in the phase", "100", page.get_by_role("row", name="phase 1"))
    person.type("Name of the phase", "Steady", page.get_by_role("row", name="phase 2"))
    person.press("Base fee")
    card = person.price("Base fee")
    card.get_by_text("More: discount").click()
    card.get_by_label("Steady").check()
    person.save()
    screenshot("grants")

    found = content_of(draft)
    assert found["features"] == ["audit-log", "sso"]
    assert found["limits"] == [{"kind": "jobs_per_day", "value": "1000"}]
    assert found["service_classes"] == [
        {"key": "fast", "name": "Fast", "multiplier": "1.5", "start_within_minutes": 15,
         "late_start_percent": "50"}
    ]  # fmt: skip
    assert found["phases"] == [
        {"key": "trial", "name": "Trial", "months": 2, "discount_percent": "100"},
        {"key": "steady", "name": "Steady"},
    ]
    assert found["prices"][0]["phases"] == ["steady"]


def test_included_quantities_and_what_lies_beyond_them(person, draft):
    person.press("Calls")
    card = person.price("Calls")
    expect(card.get_by_label("Beyond what is included")).to_be_hidden()
    person.type("Included each period", "100", card)
    person.choose("Beyond what is included", "Packs are sold, each whole", card)
    person.type("Units in a pack", "50", card)
    person.type("Price of a pack", "2", card)
    person.save()

    assert content_of(draft)["prices"][1]["overage"] == {
        "policy": "packs", "size": "50", "amount": "2",
    }  # fmt: skip


def test_a_link_leads_to_a_price(person):
    person.open("#price-tokens")

    expect(person.price("Tokens").get_by_role("row", name="rate 1")).to_be_visible()
    expect(person.price("Calls").get_by_label("Name", exact=True)).to_be_hidden()


def test_what_someone_else_saved_is_not_overwritten(person, draft):
    person.press("Base fee")
    person.type("Fee", "120", person.price("Base fee"))
    store(draft, BASE)

    person.press("Save draft")

    expect(person.page.locator("[data-state]")).to_contain_text("Someone else saved this draft")
    expect(person.price("Base fee").get_by_label("Fee", exact=True)).to_have_value("120")
    assert content_of(draft)["prices"] == [BASE]


def test_leaving_with_unsaved_changes_asks_first(person):
    asked = []
    person.page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    person.press("Base fee")
    person.type("Fee", "120", person.price("Base fee"))

    person.page.goto("/admin/")

    assert asked == ["beforeunload"]


def test_support_reads_a_published_version_and_tries_quantities(
    signed_in_page, staff, draft, screenshot
):
    publish_version(version=draft, effective_from=NEW_YEAR, by=None, now=NEW_YEAR)
    page = signed_in_page(staff(SUPPORT))
    page.set_viewport_size({"width": 1440, "height": 900})
    person = Person(page, draft).open()

    person.press("Open all")
    expect(page.locator("#editor input:visible:enabled")).to_have_count(2)
    for name in ("Save draft", "Add a price", "Add a tier", "Remove Calls"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    person.type("Calls", "6000", page.locator("[data-quantities]"))
    expect(page.locator("[data-total]")).to_have_text("279.00 USD")
    screenshot("frozen")
    person.dark()
    screenshot("frozen-dark")


def test_the_keyboard_alone_builds_a_price(person, draft):
    keyboard = person.page.keyboard
    tab_to(person, "Add a price")
    keyboard.press("Enter")
    keyboard.type("Renders")
    keyboard.press("Tab")
    keyboard.press("Tab")
    keyboard.type("Volume")
    keyboard.press("Tab")
    keyboard.type("Calls")
    for key in ("Tab", "Tab"):
        keyboard.press(key)
    keyboard.type("100")
    keyboard.press("Tab")
    keyboard.type("3")
    keyboard.press("Enter")
    keyboard.type("1000")
    keyboard.press("Tab")
    keyboard.type("2")
    keyboard.press("Enter")
    person.card.get_by_role("row", name="tier 3").get_by_label("Up to").wait_for()
    keyboard.type("5000")
    keyboard.press("Tab")
    keyboard.type("1")
    tab_to(person, "tier 4: Price of a unit")
    keyboard.type("0.5")
    keyboard.press("Alt+ArrowUp")
    expect(
        person.card.get_by_role("row", name="tier 3").get_by_label("Price of a unit")
    ).to_be_focused()
    tab_to(person, "Duplicate Renders", backwards=True)
    keyboard.press("Alt+ArrowUp")
    assert names(person) == ["Base fee", "Calls", "Renders", "Tokens"]
    keyboard.press("Control+s")
    expect(person.page.locator("[data-state]")).to_have_text("Saved.")

    assert content_of(draft)["prices"][2] == {
        "key": "renders", "name": "Renders", "model": "volume", "meter": "calls",
        "tiers": [
            {"up_to": "100", "unit": "3"}, {"up_to": "1000", "unit": "2"},
            {"up_to": "5000", "unit": "0.5"}, {"up_to": None, "unit": "1"},
        ],
    }  # fmt: skip


NAME_OF_FOCUSED = """() => {
    const on = document.activeElement;
    const label = on.getAttribute("aria-label") || (on.labels && on.labels[0]?.textContent)
        || on.textContent;
    const row = on.closest("[data-row]");
    return (row ? row.getAttribute("aria-label") + ": " : "") + label.trim();
}"""


def tab_to(person, name, *, backwards=False):
    """Press Tab until the named thing has the focus; every stop on the way has a name."""
    for _ in range(160):
        person.page.keyboard.press("Shift+Tab" if backwards else "Tab")
        found = person.page.evaluate(NAME_OF_FOCUSED)
        assert found, "something without a name has the focus"
        if found == name:
            return
    pytest.fail(f"The keyboard does not reach {name}.")
