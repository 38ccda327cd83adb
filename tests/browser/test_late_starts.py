"""A customer sees what late starts gave back, and from there the job."""

import pytest
from playwright.sync_api import expect

from tests.fixtures.statements import PASSWORD, MembershipFactory, UserFactory
from tests.fixtures.world import at
from tests.scenarios.test_late_starts import LATE, months, queues, ran

pytestmark = pytest.mark.browser


def test_a_line_names_the_jobs_that_started_late_and_leads_to_them(world, page, screenshot):
    queues(world)
    job = ran(at(2025, 1, 10, 9), after=LATE)
    months(world, now=at(2025, 2, 4))
    (statement,) = world.statements()
    MembershipFactory(user=UserFactory(username="olga"), customer=statement.customer)
    page.goto("/portal/statements/acme-0001/")
    page.get_by_label("User name").fill("olga")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    line = page.locator("details.line").last
    line.locator("summary").click()
    expect(line.locator("summary")).to_contain_text("service credit, 1 premium job started late")
    late = line.get_by_role("row", name=str(job))
    expect(late).to_contain_text("10 January 2025, 09:15:00")
    expect(late).to_contain_text("10 January 2025, 09:16:00")
    screenshot("line")
    late.get_by_role("link").click()
    facts = page.locator("dl.facts").first
    expect(facts).to_contain_text("Start promised by")
    expect(facts).to_contain_text("$0.20 given back")
    screenshot("job")
