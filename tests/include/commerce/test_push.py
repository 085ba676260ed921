"""Purchases and offers pushed to the sandbox's Mailchimp over HTTP."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, date, datetime
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from include.activation.ledger import ROOT
from include.activation.turns import NotCalled, Turns
from include.commerce import push as commerce
from include.commerce.push import Told, Waiting, push_purchases
from include.connections import Credentials
from include.destinations.mailchimp import Mailchimp
from include.errors import BadInput, Reauthorise, Retry, Stop
from include.instants import IDENTIFIER
from include.lease import hold_lease
from include.publishing import CURRENT, Published, Snapshot
from include.settings import Settings
from include.store import Store
from tests.sandbox_server import Sandbox

TABLES = {
    "contacts": """customer_id varchar, email varchar, phone_key varchar, first_name varchar,
        last_name varchar, has_email_consent boolean, suppressed_reason varchar""",
    "orders": """order_id varchar, customer_id varchar, ordered_at timestamp,
        gross_amount decimal(18,4), discount_amount decimal(18,4), refunded_amount decimal(18,4),
        currency varchar, is_counted boolean, is_cancelled boolean, is_refund_only boolean""",
    "order_lines": """order_id varchar, line_number bigint, ordered_at timestamp, line_kind varchar,
        sku varchar, product_name varchar, quantity decimal(18,4), gross_amount decimal(18,4),
        discount_amount decimal(18,4)""",
    "offer_codes": """offer_id varchar, offer_name varchar, issued_date date, ends_on date,
        percent decimal(18,4), amount decimal(18,4), currency varchar, minimum_spend decimal(18,4),
        code varchar""",
}
QUICK = Waiting(longest=20, between=0)


def email(number: int) -> str:
    return f"person{number}@shop.test"


def contact(number: int, **more: Any) -> dict[str, Any]:
    names = {"customer_id": f"shop:{number}", "email": email(number), "first_name": "Ann"}
    return names | {"has_email_consent": True} | more


def order(number: int, buyer: int, **more: Any) -> dict[str, Any]:
    amounts = {"gross_amount": 20, "discount_amount": 2, "refunded_amount": 0, "currency": "EUR"}
    flags = {"is_counted": True, "is_cancelled": False, "is_refund_only": False}
    keys = {"order_id": f"shop:{number}", "customer_id": f"shop:{buyer}"}
    return keys | {"ordered_at": datetime(2026, 1, 31, 9, 30)} | amounts | flags | more


def line(number: int, **more: Any) -> dict[str, Any]:
    keys = {"order_id": f"shop:{number}", "line_number": 1, "ordered_at": datetime(2026, 1, 31)}
    what = {"line_kind": "sale", "sku": "MUG-1", "product_name": "Mug", "quantity": 2}
    return keys | what | {"gross_amount": 20, "discount_amount": 2} | more


def code(number: int, **more: Any) -> dict[str, Any]:
    days = {"issued_date": date(2026, 1, 31), "ends_on": date(2026, 2, 14)}
    terms = {"offer_name": "come_back", "percent": 15, "minimum_spend": 50, **days}
    return {"offer_id": f"come_back:{number}", "code": f"C0DE{number}"} | terms | more


def table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows of a published table, with all the columns that it has."""
    with duckdb.connect() as connection:
        connection.execute(f"create table rows ({TABLES[name]})")
        if rows:
            columns = dict.fromkeys(column for row in rows for column in row)
            told = {column: [row.get(column) for row in rows] for column in columns}
            connection.register("told", pa.table(told))
            connection.execute("insert into rows by name select * from told")
        return connection.table("rows").to_arrow_table()


