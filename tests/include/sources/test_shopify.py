"""Shopify as a source, talking to the double of a shop over HTTP."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from include.connections import Credentials
from include.errors import BadInput, Reauthorise, Retry
from include.landing import ingest
from include.sources import shopify, shopify_queries
from include.sources.addresses import address_keys
from include.sources.base import BadPage, Place
from include.sources.shopify import Shopify, ShopifyOptions
from tests.include.sources.contract import SourceContract
from tests.include.sources.shops import declare, raw
from tests.sandbox_server import Sandbox, start_sandbox

GRAPHQL = "/shopify/admin/api/2026-10/graphql.json"
ENTRY = {"name": "shop", "type": "shopify", "grain": "order", "time_zone": "Europe/Berlin"}
CANARY = {"shopMoney": {"amount": "canary", "currencyCode": "EUR"}}
DAY = "2026-03-0{}T10:00:00Z"


def order(number: int, **given: Any) -> dict[str, Any]:
    """An order of two mugs, paid at once, on the third of March."""
    at = given.get("created_at", DAY.format(3))
    paid = {"id": number, "amount": "23.00", "processed_at": at}
    return {
        "created_at": at,
        "email": f"ann{number}@shoppers.example",
        "shipping": "3.00",
        "lines": [{"id": 10 * number, "sku": "mug", "quantity": 2, "product_id": 1}],
        "transactions": [paid],
    } | given


class Shop:
    """The sandbox's shop as a test changes it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def put(self, kind: str, number: int, document: dict[str, Any], at: str) -> None:
        path = f"/_shopify/{kind}/{number}"
        self.sandbox.http.put(path, params={"at": at}, json=document).raise_for_status()

    def act(self, number: int, what: str, at: str, **given: Any) -> None:
        path = f"/_shopify/orders/{number}/{what}?at={at}"
        self.sandbox.post(path, given)

    def delete(self, kind: str, number: int, at: str) -> None:
        path = f"/_shopify/{kind}/{number}"
        self.sandbox.http.delete(path, params={"at": at}).raise_for_status()

    def set(self, **settings: Any) -> None:
        self.sandbox.post("/_shopify", settings)

    def calls(self) -> int:
        return len([call for call in self.sandbox.calls() if call["path"] == GRAPHQL])

    def points(self) -> dict[str, float]:
        return self.sandbox.http.get("/shopify/points").json()

    @property
    def credentials(self) -> Credentials:
        return Credentials("a-token", extra={"base_url": f"{self.sandbox.url}/shopify"})


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def shop(server) -> Shop:
    server.reset()
    return Shop(server)


@pytest.fixture
def load(shop, tmp_path) -> Callable[..., list[dict[str, Any]]]:
    """Ingest an entry and return its raw table."""

    def load(**options: Any) -> list[dict[str, Any]]:
        settings = declare(tmp_path, ENTRY | options)
        ingest(settings, credentials=lambda _: shop.credentials)
        source = Shopify(ShopifyOptions.model_validate(ENTRY | options), Place(tmp_path, tmp_path))
        return raw(settings, source.table)

    return load


@pytest.fixture
def source(shop, tmp_path) -> Callable[..., Shopify]:
    def make(**options: Any) -> Shopify:
        place = Place(tmp_path, tmp_path, lambda _: shop.credentials)
        return Shopify(ShopifyOptions.model_validate(ENTRY | options), place)

    return make


def taken(source: Shopify, cursor: dict[str, Any] | None = None) -> tuple[list[bytes], Any]:
    """The content of all pages, and the cursor they lead to."""
    pages, last = [], cursor or {}
    for page in source.pages(last):
        with page.open() as content:
            pages.append(gzip.decompress(content.read()))
        last = page.cursor
    return pages, json.loads(json.dumps(last))


