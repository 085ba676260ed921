"""Codes pushed to the sandbox's shops over HTTP."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from include.connections import Credentials
from include.errors import Reauthorise, Retry, Stop
from include.instants import IDENTIFIER
from include.offers.push import Push, push_offers
from include.publishing import CURRENT, Published, Snapshot
from include.settings import Settings
from include.store import Store
from tests.sandbox_server import Sandbox

SHOPS = ["shopify", "woocommerce"]
both = pytest.mark.parametrize("kind", SHOPS)
COLUMNS = [
    "offer_id",
    "code",
    "offer_name",
    "issued_date",
    "ends_on",
    "percent",
    "amount",
    "currency",
    "minimum_spend",
    "offer_state",
]


def issued(numbers: Iterable[int], **terms: Any) -> list[dict[str, Any]]:
    """Offers of one discount: 15 percent from 50 up, for two weeks."""
    defaults = {
        "offer_name": "come_back",
        "issued_date": date(2026, 1, 31),
        "ends_on": date(2026, 2, 14),
        "percent": 15,
        "amount": None,
        "currency": None,
        "minimum_spend": 50,
        "offer_state": "open",
    }
    return [
        defaults | {"offer_id": f"come_back:{n}", "code": f"C0DE{n:08}"} | terms for n in numbers
    ]


def passed_on(numbers: Iterable[int], **terms: Any) -> list[dict[str, Any]]:
    """Advocates' codes, worth ten percent to any friend."""
    defaults = {"percent": 10, "amount": None, "currency": None, "minimum_spend": 0}
    return [
        defaults | {"offer_id": f"referral:{n}", "code": f"FRIEND-{n:08}"} | terms for n in numbers
    ]