class Shop:
    """Publishes purchases, and tells Mailchimp of them."""

    def __init__(self, home: Path, sandbox: Sandbox) -> None:
        self.settings = Settings(home=home, memory_limit="512MB", threads=1, lock_wait_seconds=0)
        self.store = Store(self.settings.store)
        self.sandbox = sandbox
        self.extra = {
            "list_id": "regulars",
            "base_url": sandbox.mailchimp_url,
            "shop_name": "Mugs",
            "shop_url": "https://shop.test",
        }
        self.password = "0" * 32 + "-us1"

    def publish(self, **tables: list[dict[str, Any]]) -> None:
        now = datetime.now(UTC)
        snapshot_id = now.strftime(IDENTIFIER)
        published = {}
        for name in TABLES:
            with self.store.workspace() as folder:
                file = Path(folder) / "table.parquet"
                duckdb.from_arrow(table(name, tables.get(name, []))).write_parquet(str(file))
                checksum = sha256(file.read_bytes()).hexdigest()
                self.store.take(file, f"published/{snapshot_id}/{name}.parquet")
            published[name] = Published(rows=len(tables.get(name, [])), sha256=checksum)
        snapshot = Snapshot(
            snapshot_id=snapshot_id,
            as_of=date(2026, 1, 31),
            published_at=now,
            build="",
            previous_snapshot_id=None,
            kept=(),
            versions={},
            tables=published,
        )
        self.store.write(CURRENT, snapshot.model_dump_json().encode())

    def knows(self, numbers: range, status: str = "subscribed") -> None:
        """These people are on the list, and the last sync has heard so."""
        members = [{"email_address": email(n), "status": status} for n in numbers]
        for first in range(0, len(members), 500):
            self.sandbox.http.post(
                f"{self.sandbox.mailchimp_url}/lists/regulars",
                json={"members": members[first : first + 500]},
                auth=("any", self.password),
            ).raise_for_status()
        with self.store.workspace() as folder, duckdb.connect() as connection:
            file = Path(folder) / "statuses.parquet"
            connection.execute("create table rows (identity varchar, is_reachable boolean)")
            rows = [[md5(email(n).encode()).hexdigest(), status == "subscribed"] for n in numbers]
            connection.executemany("insert into rows values (?, ?)", rows)
            connection.table("rows").write_parquet(str(file))
            self.store.take(file, f"{ROOT}/mailchimp/statuses-regulars.parquet")

    def push(self, waiting: Waiting = QUICK) -> dict[str, Told]:
        found = Credentials(self.password, extra=self.extra)
        return {told.kind: told for told in push_purchases(self.settings, lambda _: found, waiting)}

    def turns(self) -> Turns:
        """What a sync would take its turns from."""
        found = Credentials(self.password)
        return Turns(self.settings.home, Mailchimp, found, longest_wait=1, fence=lambda: None)

    def hold_up(self, seconds: float) -> None:
        """A sync was told that nobody may call this account for so long."""
        self.turns().hold_up(seconds)

    def let_go_on(self) -> None:
        for file in self.settings.home.glob("turns/*/moments.json"):
            file.unlink()

    @property
    def told(self) -> dict[str, Any]:
        return self.sandbox.truth()["mailchimp"]["stores"]["regulars-regulars"]

    def batch_calls(self) -> list[str]:
        return [c["path"] for c in self.sandbox.calls() if c["path"].endswith("/batches")]


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox) -> Shop:
    return Shop(tmp_path, sandbox)


@pytest.fixture
def busy_shop(shop: Shop) -> Shop:
    """More orders than are told call by call."""
    shop.knows(range(60))
    shop.publish(
        contacts=[contact(n) for n in range(60)],
        orders=[order(n, n) for n in range(60)],
        order_lines=[line(n) for n in range(60)],
    )
    return shop


def test_an_order_is_told_with_its_buyer_its_product_and_its_time(shop: Shop):
    shop.knows(range(1))
    shop.publish(contacts=[contact(0)], orders=[order(7, 0)], order_lines=[line(7)])

    told = shop.push()

    assert told["order"] == Told("order", created=1, changed=0, deleted=0, refused=0)
    held = shop.told
    assert (held["currency_code"], held["is_syncing"]) == ("EUR", False)
    [sold] = held["orders"].values()
    assert sold["order_total"] == 18
    assert sold["processed_at_foreign"] == "2026-01-31T09:30:00+00:00"
    assert sold["financial_status"] == "paid"
    assert sold["customer"] == {"id": "shop:0", "email_address": email(0), "opt_in_status": False}
    assert sold["lines"][0]["product_variant_id"] == "MUG-1"
    assert sold["lines"][0]["price"] == 10
    assert held["products"]["MUG-1"]["title"] == "Mug"


def test_a_second_push_says_nothing_and_a_change_is_said_alone(shop: Shop):
    shop.knows(range(2))
    everything = {"contacts": [contact(0), contact(1)], "order_lines": [line(1), line(2)]}
    shop.publish(**everything, orders=[order(1, 0), order(2, 1)])
    shop.push()
    calls = len(shop.sandbox.calls())
    assert shop.push() == {}
    assert {c["method"] for c in shop.sandbox.calls()[calls:]} == {"GET"}

    shop.publish(**everything, orders=[order(1, 0), order(2, 1, refunded_amount=18)])

    assert shop.push() == {"order": Told("order", 0, 1, 0, 0)}
    assert shop.told["orders"]["shop:2"]["financial_status"] == "refunded"
    assert shop.told["orders"]["shop:1"]["_updated"] == 0