class TestContract(SourceContract):
    source = Shopify
    table = "orders"

    @contextmanager
    def place(self, folder: Path) -> Iterator[Shop]:
        with start_sandbox(folder) as sandbox:
            shop = Shop(sandbox)
            shop.put("customers", 5, {"created_at": DAY.format(1)}, DAY.format(1))
            for number in (1, 2, 3):
                shop.put("orders", number, order(number, customer_id=5), DAY.format(3))
            yield shop

    def declaration(self, place: Shop) -> dict[str, Any]:
        return ENTRY | {"page_size": 2}

    def credentials(self, place: Shop) -> Credentials:
        return place.credentials

    def change(self, place: Shop) -> None:
        place.put("orders", 4, order(4), DAY.format(4))
        place.act(2, "cancel", DAY.format(4))

    def break_a_page(self, place: Shop) -> None:
        variables = {"first": 2, "after": None, "query": None}
        asked = {"query": shopify_queries.ORDERS, "variables": variables}
        token = {"X-Shopify-Access-Token": "a-token"}
        first = place.sandbox.http.post(GRAPHQL, json=asked, headers=token).json()
        variables["after"] = first["data"]["records"]["pageInfo"]["endCursor"]
        second = place.sandbox.http.post(GRAPHQL, json=asked, headers=token).json()
        [node] = second["data"]["records"]["nodes"]
        node["totalPriceSet"]["shopMoney"]["amount"] = self.canary
        place.sandbox.fault(
            action="status",
            status=200,
            body=second,
            when_body_contains=variables["after"],
            times=None,
        )

    def mend_the_page(self, place: Shop) -> None:
        place.sandbox.clear_faults()


