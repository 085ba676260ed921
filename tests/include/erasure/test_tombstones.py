from __future__ import annotations

import hashlib
import hmac

import duckdb
import pytest

from include.erasure.tombstones import SALT, add_tombstones, load_tombstones, settle
from include.errors import BadInput
from include.settings import Settings
from include.warehouse import Warehouse

ANN = ("email", "ann@shop.test")


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path)


def test_there_are_none_before_the_first_erasure(settings):
    assert not load_tombstones(settings)
    assert not (settings.home / SALT).exists()


def test_a_tombstone_covers_its_identifier_and_nothing_else(settings):
    tombstones = add_tombstones(settings, [ANN])
    assert tombstones.covers(*ANN)
    assert not tombstones.covers("email", "ben@shop.test")
    assert not tombstones.covers("platform_id", "ann@shop.test")
    assert not tombstones.covers("email", None)
    assert load_tombstones(settings) == tombstones


def test_sql_computes_the_same_hmac_as_python(settings):
    tombstones = add_tombstones(settings, [ANN])
    salt = bytes.fromhex((settings.home / SALT).read_text())
    [expected] = tombstones.hashes
    assert hmac.digest(salt, b"email:ann@shop.test", hashlib.sha256).hex() == expected
    with duckdb.connect() as connection:
        tombstones.show(Warehouse(connection))
        [(told,)] = connection.sql("select tombstone_of('email', 'ann@shop.test')").fetchall()
    assert told == expected


def test_without_its_salt_nobody_is_matched_so_that_a_lost_one_is_an_error(settings):
    add_tombstones(settings, [ANN])
    salt = settings.home / SALT
    known = salt.read_text()
    salt.unlink()
    with pytest.raises(BadInput, match="backup"):
        load_tombstones(settings)
    salt.write_text("00" * 32)
    with pytest.raises(BadInput, match="another salt"):
        load_tombstones(settings)
    salt.write_text(known)
    assert load_tombstones(settings).covers(*ANN)


def test_a_connection_takes_the_place_of_the_salt_file(settings, monkeypatch):
    monkeypatch.setenv(
        "AIRFLOW_CONN_ERASURE_DEFAULT", '{"conn_type": "generic", "password": "long and secret"}'
    )
    assert add_tombstones(settings, [ANN]).covers(*ANN)
    assert not (settings.home / SALT).exists()


def test_an_erasure_is_settled_until_the_next_one_begins(settings):
    add_tombstones(settings, [ANN])
    settle(settings)
    settled = load_tombstones(settings)
    assert settled.settled == settled.generation
    begun = add_tombstones(settings, [("phone", "+4915123456789")])
    assert begun.settled != begun.generation
