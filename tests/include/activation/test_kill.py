"""kill -9 at every instant of a sync: what was acknowledged stays so, and the rest is finished."""

from __future__ import annotations

import signal
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import duckdb
import pytest

from include.activation.ledger import Ledger
from include.destinations import DESTINATIONS
from tests.include.activation.killing import BATCH_SIZE, doomed_sync
from tests.include.activation.shop import Shop, people
from tests.sandbox_server import Sandbox

FEWEST_INSTANTS = 10


@pytest.mark.parametrize("newer_snapshot", [False, True], ids=["same snapshot", "newer snapshot"])
@pytest.mark.parametrize("destination", ["mailchimp", "meta"])
def test_a_killed_sync_is_finished_by_the_next_one_wherever_it_died(
    tmp_path: Path,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    destination: str,
    newer_snapshot: bool,
):
    monkeypatch.setattr(DESTINATIONS[destination], "batch_size", BATCH_SIZE)
    processes = get_context("forkserver")
    processes.set_forkserver_preload(["tests.include.activation.killing"])
    for instant in count(1):
        sandbox.reset()
        shop = Shop(tmp_path / str(instant), sandbox)
        shop.publish(people(range(5)))
        shop.sync(destination)
        shop.publish(people(range(3, 8)), others=people(range(3)))

        process = processes.Process(
            target=doomed_sync,
            args=(shop.settings.home, destination, shop.credentials[destination], instant),
        )
        process.start()
        process.join()

        _check_recovery(shop, destination, newer_snapshot)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
    assert instant > FEWEST_INSTANTS


def _check_recovery(shop: Shop, destination: str, newer_snapshot: bool) -> None:
    acknowledged = _acknowledged(shop, destination)
    felt = _effects(shop, destination)
    begun = Ledger(shop.store, destination, "lapsed_vips").unfinished()
    wanted = people(range(3, 8))
    if newer_snapshot:
        wanted = people([3, 4, 6, 9])
        shop.publish(wanted, others=people([0, 1, 2, 5, 7]))

    shop.sync(destination)

    there = shop.there(destination)
    assert there == {
        p.mailchimp_id if destination == "mailchimp" else f"{p.meta_key}:" for p in wanted
    }
    assert there == shop.held(destination)
    assert [row["status"] for row in shop.state(destination)] == ["held"] * len(wanted)
    assert begun is None or shop.store.exists(
        f"activation/{destination}/lapsed_vips/plans/{begun}/finished.json"
    )
    if not newer_snapshot:
        after = _effects(shop, destination)
        assert {who: after[who] for who in acknowledged & felt.keys()} == {
            who: felt[who] for who in acknowledged & felt.keys()
        }
        assert destination == "mailchimp" or acknowledged <= felt.keys()


def _acknowledged(shop: Shop, destination: str) -> set[str]:
    """What has a receipt: the members by identity, at Meta the batches by session and sequence."""
    if destination == "meta":
        return {
            f"{receipt['session_id']}/{receipt['vendor']['batch_seq']}"
            for receipt in shop.receipts(destination)
            if receipt["session_id"]
        }
    plans = f"activation/{destination}/lapsed_vips/plans"
    found: set[str] = set()
    for plan in shop.store.list(plans):
        receipts = shop.store.list(f"{plans}/{plan}/receipts")
        numbers = [int(name.removesuffix(".json")) for name in receipts]
        if numbers:
            rows = duckdb.sql(
                "select identity from read_parquet($path) where batch_number in $numbers",
                params={
                    "path": shop.store.locate(f"{plans}/{plan}/plan.parquet"),
                    "numbers": numbers,
                },
            ).fetchall()
            found |= {identity for (identity,) in rows}
    return found


def _effects(shop: Shop, destination: str) -> dict[str, int]:
    """How often each contact was written, at Meta each batch, even if it changed nothing."""
    if destination == "meta":
        return shop.sandbox.truth()["meta"]["batches"]
    return {who: member["writes"] for who, member in shop.sandbox.members().items()}