class TestOrders:
    def test_an_order_is_a_document_with_its_lines_refunds_and_payments(self, shop, load):
        shop.put("customers", 5, {"created_at": DAY.format(1)}, DAY.format(1))
        document = order(
            1,
            created_at="2026-03-28T23:30:00Z",
            customer_id=5,
            phone="+4930123456",
            first_name="Ann",
            last_name="Ash",
            country="DE",
            zip="10117",
            address1="Main Road 1",
            discount_codes=["SPRING"],
            utm_source="newsletter",
            visit_source="Google",
            lines=[
                {"id": 11, "sku": "mug", "quantity": 3, "price": "10.00", "discount": "3.00",
                 "tax": "4.31"},
                {"id": 12, "title": "Cup", "price": "5.00", "variant_id": 7, "product_id": 1},
            ],
            transactions=[
                {"id": 1, "kind": "AUTHORIZATION", "amount": "35.00",
                 "processed_at": DAY.format(3)},
                {"id": 2, "kind": "CAPTURE", "amount": "35.00", "processed_at": DAY.format(3),
                 "parent_id": 1},
                {"id": 3, "kind": "SALE", "status": "FAILURE", "amount": "35.00",
                 "processed_at": DAY.format(3)},
            ],
        )  # fmt: skip
        product = {"created_at": DAY.format(1), "variants": [{"id": 7}]}
        shop.put("products", 1, product, DAY.format(1))
        shop.put("orders", 1, document, DAY.format(3))
        shop.act(
            1, "refund", DAY.format(4), id=9, processed_at=DAY.format(4), shipping="3.00",
            adjustment="1.50",
            lines=[{"line_id": 11, "quantity": 1, "subtotal": "9.00", "tax": "1.44"}],
        )  # fmt: skip
        [row] = load()
        money = Decimal
        assert row["order_id"] == "shop:1"
        assert row["customer_id"] == "shop:5"
        assert row["email"] == "ann1@shoppers.example"
        assert row["phone_key"] == "+4930123456"
        assert (row["first_name"], row["last_name"], row["country"]) == ("Ann", "Ash", "DE")
        assert [str(row["address_key"])] == address_keys([("DE", "10117", "Main Road 1")])
        assert row["ordered_at"] == datetime(2026, 3, 28, 23, 30)
        assert row["ordered_date"] == date(2026, 3, 29)
        assert row["updated_at"] == datetime(2026, 3, 4, 10)
        assert (row["currency"], row["payment_status"]) == ("EUR", "paid")
        assert (row["is_test"], row["is_tax_included"]) == (False, True)
        assert row["total_amount"] == money("35.00")
        assert row["discount_amount"] == money("3.00")
        assert row["shipping_amount"] == money("3.00")
        assert row["tax_amount"] == money("4.31")
        assert row["discount_codes"] == ["SPRING"]
        assert row["acquisition_source"] == "newsletter"
        assert row["lines"] == [
            {"line_id": "11", "sku": "mug", "product_id": None, "product_name": "Mug",
             "category": None, "quantity": 3, "unit_price": 10, "gross_amount": 30,
             "discount_amount": 3, "tax_amount": money("4.31")},
            {"line_id": "12", "sku": "variant:7", "product_id": "1", "product_name": "Cup",
             "category": None, "quantity": 1, "unit_price": 5, "gross_amount": 5,
             "discount_amount": 0, "tax_amount": 0},
        ]  # fmt: skip
        told = [(r["kind"], r["line_id"], r["quantity"], r["amount"]) for r in row["refunds"]]
        assert sorted(told) == [
            ("adjustment", None, None, money("-1.50")),
            ("line", "11", 1, 9),
            ("shipping", None, None, 3),
        ]
        assert {r["refunded_at"] for r in row["refunds"]} == {datetime(2026, 3, 4, 10)}
        payments = [(p["kind"], p["status"], p["parent_payment_id"]) for p in row["payments"]]
        assert payments == [
            ("authorization", "success", None),
            ("capture", "success", "1"),
            ("sale", "failure", None),
        ]

    @pytest.mark.parametrize("bulk", ["never", "always"])
    def test_an_order_is_delivered_with_its_last_parcel_once_none_is_on_its_way(
        self, shop, load, bulk
    ):
        first = {"id": 1, "created_at": DAY.format(3), "delivered_at": DAY.format(4)}
        second = {"id": 2, "created_at": DAY.format(4)}
        lost = {"id": 3, "created_at": DAY.format(4), "status": "CANCELLED"}
        came = second | {"delivered_at": DAY.format(5)}
        shop.put("orders", 1, order(1), DAY.format(3))
        shop.put("orders", 2, order(2, parcels=[first, second]), DAY.format(3))
        shop.put("orders", 3, order(3, parcels=[first, lost]), DAY.format(3))
        shop.put("orders", 4, order(4, parcels=[first]), DAY.format(3))
        shop.act(4, "ship", DAY.format(5), **came)
        found = {row["order_id"]: row["delivered_at"] for row in load(bulk=bulk)}
        assert found == {
            "shop:1": None,
            "shop:2": None,
            "shop:3": datetime(2026, 3, 4, 10),
            "shop:4": datetime(2026, 3, 5, 10),
        }

    def test_units_that_an_edit_took_off_were_never_ordered_and_returned_ones_were(
        self, shop, load
    ):
        lines = [
            {"id": 1, "sku": "mug", "quantity": 3, "discount": "1.00", "tax": "0.50"},
            {"id": 2, "sku": "cup"},
        ]
        shop.put("orders", 1, order(1, lines=lines), DAY.format(3))
        back = {"line_id": 1, "quantity": 1, "subtotal": "9.67"}
        shop.act(1, "refund", DAY.format(4), id=9, processed_at=DAY.format(4), lines=[back])
        shop.act(1, "edit", DAY.format(5), remove={"1": 1, "2": 1}, add=[{"id": 3, "sku": "jug"}])
        [row] = load()
        told = [(li["sku"], li["quantity"], li["gross_amount"]) for li in row["lines"]]
        assert told == [("mug", 2, 20), ("jug", 1, 10)]
        assert row["lines"][0]["discount_amount"] == Decimal("0.6666")
        assert row["lines"][0]["tax_amount"] == Decimal("0.3333")

    @pytest.mark.parametrize("bulk", ["never", "always"])
    def test_more_lines_refunds_and_refunded_lines_than_a_page_holds_all_come(
        self, shop, load, bulk
    ):
        lines = [{"id": n, "sku": f"sku-{n}"} for n in range(1, 124)]
        shop.put("orders", 1, order(1, lines=lines), DAY.format(3))
        for number in (1, 2, 3):
            back = [
                {"line_id": n, "quantity": 1, "subtotal": "1.00"}
                for n in range(40 * number - 39, 40 * number + 1)
            ]
            at = DAY.format(3 + number)
            shop.act(1, "refund", at, id=number, processed_at=at, lines=back)
        [row] = load(bulk=bulk)
        assert {line["sku"] for line in row["lines"]} == {f"sku-{n}" for n in range(1, 124)}
        assert {line["quantity"] for line in row["lines"]} == {1}
        assert {r["line_id"] for r in row["refunds"]} == {str(n) for n in range(1, 121)}

    def test_a_deleted_order_becomes_a_tombstone_also_for_who_never_saw_it(self, shop, load):
        for number in (1, 2):
            shop.put("orders", number, order(number), DAY.format(3))
        shop.delete("orders", 1, DAY.format(4))
        gone, there = load()
        assert (there["order_id"], there["deleted_at"]) == ("shop:2", None)
        assert (gone["order_id"], gone["ordered_at"]) == ("shop:1", None)
        assert gone["deleted_at"] == gone["updated_at"] == datetime(2026, 3, 4, 10)
        shop.delete("orders", 2, DAY.format(5))
        assert [row["lines"] for row in load()] == [None, None]


