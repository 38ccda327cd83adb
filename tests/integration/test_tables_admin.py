"""Tiers and rates from a file in the admin: shown, confirmed, one operation, or nothing at all."""

import json
from decimal import Decimal as D

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from billing.staff import APPROVER, EDITOR, SUPPORT
from plans.models import MatrixRate, Price, Tier, VersionChange
from plans.operations.drafts import remove_price, save_price
from plans.operations.publishing import publish_version
from plans.operations.versions import add_price, create_plan, start_version
from plans.timeline import Move, timeline
from tests.integration.plans_fixtures import NEW_YEAR, everything, image_meter

pytestmark = pytest.mark.django_db

TIERS = "up_to,unit,flat\n500,0.05,1\n2000,0.04,0\n,0.02,0\n"


@pytest.fixture
def version(db):
    """A draft with images in two tiers and a fee."""
    meter = image_meter()
    version = start_version(plan=create_plan(key="scale", name="Scale"), currency="USD")
    add_price(
        version=version,
        price=Price(key="images", name="Images", model="graduated", meter=meter),
        tiers=[Tier(up_to=D(1000), unit_amount=D("0.04")), Tier(unit_amount=D("0.03"))],
    )
    add_price(version=version, price=Price(key="fee", name="Fee", model="flat", amount=D(9)))
    return version


def page_of(version, key="images"):
    return reverse("admin:plans_planversion_table", args=[version.pk, key])


def upload(client, version, content=TIERS, *, name="t.csv", key="images"):
    file = SimpleUploadedFile(name, content if isinstance(content, bytes) else content.encode())
    return client.post(page_of(version, key), {"table": file})


def confirmed(client, version, page, **changes):
    said = {**page.context["confirm"].initial, "reason": "New price list", **changes}
    return client.post(page_of(version), said)


def tiers(version):
    rows = Tier.objects.filter(price__version=version).order_by("up_to")
    return list(rows.values_list("up_to", "unit_amount", "flat_amount"))


@pytest.fixture
def editor(client, staff):
    user = staff(EDITOR)
    client.force_login(user)
    return user


def test_a_file_is_shown_then_replaces_the_tiers_in_one_operation(client, editor, version):
    before, entries = everything(), VersionChange.objects.count()
    page = upload(client, version)
    assert everything() == before
    assert [row.cells for row in page.context["table"].rows] == [
        ("500", "0.05", "1"), ("2000", "0.04", "0"), ("", "0.02", "0"),
    ]  # fmt: skip
    assert "Replace the 2 rows below" in page.content.decode()
    assert confirmed(client, version, page).status_code == 302
    assert tiers(version) == [
        (D(500), D("0.05"), D(1)), (D(2000), D("0.04"), D(0)), (None, D("0.02"), D(0)),
    ]  # fmt: skip
    assert VersionChange.objects.count() == entries + 1
    newest = timeline(version)[0]
    assert (newest.by, newest.reason) == (editor.username, "New price list")
    assert newest.moves == (
        Move("Price images: tier up to 500", "", "unit 0.05, flat 1"),
        Move("Price images: tier up to 2000", "", "unit 0.04"),
        Move("Price images: tier and above", "unit 0.03", "unit 0.02"),
        Move("Price images: tier up to 1000", "unit 0.04", ""),
    )


def test_a_bad_row_is_marked_and_nothing_stored(client, editor, version):
    before = everything()
    page = upload(client, version, 'up_to,unit\n1000,"0,04"\n,x\n')
    assert [bool(row.problems) for row in page.context["table"].rows] == [True, True]
    assert page.context["confirm"] is None
    assert "“0,04” is not a number" in page.content.decode()
    assert "Nothing was stored" in page.content.decode()
    for name, content in (("t.ods", "x"), ("t.xlsx", "x"), ("t.csv", b"\xff")):
        assert upload(client, version, content, name=name).context["form"].errors["table"]
    assert everything() == before


