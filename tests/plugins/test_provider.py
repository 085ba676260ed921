from __future__ import annotations

import pytest
from airflow.providers_manager import ProvidersManager


@pytest.fixture(scope="module")
def providers() -> ProvidersManager:
    return ProvidersManager()


@pytest.mark.parametrize(("kind", "name"), [("mailchimp", "Mailchimp"), ("meta", "Meta Ads")])
def test_airflow_knows_the_connection_type_and_can_test_it(providers, kind, name):
    hook = providers.hooks[kind]
    assert hook.hook_name == name
    assert hook.connection_testable


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("mailchimp", {"list_id", "base_url"}),
        ("meta", {"ad_account_id", "app_id", "app_secret", "base_url"}),
    ],
)
def test_the_form_asks_for_what_a_destination_needs_and_hides_the_rest(providers, kind, fields):
    widgets = providers.connection_form_widgets
    prefix = f"extra__{kind}__"
    assert {name.removeprefix(prefix) for name in widgets if name.startswith(prefix)} == fields
    assert "password" in providers.field_behaviours[kind]["relabeling"]
    assert {"host", "login", "extra"} <= set(providers.field_behaviours[kind]["hidden_fields"])