class TestAsking:
    def test_an_idle_poll_lands_nothing_and_ties_and_late_writes_are_seen(self, shop, source):
        at = DAY.format(3)
        for number in (1, 2, 3):
            shop.put("orders", number, order(number), at)
        pages, cursor = taken(source(page_size=2))
        assert len(pages) == 2
        assert taken(source(page_size=2), cursor) == ([], cursor)
        # In the very second of the newest, and up to ten minutes before it.
        shop.put("orders", 4, order(4), at)
        shop.put("orders", 2, order(2, test=True), at)
        shop.put("orders", 5, order(5), "2026-03-03T09:50:00Z")
        shop.put("orders", 6, order(6), "2026-03-03T09:49:59Z")
        [page], cursor = taken(source(), cursor)
        ids = {node["id"][-1] for node in json.loads(page)["data"]["records"]["nodes"]}
        assert ids == {"1", "2", "3", "4", "5"}
        assert taken(source(), cursor) == ([], cursor)

    def test_pages_that_come_unsorted_lose_nothing(self, shop, source):
        shop.set(unsorted=True)
        for number in range(1, 8):
            shop.put("orders", number, order(number), DAY.format(number))
        pages, cursor = taken(source(page_size=3))
        seen = [n["id"] for p in pages for n in json.loads(p)["data"]["records"]["nodes"]]
        assert len(set(seen)) == 7
        assert cursor["updates"]["newest"] == DAY.format(7)

    def test_the_bucket_is_used_and_never_overdrawn(self, shop, source):
        orders = [order(n) | {"id": n} for n in range(1, 201)]
        shop.sandbox.post(f"/_shopify/orders?at={DAY.format(3)}", orders)
        shop.set(bucket=1000, restore_rate=300)
        taken(source(bulk="never"))
        before = shop.points()
        taken(source(bulk="never"))
        after = {name: value - before[name] for name, value in shop.points().items()}
        assert after["throttled"] == 0
        # All but what found the bucket full was spent, or is still in it.
        assert after["spent"] > 0.95 * (after["spent"] + after["wasted"])
        assert abs(after["available"]) < 300

    def test_a_throttled_call_is_made_again(self, shop, source):
        shop.put("orders", 1, order(1), DAY.format(3))
        shop.set(bucket=900, restore_rate=2000)
        taken(source())
        throttled = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
        cost = {"requestedQueryCost": 10, "actualQueryCost": None, "throttleStatus": {
            "maximumAvailable": 900, "currentlyAvailable": 0, "restoreRate": 100}}  # fmt: skip
        body = {"errors": [throttled], "extensions": {"cost": cost}}
        shop.sandbox.fault(action="status", status=200, body=body, nth=2)
        assert len(taken(source())[0]) == 1

    @pytest.mark.parametrize(
        "fault",
        [
            {"action": "status", "status": 503},
            {"action": "half_body"},
            {"action": "reset"},
            {"action": "html", "status": 502},
            {"action": "status", "status": 429, "headers": {"Retry-After": "0.1"}},
        ],
    )
    def test_a_call_that_fails_is_made_again(self, shop, source, fault):
        shop.put("orders", 1, order(1), DAY.format(3))
        shop.sandbox.fault(**fault, path="graphql", nth=2)
        assert len(taken(source())[0]) == 1

    def test_a_refused_token_is_not_tried_again(self, shop, source):
        shop.set(token="another")
        before = shop.calls()
        with pytest.raises(Reauthorise, match="token"):
            taken(source())
        assert shop.calls() == before + 1

    def test_a_missing_scope_is_named(self, shop, source):
        shop.set(scopes=["read_orders", "read_all_orders", "read_products"])
        shop.put("customers", 5, {"created_at": DAY.format(1)}, DAY.format(1))
        shop.put("orders", 1, order(1, customer_id=5), DAY.format(3))
        with pytest.raises(Reauthorise, match="read_customers"):
            taken(source())

    def test_orders_older_than_sixty_days_are_missed_aloud(self, shop, source, caplog):
        shop.set(scopes=["read_orders", "read_customers", "read_products"], now=DAY.format(9))
        shop.put("orders", 1, order(1, created_at="2025-12-01T00:00:00Z"), DAY.format(3))
        shop.put("orders", 2, order(2), DAY.format(3))
        with caplog.at_level(logging.WARNING):
            [page], _ = taken(source())
        assert len(json.loads(page)["data"]["records"]["nodes"]) == 1
        assert "read_all_orders" in caplog.text
        works, told = source().test_connection()
        assert works
        assert "Missing: read_all_orders. Only orders of the last 60 days" in told

    def test_the_button_says_what_it_reaches_and_what_is_missing(self, shop, source):
        works, told = source().test_connection()
        assert works
        assert told.startswith("Connected to Regulars Test Shop with read_all_orders, read_cus")
        shop.set(scopes=["read_orders"])
        works, told = source(grain="contact").test_connection()
        assert not works
        assert "Missing: read_customers." in told
        shop.set(token="another")
        assert source().test_connection() == (False, "Shopify refuses the access token (401)")

    def test_a_host_that_is_no_shop_is_refused(self, tmp_path):
        place = Place(tmp_path, tmp_path, lambda _: Credentials("a-token", host="example.com"))
        with pytest.raises(BadInput, match=r"example\.myshopify\.com"):
            next(Shopify(ShopifyOptions.model_validate(ENTRY), place).pages({}))


