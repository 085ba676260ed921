"""A shop on Shopify, from its API to both destinations, by the command line."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from include.local.environment import sandbox_connections
from tests.include.test_cli import REGULARS
from tests.sandbox_server import Sandbox, start_sandbox

CUSTOMERS = 24
ENTRIES = [
    {"name": "shop", "type": "shopify", "grain": "order", "time_zone": "Europe/Berlin"},
    {"name": "people", "type": "shopify", "grain": "contact", "customers_of": "shop"},
]

pytestmark = pytest.mark.timeout(900)


class Chain:
    """The shop's world, and what is done with it from one day to the next."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder = folder
        self.sandbox = sandbox
        (folder / "sources.yml").write_text(yaml.safe_dump({"sources": ENTRIES}))
        shopify = {"password": "a-token", "extra": {"base_url": f"{sandbox.url}/shopify"}}
        self.environment = {
            **os.environ,
            **sandbox_connections(sandbox.url),
            "AIRFLOW_CONN_SHOPIFY_DEFAULT": json.dumps(shopify),
            "REGULARS_HOME": str(folder / "home"),
            "REGULARS_SOURCES": str(folder / "sources.yml"),
            "REGULARS_AS_OF": "2026-04-01",
        }
        for number in range(1, CUSTOMERS + 1):
            self.customer(number, f"ann{number}@shop.test", "SUBSCRIBED", "2026-02-01")
        orders = [order(c * 10 + n, c, 40 + c) for c in range(1, CUSTOMERS + 1) for n in range(3)]
        sandbox.post("/_shopify/orders?at=2026-03-20T10:00:00Z", orders)

    def customer(self, number: int, email: str, state: str, day: str) -> None:
        told = {
            "created_at": "2026-01-01T10:00:00Z",
            "email": email,
            "email_state": state,
            "email_changed_at": f"{day}T10:00:00Z",
        }
        answer = self.sandbox.http.put(
            f"/_shopify/customers/{number}", params={"at": f"{day}T10:00:00Z"}, json=told
        )
        answer.raise_for_status()

    def run(self) -> list[dict[str, Any]]:
        """A night's work; what was sent of those who may be written to."""
        for step in ("ingest", "build", "publish"):
            self._regulars(step)
        audience = ("--audience", "mailable_customers", "--json")
        sent: list[dict[str, Any]] = json.loads(self._regulars("sync", *audience))
        return sent

    def net_spend(self) -> dict[str, str]:
        with duckdb.connect(
            str(self.folder / "home/store/published/analytics.duckdb"), read_only=True
        ) as analytics:
            rows = analytics.sql("select customer_id, net_spend::varchar from customers").fetchall()
        return dict(rows)

    def _regulars(self, *arguments: str) -> str:
        finished = subprocess.run(
            [str(REGULARS), *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout


def order(number: int, customer: int, price: int) -> dict[str, Any]:
    at = f"2026-0{1 + number % 3}-1{number % 9}T10:00:00Z"
    return {
        "id": number,
        "created_at": at,
        "customer_id": customer,
        "lines": [{"id": 10 * number, "sku": "mug", "quantity": 1, "price": f"{price}.00"}],
        "transactions": [{"id": number, "amount": f"{price}.00", "processed_at": at}],
    }


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    with start_sandbox(tmp_path) as sandbox:
        yield Chain(tmp_path, sandbox)


def test_a_refund_a_withdrawal_and_a_new_address_reach_the_figures_and_the_list(chain: Chain):
    [first] = chain.run()
    assert first["adds"] == CUSTOMERS
    assert chain.net_spend()["shop:7"] == "141.0000"

    at = "2026-03-25T10:00:00Z"
    line = {"line_id": 700, "quantity": 1, "subtotal": "47.00"}
    refund = {"id": 1, "processed_at": at, "lines": [line]}
    chain.sandbox.post(f"/_shopify/orders/70/refund?at={at}", refund)
    chain.customer(8, "ann8@shop.test", "UNSUBSCRIBED", "2026-03-26")
    chain.customer(9, "new9@shop.test", "SUBSCRIBED", "2026-03-26")
    [second] = chain.run()
    assert (second["adds"], second["removes"]) == (1, 2)
    assert chain.net_spend()["shop:7"] == "94.0000"

    tagged = chain.sandbox.tagged("mailable_customers")
    here = {md5(f"{name}@shop.test".encode()).hexdigest() for name in ("new9", "ann7")}
    gone = {md5(f"{name}@shop.test".encode()).hexdigest() for name in ("ann8", "ann9")}
    assert here <= tagged
    assert not gone & tagged
    assert chain.sandbox.members()[md5(b"ann8@shop.test").hexdigest()]["status"] == "subscribed"
