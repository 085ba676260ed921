from __future__ import annotations

import pytest

from include.erasure.tombstones import add_tombstones
from include.landing import ingest, rebuild
from include.sources.addresses import address_keys
from include.store import Store
from tests.include.sources.replies import DECLARATION, credentials, open_shop
from tests.include.sources.shops import ANN, BEN, LINES, declare, raw, write_csv
from tests.include.sources.shops import HEADER as LINES_HEADER

CONTACTS = {
    "name": "crm",
    "type": "files",
    "path": "contacts.csv",
    "grain": "contact",
    "customers_of": "shop",
    "columns": {
        "customer_key": "key",
        "email": "email",
        "first_name": "name",
        "phone": "phone",
        "country": "country",
    },
}
HEADER = ["key", "email", "name", "phone", "country"]
PEOPLE = [
    ["ann", "Ann.Canary@shop.test", "Anncanary", "0151 23456789", "DE"],
    ["ben", "ben@shop.test", "Ben", "", "DE"],
]
ANN_ERASED = [("platform_id", "shop:ann"), ("email", "ann.canary@shop.test")]


@pytest.fixture
def settings(tmp_path):
    settings = declare(tmp_path, LINES, CONTACTS)
    write_csv(tmp_path / "export" / "a.csv", [ANN, BEN])
    write_csv(tmp_path / "contacts.csv", PEOPLE, HEADER)
    return settings


def landed(settings, source):
    store = Store(settings.store)
    folder = f"landing/{source}"
    return {name: store.read(f"{folder}/{name}") for name in store.list(folder)}


def test_who_was_erased_does_not_land_again(settings):
    add_tombstones(settings, ANN_ERASED)

    ingest(settings)

    [contact] = raw(settings, "contacts")
    assert contact["email"] == "ben@shop.test"
    lines = {line["order_id"]: line for line in raw(settings, "order_lines")}
    assert (lines["shop:1"]["customer_id"], lines["shop:2"]["customer_id"]) == (None, "shop:ben")
    assert str(lines["shop:1"]["gross_amount"]) == "9.0000"
    for content in landed(settings, "crm").values():
        assert b"anary" not in content


def test_a_page_keeps_the_keys_of_the_other_orders_addresses_and_no_address(tmp_path):
    columns = LINES["columns"] | {"postcode": "zip", "street": "street"}
    settings = declare(tmp_path, LINES | {"columns": columns}, CONTACTS)
    rows = [[*ANN, "10117", "Canary Road 1"], [*BEN, "10117", "Main Road 1"]]
    write_csv(tmp_path / "export" / "a.csv", rows, [*LINES_HEADER, "zip", "street"])
    write_csv(tmp_path / "contacts.csv", PEOPLE, HEADER)
    add_tombstones(settings, ANN_ERASED)
    ingest(settings)
    rebuild(settings)
    keys = {line["order_id"]: line["address_key"] for line in raw(settings, "order_lines")}
    assert keys["shop:1"] is None
    assert [str(keys["shop:2"])] == address_keys([(None, "10117", "Main Road 1")])
    for content in landed(settings, "shop").values():
        assert b"Canary Road" not in content


@pytest.mark.parametrize(
    "known_by",
    [("email", "ann.canary@shop.test"), ("phone", "+4915123456789"), ("platform_id", "shop:ann")],
    ids=lambda identifier: identifier[0],
)
def test_any_of_a_persons_identifiers_is_enough(settings, known_by):
    add_tombstones(settings, [known_by])
    ingest(settings, ["crm"])
    assert [contact["customer_id"] for contact in raw(settings, "contacts")] == ["shop:ben"]


def test_a_page_without_an_erased_person_is_read_again_like_any_other(settings):
    add_tombstones(settings, ANN_ERASED)
    ingest(settings)
    rows = {table: raw(settings, table) for table in ("contacts", "order_lines")}

    assert [load.files for load in ingest(settings)] == [0, 0]
    rebuild(settings)

    assert {table: raw(settings, table) for table in rows} == rows


def test_a_landing_file_that_comes_back_from_a_backup_brings_nobody_back(settings, tmp_path):
    ingest(settings)
    backup = landed(settings, "crm")
    add_tombstones(settings, ANN_ERASED)
    rebuild(settings)
    rows = raw(settings, "contacts")
    store = Store(settings.store)
    for name, content in backup.items():
        store.write(f"landing/crm/{name}", content)

    rebuild(settings)

    assert raw(settings, "contacts") == rows
    for content in landed(settings, "crm").values():
        assert b"anary" not in content


def test_replies_of_an_interface_are_kept_without_who_was_erased(tmp_path):
    settings = declare(tmp_path, DECLARATION)
    add_tombstones(settings, [("platform_id", "shop:1")])
    with open_shop() as shop:
        shop.tell(1, email="canary@shop.test", customer_id="shop:1")
        ingest(settings, credentials=lambda _: credentials(shop))
    orders = {order["order_id"]: order for order in raw(settings, "orders")}
    assert (orders["shop:1"]["customer_id"], orders["shop:1"]["email"]) == (None, None)
    assert orders["shop:1"]["total_amount"] == 9
    for content in landed(settings, "shop").values():
        assert b"canary" not in content
