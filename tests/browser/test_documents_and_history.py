"""Finance imports a document, puts a table in from a file, and reads who did what."""

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from billing.staff import EDITOR
from plans.catalogue import yaml_text
from plans.catalogue.document import Source
from plans.catalogue.load import load_sources
from plans.models import PlanVersion
from plans.operations.customers import create_customer
from tests.integration.plans_fixtures import MARCH
from tests.unit.catalogue.documents import good

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PRICE = "plans.0.prices.1"


def dark(page):
    page.evaluate("document.documentElement.classList.add('dark')")


def both(page, screenshot, name):
    """Take a picture by day and by night."""
    screenshot(name)
    dark(page)
    screenshot(f"{name}-dark")
    page.evaluate("document.documentElement.classList.remove('dark')")


def open_history(page):
    """Follow the page's own link, which stands in its menu."""
    address = page.locator("a[href$='/history/']").first.get_attribute("href")
    page.goto(address)


@pytest.fixture
def api(transactional_db):
    load_sources([Source("api.yaml", yaml_text.write(good()))], publish=True, by=None, now=MARCH)


def test_import_with_its_difference(signed_in_page, staff, api, screenshot, tmp_path):
    said = good(**{
        f"{PRICE}.tiers.0.unit": "0.05", "plans.0.prices.0.amount": "450",
        "plans.0.name": "API access", "features": [{"key": "sso", "name": "Single sign-on"}],
        "plans.0.features": ["sso"],
    })  # fmt: skip
    (tmp_path / "api.yaml").write_text(yaml_text.write(said))
    page = signed_in_page(staff(EDITOR))
    page.goto("/admin/plans/plan/")
    page.get_by_role("link", name="Import documents").click()
    page.get_by_label("Or the text of a document").fill("plans:\n  - {key: a b, price: 0.5}\n")
    page.get_by_role("button", name="Show what would change").click()
    expect(page.get_by_text("“a b” is not a key.")).to_be_visible()
    both(page, screenshot, "1-wrong")
    page.get_by_label("Or the text of a document").fill("")
    page.locator("#id_uploads").set_input_files(tmp_path / "api.yaml")
    page.get_by_role("button", name="Show what would change").click()
    expect(page.get_by_role("heading", name="Plan api, version 2 in USD new")).to_be_visible()
    expect(page.locator("del", has_text="500")).to_be_visible()
    both(page, screenshot, "2-difference")
    page.get_by_label("Reason for the change").fill("Price list of summer")
    page.get_by_role("button", name="Store as drafts").dblclick()
    expect(page.get_by_text("The documents are stored.")).to_be_visible()
    both(page, screenshot, "3-report")
    assert PlanVersion.objects.get(number=2).features.count() == 1
    assert PlanVersion.objects.count() == 2

    page.get_by_role("link", name="Plan api").click()
    open_history(page)
    expect(page.get_by_text("Price list of summer").first).to_be_visible()
    expect(page.get_by_text("Version 2 was started")).to_be_visible()
    both(page, screenshot, "4-history-of-plan")


def test_a_table_from_a_file_and_the_versions_history(
    signed_in_page, staff, api, screenshot, tmp_path
):
    load_sources(
        [Source("b", yaml_text.write(good(**{"plans.0.prices.0.amount": "1"})))],
        publish=False, by=None, now=MARCH,
    )  # fmt: skip
    draft = PlanVersion.objects.get(number=2)
    file = tmp_path / "tiers.csv"
    page = signed_in_page(staff(EDITOR))
    page.goto(reverse("admin:plans_planversion_table", args=[draft.pk, "tokens"]))
    both(page, screenshot, "1-stored")
    file.write_text('up_to,unit,flat\n1000,"0,05",5\n500,0.04,0\n,0.02,0\n')
    page.locator("#id_table").set_input_files(file)
    page.get_by_role("button", name="Show the rows").click()
    expect(page.get_by_text("“0,05” is not a number of 0 or more")).to_be_visible()
    both(page, screenshot, "2-wrong")
    file.write_text("up_to,unit,flat\n1000,0.05,5\n5000,0.04,0\n,0.02,0\n")
    page.locator("#id_table").set_input_files(file)
    page.get_by_role("button", name="Show the rows").click()
    expect(page.get_by_role("heading", name="The file: 3 rows")).to_be_visible()
    both(page, screenshot, "3-shown")
    page.get_by_label("Reason for the change").fill("As offered")
    page.get_by_role("button", name="Replace the 2 rows below").dblclick()
    expect(page.get_by_text("Tokens has 3 rows now.")).to_be_visible()

    page.goto(reverse("admin:plans_planversion_change", args=[draft.pk]))
    open_history(page)
    expect(page.get_by_text("As offered")).to_be_visible()
    expect(page.get_by_text("Price tokens: tier up to 5000")).to_be_visible()
    both(page, screenshot, "4-history-of-version")


def test_a_customers_history(signed_in_page, staff, screenshot):
    acme = create_customer(key="acme", name="Acme", time_zone="Europe/Berlin")
    page = signed_in_page(staff(EDITOR))
    page.goto(reverse("admin:plans_customer_change", args=[acme.pk]))
    page.locator("#id_name").fill("Acme Studios")
    page.get_by_label("Reason for the change").fill("Renamed in the register")
    both(page, screenshot, "1-form")
    page.get_by_role("button", name="Save", exact=True).click()
    page.goto(reverse("admin:plans_customer_change", args=[acme.pk]))
    open_history(page)
    expect(page.get_by_text("Renamed in the register")).to_be_visible()
    expect(page.locator("del", has_text="Acme")).to_be_visible()
    both(page, screenshot, "2-history")
