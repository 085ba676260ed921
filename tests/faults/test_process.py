"""A process dies, is stopped, is started twice, or finds no room, no memory, no lock."""

from __future__ import annotations

import os
import resource
import signal
import stat
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from include import lease
from include.activation import sync as activation
from include.activation import turns
from include.destinations import DESTINATIONS
from include.errors import Retry, Stop
from include.lease import LeaseLost
from include.warehouse import visit
from regulars_airflow import runs
from tests.faults.invariants import AUDIENCE, CANARY, FaultCase
from tests.faults.processes import start
from tests.include.activation.shop import long_ago

SHORT_LEASE = 1.0
EXIT_OF_AN_ERROR = 3

pytestmark = pytest.mark.usefixtures("small_batches")


def shorten_leases() -> None:
    lease.LEASE_SECONDS = SHORT_LEASE
    turns.LONGEST_CALL_SECONDS = SHORT_LEASE


def hold_the_second_batch(case: FaultCase) -> None:
    """And all that follow: the sandbox keeps their answers back until its rules are removed."""
    path = "lists/regulars$|/users$"
    case.sandbox.fault(method="POST", path=path, action="hold", nth=2, times=None)


def wait_until_sending(case: FaultCase) -> None:
    """Until the first batch was answered, and all connections wait for the answer to the next."""
    case.sandbox.wait_for_held(DESTINATIONS[case.destination].connections)


def said(case: FaultCase, output: str = "output.txt") -> str:
    return (Path(case.shop.settings.home) / output).read_text()


def test_case_18_a_run_taken_for_dead_that_lives_stops_at_its_next_batch(
    case: FaultCase, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lease, "LEASE_SECONDS", SHORT_LEASE)
    monkeypatch.setattr(turns, "LONGEST_CALL_SECONDS", SHORT_LEASE)
    case.publish(range(59))
    hold_the_second_batch(case)
    zombie = start(case, shorten_leases)
    wait_until_sending(case)
    signal.pidfd_send_signal(pidfd := os.pidfd_open(zombie.pid), signal.SIGSTOP)
    case.sandbox.clear_faults()

    case.sync()
    held = case.shop.state(case.destination)
    sent = len(case.writes())
    signal.pidfd_send_signal(pidfd, signal.SIGCONT)
    zombie.join()
    os.close(pidfd)

    assert zombie.exitcode == EXIT_OF_AN_ERROR
    assert LeaseLost.__name__ in said(case)
    assert "has taken over" in said(case)
    # A connection may have been stopped between its look at the lease and its call.
    assert len(case.writes()) - sent <= DESTINATIONS[case.destination].connections
    assert case.shop.state(case.destination) == held
    case.check()


def test_case_19_of_two_runs_at_once_the_second_waits_and_finds_nothing_to_do(case: FaultCase):
    case.publish(range(9))
    case.sandbox.post("/_latency", {"milliseconds": 30})
    both = [start(case, output=f"{name}.txt") for name in ("first", "second")]
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert len(case.shop.store.list(f"{case.folder}/plans")) == 1
    assert len(case.shop.receipts(case.destination)) == 5
    case.check()


def test_case_19_a_run_that_must_not_wait_leaves_it_to_the_other_and_says_whose_it_is(
    case: FaultCase,
):
    case.publish(range(29))
    hold_the_second_batch(case)
    first = start(case)
    wait_until_sending(case)
    case.shop.settings = case.shop.settings.model_copy(update={"lock_wait_seconds": 0})

    [standing] = activation.status(case.shop.settings)
    with pytest.raises(Retry, match=f"is being synced by process {first.pid} on"):
        case.sync()

    assert f"process {first.pid} on" in standing.held_by
    case.sandbox.clear_faults()
    first.join()
    assert first.exitcode == 0
    [standing] = activation.status(case.shop.settings)
    assert standing.held_by is None
    case.check()


def test_case_19_two_audiences_do_not_wait_for_each_other(case: FaultCase):
    case.publish(range(3))
    folder = f"activation/{case.destination}/another/lease"
    with lease.hold_lease(case.shop.store, folder, wait_seconds=0):
        assert case.sync().adds == 4
    case.check()


def test_case_20_a_run_after_a_successful_one_makes_no_write(case: FaultCase):
    case.publish(range(5))
    case.sync()
    sent = len(case.writes())
    again = case.sync()
    assert (again.plan_id, len(case.writes())) == (None, sent)
    case.check()


