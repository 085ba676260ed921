from __future__ import annotations

from dataclasses import replace

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from include.errors import Stop
from regulars_airflow import purchases
from tests.plugins.conftest import connect


def test_without_a_name_for_the_store_nothing_is_told(shop):
    calls = len(shop.sandbox.calls())
    with pytest.raises(AirflowSkipException, match="shop_name"):
        purchases.push()
    assert len(shop.sandbox.calls()) == calls


def test_without_journeys_nobody_is_sent(shop):
    with pytest.raises(AirflowSkipException, match="journeys"):
        purchases.trigger_journeys()


@pytest.mark.parametrize("step", [purchases.push, purchases.trigger_journeys])
def test_a_shop_without_mailchimp_has_nothing_to_tell_it(monkeypatch, step):
    monkeypatch.delenv("AIRFLOW_CONN_MAILCHIMP_DEFAULT", raising=False)
    with pytest.raises(AirflowSkipException, match="no connection mailchimp_default"):
        step()


def test_with_a_name_the_purchases_are_pushed_by_airflows_own_connection(shop, monkeypatch):
    found = shop.credentials["mailchimp"]
    named = replace(found, extra={**found.extra, "shop_name": "Mugs"})
    connect(monkeypatch, "mailchimp", named)
    with pytest.raises(Stop, match="publish"):
        purchases.push()
