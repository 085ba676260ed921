"""Any history of a shop, polled at any moments, gives what one full load at the end gives."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from include.connections import Credentials
from include.landing import ingest
from include.settings import Settings
from tests.include.sources.shops import declare, raw
from tests.include.sources.test_shopify import order
from tests.sandbox_server import Sandbox, start_sandbox

START = datetime(2026, 3, 1, tzinfo=UTC)
ORDERS = {"name": "shop", "type": "shopify", "grain": "order", "time_zone": "America/New_York"}
CONTACTS = {"name": "people", "type": "shopify", "grain": "contact", "customers_of": "shop"}
# Pages of two, so that a handful of records takes several.
PAGED = {"page_size": 2, "bulk": "never"}
OVERLAP = timedelta(minutes=10)
number = st.integers(0, 7)


class Crash(BaseException):
    """The process dies."""


class History(RuleBasedStateMachine):
    """The shop's life, and ours beside it."""

    sandbox: Sandbox

    @initialize()
    def open(self) -> None:
        self.sandbox.reset()
        self.folder = TemporaryDirectory()
        self.now = START
        self.orders: dict[int, dict[str, Any]] = {}
        self.customers: set[int] = set()
        self.last_id = 0
        self.sandbox.post("/_shopify", {"bucket": 100_000, "restore_rate": 100_000})
        self.settings = self.declared("kept", **PAGED)

    def teardown(self) -> None:
        self.check()
        self.folder.cleanup()

    def declared(self, name: str, **options: Any) -> Settings:
        folder = Path(self.folder.name) / name
        folder.mkdir()
        return declare(folder, ORDERS | options, CONTACTS | options)

    def load(self, into: Settings, crash_at: int | None = None) -> None:
        told = 0

        def progress(_: str) -> None:
            nonlocal told
            told += 1
            if told == crash_at:
                raise Crash

        key = Credentials("a-token", extra={"base_url": f"{self.sandbox.url}/shopify"})
        ingest(into, credentials=lambda _: key, progress=progress)

    def at(self, instant: datetime) -> str:
        return instant.strftime("%Y-%m-%dT%H:%M:%SZ")

    def next_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def act(self, path: str, body: dict[str, Any] | None = None, late: int = 0) -> None:
        """Change the shop; a late write is seen after others that it is older than."""
        at = self.at(max(START, self.now - timedelta(seconds=late)))
        answer = self.sandbox.http.post(f"/_shopify/{path}", params={"at": at}, json=body or {})
        answer.raise_for_status()

    def chosen(self, place: int) -> int:
        return sorted(self.orders)[place % len(self.orders)]

    @rule(seconds=st.sampled_from([0, 1, 59, 601, 90_000]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        self.sandbox.post("/_shopify", {"now": self.at(self.now)})

    @rule(
        place=number,
        lines=st.lists(st.integers(1, 3), min_size=1, max_size=12),
        days=st.sampled_from([0, 0, 3, 50]),
        late=st.sampled_from([0, 0, 1, 599]),
        guest=st.booleans(),
    )
    def somebody_orders(
        self, place: int, lines: list[int], days: int, late: int, guest: bool
    ) -> None:
        customer = None if guest or not self.customers else sorted(self.customers)[0]
        placed = self.at(self.now - timedelta(days=days))
        made = [{"id": self.next_id(), "sku": f"sku-{n}", "quantity": n} for n in lines]
        paid = {"id": self.next_id(), "amount": "10.00", "processed_at": placed}
        one = order(self.next_id(), created_at=placed, customer_id=customer, lines=made)
        self.orders[self.last_id] = one | {"transactions": [paid]}
        self.put("orders", self.last_id, self.orders[self.last_id], late)

    def put(self, kind: str, identity: int, document: dict[str, Any], late: int = 0) -> None:
        at = self.at(max(START, self.now - timedelta(seconds=late)))
        path = f"/_shopify/{kind}/{identity}"
        self.sandbox.http.put(path, params={"at": at}, json=document).raise_for_status()

    @precondition(lambda self: self.orders)
    @rule(
        place=number,
        units=st.integers(0, 3),
        amount=st.sampled_from(["0.00", "9.99", "500.00"]),
        adjustment=st.sampled_from([None, "2.50", "-2.50"]),
        days=st.sampled_from([0, 0, 100]),
        late=st.sampled_from([0, 1]),
    )
    def the_shop_refunds(
        self, place: int, units: int, amount: str, adjustment: str | None, days: int, late: int
    ) -> None:
        identity = self.chosen(place)
        line = self.orders[identity]["lines"][0]["id"]
        at = self.at(self.now - timedelta(days=days))
        back = [{"line_id": line, "quantity": units, "subtotal": amount}] if units else []
        refund = {"id": self.next_id(), "processed_at": at, "lines": back, "shipping": amount}
        self.act(f"orders/{identity}/refund", refund | {"adjustment": adjustment}, late)
        money = {"id": self.next_id(), "kind": "REFUND", "amount": amount, "processed_at": at}
        self.act(f"orders/{identity}/transaction", money, late)

    @precondition(lambda self: self.orders)
    @rule(place=number, units=st.integers(0, 3), adds=st.booleans())
    def the_shop_edits(self, place: int, units: int, adds: bool) -> None:
        identity = self.chosen(place)
        line = self.orders[identity]["lines"][-1]["id"]
        added = [{"id": self.next_id(), "sku": "added"}] if adds else []
        self.act(f"orders/{identity}/edit", {"remove": {str(line): units}, "add": added})

    @precondition(lambda self: self.orders)
    @rule(place=number, parcel=st.integers(1, 2), has_come=st.booleans())
    def a_parcel_is_sent_or_comes(self, place: int, parcel: int, has_come: bool) -> None:
        identity = self.chosen(place)
        sent = {"id": 10 * identity + parcel, "created_at": self.at(START)}
        come = {"delivered_at": self.at(self.now)} if has_come else {}
        self.act(f"orders/{identity}/ship", sent | come)

    @precondition(lambda self: self.orders)
    @rule(place=number)
    def an_order_is_cancelled(self, place: int) -> None:
        self.act(f"orders/{self.chosen(place)}/cancel")

    @precondition(lambda self: self.orders)
    @rule(place=number)
    def an_order_is_deleted(self, place: int) -> None:
        identity = self.chosen(place)
        del self.orders[identity]
        at = {"at": self.at(self.now)}
        self.sandbox.http.delete(f"/_shopify/orders/{identity}", params=at).raise_for_status()

    @rule(place=st.integers(0, 4), name=st.sampled_from(["ann", "ben"]), agrees=st.booleans())
    def a_customer_comes_or_changes_the_address(self, place: int, name: str, agrees: bool) -> None:
        told = {
            "created_at": self.at(START),
            "email": f"{name}@shoppers.example",
            "email_state": "SUBSCRIBED" if agrees else "UNSUBSCRIBED",
            "email_changed_at": self.at(self.now),
        }
        known = sorted(self.customers)
        # Shopify gives no number twice.
        identity = known[place] if place < len(known) else self.next_id()
        self.put("customers", identity, told)
        self.customers.add(identity)

    @precondition(lambda self: self.customers)
    @rule(place=number)
    def a_customer_is_deleted(self, place: int) -> None:
        identity = sorted(self.customers)[place % len(self.customers)]
        at = {"at": self.at(self.now)}
        answer = self.sandbox.http.delete(f"/_shopify/customers/{identity}", params=at)
        if answer.status_code == 200:
            self.customers.remove(identity)

    @rule(is_unsorted=st.booleans())
    def pages_come_in_another_order(self, is_unsorted: bool) -> None:
        self.sandbox.post("/_shopify", {"unsorted": is_unsorted})

    @rule()
    def we_poll(self) -> None:
        self.load(self.settings)

    @rule(point=st.integers(1, 8))
    def we_die_at_a_page(self, point: int) -> None:
        with suppress(Crash):
            self.load(self.settings, crash_at=point)

    def check(self) -> None:
        """What the polls made of it, held against a full load, now in pages and now in bulk."""
        self.load(self.settings)
        options = {"bulk": "always"} if self.last_id % 2 else PAGED
        anew = self.declared("anew", **options)
        self.load(anew)
        for table in ("orders", "contacts"):
            assert raw(self.settings, table) == raw(anew, table)
        living = [row for row in raw(anew, "orders") if not row["deleted_at"]]
        told = self.sandbox.truth()["shopify"]["orders"]
        assert {row["order_id"]: held(row) for row in living} == {
            f"shop:{identity}": placed(document) for identity, document in told.items()
        }


def held(row: dict[str, Any]) -> tuple[dict[str, int], int]:
    """The units of a merged order's lines, and the parts of its refunds."""
    units = {line["line_id"]: int(line["quantity"]) for line in row["lines"]}
    return units, len(row["refunds"])


def placed(document: dict[str, Any]) -> tuple[dict[str, int], int]:
    """The same of an order as the shop has it."""
    refunds = document.get("refunds", [])
    back: dict[int, int] = {}
    for line in (line for refund in refunds for line in refund.get("lines", [])):
        back[line["line_id"]] = back.get(line["line_id"], 0) + line.get("quantity", 1)
    units = {}
    for line in document["lines"]:
        ordered, returned = line.get("quantity", 1), back.get(line["id"], 0)
        left = max(0, ordered - line.get("removed", 0) - returned)
        units[str(line["id"])] = min(ordered, left + returned)
    parts = [len(refund.get("lines", [])) + 1 + ("adjustment" in refund) for refund in refunds]
    return {line: count for line, count in units.items() if count}, sum(parts)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


def test_incremental_loads_equal_a_full_one_after_any_history(sandbox):
    History.sandbox = sandbox
    case = History.TestCase
    case.settings = settings(
        max_examples=8,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    case().runTest()