def test_case_21_an_older_snapshot_never_overwrites_a_newer_one(case: FaultCase):
    case.publish(range(5))
    case.sync()
    sent = len(case.writes())
    for published_at in (long_ago(), long_ago().replace(year=2020)):
        case.shop.publish([CANARY], published_at=published_at)
        with pytest.raises(Stop, match="older"):
            case.sync()
    assert len(case.writes()) == sent
    case.publish(range(5))
    case.check()


def test_case_22_a_run_without_a_logical_date_syncs_the_newest_snapshot(case: FaultCase):
    triggered = datetime(2026, 11, 21, 22, tzinfo=UTC)
    run = SimpleNamespace(logical_date=None, run_after=triggered, partition_key=None)
    assert runs.as_of(run) == triggered.date()
    assert runs.audience(run, {"audience": AUDIENCE}) == AUDIENCE
    case.publish(range(2))
    assert case.sync().adds == 3
    case.check()


def test_case_23_a_termination_finishes_the_batches_under_way_and_gives_the_lease_back(
    case: FaultCase,
):
    case.publish(range(59))
    case.sandbox.post("/_latency", {"milliseconds": 300})
    hold_the_second_batch(case)
    process = start(case)
    wait_until_sending(case)

    process.terminate()
    # Nothing shows that the process has heard it; the batches left take as long again and more.
    time.sleep(1)
    case.sandbox.clear_faults()
    process.join()

    assert process.exitcode == 128 + signal.SIGTERM
    [standing] = activation.status(case.shop.settings)
    assert standing.held_by is None
    answered = len(case.shop.receipts(case.destination))
    assert 0 < answered < 30
    # Whoever was called has a receipt: nothing has to be sent twice.
    assert len(case.batches()) >= 1
    [epoch] = case.shop.store.list(f"{case.folder}/lease")
    assert 'released_at": null' not in case.shop.store.read(f"{case.folder}/lease/{epoch}").decode()
    case.check()


def test_case_24_without_room_for_the_plan_nothing_is_sent(case: FaultCase):
    case.publish(range(400))
    process = start(case, resource.setrlimit, (resource.RLIMIT_FSIZE, (8192, 8192)))
    process.join()
    assert process.exitcode not in (0, 3)
    assert case.writes() == []
    case.check()


def test_case_25_a_memory_limit_that_is_too_low_is_an_error_before_anything_is_sent(
    case: FaultCase,
):
    case.publish(range(3))
    roomy = case.shop.settings
    case.shop.settings = roomy.model_copy(update={"memory_limit": "1MB"})
    with pytest.raises(Stop, match="raise REGULARS_MEMORY_LIMIT"):
        case.sync()
    assert case.writes() == []
    case.shop.settings = roomy
    case.check()


def test_case_26_a_lock_on_the_warehouse_neither_stops_nor_delays_a_sync(case: FaultCase):
    case.publish(range(3))
    with visit(case.shop.settings):
        assert case.sync().adds == 4
    case.check()


def test_case_27_a_damaged_state_refuses_to_sync_and_sends_nothing(case: FaultCase):
    case.publish(range(5))
    case.sync()
    state = Path(case.shop.store.locate(f"{case.folder}/state.parquet"))
    whole = state.read_bytes()
    sent = len(case.writes())
    case.publish(range(2, 8))
    for damaged in (whole[: len(whole) // 2], b"", b"PAR1" + bytes(len(whole) - 8) + b"PAR1"):
        state.write_bytes(damaged)
        with pytest.raises(Stop, match="is not the one that the last sync left"):
            case.sync()
        assert len(case.writes()) == sent
    state.write_bytes(whole)
    case.check()


def test_case_30_a_new_way_to_make_fingerprints_sends_again_without_taking_anybody_out(
    case: FaultCase,
):
    case.publish(range(5))
    case.sync()
    # A fingerprint is made of all that is said of a person.
    case.known = {key: replace(p, country="IE") for key, p in case.known.items()}
    case.shop.publish(case.known.values())

    summary = case.sync()

    assert (summary.adds, summary.removes) == (0, 0)
    assert summary.updates == (6 if case.destination == "mailchimp" else 0)
    assert case.sync().plan_id is None
    case.wanted = list(case.known.values())
    case.check()


def test_case_54_plans_receipts_and_state_are_for_their_owner_alone(case: FaultCase):
    case.publish(range(5))
    case.sync()
    files = [f for f in Path(case.shop.store.locate("activation")).rglob("*") if f.is_file()]
    assert {file.suffix for file in files} >= {".parquet", ".json"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert not list(Path(case.shop.store.root).glob(".regulars-*"))
    case.check()
