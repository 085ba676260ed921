from __future__ import annotations

import pytest

from include.connections import Credentials, checked_url, connection_id, read_connection
from include.errors import BadInput, Reauthorise

SECRET = "3e5f0a-us1"


@pytest.mark.parametrize(
    "text",
    [
        '{"conn_type": "http", "password": "3e5f0a-us1", "extra": {"list_id": "abc"}}',
        '{"conn_type": "http", "password": "3e5f0a-us1", "extra": "{\\"list_id\\": \\"abc\\"}"}',
        "http://:3e5f0a-us1@/?list_id=abc",
        "http://:3e5f0a-us1@/?__extra__=%7B%22list_id%22%3A+%22abc%22%7D",
    ],
    ids=["json", "json with extra as text", "uri", "uri with extra as json"],
)
def test_a_connection_is_read_in_both_of_airflows_forms(text: str):
    found = read_connection("mailchimp_default", {"AIRFLOW_CONN_MAILCHIMP_DEFAULT": text})
    assert found == Credentials(SECRET, kind="http", extra={"list_id": "abc"})


def test_a_missing_connection_names_its_variable():
    with pytest.raises(BadInput, match="AIRFLOW_CONN_META_DEFAULT"):
        read_connection(connection_id("meta"), {})


@pytest.mark.parametrize("text", ["{3e5f0a-us1", "3e5f0a-us1", '{"extra": ["3e5f0a-us1"]}'])
def test_an_unreadable_connection_does_not_show_its_secret(text: str):
    with pytest.raises(BadInput) as raised:
        read_connection("meta_default", {"AIRFLOW_CONN_META_DEFAULT": text})
    assert SECRET not in str(raised.value)
    assert raised.value.__suppress_context__


def test_a_secret_is_not_shown_when_printed():
    assert SECRET not in repr(Credentials(SECRET, extra={"app_secret": SECRET}))


def test_what_a_connection_lacks_is_named():
    with pytest.raises(BadInput, match="list_id"):
        Credentials(SECRET).require_option("list_id", "mailchimp_default")
    with pytest.raises(Reauthorise, match="mailchimp_default"):
        Credentials().require_password("mailchimp_default")


@pytest.mark.parametrize("url", ["https://us1.api.mailchimp.com/", "http://127.0.0.1:8765/meta"])
def test_https_and_loopback_are_let_through(url: str):
    assert checked_url(url, "x") == url.rstrip("/")


@pytest.mark.parametrize(
    "url", ["http://api.mailchimp.com", "ftp://x", "http://127.0.0.1.evil.test", "//x", ""]
)
def test_a_secret_is_never_sent_in_the_clear(url: str):
    with pytest.raises(BadInput, match="https"):
        checked_url(url, "x")
