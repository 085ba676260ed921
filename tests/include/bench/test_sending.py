from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from include.activation.ledger import Ledger
from include.activation.receipts import read_receipts
from include.bench import change, sending
from include.bench.measure import Figures, in_own_process
from include.destinations import DESTINATIONS
from include.store import Store


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "MEMBERS", 2000)
    monkeypatch.setattr(sending, "LATENCY_MS", 0)
    monkeypatch.setattr(change, "MEMBERS", 4000)


def accepted(home: Path, destination: str) -> int:
    ledger = Ledger(Store(str(home / "store")), destination, "everybody")
    receipts = read_receipts(ledger, ledger.plan_ids()[-1])
    return sum(receipt.accepted for receipt in receipts)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("destination", sending.VENDORS)
def test_everybody_is_sent_to_every_vendor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, destination: str
):
    monkeypatch.setattr(DESTINATIONS[destination], "batch_size", 100)
    monkeypatch.setattr(sending, "VENDORS", {destination: sending.VENDORS[destination]})
    sending.prepare(tmp_path)
    sending.calls(tmp_path, destination)
    sending.plan(tmp_path, destination, "all")

    sending.send(tmp_path, destination, "all")

    assert accepted(tmp_path / "all", destination) == 2000


@pytest.mark.usefixtures("few")
def test_a_change_is_sent_in_the_fewest_calls(tmp_path: Path):
    change.prepare(tmp_path)
    change.plan(tmp_path)

    sent = change.send(tmp_path)

    assert accepted(tmp_path, change.DESTINATION) == 10 + 10 + 20
    # One more call asks how the list takes new contacts.
    assert sent.calls == change.least_calls() + 1
    change.fold(tmp_path)


def keep(folder: Path, name: str) -> Figures:
    (folder / name).touch()
    return Figures(1, 2, 3, calls=4)


def test_a_contender_may_be_told_more_and_tell_figures_of_its_own(tmp_path: Path):
    assert in_own_process(partial(keep, name="told"), tmp_path) == Figures(1, 2, 3, 4)
    assert (tmp_path / "told").exists()
