from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from include.activation import send
from include.activation import sync as activation
from include.activation.calls import Caller, Patience
from include.activation.turns import Turns
from include.connections import Credentials
from include.destinations.mailchimp import Mailchimp
from include.destinations.meta import Meta
from include.erasure.tombstones import add_tombstones
from include.errors import Reauthorise, Retry, Stop
from tests.include.activation.shop import QUICK, Person, Shop, audience, people
from tests.waiting import until

both = pytest.mark.parametrize("destination", ["mailchimp", "meta"])


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mailchimp, "batch_size", 2)
    monkeypatch.setattr(Meta, "batch_size", 2)


@both
@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize(
    "fault",
    [
        {"action": "status", "status": 500},
        {"action": "status", "status": 429},
        {"action": "reset_after_apply"},
        {"action": "half_body"},
    ],
    ids=lambda fault: f"{fault['action']} {fault.get('status', '')}".strip(),
)
def test_a_batch_that_failed_once_is_sent_again_and_nobody_is_lost(
    shop: Shop, destination: str, fault: dict[str, object]
):
    shop.publish(people(range(7)))
    shop.sandbox.fault(method="POST", path="users|segments/|lists/regulars$", nth=3, **fault)

    summary = shop.sync(destination)

    assert (summary.adds, summary.rejected) == (7, 0)
    assert len(shop.there(destination)) == 7
    assert max(receipt["attempts"] for receipt in shop.receipts(destination)) == 2


@both
@pytest.mark.usefixtures("small_batches")
def test_removals_are_done_before_anybody_is_added(shop: Shop, destination: str):
    shop.publish(people(range(6)))
    shop.sync(destination)
    start = len(shop.sandbox.calls())
    shop.publish(people(range(6, 12)), others=people(range(6)))
    shop.sandbox.fault(when_body_contains="remove", action="slow", seconds=0.5)

    shop.sync(destination)

    receipts = sorted(shop.receipts(destination)[3:], key=lambda receipt: receipt["answered_at"])
    assert [receipt["operation"] for receipt in receipts] == ["remove"] * 3 + ["add"] * 3
    removing = {"mailchimp": ("POST", "segments/"), "meta": ("DELETE", "users")}[destination]
    calls = [c for c in shop.sandbox.calls()[start:] if c["method"] != "GET"]
    assert all(call["method"] == removing[0] and removing[1] in call["path"] for call in calls[:3])


@both
@pytest.mark.usefixtures("small_batches")
def test_a_plan_is_sent_slice_by_slice_to_its_end(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, destination: str
):
    monkeypatch.setattr(send, "ROWS_JOINED", 25)
    monkeypatch.setattr(send, "ROWS_AT_ONCE", 1)
    shop.publish(people(range(60)))
    shop.sync(destination)
    assert len(shop.there(destination)) == 60
    assert {receipt["sent"] for receipt in shop.receipts(destination)} == {2}


@both
def test_a_plan_is_in_the_order_of_the_published_tables(shop: Shop, destination: str):
    shop.publish(people(range(60)))
    shop.sync(destination)
    [file] = Path(shop.settings.home).glob(f"**/{destination}/**/plan.parquet")
    sent = pq.read_table(file)["customer_id"].to_pylist()
    assert sent == sorted(sent)


@both
def test_who_has_moved_since_the_plan_was_made_is_not_sent_to_the_old_address(
    shop: Shop, destination: str
):
    ann, ben = people(range(2))
    shop.publish([ann, ben])
    told = (shop.settings, audience(), destination, shop.credentials[destination])
    planned = activation.plan_audience(*told)
    assert planned.plan_id
    shop.publish([replace(ann, email="ann@elsewhere.test"), ben])

    sent = activation.send_plan(*told, planned.plan_id)

    assert (sent.adds, sent.superseded) == (1, 1)
    assert len(shop.there(destination)) == 1


@pytest.mark.usefixtures("small_batches")
def test_who_is_erased_is_not_sent_with_a_batch_that_was_prepared(shop: Shop):
    *others, erased = people(range(4))
    shop.publish([*others, erased])
    shop.sandbox.fault(action="hold", method="POST", path="users")
    with ThreadPoolExecutor(1) as pool:
        syncing = pool.submit(shop.sync, "meta")
        shop.sandbox.wait_for_held()
        add_tombstones(shop.settings, [("platform_id", erased.customer_id)])
        shop.sandbox.clear_faults()
        summary = syncing.result()
    assert (summary.adds, summary.superseded) == (3, 1)
    assert shop.there("meta") == {f"{person.meta_key}:" for person in others}