class TestBulk:
    @pytest.fixture
    def many(self, shop, monkeypatch):
        """So many orders that a bulk operation is worth it; every tenth has a refund."""
        monkeypatch.setattr(shopify, "BULK_FROM", 50)
        orders = [order(n) | {"id": n} for n in range(1, 51)]
        for document in orders[::10]:
            back = {"line_id": 10 * document["id"], "quantity": 1, "subtotal": "10.00"}
            refund = {"id": document["id"], "processed_at": DAY.format(4), "lines": [back]}
            document["refunds"] = [refund]
        shop.set(now=DAY.format(5), bucket=100_000, restore_rate=100_000)
        shop.sandbox.post(f"/_shopify/orders?at={DAY.format(3)}", orders)

    def test_a_large_load_is_run_in_bulk_and_says_the_same_as_pages(
        self, shop, many, load, source, tmp_path
    ):
        in_bulk = load(bulk="auto")
        landed = [page["version"] for page in raw(declare(tmp_path, ENTRY), "landed_files")]
        assert [name.endswith(".jsonl.gz") for name in landed].count(True) == 1
        paged = declare(tmp_path, ENTRY | {"bulk": "never"}, store=str(tmp_path / "other"))
        paged = paged.model_copy(update={"home": tmp_path / "other"})
        ingest(paged, credentials=lambda _: shop.credentials)
        assert raw(paged, "orders") == in_bulk
        assert len(in_bulk) == 50
        assert sum(len(row["refunds"]) for row in in_bulk) == 5

    def test_what_changes_while_it_runs_comes_with_the_next_load(self, shop, many, source):
        _, cursor = taken(source())
        assert cursor["updates"] == {"newest": DAY.format(5), "seen": {}}
        shop.put("orders", 1001, order(1001), "2026-03-05T09:55:00Z")
        [page], _ = taken(source(), cursor)
        assert len(json.loads(page)["data"]["records"]["nodes"]) == 1

    def test_one_that_fails_says_how(self, shop, source):
        shop.put("orders", 1, order(1), DAY.format(3))
        for error in ("INTERNAL_SERVER_ERROR", "TIMEOUT"):
            shop.set(bulk_error=error)
            with pytest.raises(Retry, match=f"FAILED at Shopify .{error}"):
                taken(source(bulk="always"))
        shop.set(bulk_error="ACCESS_DENIED")
        with pytest.raises(Reauthorise):
            taken(source(bulk="always"))

    def test_where_it_need_not_be_bulk_pages_take_over_from_one_that_failed(
        self, shop, many, source, caplog
    ):
        shop.set(bulk_error="TIMEOUT")
        pages, _ = taken(source())
        nodes = [json.loads(page)["data"].get("records", {}).get("nodes", []) for page in pages]
        assert sum(map(len, nodes)) == 50
        assert "page by page" in caplog.text

    def test_a_result_that_comes_cut_is_not_taken(self, shop, source):
        shop.put("orders", 1, order(1), DAY.format(3))
        shop.sandbox.fault(action="half_body", path="jsonl")
        with pytest.raises(Retry, match="cut"):
            taken(source(bulk="always"))

    def test_an_empty_shop_gives_no_page(self, shop, source):
        assert taken(source(bulk="always"))[0] == []


