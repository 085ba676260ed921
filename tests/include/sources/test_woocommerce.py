from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import time_machine

from include.connections import Credentials
from include.errors import BadInput, Reauthorise, Retry, Stop
from include.landing import Loaded
from include.sources.addresses import address_keys
from include.sources.base import Place, Window
from include.sources.woocommerce import WooCommerce, WooCommerceOptions
from tests.include.sources.contract import SourceContract
from tests.include.sources.shops import declare, raw
from tests.sandbox_server import Sandbox, start_sandbox

SECRET = "cs_3e5f0a"
ENTRY = {"name": "shop", "type": "woocommerce", "grain": "order", "time_zone": "Europe/Berlin"}
MUG = {"sku": "mug", "name": "Mug", "product_id": 93, "quantity": 2, "price": "5.00"}
ANN = {
    "email": "Ann@shop.test",
    "first_name": "Ann",
    "country": "DE",
    "postcode": "10117",
    "address_1": "Main Road 1",
}
AT = "2026-03-01T23:30:00"


def order(**more: Any) -> dict[str, Any]:
    told = {"date_created_gmt": AT, "date_modified_gmt": AT, "billing": ANN}
    return told | {"line_items": [MUG]} | more


class TestWooCommerce(SourceContract):
    source = WooCommerce
    table = "orders"

    @pytest.fixture(scope="class", autouse=True)
    def serve(self, request: pytest.FixtureRequest, tmp_path_factory) -> Iterator[None]:
        with start_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
            request.cls.sandbox = sandbox
            yield

    @contextmanager
    def place(self, folder: Path) -> Iterator[Sandbox]:
        self.sandbox.reset()
        self.orders = put(self.sandbox, "orders", *(order() for _ in range(3)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("include.sources.woocommerce.PER_PAGE", 2)
            yield self.sandbox

    def declaration(self, place: Sandbox) -> dict[str, Any]:
        return ENTRY

    def credentials(self, place: Sandbox, login: str = "ck_key", **more: str) -> Credentials:
        extra = {"base_url": f"{place.url}/woocommerce"} | more
        return Credentials(SECRET, login=login, extra=extra)

    def change(self, place: Sandbox) -> None:
        put(place, "orders", order(date_modified_gmt="2026-03-01T23:31:00"))
        change = {"id": self.orders[0]["id"], "line_items": [MUG | {"quantity": 1}]}
        put(place, "orders", change | {"date_modified_gmt": "2026-03-01T23:31:00"})

    def break_a_page(self, place: Sandbox) -> None:
        self.retell_the_first_order(coupon_lines=[{"code": [self.canary]}])

    def mend_the_page(self, place: Sandbox) -> None:
        self.retell_the_first_order(coupon_lines=[])

    def retell_the_first_order(self, **told: Any) -> dict[str, Any]:
        first = {"id": self.orders[0]["id"], "date_modified_gmt": AT}
        return put(self.sandbox, "orders", first | told)[0]

    @pytest.fixture
    def shop(self, opened: Sandbox, tmp_path: Path) -> Callable[..., WooCommerce]:
        """The declared source, with some options otherwise, or another login."""

        def shop(login: Credentials | None = None, **options: Any) -> WooCommerce:
            credentials = login or self.credentials(opened)
            place = Place(tmp_path / "sources.yml", tmp_path, lambda name: credentials)
            return WooCommerce(WooCommerceOptions.model_validate(ENTRY | options), place)

        return shop

    @pytest.fixture
    def one(self, opened: Sandbox, load: Callable[..., Loaded], settings) -> Callable[[str], Any]:
        """Load, and show one order as it then stands."""

        def one(key: int) -> dict[str, Any]:
            load()
            [found] = [row for row in raw(settings, "orders") if row["order_id"] == f"shop:{key}"]
            return found

        return one

    def test_an_order_is_kept_in_our_own_words(self, opened, one):
        [put_order] = put(
            opened,
            "orders",
            order(
                customer_id=7,
                date_completed_gmt="2026-03-04T10:00:00",
                shipping_total="4.90",
                shipping_tax="0.93",
                line_items=[MUG | {"total": "9.00", "total_tax": "1.71"}],
                coupon_lines=[{"code": "spring"}],
                meta_data=[
                    {"key": "_wc_order_attribution_utm_source", "value": "newsletter"},
                    {"key": "note", "value": "private"},
                ],
            ),
        )
        found = one(put_order["id"])
        [line] = found.pop("lines")
        [payment] = found.pop("payments")
        assert found == {
            "source": "shop",
            "order_id": f"shop:{put_order['id']}",
            "customer_id": "shop:7",
            "email": "Ann@shop.test",
            "email_key": "ann@shop.test",
            "phone": None,
            "phone_key": None,
            "first_name": "Ann",
            "last_name": None,
            "country": "DE",
            "address_key": address_keys([("DE", "10117", "Main Road 1")])[0],
            "ordered_at": datetime.fromisoformat(AT),
            "ordered_date": date(2026, 3, 2),
            "currency": "EUR",
            "payment_status": "paid",
            "is_test": False,
            "cancelled_at": None,
            "deleted_at": None,
            "shipping_amount": Decimal("4.9000"),
            "tax_amount": Decimal("2.6400"),
            "discount_amount": Decimal("1.0000"),
            "total_amount": Decimal("16.5400"),
            "is_tax_included": False,
            "discount_codes": ["spring"],
            "delivered_at": datetime(2026, 3, 4, 10),
            "acquisition_source": "newsletter",
            "refunds": [],
            "updated_at": datetime.fromisoformat(AT),
        }
        assert line == {
            "line_id": str(put_order["line_items"][0]["id"]),
            "sku": "mug",
            "product_id": "93",
            "product_name": "Mug",
            "category": None,
            "quantity": 2,
            "unit_price": 5,
            "gross_amount": 10,
            "discount_amount": 1,
            "tax_amount": Decimal("1.71"),
        }
        assert (payment["kind"], payment["amount"]) == ("sale", Decimal("16.54"))

    def test_a_discount_that_is_written_as_a_fee_is_taken_off_the_lines(self, opened, one):
        lines = [MUG | {"quantity": quantity} for quantity in (1, 2, 4)]
        fees = [{"name": "Loyalty", "total": "-10.00"}, {"name": "Gift wrap", "total": "3.00"}]
        [placed] = put(opened, "orders", order(line_items=lines, fee_lines=fees))
        found = one(placed["id"])
        discounts = [line["discount_amount"] for line in found["lines"]]
        assert discounts == [Decimal("1.4286"), Decimal("2.8571"), Decimal("5.7143")]
        assert found["discount_amount"] == sum(discounts) == 10

    def test_a_discount_beyond_the_lines_leaves_them_at_nothing(self, opened, one):
        [placed] = put(opened, "orders", order(fee_lines=[{"name": "Gift", "total": "-99.00"}]))
        [line] = one(placed["id"])["lines"]
        assert line["discount_amount"] == line["gross_amount"] == 10

    def test_what_is_given_back_is_told_apart_and_the_order_stays_as_it_was_placed(
        self, opened, one
    ):
        [placed] = put(opened, "orders", order(shipping_total="4.90"))
        line = {"id": placed["line_items"][0]["id"], "quantity": 1, "total": "5.00"}
        back = f"orders/{placed['id']}/refunds"
        put(opened, back, {"line_items": [line], "shipping_lines": [{"total": "4.90"}]})
        put(opened, back, {"amount": "2.50"})
        found = one(placed["id"])
        assert [(part["kind"], part["amount"]) for part in found["refunds"]] == [
            ("line", Decimal("5.00")),
            ("shipping", Decimal("4.90")),
            ("adjustment", Decimal("2.50")),
        ]
        assert found["refunds"][0]["line_id"] == found["lines"][0]["line_id"]
        assert found["refunds"][0]["quantity"] == 1
        assert found["lines"][0]["quantity"] == 2
        assert found["payment_status"] == "partially_refunded"
        assert [part["kind"] for part in found["payments"]] == ["sale", "refund", "refund"]

    @pytest.mark.parametrize(("amounts", "goods"), [(["16.80"], "10"), (["4.20", "12.60"], "2.5")])
    def test_an_amount_alone_gives_back_the_goods_without_their_tax_and_shipping(
        self, opened, one, amounts, goods
    ):
        # What WooCommerce writes itself when somebody sets an order's status to refunded.
        lines = [MUG | {"total_tax": "1.90"}]
        [placed] = put(opened, "orders", order(line_items=lines, shipping_total="4.90"))
        for amount in amounts:
            put(opened, f"orders/{placed['id']}/refunds", {"amount": amount})
        given_back = [part["amount"] for part in one(placed["id"])["refunds"]]
        assert given_back[0] == Decimal(goods)
        assert sum(given_back) == 10

    def test_a_fee_that_is_given_back_was_no_part_of_the_goods(self, opened, one):
        fees = [{"name": "Loyalty", "total": "-4.00"}, {"name": "Gift wrap", "total": "3.00"}]
        [placed] = put(opened, "orders", order(fee_lines=fees))
        line = {"id": placed["line_items"][0]["id"], "quantity": 2, "total": "10.00"}
        told = {"line_items": [line], "fee_lines": [{"total": "-4.00"}, {"total": "3.00"}]}
        put(opened, f"orders/{placed['id']}/refunds", told)
        assert [(part["kind"], part["amount"]) for part in one(placed["id"])["refunds"]] == [
            ("line", 10),
            ("adjustment", -4),
        ]

    def test_an_order_in_the_trash_is_deleted_until_it_comes_back(self, opened, one):
        key = self.orders[0]["id"]
        one(key)
        remove(opened, f"orders/{key}", at="2026-03-01T23:35:00")
        assert one(key)["deleted_at"] == datetime(2026, 3, 1, 23, 35)
        self.retell_the_first_order(status="cancelled", date_modified_gmt="2026-03-01T23:36:00")
        found = one(key)
        assert found["deleted_at"] is None
        assert found["cancelled_at"] == datetime(2026, 3, 1, 23, 36)

    def test_an_order_deleted_for_good_is_missed_where_that_is_looked_for(
        self, opened, tmp_path, load
    ):
        settings = declare(tmp_path, ENTRY | {"check_deletions_days": 100_000})
        load(settings)
        remove(opened, f"orders/{self.orders[1]['id']}", force=True)
        load(settings)
        gone = {row["order_id"]: row["deleted_at"] for row in raw(settings, "orders")}
        assert [key for key, at in gone.items() if at] == [f"shop:{self.orders[1]['id']}"]
        assert load(settings).rows == 0

    def test_a_refund_that_came_or_went_without_a_trace_is_seen_where_that_is_looked_for(
        self, opened, tmp_path, load
    ):
        settings = declare(tmp_path, ENTRY | {"check_deletions_days": 100_000})
        key, other = (one["id"] for one in self.orders[:2])
        told = {"amount": "5.00", "date_created_gmt": "2026-03-01T23:40:00"}
        [made] = put(opened, f"orders/{key}/refunds", told)
        # So that the next run does not look at the others anyway.
        put(opened, "orders", order(date_modified_gmt="2026-03-09T00:00:00"))
        load(settings)
        remove(opened, f"refunds/{made['id']}", force=True)
        put(opened, f"orders/{other}/refunds", told | {"moves_no_date": True})
        assert load(settings).rows == 2
        refunds = {row["order_id"]: len(row["refunds"]) for row in raw(settings, "orders")}
        assert (refunds[f"shop:{key}"], refunds[f"shop:{other}"]) == (0, 1)
        assert load(settings).rows == 0

    def test_a_shop_that_cannot_list_its_refunds_is_read_all_the_same(self, opened, tmp_path, load):
        opened.post("/_woocommerce/site", {"lists_refunds": False})
        settings = declare(tmp_path, ENTRY | {"check_deletions_days": 100_000})
        assert load(settings).rows == 3

    def test_nothing_is_lost_when_orders_change_and_go_while_they_are_listed(self, opened, shop):
        times = [f"2026-03-02T10:00:{second:02}" for second in range(20)]
        placed = put(opened, "orders", *(order(date_modified_gmt=at) for at in times))
        read: set[int] = set()
        for number, page in enumerate(shop().pages({})):
            read |= {one["id"] for one in records(page)}
            if number == 2:
                # Numbered pages would shift by two, and two orders would be read by nobody.
                remove(opened, f"orders/{placed[0]['id']}", force=True)
                put(opened, "orders", {"id": placed[1]["id"]})
        assert {one["id"] for one in placed[1:]} <= read

    def test_ties_within_one_second_are_read_to_the_last(self, opened, load, settings):
        put(opened, "orders", *(order() for _ in range(9)))
        put(opened, "orders", order(date_modified_gmt="2026-03-01T23:30:01"))
        assert load().rows == 13
        assert load().rows == 0
        assert len(raw(settings, "orders")) == 13

    def test_a_shop_that_cannot_sort_by_change_is_read_by_number(self, opened, load, settings):
        opened.post("/_woocommerce/site", {"sorts_by_modified": False})
        assert load().rows == 3
        assert load().rows == 0
        self.change(opened)
        load()
        assert len(raw(settings, "orders")) == 4

    def test_a_busy_shop_is_asked_again_when_it_says(self, opened, load):
        opened.fault(action="status", status=429, path="orders", headers={"Retry-After": "0"})
        opened.fault(action="reset", path="orders", nth=2)
        opened.fault(action="half_body", path="orders", nth=3)
        assert load().rows == 3

    def test_a_shop_that_stays_busy_is_left_to_the_scheduler(self, opened, load):
        opened.fault(
            action="status", status=503, path="orders", times=None, headers={"Retry-After": "600"}
        )
        with pytest.raises(Retry) as raised:
            load()
        assert raised.value.after_seconds == 600

    @pytest.mark.parametrize(
        ("fault", "error", "reason"),
        [
            ({"status": 403}, Reauthorise, "needs a key that may read"),
            ({"status": 301, "headers": {"Location": "https://x.test"}}, Stop, "it moved"),
            ({"status": 404, "body": {"code": "rest_no_route"}}, Stop, "permalinks"),
            ({"status": 200, "body": "<html>down for maintenance</html>"}, Retry, "than a list"),
            ({"status": 400, "body": {"code": "rest_invalid_param"}}, Stop, "rest_invalid_param"),
        ],
    )
    def test_what_goes_wrong_says_what_to_do(self, opened, load, fault, error, reason):
        opened.fault(action="status", path="orders", times=None, **fault)
        with pytest.raises(error, match=reason) as raised:
            load()
        assert SECRET not in str(raised.value)

    def test_the_test_button_needs_a_key_that_may_read(self, opened, shop):
        works, sentence = shop().test_connection()
        assert works
        assert "3 orders" in sentence
        works, sentence = shop(self.credentials(opened, login="ck_revoked")).test_connection()
        assert not works
        assert "woocommerce_rest_cannot_view" in sentence

    @pytest.mark.parametrize(
        ("credentials", "reason"),
        [
            (Credentials(SECRET, host="shop.test"), "no login"),
            (Credentials(login="ck_key", host="shop.test"), "no password"),
            (Credentials(SECRET, login="ck_key"), "no host"),
            (Credentials(SECRET, login="ck_key", host="http://shop.test"), "must be https"),
        ],
    )
    def test_what_a_connection_lacks_is_named(self, shop, credentials, reason):
        works, sentence = shop(credentials).test_connection()
        assert not works
        assert reason in sentence

    def test_postal_addresses_and_strange_meta_data_are_never_landed(self, opened, shop):
        put(opened, "orders", order(meta_data=[{"key": "note", "value": "private"}]))
        landed = b"".join(page.open().read() for page in shop().pages({}))
        assert b"Ann@shop.test" in landed
        assert b"Main Road" not in landed
        assert b"private" not in landed

    def test_customers_agree_only_where_their_meta_data_say_so(self, opened, tmp_path, load):
        yes = {"meta_data": [{"key": "newsletter", "value": "yes"}]}
        no = {"meta_data": [{"key": "newsletter", "value": "later"}]}
        people = put(opened, "customers", ANN | yes, {"email": "ben@shop.test"} | no)
        plain = declare(tmp_path, ENTRY | {"grain": "contact"})
        load(plain)
        assert not any(row["has_email_consent"] for row in raw(plain, "contacts"))
        asked = declare(tmp_path, ENTRY | {"grain": "contact", "consent_meta_key": "newsletter"})
        load(asked)
        agreed = {row["email"]: row["has_email_consent"] for row in raw(asked, "contacts")}
        assert agreed == {"Ann@shop.test": True, "ben@shop.test": False}
        assert not any(row["has_ads_consent"] for row in raw(asked, "contacts"))
        # No date moves when a plugin withdraws it.
        quiet = {"id": people[0]["id"], "date_modified_gmt": people[0]["date_modified_gmt"]}
        put(opened, "customers", quiet | no)
        assert load(asked).rows == 2
        assert not any(row["has_email_consent"] for row in raw(asked, "contacts"))
        assert load(asked).rows == 0

    def test_a_consent_is_withdrawn_though_our_clock_was_put_back(self, opened, tmp_path, load):
        told = ANN | {"date_modified_gmt": AT}
        [ann] = put(opened, "customers", told | {"meta_data": [{"key": "news", "value": "yes"}]})
        settings = declare(tmp_path, ENTRY | {"grain": "contact", "consent_meta_key": "news"})
        load(settings)
        put(opened, "customers", {"id": ann["id"], "meta_data": [], "date_modified_gmt": AT})
        with time_machine.travel(datetime.now(UTC) - timedelta(hours=1)):
            load(settings)
        [row] = raw(settings, "contacts")
        assert not row["has_email_consent"]

    def test_a_customer_who_is_gone_is_deleted(self, opened, tmp_path, load):
        people = put(opened, "customers", *({"email": f"c{n}@shop.test"} for n in range(5)))
        settings = declare(tmp_path, ENTRY | {"grain": "contact"})
        assert load(settings).rows == 5
        remove(opened, f"customers/{people[4]['id']}", force=True)
        assert load(settings).rows == 1
        [gone] = [row for row in raw(settings, "contacts") if row["deleted_at"]]
        assert gone["customer_id"] == f"shop:{people[4]['id']}"
        assert load(settings).rows == 0
        with pytest.raises(BadInput, match="no days to ask for"):
            load(settings, names=["shop"], window=Window(date(2026, 1, 1), date(2026, 1, 2)))

    def test_products_are_what_is_sold_with_cost_and_stock(self, opened, tmp_path, load):
        [shirt] = put(
            opened, "products", {"name": "Shirt &amp; Tie", "categories": [{"name": "Clothes"}]}
        )
        medium = {"parent_id": shirt["id"], "sku": "shirt-m", "stock_quantity": 4}
        cost = {"cost_of_goods_sold": {"total_value": 7.25}}
        put(opened, "products", medium | cost, {"name": "Unnamed", "status": "draft"})
        settings = declare(tmp_path, ENTRY | {"grain": "product", "currency": "EUR"})
        load(settings)
        found = {row["sku"]: row for row in raw(settings, "products")}
        shirt_m = found.pop("shirt-m")
        assert shirt_m["product_name"] == "Shirt & Tie"
        assert (shirt_m["category"], shirt_m["unit_cost"]) == ("Clothes", Decimal("7.25"))
        assert (shirt_m["stock_quantity"], shirt_m["is_active"]) == (4, True)
        [[sku, draft]] = found.items()
        assert sku == f"id-{draft['product_id']}"
        assert not draft["is_active"]
        assert (draft["unit_cost"], draft["currency"]) == (None, None)
        assert load(settings).rows == 0
        remove(opened, f"products/{shirt['id']}", force=True)
        load(settings)
        gone = next(row for row in raw(settings, "products") if row["sku"] == "shirt-m")
        assert gone["deleted_at"]
        assert not gone["is_active"]
        # What was sold of it is still clothes, and has cost what it has cost.
        assert (gone["category"], gone["unit_cost"]) == ("Clothes", Decimal("7.25"))

    def test_a_code_that_comes_back_is_sold_again(self, opened, tmp_path, load):
        at = {"date_modified_gmt": "2026-03-01T00:00:00"}
        [mug] = put(opened, "products", {"sku": "mug", **at})
        settings = declare(tmp_path, ENTRY | {"grain": "product"})
        load(settings)
        put(opened, "products", {"id": mug["id"], "sku": "cup", **at})
        load(settings)
        found = {row["sku"]: row for row in raw(settings, "products")}
        assert (found["mug"]["is_active"], found["cup"]["is_active"]) == (False, True)
        put(opened, "products", {"id": mug["id"], "sku": "mug"})
        load(settings)
        found = {row["sku"]: row for row in raw(settings, "products")}
        assert (found["mug"]["is_active"], found["cup"]["is_active"]) == (True, False)

    def test_the_variations_of_a_product_that_is_withdrawn_are_not_sold(
        self, opened, tmp_path, load
    ):
        [shirt] = put(opened, "products", {"name": "Shirt"})
        put(opened, "products", {"parent_id": shirt["id"], "sku": "shirt-m"})
        put(opened, "products", {"id": shirt["id"], "status": "draft"})
        settings = declare(tmp_path, ENTRY | {"grain": "product"})
        load(settings)
        [row] = raw(settings, "products")
        assert (row["sku"], row["is_active"]) == ("shirt-m", False)

    def test_a_grain_that_it_does_not_have_is_refused(self, tmp_path, load):
        with pytest.raises(BadInput, match=r"shop, grain: .*'order', 'contact' or 'product'"):
            load(declare(tmp_path, ENTRY | {"grain": "ad_spend"}))


def put(sandbox: Sandbox, path: str, *given: dict[str, Any]) -> list[Any]:
    if path.endswith("refunds"):
        return [sandbox.post(f"/_woocommerce/{path}", one) for one in given]
    return sandbox.post(f"/_woocommerce/{path}", [*given])


def remove(sandbox: Sandbox, path: str, force: bool = False, at: str | None = None) -> None:
    told = {} if at is None else {"at": at}
    query = {"force": force}
    sandbox.http.request(
        "DELETE", f"/_woocommerce/{path}", params=query, json=told
    ).raise_for_status()


def records(page: Any) -> list[dict[str, Any]]:
    return json.loads(page.open().read())["records"]
