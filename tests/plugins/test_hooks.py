from __future__ import annotations

import pytest

from regulars_airflow.hooks import MailchimpHook, MetaHook, credentials
from tests.plugins.conftest import connect

HOOKS = {"mailchimp": MailchimpHook, "meta": MetaHook}


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