class TestContactsAndProducts:
    def test_a_customer_brings_the_consent_to_each_channel(self, shop, load):
        told = {
            "created_at": DAY.format(1),
            "first_name": "Ann",
            "last_name": "Ash",
            "locale": "de",
            "country": "DE",
            "email": "Ann@Shoppers.example",
            "email_state": "SUBSCRIBED",
            "email_level": "CONFIRMED_OPT_IN",
            "email_changed_at": DAY.format(2),
            "phone": "030 123456",
            "sms_state": "UNSUBSCRIBED",
            "sms_changed_at": DAY.format(3),
        }
        shop.put("customers", 1, told, DAY.format(4))
        shop.put("customers", 2, {"created_at": DAY.format(1)}, DAY.format(4))
        gone = {"created_at": DAY.format(1), "phone": "+49", "sms_state": "REDACTED",
                "data_sale_opt_out": True}  # fmt: skip
        shop.put("customers", 3, gone, DAY.format(4))
        shop.put("customers", 4, {"created_at": DAY.format(1)}, DAY.format(4))
        shop.delete("customers", 4, DAY.format(5))
        rows = {row["customer_id"]: row for row in load(grain="contact", customers_of="shop")}
        ann, nobody = rows["shop:1"], rows["shop:2"]
        assert (ann["email_key"], ann["phone_key"]) == ("ann@shoppers.example", "+4930123456")
        assert (ann["has_email_consent"], ann["has_sms_consent"]) == (True, False)
        assert ann["has_ads_consent"] is None
        assert ann["email_consent_at"] == datetime(2026, 3, 2, 10)
        assert ann["email_consent_source"] == "shopify confirmed_opt_in"
        assert ann["sms_consent_at"] == datetime(2026, 3, 3, 10)
        assert (ann["language"], ann["country"]) == ("de", "DE")
        assert (nobody["email"], nobody["has_email_consent"]) == (None, None)
        assert rows["shop:3"]["suppressed_reason"] == "erased"
        assert rows["shop:3"]["has_ads_consent"] is False
        assert rows["shop:4"]["deleted_at"] == datetime(2026, 3, 5, 10)

    def test_customers_are_found_by_whole_days_and_an_idle_poll_still_lands_nothing(
        self, shop, source
    ):
        for number, hour in ((1, "01"), (2, "23")):
            at = f"2026-03-03T{hour}:00:00Z"
            shop.put("customers", number, {"created_at": at}, at)
        contacts = source(grain="contact")
        _, cursor = taken(contacts)
        assert taken(contacts, cursor)[0] == []

    @pytest.mark.parametrize("bulk", ["never", "always"])
    def test_each_variant_of_a_product_is_a_row(self, shop, load, bulk):
        variants = [{"id": n, "sku": f"mug-{n}", "cost": "2.5", "stock": n} for n in range(1, 14)]
        product = {
            "created_at": DAY.format(1),
            "title": "Mug",
            "product_type": "Tableware",
            "category": "Home & Garden > Kitchen",
            "variants": [*variants, {"id": 99}],
        }
        shop.put("products", 1, product, DAY.format(4))
        other = {"created_at": DAY.format(1), "status": "ARCHIVED", "product_type": "Tableware",
                 "variants": [{"id": 100, "sku": "cup"}]}  # fmt: skip
        shop.put("products", 2, other, DAY.format(4))
        rows = {row["sku"]: row for row in load(grain="product", bulk=bulk)}
        assert len(rows) == 15
        mug = rows["mug-13"]
        assert (mug["product_id"], mug["product_name"]) == ("1", "Mug")
        assert mug["category"] == "Home & Garden > Kitchen"
        assert (mug["unit_cost"], mug["currency"]) == (Decimal("2.5"), "EUR")
        assert (mug["stock_quantity"], mug["is_active"]) == (13, True)
        assert "variant:99" in rows
        assert (rows["cup"]["category"], rows["cup"]["is_active"]) == ("Tableware", False)

    def test_a_sku_that_a_product_has_no_more_is_not_sold(self, shop, load):
        told = {"created_at": DAY.format(1), "title": "Ware"}
        for number, skus in ((1, ("mug", "cup", "jug")), (2, ("pot",))):
            variants = [{"id": 10 * number + n, "sku": sku} for n, sku in enumerate(skus)]
            shop.put("products", number, told | {"variants": variants}, DAY.format(2))
        load(grain="product")
        left = [{"id": 10, "sku": "mug"}, {"id": 12, "sku": "big jug"}]
        shop.put("products", 1, told | {"variants": left}, DAY.format(3))
        sold = {row["sku"]: row["is_active"] for row in load(grain="product")}
        assert sold == {"mug": True, "cup": False, "jug": False, "big jug": True, "pot": True}

    def test_a_deleted_product_takes_all_its_skus_along(self, shop, load):
        shop.set(now=DAY.format(3))
        for number, skus in ((1, ("mug", "cup")), (2, ("jug",))):
            variants = [{"id": 10 * number + n, "sku": sku} for n, sku in enumerate(skus)]
            told = {"created_at": DAY.format(1), "title": "Ware", "variants": variants}
            shop.put("products", number, told, DAY.format(2))
        load(grain="product")
        gone = {"at": DAY.format(4)}
        shop.sandbox.http.delete("/_shopify/products/1", params=gone).raise_for_status()
        shop.set(now=DAY.format(5))
        rows = {row["sku"]: row["deleted_at"] for row in load(grain="product")}
        at = datetime(2026, 3, 4, 10)
        assert rows == {"mug": at, "cup": at, "jug": None, "product:1": at}
        # A code that another product has now is sold again.
        variants = [{"id": 30, "sku": "mug"}]
        told = {"created_at": DAY.format(5), "title": "Ware", "variants": variants}
        shop.put("products", 3, told, DAY.format(5))
        rows = {row["sku"]: row["deleted_at"] for row in load(grain="product")}
        assert rows == {"mug": None, "cup": at, "jug": None, "product:1": at}


