"""People taken out of Mailchimp's stores and of journeys."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from hashlib import md5
from pathlib import Path
from typing import Any

import duckdb
import pytest

from include.commerce.people import Forgotten, forget_buyers, forget_travellers
from include.commerce.push import Waiting
from include.connections import Credentials
from include.erasure.person import People
from include.erasure.tombstones import add_tombstones
from include.errors import Retry
from tests.include.commerce.test_journeys import Traveller
from tests.include.commerce.test_push import QUICK, Shop, contact, email, line, order
from tests.sandbox_server import Sandbox

FOLDER = "commerce/mailchimp/regulars"
ONE = People(
    frozenset({("platform_id", "shop:1"), ("identity", md5(email(1).encode()).hexdigest())})
)


class Forgetful(Shop):
    """Sixty buyers, of whom one is to be forgotten."""

    def __init__(self, home: Path, sandbox: Sandbox) -> None:
        super().__init__(home, sandbox)
        self.knows(range(60))

    def sells(self, numbers: range) -> None:
        self.publish(
            contacts=[contact(n) for n in numbers],
            orders=[order(n, n) for n in numbers],
            order_lines=[line(n) for n in numbers],
        )

    def forget(self, waiting: Waiting = QUICK) -> Forgotten:
        found = Credentials(self.password, extra=self.extra)
        return forget_buyers(self.settings, "regulars", found, ONE, waiting)

    def ask(self, path: str) -> dict[str, Any]:
        """Mailchimp itself."""
        url = f"{self.sandbox.mailchimp_url}/{path}"
        return self.sandbox.http.get(url, auth=("any", self.password)).json()

    def kept(self) -> set[str]:
        """All that stands in the files of the list's store, as text."""
        folder = Path(self.store.locate(FOLDER))
        return {
            str(value)
            for file in folder.rglob("*.parquet")
            for row in duckdb.read_parquet(str(file)).fetchall()
            for value in row
        }

    def holds_one(self) -> bool:
        return "shop:1" in self.told.get("customers", {}) or "shop:1" in self.told.get("orders", {})


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox) -> Forgetful:
    return Forgetful(tmp_path, sandbox)


def test_a_buyer_leaves_the_store_with_all_orders_and_others_stay(shop: Forgetful):
    shop.publish(
        contacts=[contact(1), contact(2)],
        orders=[order(1, 1), order(2, 2), order(3, 1)],
        order_lines=[line(1), line(2), line(3)],
    )
    shop.push()
    # The connection names another list by now.
    shop.extra["list_id"] = "another"

    forgotten = shop.forget()

    answer = {"orders_deleted": 2, "customers_deleted": 1}
    assert forgotten == Forgotten("regulars-regulars", customers=1, rows=3, answer=answer)
    assert set(shop.told["customers"]) == set(shop.told["orders"]) == {"shop:2"}
    assert shop.kept().isdisjoint({"shop:1", "shop:3"})
    again = {"orders_deleted": 0, "customers_deleted": 0}
    assert shop.forget() == Forgotten("regulars-regulars", customers=1, rows=0, answer=again)


def test_where_mailchimp_cannot_be_reached_the_buyer_leaves_our_files_and_there_later(
    shop: Forgetful,
):
    shop.sells(range(1, 3))
    shop.push()
    shop.sandbox.fault(path="orders", action="status", status=503)
    with pytest.raises(Retry):
        shop.forget()
    rows = duckdb.read_parquet(shop.store.locate(f"{FOLDER}/pushed.parquet"))
    assert rows.filter("kind = 'customer'").select("record_id").fetchall() == [("shop:2",)]
    assert shop.holds_one()

    assert shop.forget().answer == {"orders_deleted": 1, "customers_deleted": 1}

    assert not shop.holds_one()


def test_a_batch_that_mailchimp_works_on_is_finished_before_and_names_nobody_here(shop: Forgetful):
    shop.sells(range(60))
    shop.sandbox.post("/_mailchimp_batches", {"stays_pending": True})
    with pytest.raises(Retry, match="takes it up"):
        shop.push(Waiting(longest=0, between=0))
    assert "shop:1" in shop.kept()
    assert not [text for text in shop.kept() if "@" in text]
    with pytest.raises(Retry, match="still works on batch"):
        shop.forget(Waiting(longest=0, between=0))
    shop.sandbox.post("/_mailchimp_batches", {"stays_pending": False})

    shop.forget()

    assert len(shop.told["customers"]) == 59
    assert "shop:1" not in shop.kept()
    assert not shop.store.list(f"{FOLDER}/batches")


def test_a_batch_whose_answer_was_lost_is_waited_for(shop: Forgetful):
    shop.sells(range(60))
    shop.sandbox.fault(method="POST", path="batches$", action="reset_after_apply")
    with pytest.raises(Retry):
        shop.push()
    with pytest.raises(Retry, match="answer to us was lost"):
        shop.forget()
    [batch] = shop.ask("batches")["batches"]
    while shop.ask(f"batches/{batch['id']}")["status"] != "finished":
        pass
    assert shop.holds_one()

    shop.forget()

    assert not shop.holds_one()


@pytest.mark.parametrize("buyers", [10, 60])
def test_who_is_erased_while_a_push_is_under_way_is_not_told(shop: Forgetful, buyers: int):
    shop.sells(range(buyers))
    shop.sandbox.fault(action="hold", path="stores/regulars-regulars$")
    with ThreadPoolExecutor(1) as pool:
        pushing = pool.submit(shop.push)
        shop.sandbox.wait_for_held()
        add_tombstones(shop.settings, ONE.identifiers)
        shop.sandbox.clear_faults()
        pushing.result()
    assert len(shop.told["customers"]) == len(shop.told["orders"]) == buyers - 1
    assert not shop.holds_one()


def test_who_was_erased_is_not_told_from_an_older_snapshot(shop: Forgetful):
    shop.sells(range(1, 3))
    shop.push()
    shop.forget()
    add_tombstones(shop.settings, [("email", email(1))])

    shop.push()

    assert not shop.holds_one()


def test_who_travelled_leaves_the_claims_and_does_not_travel_again(
    tmp_path: Path, sandbox: Sandbox
):
    shop = Traveller(tmp_path, sandbox)
    shop.holds([0])
    shop.trigger()
    shop.holds(range(1, 4))
    shop.trigger()
    add_tombstones(shop.settings, ONE.identifiers)

    assert forget_travellers(shop.settings, "regulars", ONE) == 1

    [path] = Path(shop.store.locate(FOLDER)).rglob("claims/*.json")
    assert len(json.loads(path.read_text())) == 2
    assert shop.trigger().sent == 0
    assert forget_travellers(shop.settings, "regulars", ONE) == 0


def test_who_is_erased_while_newcomers_travel_stays(tmp_path: Path, sandbox: Sandbox):
    shop = Traveller(tmp_path, sandbox)
    shop.holds([0])
    shop.trigger()
    shop.holds(range(4, 8))
    first, *others = sorted(md5(email(n).encode()).hexdigest() for n in range(4, 8))
    shop.sandbox.fault(action="hold", path="trigger")
    with ThreadPoolExecutor(1) as pool:
        travelling = pool.submit(shop.trigger)
        shop.sandbox.wait_for_held()
        add_tombstones(shop.settings, [("identity", others[-1])])
        shop.sandbox.clear_faults()
        assert travelling.result().sent == 3
    assert set(shop.travelled) == {first, *others[:-1]}
