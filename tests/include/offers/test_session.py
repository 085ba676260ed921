from __future__ import annotations

import hashlib
import hmac
import json

import duckdb
import pytest

from include.errors import BadInput
from include.offers.session import Plugin, padded_keys

SECRET = "a secret that is long enough to be one"


@pytest.mark.parametrize("secret", [SECRET.encode(), b"longer than one block " * 9])
def test_the_padded_keys_make_hmac_sha256(secret: bytes):
    inner, outer = padded_keys(secret)
    digest = hashlib.sha256(outer + hashlib.sha256(inner + b"text").digest()).hexdigest()
    assert digest == hmac.new(secret, b"text", "sha256").hexdigest()


def connection(secret: str) -> str:
    return json.dumps({"conn_type": "offers", "password": secret})


def test_every_cursor_gets_the_keys_and_no_other_way_leads_to_them(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("AIRFLOW_CONN_OFFERS_DEFAULT", connection(SECRET))
    plugin = Plugin("session", {}, None)
    assert SECRET not in repr(vars(plugin))
    with duckdb.connect() as database:
        cursor = database.cursor()
        plugin.configure_cursor(cursor)
        keys = cursor.sql(
            "select getvariable('offers_inner_key'), getvariable('offers_outer_key')"
        ).fetchone()
        assert keys == padded_keys(SECRET.encode())


def test_without_a_connection_there_are_no_keys(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AIRFLOW_CONN_OFFERS_DEFAULT", raising=False)
    with duckdb.connect() as database:
        Plugin("session", {}, None).configure_cursor(database)
        assert database.sql("select getvariable('offers_inner_key')").fetchone() == (None,)


def test_a_secret_that_can_be_guessed_is_refused_without_being_told(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("AIRFLOW_CONN_OFFERS_DEFAULT", connection("hunter2"))
    with pytest.raises(BadInput, match="32 characters") as refusal:
        Plugin("session", {}, None)
    assert "hunter2" not in str(refusal.value)
