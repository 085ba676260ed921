from __future__ import annotations

import pytest
from airflow.providers_manager import ProvidersManager

from include.sources.base import Source


@pytest.fixture(scope="module")
def providers() -> ProvidersManager:
    return ProvidersManager()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("mailchimp", "Mailchimp"),
        ("meta", "Meta Ads"),
        ("google", "Google Customer Match"),
        ("tiktok", "TikTok Ads"),
        ("webhook", "Webhook"),
        ("file_drop", "File drop"),
        ("shopify", "Shopify"),
        ("woocommerce", "WooCommerce"),
        ("database", "Shop database"),
        ("alerts", "Alerts"),
    ],
)
def test_airflow_knows_the_connection_type_and_can_test_it(providers, kind, name):
    hook = providers.hooks[kind]
    assert hook.hook_name == name
    assert hook.connection_testable


def test_every_source_that_tests_its_connection_has_a_form(providers):
    tested = {
        kind
        for kind, source in Source.registry.items()
        # A benchmark has sources of its own.
        if hasattr(source, "test_connection") and source.__module__.startswith("include.sources.")
    }
    assert tested
    assert tested <= set(providers.hooks)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (
            "mailchimp",
            {"list_id", "marketing_permission_ids", "shop_name", "shop_url", "journeys"}
            | {"webhook_secret", "base_url"},
        ),
        ("meta", {"ad_account_id", "limited_data_use", "app_id", "app_secret", "base_url"}),
        (
            "google",
            {"customer_id", "login_customer_id", "customer_match_terms", "base_url"},
        ),
        ("tiktok", {"advertiser_id", "base_url"}),
        ("webhook", {"url"}),
        ("file_drop", {"folder", "format"}),
        ("shopify", {"webhook_secret", "base_url"}),
        ("woocommerce", {"base_url"}),
        ("database", {"dialect", "sslmode", "sslrootcert"}),
        ("alerts", {"kind", "from", "to"}),
    ],
)
def test_the_form_asks_for_what_is_needed(providers, kind, fields):
    widgets = providers.connection_form_widgets
    prefix = f"extra__{kind}__"
    assert {name.removeprefix(prefix) for name in widgets if name.startswith(prefix)} == fields
    assert "extra" in providers.field_behaviours[kind]["hidden_fields"]


@pytest.mark.parametrize(
    ("kind", "hidden", "named"),
    [
        ("mailchimp", {"host", "login", "port", "schema"}, {"password"}),
        ("meta", {"host", "login", "port", "schema"}, {"password"}),
        ("google", {"host", "login", "port", "schema"}, {"password"}),
        ("tiktok", {"host", "login", "port", "schema"}, {"password"}),
        ("webhook", {"host", "login", "port", "schema"}, {"password"}),
        ("file_drop", {"host", "login", "port", "schema", "password"}, set()),
        ("shopify", {"login", "port", "schema"}, {"host", "password"}),
        ("woocommerce", {"port", "schema"}, {"host", "login", "password"}),
        ("database", set(), {"schema"}),
        ("alerts", {"schema"}, {"host", "password"}),
    ],
)
def test_the_form_hides_the_rest_and_calls_things_by_their_names(providers, kind, hidden, named):
    behaviour = providers.field_behaviours[kind]
    assert set(behaviour["hidden_fields"]) == hidden | {"extra"}
    assert set(behaviour["relabeling"]) == named
