"""Any history of a WooCommerce shop, polled at any moment, gives what one full load gives."""

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
from tests.include.sources.test_shopify_history import Crash
from tests.include.sources.test_woocommerce import ENTRY, MUG, SECRET, order, put, remove
from tests.sandbox_server import Sandbox, start_sandbox

START = datetime(2026, 3, 1, tzinfo=UTC)
number = st.integers(0, 7)


class History(RuleBasedStateMachine):
    """The shop's life, and ours beside it."""

    sandbox: Sandbox

    @initialize()
    def open(self) -> None:
        self.sandbox.reset()
        self.folder = TemporaryDirectory()
        self.now = START
        self.orders: list[int] = []
        self.refunds: list[tuple[int, int]] = []
        self.settings = self.declared("kept")

    def teardown(self) -> None:
        self.check()
        self.folder.cleanup()

    def declared(self, name: str) -> Settings:
        folder = Path(self.folder.name) / name
        folder.mkdir()
        return declare(folder, ENTRY | {"check_deletions_days": 3650})

    def load(self, into: Settings, crash_at: int | None = None) -> None:
        told = 0

        def progress(_: str) -> None:
            nonlocal told
            told += 1
            if told == crash_at:
                raise Crash

        extra = {"base_url": f"{self.sandbox.url}/woocommerce"}
        key = Credentials(SECRET, login="ck_key", extra=extra)
        ingest(into, credentials=lambda _: key, progress=progress)

    def at(self, late: int = 0) -> str:
        return (self.now - timedelta(seconds=late)).strftime("%Y-%m-%dT%H:%M:%S")

    def chosen(self, place: int) -> int:
        return self.orders[place % len(self.orders)]

    def change(self, identity: int, **told: Any) -> None:
        put(self.sandbox, "orders", {"id": identity, "date_modified_gmt": self.at()} | told)

    def let_be(self) -> None:
        """Time for polls not to look at the present orders again, unless they change."""
        self.now += timedelta(days=1)
        at = {"date_created_gmt": self.at(), "date_modified_gmt": self.at()}
        self.orders += [one["id"] for one in put(self.sandbox, "orders", order(**at))]
        self.load(self.settings)

    @rule(seconds=st.sampled_from([0, 1, 59, 601, 90_000]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(count=st.integers(1, 4), quantity=st.integers(1, 3), late=st.sampled_from([0, 0, 1, 300]))
    def some_order_within_one_second(self, count: int, quantity: int, late: int) -> None:
        at = {"date_created_gmt": self.at(late), "date_modified_gmt": self.at(late)}
        told = order(line_items=[MUG | {"quantity": quantity}], **at)
        made = put(self.sandbox, "orders", *[told] * count)
        self.orders += [one["id"] for one in made]

    @precondition(lambda self: self.orders)
    @rule(
        place=number, quantity=st.integers(1, 5), status=st.sampled_from(["completed", "cancelled"])
    )
    def the_shop_edits(self, place: int, quantity: int, status: str) -> None:
        lines = [MUG | {"quantity": quantity}]
        self.change(self.chosen(place), line_items=lines, status=status)

    @precondition(lambda self: self.orders)
    @rule(
        place=number,
        amount=st.sampled_from(["0.01", "5.00", "500.00"]),
        moves_no_date=st.booleans(),
        is_long_after=st.booleans(),
    )
    def the_shop_refunds(
        self, place: int, amount: str, moves_no_date: bool, is_long_after: bool
    ) -> None:
        identity = self.chosen(place)
        if is_long_after:
            self.let_be()
        told = {
            "amount": amount,
            "date_created_gmt": self.at(),
            "moves_no_date": moves_no_date,
        }
        [made] = put(self.sandbox, f"orders/{identity}/refunds", told)
        self.refunds.append((identity, made["id"]))

    @precondition(lambda self: self.refunds)
    @rule(is_long_after=st.booleans())
    def a_refund_is_deleted(self, is_long_after: bool) -> None:
        if is_long_after:
            self.let_be()
        _, refund = self.refunds.pop()
        remove(self.sandbox, f"refunds/{refund}", force=True)

    @precondition(lambda self: self.orders)
    @rule(place=number, for_good=st.booleans())
    def an_order_is_deleted(self, place: int, for_good: bool) -> None:
        identity = self.chosen(place)
        remove(self.sandbox, f"orders/{identity}", force=for_good, at=self.at())
        self.orders.remove(identity)
        self.refunds = [(owner, refund) for owner, refund in self.refunds if owner != identity]

    @rule(sorts=st.booleans())
    def pages_come_in_another_order(self, sorts: bool) -> None:
        self.sandbox.post("/_woocommerce/site", {"gmt_offset": 0, "sorts_by_modified": sorts})

    @rule()
    def we_poll(self) -> None:
        self.load(self.settings)

    @rule(point=st.integers(1, 8))
    def we_die_at_a_page(self, point: int) -> None:
        with suppress(Crash):
            self.load(self.settings, crash_at=point)

    def check(self) -> None:
        """What the polls made of it, held against a full load and against the shop itself."""
        self.load(self.settings)
        anew = self.declared("anew")
        self.load(anew)
        kept, full = living(self.settings), living(anew)
        assert kept == full
        assert {row["order_id"] for row in kept} == {f"shop:{key}" for key in self.orders}


def living(settings: Settings) -> list[dict[str, Any]]:
    """The orders that are not deleted: of those deleted for good a full load knows nothing."""
    return [row for row in raw(settings, "orders") if not row["deleted_at"]]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


def test_incremental_loads_equal_a_full_one_after_any_history(sandbox, monkeypatch):
    monkeypatch.setattr("include.sources.woocommerce.PER_PAGE", 2)
    History.sandbox = sandbox
    case = History.TestCase
    case.settings = settings(
        max_examples=8,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    case().runTest()
