"""S03, prepaid credits over many models, built in the editor; and job terms, which it keeps."""

import pytest
from playwright.sync_api import expect

from billing.staff import EDITOR
from plans.models import JobTerms
from plans.operations.credit_units import create_credit_unit
from plans.operations.meters import define_meter
from tests.browser.editor_person import Person, empty_draft
from tests.browser.test_plan_editor_builds import digest_of, system

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def person(signed_in_page, staff):
    """A finance editor with an empty draft, where there is a credit."""
    create_credit_unit(code="TOKN", name="Token credits", decimals=0)
    page = signed_in_page(staff(EDITOR))
    page.set_viewport_size({"width": 1440, "height": 900})
    return Person(page, empty_draft()).open()


def add_pack(person, number, *, key, name, credit_count, amount):
    packs = person.page.locator('[data-list="packs"]')
    person.press("Add a pack", packs)
    row = packs.get_by_role("row", name=f"pack {number}", exact=True)
    person.type("Name of the pack", name, row)
    person.type("Key of the pack", key, row)
    person.type("Credits in the pack", credit_count, row)
    person.choose("Credit of the pack", "TOKN", row)
    person.type("Price of the pack", amount, row)
    return row


def test_s03_is_built_with_its_credits_and_packs(person, screenshot):
    page = person.page
    define_meter(
        key="s03.tokens", name="Tokens", event_type="s03.tokens.used", aggregation="sum",
        value_property="tokens", dimensions=["model"], unit="tokens",
    )  # fmt: skip
    person.open()
    person.add_price("Tokens", "Matrix of rates")
    person.choose("What is counted", "Tokens")
    person.choose("Priced in", "TOKN: Token credits")
    expect(person.card.get_by_label("Each credit that is lacking costs")).to_be_visible()
    person.type("Price is per", "1,000")
    for number, (model, rate, label) in enumerate(
        [("gpt-4o", "5", "GPT-4o"), ("gpt-3.5", "0.5", "GPT-3.5")], start=1
    ):
        if number > 1:
            person.press("Add a rate", person.card)
        row = person.card.get_by_role("row", name=f"rate {number}", exact=True)
        person.type("model", model, row)
        person.type("Rate", rate, row)
        person.type("Name on the statement", label, row)
    person.choose("All other combinations", "Are charged at a rate")
    person.type("Rate of all others", "1")
    expect(person.card.locator("[data-words]")).to_contain_text("in credits of TOKN")
    warnings = page.locator("[data-warnings]")
    expect(warnings).to_contain_text("Nothing of this version sells or grants TOKN")

    add_pack(person, 1, key="small", name="1000 credits", credit_count="1,000", amount="10")
    row = add_pack(person, 2, key="medium", name="10000 credits", credit_count="10000", amount="90")
    expect(row.locator("[data-each]")).to_have_text("0.009 USD")
    add_pack(person, 3, key="large", name="100000 credits", credit_count="100000", amount="700")
    expect(page.locator('[data-words-of="packs"]')).to_contain_text(
        "100000 credits: 100,000 TOKN for 700.00 USD, 0.007 USD each"
    )
    expect(warnings).to_be_hidden()
    person.save()

    person.type("Tokens", "1200000", page.locator("[data-quantities]"))
    expect(page.locator("[data-total]")).to_have_text("6,000 TOKN")
    page.locator("#ed-credit").evaluate("heading => heading.scrollIntoView()")
    screenshot("1-built")
    person.dark()
    screenshot("1-built-dark")
    page.locator("#tg-prices").evaluate("heading => heading.scrollIntoView()")
    screenshot("2-price-dark")
    person.light()
    screenshot("2-price")

    assert person.digest() == digest_of(_as_typed(system("s03.yaml")))


def _as_typed(found):
    """The shipped system with the names that are typed here, and packs that never lapse."""
    version = found["plans"][0]
    version["prices"][0]["name"] = "Tokens"
    for pack in version["packs"]:
        pack["name"] = f"{pack['credits']} credits"
        del pack["expires_months"]
    return found


def test_what_is_wrong_with_a_pack_and_with_jobs_is_said_in_its_place(person, screenshot):
    page = person.page
    person.add_price("Fee", "Flat fee")
    person.type("Fee", "10")
    row = add_pack(person, 1, key="small", name="Small", credit_count="0", amount="1.005")
    jobs = page.locator("[data-jobs]")
    person.type("May go beyond a budget by", "much", jobs)
    expect(jobs.locator('[data-field="grace_amount"]')).to_contain_text("is not an amount")
    person.type("May go beyond a budget by", "2.50", jobs)
    expect(row.locator('[data-field="credits"]')).to_contain_text("more than zero")
    expect(row.locator('[data-field="amount"]')).to_contain_text("at most 2 decimals")
    page.locator("#ed-credit").evaluate("heading => heading.scrollIntoView()")
    screenshot("wrong")
    person.press("Save draft")
    expect(page.locator("[data-state]")).to_contain_text("Nothing was saved")
    person.type("Credits in the pack", "100", row)
    person.type("Price of the pack", "1", row)
    person.choose("What a job uses beyond its hold", "The job costs no more than its hold", jobs)
    person.save()
    expect(page.locator('[data-words-of="jobs"]')).to_contain_text(
        "Beyond the hold: the job costs no more than its hold"
    )
    terms = JobTerms.objects.get(version=person.version)
    assert (terms.above_hold, str(terms.grace_amount.normalize())) == ("cap", "2.5")
    person.open()
    expect(jobs.get_by_label("What a job uses beyond its hold")).to_have_value("cap")
    page.locator("#ed-jobs").evaluate("heading => heading.scrollIntoView()")
    screenshot("jobs")