def test_rows_that_are_bad_or_not_whole_are_refused_when_confirmed(client, editor, version):
    page = upload(client, version)
    before = everything()
    for rows in ('[{"up_to": "10", "unit": "1"}]', "[1]", "{", '[{"a": ""}, {"b": ""}]', "[]"):
        confirmed(client, version, page, rows=rows)
    confirmed(client, version, page, shown="")
    assert everything() == before


def test_a_price_that_changed_meanwhile_is_shown_again(client, editor, version):
    page = upload(client, version)
    price = version.prices.get(key="images")
    save_price(version=version, price=price, tiers=[Tier(unit_amount=D(7))], rates=[], by=None)
    before = everything()
    again = confirmed(client, version, page)
    assert "The price has changed since the table was shown" in again.content.decode()
    assert everything() == before
    confirmed(client, version, again)
    assert len(tiers(version)) == 3

    page = upload(client, version)
    remove_price(price=price, by=None)
    assert confirmed(client, version, page).status_code == 404


def test_a_published_version_has_its_table_and_takes_none(client, editor, version):
    page = upload(client, version)
    publish_version(version=version, effective_from=NEW_YEAR, by=None, now=NEW_YEAR)
    before = everything()
    assert client.get(page_of(version)).context["form"] is None
    assert upload(client, version).status_code == 403
    assert confirmed(client, version, page).status_code == 403
    assert everything() == before


@pytest.mark.parametrize("group", [APPROVER, SUPPORT, None])
def test_only_who_may_change_prices_replaces_them(client, staff, version, group):
    client.force_login(staff(group))
    before = everything()
    assert client.get(page_of(version)).status_code == (200 if group else 403)
    said = {"rows": "[]", "shown": json.dumps({})}
    assert client.post(page_of(version), said).status_code in {302, 403}
    assert upload(client, version).status_code in {302, 403}
    assert everything() == before


def test_what_has_no_table_has_no_page(client, editor, version):
    assert client.get(page_of(version, "fee")).status_code == 404
    assert client.get(page_of(version, "none")).status_code == 404
    gone = reverse("admin:plans_planversion_table", args=[999_999, "images"])
    assert client.get(gone).status_code == 404


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_table_that_is_downloaded_is_the_table(client, editor, version, kind):
    address = reverse("admin:plans_planversion_table_file", args=[version.pk, "images", kind])
    answer = client.get(address)
    assert answer["Content-Disposition"] == f'attachment; filename="scale-images.{kind}"'
    page = upload(client, version, answer.content, name=f"t.{kind}")
    assert [row.cells for row in page.context["table"].rows] == [
        ("1000", "0.04", "0"), ("", "0.03", "0"),
    ]  # fmt: skip
    before = everything()
    confirmed(client, version, page)
    assert tiers(version) == [(D(1000), D("0.04"), D(0)), (None, D("0.03"), D(0))]
    assert len(everything()["VersionChange"]) == len(before["VersionChange"])
    assert client.get(address.replace(kind, "ods")).status_code == 404


def test_rates_from_a_file(client, editor, version):
    meter = image_meter("gpu")
    meter.dimensions = ["gpu", "region"]
    meter.save()
    matrix = Price(key="gpu", name="GPU", model="matrix", meter=meter, default_amount=D(9))
    add_price(version=version, price=matrix, rates=[MatrixRate(match=["a", "b"], unit_amount=D(1))])
    page = upload(client, version, "gpu,region,unit,label\na100,eu,4,EU\na100,,3,\n", key="gpu")
    said = {**page.context["confirm"].initial, "reason": ""}
    client.post(page_of(version, "gpu"), said)
    rates = MatrixRate.objects.order_by("position").values_list("match", "unit_amount", "label")
    assert list(rates) == [(["a100", "eu"], D(4), "EU"), (["a100", None], D(3), "")]
    assert Price.objects.get(key="gpu").default_amount == D(9)