def test_a_purchase_never_makes_a_contact_nor_subscribes_one(shop: Shop):
    shop.knows(range(1))
    shop.knows(range(1, 2), status="unsubscribed")
    shop.knows(range(1))
    people = [contact(0), contact(1), contact(2), contact(3, has_email_consent=False)]
    shop.publish(
        contacts=people,
        orders=[order(n, n) for n in range(4)],
        order_lines=[line(n) for n in range(4)],
    )

    shop.push()

    assert set(shop.told["orders"]) == {"shop:0"}
    assert set(shop.told["customers"]) == {"shop:0"}
    members = shop.sandbox.members().values()
    assert sorted(m["status"] for m in members) == ["subscribed", "unsubscribed"]


def test_who_withdraws_consent_is_taken_out_with_all_purchases(shop: Shop):
    shop.knows(range(2))
    orders, lines = [order(1, 0), order(2, 1)], [line(1), line(2)]
    shop.publish(contacts=[contact(0), contact(1)], orders=orders, order_lines=lines)
    shop.push()
    without = contact(1, has_email_consent=False)
    shop.publish(contacts=[contact(0), without], orders=orders, order_lines=lines)

    told = shop.push()

    assert (told["customer"].deleted, told["order"].deleted) == (1, 1)
    assert set(shop.told["orders"]) == {"shop:1"}
    assert set(shop.told["customers"]) == {"shop:0"}


def test_many_changes_go_as_batches_and_every_answer_is_read(busy_shop: Shop):
    told = busy_shop.push()
    assert told["order"].created == told["customer"].created == 60
    assert len(busy_shop.told["orders"]) == 60
    assert len(busy_shop.batch_calls()) == 2
    assert busy_shop.push() == {}
    assert len(busy_shop.batch_calls()) == 2