@pytest.mark.usefixtures("small_batches")
def test_no_more_calls_run_at_once_than_mailchimp_allows(shop: Shop):
    shop.publish(people(range(60)))
    shop.sandbox.fault(action="hold", method="POST", path="lists/regulars$", times=None)
    with ThreadPoolExecutor(1) as pool:
        syncing = pool.submit(shop.sync, "mailchimp")
        shop.sandbox.wait_for_held(10)
        shop.sandbox.clear_faults()
        syncing.result()
    assert max(call["simultaneous"] for call in shop.sandbox.calls()) == 10


def was_held_up(shop: Shop) -> bool:
    """Whether whoever calls has had to wait for a while, by what all callers read."""
    moments = Path(shop.settings.home).glob("turns/*/moments.json")
    return any(re.search(r'"not_before": [1-9]', one.read_text()) for one in moments)


@pytest.mark.usefixtures("small_batches")
def test_nobody_calls_while_the_destination_asks_for_a_pause(shop: Shop):
    shop.publish(people(range(80)))
    calls = {"method": "POST", "path": "lists/regulars$"}
    busy = {"action": "status", "status": 429, "body": "", "headers": {"Retry-After": "2"}}
    shop.sandbox.fault(**calls, nth=Mailchimp.connections, **busy)
    shop.sandbox.fault(**calls, action="hold", times=None)
    with ThreadPoolExecutor(1) as pool:
        patient = replace(QUICK, longest_wait=100)
        syncing = pool.submit(shop.sync, "mailchimp", patience=patient)
        shop.sandbox.wait_for_held(Mailchimp.connections - 1)
        until(lambda: was_held_up(shop))
        released_at = time.time()
        shop.sandbox.clear_faults()
        syncing.result()

    [limited] = [call["at"] for call in shop.sandbox.calls() if call["status"] == 429]
    later = [call["at"] for call in shop.sandbox.calls() if call["at"] > released_at]
    assert min(later) >= limited + 1.95
    assert len(shop.there("mailchimp")) == 80


def test_a_row_that_spoils_its_batch_is_found_and_the_rest_goes_through(shop: Shop):
    good, bad = people(range(20)), Person("shop:bad", "spoilsport@shop.test")
    shop.publish([*good, bad])
    shop.sandbox.fault(
        when_body_contains="spoilsport",
        times=None,
        action="status",
        status=400,
        body={"title": "X"},
    )

    summary = shop.sync("mailchimp")

    assert (summary.adds, summary.rejected) == (20, 1)
    assert shop.there("mailchimp") == {person.mailchimp_id for person in good}
    [receipt] = shop.receipts("mailchimp")
    assert [row["customer_id"] for row in receipt["not_accepted"]] == ["shop:bad"]
    assert shop.sync("mailchimp").plan_id is None


def test_a_destination_that_refuses_everything_is_not_searched_row_by_row(shop: Shop):
    shop.publish(people(range(200)))
    shop.sandbox.fault(
        method="POST", path="lists/regulars$", times=None, action="status", status=400, body={}
    )
    with pytest.raises(Stop):
        shop.sync("mailchimp")
    assert len([c for c in shop.sandbox.calls() if c["path"].endswith("lists/regulars")]) < 50
    assert shop.receipts("mailchimp") == []


@pytest.mark.usefixtures("small_batches")
def test_metas_batches_share_one_session_that_ends_with_the_last(shop: Shop):
    shop.publish(people(range(5)))
    shop.sync("meta")
    receipts = shop.receipts("meta")
    assert len({receipt["session_id"] for receipt in receipts}) == 1
    assert [receipt["vendor"]["num_received"] for receipt in receipts] == [2, 4, 5]


@pytest.mark.usefixtures("small_batches")
def test_a_session_that_has_become_too_old_is_followed_by_a_new_one(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Meta, "session_seconds", 1e-9)
    shop.publish(people(range(5)))
    shop.sync("meta")
    receipts = shop.receipts("meta")
    assert len({receipt["session_id"] for receipt in receipts}) == 3
    assert [receipt["vendor"]["num_received"] for receipt in receipts] == [2, 2, 1]
    assert len(shop.there("meta")) == 5


@pytest.fixture
def turns(tmp_path: Path) -> Turns:
    return Turns(tmp_path, Meta, Credentials("key"), longest_wait=5, fence=lambda: None)


def test_a_longer_wait_than_our_patience_is_left_to_the_caller(turns: Turns):
    def busy() -> None:
        raise Retry("busy", after_seconds=600)

    with pytest.raises(Retry) as raised:
        Caller(Patience(longest_wait=120), turns).call(busy)
    assert raised.value.after_seconds == 600


def test_refused_credentials_are_not_tried_twice(turns: Turns):
    calls = []

    def refuse() -> None:
        calls.append(1)
        raise Reauthorise("no")

    with pytest.raises(Reauthorise):
        Caller(Patience(first_wait=0), turns).call(refuse)
    assert len(calls) == 1
