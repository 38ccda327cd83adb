import pytest

pytestmark = pytest.mark.browser


def test_the_admin_asks_for_a_login(page, screenshot):
    page.goto("/admin/")

    assert page.get_by_role("button", name="Log in").is_visible()
    assert "Tollgate" in page.title()
    assert screenshot("login").stat().st_size > 1000


def test_a_signed_in_superuser_sees_the_admin(signed_in_page, django_user_model):
    page = signed_in_page(django_user_model.objects.create_superuser("ada"))

    page.goto("/admin/")

    assert page.get_by_role("heading", name="Drafts to submit").is_visible()