class TestBadPages:
    @pytest.mark.parametrize(
        ("path", "change"),
        [
            ("processedAt", lambda node: node.pop("processedAt")),
            ("updatedAt", lambda node: node.update(updatedAt=None)),
            ("totalPriceSet", lambda node: node.update(totalPriceSet={"shopMoney": None})),
            ("lineItems[].quantity", lambda node: node["lineItems"]["nodes"][0].pop("quantity")),
            ("transactions[].kind", lambda node: node["transactions"][0].update(kind="BARTER")),
            ("transactions[].amountSet.shopMoney.amount",
             lambda node: node["transactions"][0].update(amountSet=CANARY)),
            ("customer", lambda node: node.update(customer="canary")),
            ("lineItems", lambda node: node.update(lineItems=["canary"])),
            ("processedAt", lambda node: node.update(processedAt="canary")),
            ("taxesIncluded", lambda node: node.update(taxesIncluded="canary")),
        ],
    )  # fmt: skip
    def test_names_the_record_and_the_path_and_no_value(self, shop, source, tmp_path, path, change):
        shop.put("orders", 1, order(1), DAY.format(3))
        [page], _ = taken(source())
        answer = json.loads(page)
        change(answer["data"]["records"]["nodes"][0])
        with pytest.raises(BadPage) as raised:
            read(source(), tmp_path, "page.json.gz", json.dumps(answer).encode())
        place = raised.value.place
        assert (place["record"], place["path"]) == ("gid://shopify/Order/1", path)
        assert "canary" not in str(raised.value)
        assert "BARTER" not in str(raised.value)

    def test_a_bulk_line_that_is_wrong_is_named_too(self, shop, source, tmp_path):
        shop.put("orders", 1, order(1), DAY.format(3))
        [page], _ = taken(source(bulk="always"))
        for old, new, path in (
            (b'"quantity":2', b'"quantity":"canary"', "lineItems.nodes[].quantity"),
            (b'"quantity":2', b'"quantity":null', "lineItems[].quantity"),
        ):
            with pytest.raises(BadPage) as raised:
                read(source(), tmp_path, "page.records.jsonl.gz", page.replace(old, new))
            assert raised.value.place["path"] == path
            assert "canary" not in str(raised.value)

    def test_lines_need_not_stand_right_after_their_order_but_must_have_one(
        self, shop, source, tmp_path
    ):
        for number in range(1, 6):
            shop.put("orders", number, order(number), DAY.format(3))
        [page], _ = taken(source(bulk="always"))
        rows = sorted(read(source(), tmp_path, "page.records.jsonl.gz", page), key=str)
        assert len(rows) == 5
        records = [json.loads(line) for line in page.splitlines()]
        lines = [line for record in records[1:] for line in record.pop("lineItems")["nodes"]]
        apart = [json.dumps(line).encode() for line in records + lines]
        again = read(source(), tmp_path, "page.jsonl.gz", b"\n".join(apart))
        assert sorted(again, key=str) == rows
        with pytest.raises(BadPage) as raised:
            read(source(), tmp_path, "page.jsonl.gz", b"\n".join(apart[:1] + apart[2:]))
        assert raised.value.place == {"record": "gid://shopify/Order/2", "path": "__parentId"}

    @pytest.mark.parametrize("name", ["page.json.gz", "page.jsonl.gz", "page.records.jsonl.gz"])
    def test_damaged_bytes_are_no_rows(self, source, tmp_path, name):
        for content in (b'{"data": {"records": {"nodes": [{"id"', b"\xff\xfe", b"[1, 2]"):
            with pytest.raises(BadPage):
                read(source(), tmp_path, name, content)
        (tmp_path / name).write_bytes(gzip.compress(b"x" * 1000)[:40])
        with pytest.raises(BadPage):
            read(source(), tmp_path, name, None)


def read(source: Shopify, folder: Path, name: str, content: bytes | None) -> list[Any]:
    """The rows of a page."""
    if content is not None:
        (folder / name).write_bytes(gzip.compress(content))
    with (
        duckdb.connect() as connection,
        source.rows(connection, name, folder / name, folder) as rows,
    ):
        return rows.fetchall()
