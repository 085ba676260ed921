from __future__ import annotations

import pytest

from include.erasure.erase import erase
from include.erasure.tombstones import add_tombstones, settle
from include.erasure.warehouse import compact, enforce, purge_warehouse, replacing
from include.errors import Retry
from include.landing import ingest, rebuild
from include.warehouse import visit
from tests.include.erasure.test_pages import ANN_ERASED, CONTACTS, HEADER, PEOPLE
from tests.include.sources.shops import ANN, BEN, LINES, declare, raw, write_csv


@pytest.fixture
def settings(tmp_path):
    settings = declare(tmp_path, LINES, CONTACTS)
    write_csv(tmp_path / "export" / "a.csv", [ANN, BEN])
    write_csv(tmp_path / "contacts.csv", PEOPLE, HEADER)
    ingest(settings)
    return settings


def held(settings, query):
    with visit(settings) as warehouse:
        return warehouse.connection.sql(query).fetchall()


def test_an_order_keeps_its_figures_and_the_next_build_looks_at_it_again(settings):
    [(before,)] = held(settings, "select max(load_number) from raw.order_lines")
    add_tombstones(settings, ANN_ERASED)

    counts = purge_warehouse(settings, ANN_ERASED, "1")

    assert counts == {"raw.contacts": 1, "raw.order_lines": 1}
    lines = held(
        settings,
        "select order_id, customer_id, gross_amount, load_number from raw.order_lines order by 1",
    )
    assert [line[:2] for line in lines] == [("shop:1", None), ("shop:2", "shop:ben")]
    assert [line[3] > before for line in lines] == [True, False]
    assert lines[0][2] == 9


def test_the_key_of_an_orders_address_goes_with_the_person(settings):
    with visit(settings) as warehouse:
        warehouse.connection.execute("update raw.order_lines set address_key = uuid()")
    purge_warehouse(settings, ANN_ERASED, "1")
    query = "select order_id, address_key is null from raw.order_lines order by 1"
    assert held(settings, query) == [("shop:1", True), ("shop:2", False)]


def test_models_lose_the_person_at_once_and_their_own_figures_stay(settings):
    with visit(settings) as warehouse:
        warehouse.connection.execute(
            """
            create schema marts;
            create table marts.orders as select order_id, customer_id from raw.order_lines;
            create schema intermediate;
            create table intermediate.int_order_lines as from marts.orders;
            create table marts.referrals as
            select 'shop:ben' as advocate_customer_id, 'shop:ann' as referred_customer_id;
            """
        )
    purge_warehouse(settings, ANN_ERASED, "1")
    figures = [("shop:1", None), ("shop:2", "shop:ben")]
    assert held(settings, "select * from marts.orders order by 1") == figures
    assert held(settings, "select * from intermediate.int_order_lines order by 1") == figures
    assert held(settings, "select * from marts.referrals") == []


def test_a_compacted_warehouse_holds_the_same_without_the_deleted_bytes(settings):
    purge_warehouse(settings, ANN_ERASED, "1")
    rows = {table: raw(settings, table) for table in ("contacts", "order_lines", "landed_files")}

    compact(settings)

    assert {table: raw(settings, table) for table in rows} == rows
    assert b"anary" not in settings.warehouse_path.read_bytes()
    assert settings.warehouse_path.stat().st_mode & 0o777 == 0o600
    [(number,)] = held(settings, "select nextval('raw.load_numbers')")
    [(highest,)] = held(settings, "select max(load_number) from raw.order_lines")
    assert number > highest


def test_an_erasure_and_a_rebuild_keep_out_of_each_other_s_way(settings):
    with replacing(settings):
        with pytest.raises(Retry, match="under way"):
            rebuild(settings)
        with pytest.raises(Retry, match="under way"):
            erase(settings, {}.__getitem__)
    rebuild(settings)


def test_an_old_warehouse_is_held_against_the_tombstones_once(settings):
    add_tombstones(settings, ANN_ERASED)
    # While an erasure is under way, nobody must take away what it finds people by.
    assert not enforce(settings)
    assert len(raw(settings, "contacts")) == 2
    settle(settings)

    assert enforce(settings)

    assert [row["customer_id"] for row in raw(settings, "contacts")] == ["shop:ben"]
    assert not enforce(settings)
