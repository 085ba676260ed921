"""Case 14: Mailchimp's asynchronous batches, over the wire."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.commerce.push import Waiting
from include.errors import Retry
from tests.include.commerce.test_push import Shop, contact, line, order
from tests.sandbox_server import Sandbox

PEOPLE = range(60)
AT_ONCE = Waiting(longest=0, between=0)


@pytest.fixture
def purchases(tmp_path: Path, sandbox: Sandbox) -> Shop:
    """More purchases than are told call by call; one is of a product without a name."""
    shop = Shop(tmp_path, sandbox)
    shop.knows(PEOPLE)
    lines = [line(n) for n in PEOPLE]
    lines[7] |= {"sku": "NAMELESS", "product_name": ""}
    shop.publish(
        contacts=[contact(n) for n in PEOPLE],
        orders=[order(n, n) for n in PEOPLE],
        order_lines=lines,
    )
    return shop


def converges(shop: Shop) -> None:
    """All that Mailchimp takes is there, once; nothing is left to say."""
    shop.push()
    assert {record["_created"] for record in shop.told["customers"].values()} == {1}
    assert set(shop.told["customers"]) == {f"shop:{n}" for n in PEOPLE}
    assert set(shop.told["orders"]) == {f"shop:{n}" for n in PEOPLE if n != 7}
    assert shop.push() == {}


def errored(shop: Shop, path: str) -> int:
    """How many operations of a batch failed, as Mailchimp tells."""
    found = shop.sandbox.http.get(path, auth=("any", shop.password)).json()
    return found.get("errored_operations", 0)


def test_case_14_a_batch_that_stays_pending_is_taken_up_by_its_id(purchases: Shop):
    purchases.sandbox.post("/_mailchimp_batches", {"stays_pending": True})
    with pytest.raises(Retry, match="takes it up"):
        purchases.push(AT_ONCE)
    handed_in = len(purchases.batch_calls())
    with pytest.raises(Retry, match="takes it up"):
        purchases.push(AT_ONCE)
    assert len(purchases.batch_calls()) == handed_in
    purchases.sandbox.post("/_mailchimp_batches", {"stays_pending": False})
    converges(purchases)


def test_case_14_an_errored_operation_holds_up_no_other_and_none_is_said_again(
    purchases: Shop,
):
    told = purchases.push()
    assert (told["customer"].created, told["order"].created) == (len(PEOPLE), len(PEOPLE) - 1)
    asked = {c["path"] for c in purchases.sandbox.calls() if "/3.0/batches/" in c["path"]}
    assert sum(errored(purchases, path) for path in asked) > 0
    converges(purchases)


def test_case_14_an_expired_link_to_the_results_loses_nothing(purchases: Shop):
    purchases.sandbox.post("/_mailchimp_batches", {"link_seconds": 0})
    with pytest.raises(Retry, match="links"):
        purchases.push()
    purchases.sandbox.post("/_mailchimp_batches", {"link_seconds": 600})
    converges(purchases)