class Chain:
    """Publishes offers into a store and pushes them to one shop of the sandbox."""

    def __init__(self, folder: Path, sandbox: Sandbox, kind: str) -> None:
        self.sandbox = sandbox
        self.kind = kind
        entry = {"name": "shop", "type": kind, "grain": "order", "time_zone": "Europe/Berlin"}
        (folder / "sources.yml").write_text(yaml.safe_dump({"sources": [entry]}))
        self.settings = Settings(home=folder, sources=folder / "sources.yml")
        self.store = Store(self.settings.store)
        url = f"{sandbox.url}/{kind}"
        self.credentials = Credentials(
            login="ck_writer", password="cs_secret", extra={"base_url": url}
        )

    def publish(
        self, rows: list[dict[str, Any]], friends: list[dict[str, Any]] | None = None
    ) -> None:
        now = datetime.now(UTC)
        snapshot_id = now.strftime(IDENTIFIER)
        tables = {}
        told = {"offers": rows, "offer_codes": rows, "advocate_codes": friends or []}
        for name, content in told.items():
            with self.store.workspace() as folder, duckdb.connect() as connection:
                file = Path(folder) / "table.parquet"
                written = Path(folder) / "rows.json"
                written.write_text("\n".join(json.dumps(row, default=str) for row in content))
                columns = dict.fromkeys(COLUMNS, "VARCHAR")
                columns |= dict.fromkeys(["issued_date", "ends_on"], "DATE")
                columns |= dict.fromkeys(["percent", "amount", "minimum_spend"], "DECIMAL(18,4)")
                connection.read_json(str(written), columns=columns).write_parquet(str(file))
                checksum = hashlib.sha256(file.read_bytes()).hexdigest()
                self.store.take(file, f"published/{snapshot_id}/{name}.parquet")
            tables[name] = Published(rows=len(content), sha256=checksum)
        snapshot = Snapshot(
            snapshot_id=snapshot_id,
            as_of=date(2026, 1, 31),
            published_at=now,
            build="",
            previous_snapshot_id=None,
            kept=(),
            versions={},
            tables=tables,
        )
        self.store.write(CURRENT, snapshot.model_dump_json().encode())

    def push(self, *, standing_only: bool = False) -> list[Push]:
        return push_offers(
            self.settings, credentials=lambda _: self.credentials, standing_only=standing_only
        )

    def codes(self) -> list[str]:
        """The codes that the shop has by its own account, in capital letters."""
        if self.kind == "shopify":
            discounts = self.sandbox.truth()["shopify"]["discounts"].values()
            return sorted(code for discount in discounts for code in discount["codes"])
        return sorted(coupon["code"].upper() for coupon in self.coupons())

    def coupons(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for page in range(1, 10):
            answer = self.sandbox.http.get(
                "/woocommerce/wp-json/wc/v3/coupons",
                params={"per_page": 100, "page": page},
                auth=("ck_writer", "cs_secret"),
            )
            found += answer.json()
        return found

    def writes(self) -> int:
        return sum(call["method"] != "GET" for call in self.sandbox.calls())


@pytest.fixture
def chain(tmp_path: Path, sandbox: Sandbox) -> Callable[[str], Chain]:
    return lambda kind: Chain(tmp_path, sandbox, kind)


@both
def test_every_code_arrives_once_and_a_second_push_sends_nothing(chain, kind: str):
    shop = chain(kind)
    offers = issued(range(320))
    shop.publish(offers)
    [push] = shop.push()
    assert (push.pushed, push.refused) == (320, 0)
    assert shop.codes() == sorted(offer["code"] for offer in offers)
    calls = shop.writes()
    assert shop.push() == []
    assert shop.writes() == calls


@both
def test_only_what_is_new_and_still_good_is_sent_the_next_day(chain, kind: str):
    shop = chain(kind)
    shop.publish(issued(range(3)))
    shop.push()
    shop.publish(
        [
            *issued([0], offer_state="redeemed"),
            *issued([1, 2, 3]),
            *issued([4], offer_state="expired"),
        ]
    )
    [push] = shop.push()
    assert push.pushed == 1
    assert len(shop.codes()) == 4


@both
def test_what_a_crash_left_unrecorded_is_sent_again_and_changes_nothing(chain, kind: str):
    shop = chain(kind)
    shop.publish(issued(range(5)))
    shop.push()
    before = shop.codes()
    shop.store.remove("offers")
    [push] = shop.push()
    assert (push.pushed, push.refused) == (5, 0)
    assert shop.codes() == before
    if kind == "shopify":
        assert len(shop.sandbox.truth()["shopify"]["discounts"]) == 1


@both
def test_an_answer_that_is_lost_is_asked_for_again_by_the_next_push(chain, kind: str):
    shop = chain(kind)
    shop.publish(issued(range(5)))
    shop.sandbox.fault(action="status", status=503, path=kind, times=50)
    with pytest.raises(Retry):
        shop.push()
    shop.sandbox.clear_faults()
    [push] = shop.push()
    assert push.pushed == 5
    assert len(shop.codes()) == 5


def test_shopify_gets_one_discount_for_a_day_of_issue_with_the_terms_of_the_offer(chain):
    shop = chain("shopify")
    amount = {"percent": None, "amount": 5, "currency": "EUR", "minimum_spend": 0}
    later = issued([3], issued_date=date(2026, 2, 1), ends_on=date(2026, 2, 15), **amount)
    shop.publish([*issued(range(3)), *later])
    shop.push()
    first, second = shop.sandbox.truth()["shopify"]["discounts"].values()
    assert first["startsAt"] == "2026-01-31T00:00:00+01:00"
    assert first["endsAt"] == "2026-02-15T00:00:00+01:00"
    assert first["usageLimit"] == 1
    assert first["customerGets"]["value"] == {"percentage": 0.15}
    minimum = first["minimumRequirement"]["subtotal"]["greaterThanOrEqualToSubtotal"]
    assert float(minimum) == 50
    assert len(first["codes"]) == 3
    assert float(second["customerGets"]["value"]["discountAmount"]["amount"]) == 5
    assert second["minimumRequirement"] is None


def test_an_amount_in_another_currency_than_the_shops_is_never_pushed(chain):
    shop = chain("shopify")
    shop.publish(issued(range(3), percent=None, amount=5, currency="USD"))
    with pytest.raises(Stop, match=r"USD.*EUR"):
        shop.push()
    assert shop.codes() == []


def test_woocommerce_gets_a_coupon_for_each_code_that_is_over_after_its_last_day(chain):
    shop = chain("woocommerce")
    shop.publish(issued([1]))
    shop.push()
    [coupon] = shop.coupons()
    wanted = {
        "code": "c0de00000001",
        "discount_type": "percent",
        "usage_limit": 1,
        "individual_use": True,
        "date_expires": "2026-02-15T00:00:00",
    }
    assert wanted.items() <= coupon.items()
    assert float(coupon["amount"]) == 15
    assert float(coupon["minimum_amount"]) == 50


@both
def test_advocates_codes_are_one_discount_of_the_shop_and_new_ones_join_it(chain, kind: str):
    shop = chain(kind)
    shop.publish(issued([1]), passed_on(range(3)))
    assert sorted((push.offer, push.pushed) for push in shop.push()) == [
        ("come_back 2026-01-31", 1),
        ("referral", 3),
    ]
    shop.publish(issued([1]), passed_on(range(5)))
    assert [(push.offer, push.pushed) for push in shop.push()] == [("referral", 2)]
    assert len(shop.codes()) == 6
    if kind == "shopify":
        discounts = shop.sandbox.truth()["shopify"]["discounts"].values()
        assert [len(discount["codes"]) for discount in discounts] == [1, 5]


@both
def test_without_the_audiences_offers_only_advocates_codes_are_pushed(chain, kind: str):
    shop = chain(kind)
    shop.publish(issued([1]))
    assert shop.push(standing_only=True) == []
    shop.publish(issued([1]), passed_on([1]))
    shop.push(standing_only=True)
    assert shop.codes() == ["FRIEND-00000001"]


def test_shopify_lets_any_number_of_friends_use_a_code_each_once_and_without_an_end(chain):
    shop = chain("shopify")
    shop.publish([], passed_on([1]))
    shop.push()
    [discount] = shop.sandbox.truth()["shopify"]["discounts"].values()
    assert discount["title"] == "referral"
    assert discount["usageLimit"] is None
    assert discount["appliesOncePerCustomer"] is True
    assert discount["endsAt"] is None
    assert datetime.fromisoformat(discount["startsAt"]) <= datetime.now(UTC)
    assert discount["customerGets"]["value"] == {"percentage": 0.1}


def test_woocommerce_lets_any_number_of_friends_use_a_code_each_once_and_without_an_end(chain):
    shop = chain("woocommerce")
    shop.publish([], passed_on([1], percent=None, amount=5, currency="EUR", minimum_spend=20))
    shop.push()
    [coupon] = shop.coupons()
    wanted = {
        "code": "friend-00000001",
        "discount_type": "fixed_cart",
        "usage_limit": None,
        "usage_limit_per_user": 1,
        "date_expires": None,
    }
    assert wanted.items() <= coupon.items()
    assert (float(coupon["amount"]), float(coupon["minimum_amount"])) == (5, 20)


def test_an_app_without_the_scope_or_a_key_that_only_reads_is_told_so(chain):
    shopify = chain("shopify")
    shopify.publish(issued([1]))
    shopify.sandbox.post("/_shopify", {"scopes": ["read_orders"]})
    with pytest.raises(Reauthorise, match="write_discounts"):
        shopify.push()
    woocommerce = chain("woocommerce")
    woocommerce.credentials = Credentials(
        login="ck_reader", password="cs_secret", extra=woocommerce.credentials.extra
    )
    with pytest.raises(Reauthorise, match="write coupons"):
        woocommerce.push()


def test_no_code_stands_in_what_is_recorded(chain):
    shop = chain("shopify")
    shop.publish(issued(range(3)))
    shop.push()
    folder = Path(shop.store.locate("offers"))
    records = [file.read_text() for file in folder.rglob("*.json")]
    assert len(records) == 2
    assert not any("C0DE" in record for record in records)
