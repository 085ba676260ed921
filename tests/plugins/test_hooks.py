from __future__ import annotations

import json
from typing import Any

import pytest

from include.connections import Credentials
from include.errors import BadInput
from regulars_airflow.hooks import (
    DatabaseHook,
    FileDropHook,
    GoogleHook,
    MailchimpHook,
    MetaHook,
    ShopifyHook,
    TikTokHook,
    WebhookHook,
    WooCommerceHook,
    credentials,
    source_credentials,
)
from tests.database_servers import start_postgres
from tests.plugins.conftest import connect

HOOKS = {"mailchimp": MailchimpHook, "meta": MetaHook}
SECRET = "secret-3e5f0a"


@pytest.fixture
def keep(monkeypatch):
    """Put a connection where Airflow looks for it."""

    def keep(connection: str, **told: Any) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{connection.upper()}", json.dumps(told))

    return keep


@pytest.mark.parametrize("destination", HOOKS)
def test_the_test_button_reaches_the_account(shop, destination):
    works, sentence = HOOKS[destination]().test_connection()
    assert works, sentence


@pytest.mark.parametrize("destination", HOOKS)
def test_the_test_button_says_what_is_wrong_without_the_secret(shop, monkeypatch, destination):
    shop.revoked(destination)
    connect(monkeypatch, destination, shop.credentials[destination])
    works, sentence = HOOKS[destination]().test_connection()
    assert not works
    assert sentence
    assert "revoked-us1" not in sentence


def test_an_option_left_empty_in_the_form_is_none(monkeypatch):
    monkeypatch.setenv(
        "AIRFLOW_CONN_META_DEFAULT",
        '{"conn_type": "meta", "password": "t", "extra": {"ad_account_id": "act_1", "app_id": ""}}',
    )
    assert credentials("meta").extra == {"ad_account_id": "act_1"}


def test_a_connection_that_is_missing_is_named_and_not_tried_again(monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_MAILCHIMP_DEFAULT", raising=False)
    with pytest.raises(BadInput, match="no connection mailchimp_default: add it"):
        credentials("mailchimp")


def test_a_source_reads_through_any_connection_of_airflows(monkeypatch):
    uri = f"postgres://reader:{SECRET}@db.shop.test:6543/orders?sslmode=verify-full"
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE_REPLICA", uri)
    assert source_credentials("warehouse_replica") == Credentials(
        password=SECRET,
        login="reader",
        host="db.shop.test",
        port=6543,
        schema="orders",
        kind="postgres",
        extra={"sslmode": "verify-full"},
    )


def test_the_test_button_of_woocommerce_reaches_the_shop(server, keep):
    shop = {"conn_type": "woocommerce", "login": "ck_key", "password": SECRET}
    extra = {"base_url": f"{server.url}/woocommerce"}
    keep("woocommerce_default", **shop, extra=extra)
    works, sentence = WooCommerceHook().test_connection()
    assert works, sentence
    keep("woocommerce_default", **shop | {"login": "ck_revoked"}, extra=extra)
    works, sentence = WooCommerceHook().test_connection()
    assert not works
    assert SECRET not in sentence


def test_the_test_button_of_a_database_signs_in(keep):
    with start_postgres() as postgres:
        login = postgres.credentials()
        told = {"conn_type": "database", "login": login.login, "password": login.password}
        told |= {"host": login.host, "port": login.port, "schema": login.schema}
        keep("database_default", **told, extra={"dialect": "postgresql"})
        works, sentence = DatabaseHook().test_connection()
        assert works, sentence
        keep("database_default", **told | {"password": SECRET}, extra={"dialect": "postgresql"})
        works, sentence = DatabaseHook().test_connection()
        assert not works
        assert SECRET not in sentence


@pytest.mark.parametrize(
    ("hook", "extra"),
    [
        (GoogleHook, {"customer_id": "1234567890", "customer_match_terms": "accepted"}),
        (TikTokHook, {"advertiser_id": "7000000000000000001"}),
    ],
)
def test_the_test_button_of_an_ad_platform_reaches_the_account(server, keep, hook, extra):
    kind = hook.conn_type
    extra = extra | {"base_url": f"{server.url}/{kind}"}
    keep(f"{kind}_default", conn_type=kind, password=SECRET, extra=extra)
    works, sentence = hook().test_connection()
    assert works, sentence
    keep(f"{kind}_default", conn_type=kind, password=f"revoked-{SECRET}", extra=extra)
    works, sentence = hook().test_connection()
    assert not works
    assert SECRET not in sentence


def test_the_test_button_of_a_webhook_reaches_the_receiver(server, keep):
    extra = {"url": server.receiver_url}
    secret = "sandbox-receiver-secret-of-no-value"
    keep("webhook_default", conn_type="webhook", password=secret, extra=extra)
    works, sentence = WebhookHook().test_connection()
    assert works, sentence
    keep("webhook_default", conn_type="webhook", password=SECRET * 3, extra=extra)
    works, sentence = WebhookHook().test_connection()
    assert not works
    assert SECRET not in sentence


def test_the_test_button_of_a_file_drop_leaves_nothing_behind(keep, tmp_path):
    keep("file_drop_default", conn_type="file_drop", extra={"folder": str(tmp_path)})
    works, sentence = FileDropHook().test_connection()
    assert works, sentence
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("hook", [ShopifyHook, WooCommerceHook, DatabaseHook])
def test_the_test_button_of_a_source_says_what_is_missing(keep, hook):
    keep(hook.default_conn_name, conn_type=hook.conn_type)
    works, sentence = hook().test_connection()
    assert not works
    assert hook.default_conn_name in sentence
