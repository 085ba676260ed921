"""kill -9 at every instant of a sync: what was acknowledged stays so, and the rest is finished."""

from __future__ import annotations

import signal
from itertools import count
from pathlib import Path

import duckdb
import pytest

from include.activation.ledger import Ledger
from tests.faults.invariants import AUDIENCE, FaultCase
from tests.faults.killing import doom
from tests.faults.processes import start
from tests.include.activation.shop import Shop
from tests.sandbox_server import Sandbox

FEWEST_INSTANTS = 12


@pytest.mark.parametrize(
    ("destination", "newer_snapshot"),
    [("mailchimp", False), ("mailchimp", True), ("meta", False)],
    ids=["mailchimp", "mailchimp, newer snapshot", "meta"],
)
@pytest.mark.usefixtures("small_batches")
def test_case_17_killed_at_any_instant_a_sync_is_finished_by_the_next(
    tmp_path: Path,
    sandbox: Sandbox,
    caplog: pytest.LogCaptureFixture,
    destination: str,
    newer_snapshot: bool,
):
    for instant in count(1):
        sandbox.reset()
        case = FaultCase(Shop(tmp_path / str(instant), sandbox), destination, caplog)
        case.publish(range(4))
        case.sync()
        case.publish(range(2, 7))

        process = start(case, doom, (instant,))
        process.join()

        _check_recovery(case, newer_snapshot)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
    assert instant > FEWEST_INSTANTS


def _check_recovery(case: FaultCase, newer_snapshot: bool) -> None:
    acknowledged, felt = _acknowledged(case), _effects(case)
    begun = Ledger(case.shop.store, case.destination, AUDIENCE).unfinished()
    if newer_snapshot:
        case.publish([2, 3, 5, 8])

    case.check()

    plans = f"{case.folder}/plans"
    assert begun is None or case.shop.store.exists(f"{plans}/{begun}/finished.json")
    if not newer_snapshot:
        after = _effects(case)
        done = acknowledged & felt.keys()
        assert {who: after[who] for who in done} == {who: felt[who] for who in done}
        assert case.destination == "mailchimp" or acknowledged <= felt.keys()


def _acknowledged(case: FaultCase) -> set[str]:
    """What has a receipt: the members by identity, at Meta the batches by session and sequence."""
    if case.destination == "meta":
        return {
            f"{receipt['session_id']}/{receipt['vendor']['batch_seq']}"
            for receipt in case.shop.receipts("meta")
            if receipt["session_id"]
        }
    store, plans = case.shop.store, f"{case.folder}/plans"
    found: set[str] = set()
    for plan in store.list(plans):
        receipts = store.list(f"{plans}/{plan}/receipts")
        rows = duckdb.sql(
            "select identity from read_parquet($path) where batch_number in $numbers",
            params={
                "path": store.locate(f"{plans}/{plan}/plan.parquet"),
                "numbers": [int(name.removesuffix(".json")) for name in receipts] or [0],
            },
        ).fetchall()
        found |= {identity for (identity,) in rows}
    return found


def _effects(case: FaultCase) -> dict[str, int]:
    """How often each contact was written, at Meta each batch, even if it changed nothing."""
    if case.destination == "meta":
        return case.sandbox.truth()["meta"]["batches"]
    return {who: member["writes"] for who, member in case.sandbox.members().items()}
