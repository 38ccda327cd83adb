"""A person at the plan editor: finds things by what stands beside them, and counts the effort."""

from playwright.sync_api import Page, expect

from plans.models import PlanVersion
from plans.operations.versions import create_plan, start_version
from plans.terms import terms_of

# Of someone who reads before they act: a step is a click, a choice or the way to the next field.
SECONDS_A_STEP = 3.5
SECONDS_A_KEY = 0.3


class Person:
    """One person with one page of the editor open."""

    def __init__(self, page: Page, version: PlanVersion) -> None:
        self.page = page
        self.version = version
        self.steps = 0
        self.keys = 0

    @property
    def seconds(self) -> float:
        return self.steps * SECONDS_A_STEP + self.keys * SECONDS_A_KEY

    def open(self, anchor: str = "") -> "Person":
        self.page.goto(f"/admin/plans/planversion/{self.version.pk}/change/{anchor}")
        self.page.locator("#editor[data-ready]").wait_for()
        return self

    @property
    def card(self):
        """The price that was added last."""
        return self.page.locator("[data-price]").last

    def price(self, name):
        return self.page.locator("[data-price]").filter(
            has=self.page.get_by_role("button", name=name, exact=True)
        )

    def press(self, name, scope=None):
        self.steps += 1
        (scope or self.page).get_by_role("button", name=name, exact=True).click()

    def type(self, label, text, scope=None):
        self.steps += 1
        self.keys += len(text)
        (scope or self.card).get_by_label(label, exact=True).fill(text)

    def choose(self, label, value, scope=None):
        self.steps += 1
        (scope or self.card).get_by_label(label, exact=True).select_option(label=value)

    def add_price(self, name, how):
        self.press("Add a price")
        self.type("Name", name)
        self.choose("How it charges", how)

    def tier(self, row, *, price, up_to=None):
        cells = self.card.get_by_role("row", name=f"tier {row}", exact=True)
        if up_to is not None:
            self.type("Up to", up_to, cells)
        self.type("Price of a unit", price, cells)

    def new_meter(self, name, *, key, event, how=None, value=None, unit):
        self.choose("What is counted", "New meter…")
        dialog = self.page.get_by_role("dialog", name="New meter")
        self.type("Name of the meter", name, dialog)
        self.type("Key of the meter", key, dialog)
        self.type("Event type", event, dialog)
        if how:
            self.choose("How events become a quantity", how, dialog)
            self.type("Property with the value", value, dialog)
        self.type("Unit, in the plural", unit, dialog)
        self.press("Make the meter", dialog)
        expect(self.card.get_by_label("What is counted")).to_have_value(key)

    def save(self, words="Saved."):
        self.press("Save draft")
        expect(self.page.locator("[data-state]")).to_have_text(words)

    def dark(self):
        self.page.evaluate("localStorage.setItem('_x_adminTheme', '\"dark\"')")
        self.page.evaluate("document.documentElement.classList.add('dark')")

    def light(self):
        self.page.evaluate("document.documentElement.classList.remove('dark')")

    def digest(self):
        return terms_of([self.version.pk])[self.version.pk].digest


def empty_draft(key="plan", name="Platform", currency="USD"):
    return start_version(plan=create_plan(key=key, name=name), currency=currency)