def test_what_is_told_in_parts_is_told_whole_and_once(
    busy_shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(commerce, "PART_SIZE", 9)
    told = busy_shop.push()
    assert told["order"].created == told["customer"].created == 60
    assert {r["_created"] for r in busy_shop.told["orders"].values()} == {1}
    monkeypatch.undo()
    assert busy_shop.push() == {}


def test_a_batch_that_is_not_done_in_time_is_taken_up_by_its_id(busy_shop: Shop):
    busy_shop.sandbox.post("/_mailchimp_batches", {"stays_pending": True})
    with pytest.raises(Retry, match="takes it up"):
        busy_shop.push(Waiting(longest=0, between=0))
    busy_shop.sandbox.post("/_mailchimp_batches", {"stays_pending": False})

    busy_shop.push()

    assert len(busy_shop.batch_calls()) == 2
    assert {r["_updated"] for r in busy_shop.told["customers"].values()} == {0}


def test_an_expired_link_to_results_is_asked_for_again_and_then_given_up_for_now(busy_shop: Shop):
    busy_shop.sandbox.post("/_mailchimp_batches", {"link_seconds": 0})
    with pytest.raises(Retry, match="links"):
        busy_shop.push()
    busy_shop.sandbox.post("/_mailchimp_batches", {"link_seconds": 600})
    busy_shop.push()
    assert len(busy_shop.told["orders"]) == 60
    assert len(busy_shop.batch_calls()) == 2


def test_a_batch_that_mailchimp_has_forgotten_is_said_again_without_a_second_effect(
    busy_shop: Shop,
):
    busy_shop.sandbox.fault(path="batches/", action="status", status=404, times=1)

    busy_shop.push()

    assert len(busy_shop.told["orders"]) == 60
    assert {r["_created"] for r in busy_shop.told["orders"].values()} == {1}


def test_a_lost_answer_to_a_batch_has_one_effect(busy_shop: Shop):
    busy_shop.sandbox.fault(method="POST", path="batches$", action="reset_after_apply")
    with pytest.raises(Retry):
        busy_shop.push()
    busy_shop.push()
    assert len(busy_shop.told["customers"]) == 60
    assert {r["_created"] for r in busy_shop.told["customers"].values()} == {1}


@pytest.mark.parametrize("most", [0, 50])
def test_a_record_that_is_refused_is_counted_and_left_until_it_changes(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, most: int
):
    monkeypatch.setattr(commerce, "SINGLE_CALLS", most)
    shop.knows(range(2))
    people = [contact(0), contact(1)]
    bad = line(2, product_name="")
    shop.publish(
        contacts=people,
        orders=[order(1, 0), order(2, 1)],
        order_lines=[line(1), bad | {"sku": "EMPTY"}],
    )

    told = shop.push()
    assert set(shop.told["orders"]) == {"shop:1"}
    assert told["order"] == Told("order", created=1, changed=0, deleted=0, refused=1)
    assert told["product"] == Told("product", created=1, changed=0, deleted=0, refused=1)
    calls = len(shop.sandbox.calls())
    assert shop.push() == {}
    assert {c["method"] for c in shop.sandbox.calls()[calls:]} == {"GET"}

    shop.publish(
        contacts=people,
        orders=[order(1, 0), order(2, 1, discount_amount=3)],
        order_lines=[line(1), line(2, sku="EMPTY", product_name="Cup")],
    )
    shop.push()
    assert set(shop.told["orders"]) == {"shop:1", "shop:2"}


def test_what_somebody_deleted_at_mailchimp_is_made_again_when_it_changes(shop: Shop):
    shop.knows(range(1))
    everything = {"contacts": [contact(0)], "order_lines": [line(1)]}
    shop.publish(**everything, orders=[order(1, 0)])
    shop.push()
    place = f"{shop.sandbox.mailchimp_url}/ecommerce/stores/regulars-regulars/orders/shop:1"
    shop.sandbox.http.delete(place, auth=("any", shop.password)).raise_for_status()
    shop.publish(**everything, orders=[order(1, 0, is_cancelled=True)])

    shop.push()

    assert shop.told["orders"]["shop:1"]["financial_status"] == "cancelled"


def test_codes_go_under_the_rule_of_their_offer(shop: Shop):
    shop.knows(range(1))
    fixed = code(3, offer_name="five_off", percent=None, amount=5, currency="EUR")
    shop.publish(contacts=[contact(0)], offer_codes=[code(1), code(2), fixed])

    told = shop.push()

    assert (told["promo_rule"].created, told["promo_code"].created) == (2, 3)
    rules = {rule["title"]: rule for rule in shop.told["promo-rules"].values()}
    assert rules["come_back 2026-01-31"]["amount"] == 0.15
    assert rules["come_back 2026-01-31"]["type"] == "percentage"
    assert rules["come_back 2026-01-31"]["ends_at"] == "2026-02-15T00:00:00+00:00"
    assert rules["five_off 2026-01-31"]["amount"] == 5
    codes = shop.told["promo-codes"].values()
    assert {one["code"] for one in codes} == {"C0DE1", "C0DE2", "C0DE3"}
    assert {one["redemption_url"] for one in codes} == {"https://shop.test"}


def test_without_the_shops_address_no_codes_go(shop: Shop):
    del shop.extra["shop_url"]
    shop.knows(range(1))
    shop.publish(contacts=[contact(0)], offer_codes=[code(1)])
    assert "promo_code" not in shop.push()


def test_a_push_needs_a_name_for_the_store_a_sync_before_it_and_one_currency(shop: Shop):
    shop.publish()
    with pytest.raises(Stop, match="sync an audience"):
        shop.push()
    shop.knows(range(1))
    shop.publish(contacts=[contact(0)], orders=[order(1, 0), order(2, 0, currency="USD")])
    with pytest.raises(BadInput, match="EUR, USD"):
        shop.push()
    del shop.extra["shop_name"]
    with pytest.raises(BadInput, match="shop_name"):
        shop.push()


def test_a_push_waits_for_the_pause_of_a_sync_and_a_sync_for_that_of_a_push(shop: Shop):
    shop.knows(range(1))
    shop.publish(contacts=[contact(0)], orders=[order(1, 0)], order_lines=[line(1)])
    shop.hold_up(200)
    calls = len(shop.sandbox.calls())
    with pytest.raises(NotCalled):
        shop.push()
    assert len(shop.sandbox.calls()) == calls

    shop.let_go_on()
    shop.sandbox.fault(
        path="stores", action="status", status=429, headers={"Retry-After": "200"}, times=1
    )
    with pytest.raises(Retry, match="busy"):
        shop.push()
    with pytest.raises(NotCalled):
        shop.turns().wait()

    shop.let_go_on()
    assert shop.push()["order"].created == 1


def test_a_push_keeps_to_the_connections_of_the_account(shop: Shop):
    shop.knows(range(1))
    shop.publish(contacts=[contact(0)], orders=[order(1, 0)], order_lines=[line(1)])
    with ExitStack() as syncs, ThreadPoolExecutor(1) as pool:
        for _ in range(Mailchimp.connections):
            syncs.enter_context(shop.turns().take())
        calls = len(shop.sandbox.calls())
        pushing = pool.submit(shop.push)
        time.sleep(1)
        assert len(shop.sandbox.calls()) == calls
        syncs.close()
        assert pushing.result()["order"].created == 1


def test_a_push_leaves_the_store_to_the_one_that_is_under_way(shop: Shop):
    shop.knows(range(1))
    shop.publish(contacts=[contact(0)])
    with (
        hold_lease(shop.store, "commerce/mailchimp/regulars/lease", 0),
        pytest.raises(Retry, match="commerce/mailchimp/regulars is"),
    ):
        shop.push()


def test_a_refused_key_stops_the_push(shop: Shop):
    shop.knows(range(1))
    shop.publish(contacts=[contact(0)])
    shop.password = "revoked-us1"
    with pytest.raises(Reauthorise):
        shop.push()
