"""Limits of an account: one pause and one allowance for all that call it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from include.activation import sync as activation
from include.activation import turns as turns_module
from include.activation.calls import Patience
from include.activation.turns import NotCalled, Turns
from include.connections import Credentials
from include.destinations.mailchimp import Mailchimp
from include.destinations.meta import Meta
from include.errors import Retry
from include.retry_after import retry_after
from tests.faults.invariants import CANARY, FaultCase
from tests.faults.processes import PROCESSES
from tests.include.activation import shop as shops
from tests.include.activation.shop import QUICK, audience
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("small_batches")

PATIENT = Patience(attempts=8, first_wait=0.05, longest_wait=90, deadline=120)
NAMES = [f"audience_{number}" for number in range(10)]
USAGE = '{"1000": [{"type": "custom_audience", "estimated_time_to_regain_access": %d}]}'


def wanted_by_all(monkeypatch: pytest.MonkeyPatch, case: FaultCase, names: list[str]) -> None:
    """A snapshot in which the canary and nine others are wanted in each of these audiences."""
    one = shops._memberships

    def many(_: str, wanted: Any) -> pa.Table:
        return pa.concat_tables([one(name, wanted) for name in names])

    monkeypatch.setattr(shops, "_memberships", many)
    case.publish(range(9))


def sync(case: FaultCase, name: str, destination: str, patience: Patience = QUICK) -> float:
    """Seconds that it took."""
    began = time.monotonic()
    credentials = case.shop.credentials[destination]
    activation.sync(case.shop.settings, audience(name), destination, credentials, patience=patience)
    return time.monotonic() - began


def test_case_03_ten_audiences_at_once_keep_to_the_connections_of_the_account(
    mailchimp: FaultCase, monkeypatch: pytest.MonkeyPatch
):
    wanted_by_all(monkeypatch, mailchimp, NAMES)
    mailchimp.sandbox.fault(action="hold", method="POST", path="lists/regulars$", times=None)

    with ThreadPoolExecutor(len(NAMES)) as pool:
        syncs = [pool.submit(sync, mailchimp, name, "mailchimp", PATIENT) for name in NAMES]
        mailchimp.sandbox.wait_for_held(Mailchimp.connections)
        mailchimp.sandbox.clear_faults()
        mailchimp.sandbox.post("/_latency", {"milliseconds": 20})
        [done.result() for done in syncs]

    calls = [c for c in mailchimp.sandbox.calls() if c["path"].startswith("/mailchimp")]
    assert max(call["simultaneous"] for call in calls) == Mailchimp.connections
    assert {call["status"] for call in calls} == {200}
    for name in NAMES:
        assert len(mailchimp.shop.there("mailchimp", name)) == 10
        assert mailchimp.shop.held("mailchimp", name) == mailchimp.shop.there("mailchimp", name)


def call_often(home: Path, told: Queue) -> None:
    """Another process that makes ten calls to a destination which allows forty a second."""
    Meta.calls_per_second = 40
    turns = Turns(home, Meta, Credentials("key"), longest_wait=10, fence=lambda: None)
    for _ in range(10):
        asked = time.monotonic()
        with turns.take():
            told.put((time.monotonic(), asked))


def test_case_03_processes_share_the_calls_a_second_of_an_account(tmp_path: Path):
    told = PROCESSES.Queue()
    processes = [PROCESSES.Process(target=call_often, args=(tmp_path, told)) for _ in range(3)]
    for process in processes:
        process.start()
    turns_taken = sorted(told.get(timeout=300) for _ in range(30))
    for process in processes:
        process.join()
    # A turn is given between the moment it was asked for and the one it was noticed.
    for some in (turns_taken, *(turns_taken[start : start + 20] for start in range(11))):
        granted, asked = zip(*some, strict=True)
        assert max(granted) - min(asked) >= (len(some) - 1) / 40


@pytest.mark.parametrize("code", [4, 17, 613, 80003])
def test_case_02_each_of_metas_codes_for_too_many_calls_is_waited_for(meta: FaultCase, code: int):
    meta.publish(range(5))
    body = {"error": {"message": CANARY.email, "code": code}}
    meta.sandbox.fault(
        method="POST", path="users", nth=2, times=2, action="status", status=400, body=body
    )
    assert meta.sync(patience=replace(QUICK, first_wait=0.1)).adds == 6
    at = [call["at"] for call in meta.batches()]
    assert at[2] - at[1] >= 0.1
    assert at[3] - at[2] >= 0.1
    meta.check()


def test_case_02_while_an_account_is_limited_nobody_calls_it_and_others_go_on(
    meta: FaultCase, monkeypatch: pytest.MonkeyPatch
):
    names = NAMES[:3]
    wanted_by_all(monkeypatch, meta, names)
    meta.sandbox.fault(
        method="POST",
        path="users",
        nth=3,
        action="status",
        status=400,
        body={"error": {"message": "x", "code": 80003}},
        headers={"Retry-After": "2"},
    )
    with ThreadPoolExecutor(4) as pool:
        at_meta = [pool.submit(sync, meta, name, "meta", PATIENT) for name in names]
        until(lambda: any(call["fault"] for call in meta.sandbox.calls()))
        elsewhere = pool.submit(sync, meta, names[0], "mailchimp").result()
        ended = time.time()
        [done.result() for done in at_meta]

    calls = meta.sandbox.calls()
    [limited] = [call["at"] for call in calls if call["fault"]]
    after = [c["at"] - limited for c in calls if "/meta/" in c["path"] and c["at"] > limited]
    assert min(after) >= 1.95
    mailchimp = [c["at"] for c in calls if "/mailchimp/" in c["path"] and c["method"] != "GET"]
    assert mailchimp
    assert elsewhere < 60
    assert ended >= max(mailchimp)
    for name in names:
        assert len(meta.shop.there("meta", name)) == 10


def test_case_02_minutes_told_in_a_good_answer_are_kept_by_the_next_run_too(
    meta: FaultCase, tmp_path: Path
):
    meta.publish(range(5))
    body = {"num_received": 2, "num_invalid_entries": 0, "invalid_entry_samples": []}
    meta.sandbox.fault(
        method="POST",
        path="users",
        action="status_after_apply",
        status=200,
        body=body,
        headers={"x-business-use-case-usage": USAGE % 7},
    )
    for _ in range(2):
        with pytest.raises(Retry) as raised:
            meta.sync()
        assert 300 < raised.value.after_seconds <= 420
        assert len(meta.batches()) == 1

    # Seven minutes later.
    for file in Path(meta.shop.settings.home).glob("turns/*/moments.json"):
        file.unlink()
    meta.check()


def test_case_03_the_connection_of_a_stopped_process_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(turns_module, "LONGEST_CALL_SECONDS", 0.3)
    turns = Turns(tmp_path, Meta, Credentials("key"), longest_wait=10, fence=lambda: None)
    began = time.monotonic()
    with turns.take(), turns.take():
        assert 0.2 < time.monotonic() - began < 100


@pytest.mark.parametrize("after", ["1763910000", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_case_01_a_limit_that_would_last_for_years_is_asked_about_again_after_a_day(
    tmp_path: Path, after: str
):
    """Some tell a moment where seconds are asked for."""
    turns = Turns(tmp_path, Meta, Credentials("key"), longest_wait=10, fence=lambda: None)
    with pytest.raises(Retry, match="busy"), turns.take():
        raise Retry("busy", retry_after({"Retry-After": after}))
    with pytest.raises(NotCalled) as raised:
        turns.wait()
    assert raised.value.after_seconds == pytest.approx(24 * 60 * 60, abs=60)


@pytest.mark.parametrize(
    "torn",
    [b"", bytes(90), b'{"written": 0.0, "not_bef', b'{"written": 0.0}.5}'],
    ids=["empty", "zeros", "cut off", "end of an older one"],
)
def test_case_03_a_file_of_moments_that_was_torn_holds_nobody_up_and_is_good_again(
    tmp_path: Path, torn: bytes
):
    one, other = (
        Turns(tmp_path, Meta, Credentials("key"), longest_wait=wait, fence=lambda: None)
        for wait in (10, 1)
    )
    [folder] = tmp_path.glob("turns/*")
    (folder / "moments.json").write_bytes(torn)
    with one.take():
        one.hold_up(5)
    with pytest.raises(NotCalled):
        other.wait()
