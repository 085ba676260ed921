"""A process dies, is stopped, is started twice, or finds no room, no memory, no lock."""

from __future__ import annotations

import resource
import stat
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from include.errors import RegularsError, Stop
from include.warehouse import visit
from tests.faults.invariants import CANARY, FaultCase
from tests.faults.processes import start
from tests.include.activation.shop import long_ago

pytestmark = pytest.mark.usefixtures("small_batches")


def test_case_20_a_run_after_a_successful_one_makes_no_write(case: FaultCase):
    case.publish(range(5))
    case.sync()
    sent = len(case.calls())
    again = case.sync()
    assert (again.plan_id, len(case.calls())) == (None, sent)
    case.check()


def test_case_21_an_older_snapshot_never_overwrites_a_newer_one(case: FaultCase):
    case.publish(range(5))
    case.sync()
    sent = len(case.calls())
    for published_at in (long_ago(), long_ago().replace(year=2020)):
        case.shop.publish([CANARY], published_at=published_at)
        with pytest.raises(Stop, match="older"):
            case.sync()
    assert len(case.calls()) == sent
    case.publish(range(5))
    case.check()


def test_case_24_without_room_for_the_plan_nothing_is_sent(case: FaultCase):
    case.publish(range(400))
    process = start(case, resource.setrlimit, (resource.RLIMIT_FSIZE, (8192, 8192)))
    process.join()
    assert process.exitcode not in (0, 3)
    assert case.calls() == []
    case.check()


def test_case_25_a_memory_limit_that_is_too_low_is_an_error_before_anything_is_sent(
    case: FaultCase,
):
    case.publish(range(3))
    roomy = case.shop.settings
    case.shop.settings = roomy.model_copy(update={"memory_limit": "1MB"})
    with pytest.raises((RegularsError, duckdb.OutOfMemoryException)):
        case.sync()
    assert case.calls() == []
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
    sent = len(case.calls())
    case.publish(range(2, 8))
    for damaged in (whole[: len(whole) // 2], b"", b"PAR1" + bytes(len(whole) - 8) + b"PAR1"):
        state.write_bytes(damaged)
        with pytest.raises(Stop, match="damaged"):
            case.sync()
        assert len(case.calls()) == sent
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
