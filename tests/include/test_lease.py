from __future__ import annotations

import json
import os
import re
import signal
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from threading import Barrier

import psutil
import pytest
import s3fs
from moto.server import ThreadedMotoServer

from include import lease
from include.errors import Retry, Stop
from include.lease import Lease, LeaseLost, hold_lease, lease_holder
from include.store import Store
from tests.waiting import until

FOLDER = "activation/mailchimp/vips/lease"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "memory", "s3"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    if request.param != "s3":
        yield Store(str(tmp_path) if request.param == "folder" else f"memory://{uuid.uuid4()}")
        return
    monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("s3"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    s3fs.S3FileSystem.clear_instance_cache()
    bucket = f"bucket-{uuid.uuid4()}"
    s3fs.S3FileSystem().mkdir(bucket)
    yield Store(f"s3://{bucket}/store")
    s3fs.S3FileSystem.clear_instance_cache()


def seem(store: Store, **other: object) -> None:
    """Let the holder of the newest lease be another than it is."""
    [name] = store.list(FOLDER)
    holder = json.loads(store.read(f"{FOLDER}/{name}"))
    store.write(f"{FOLDER}/{name}", json.dumps(holder | other).encode())


def test_of_many_who_create_a_file_at_once_exactly_one_does(store: Store):
    start = Barrier(8)

    def create(number: int) -> bool:
        start.wait()
        return store.create("a/once.json", str(number).encode())

    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(create, range(8)))
    assert created.count(True) == 1
    assert store.read("a/once.json") == str(created.index(True)).encode()
    assert store.list("a") == ["once.json"]


def test_what_another_machine_writes_or_removes_is_seen_at_once(store: Store):
    store.write("a/one", b"1")
    assert store.list("a") == ["one"]
    type(store.filesystem).clear_instance_cache()
    other = Store(store.filesystem.unstrip_protocol(store.root))
    other.write("a/two", b"2")
    other.remove("a/one")
    assert (store.exists("a/one"), store.exists("a/two")) == (False, True)
    assert store.read("a/two") == b"2"


def test_a_store_that_cannot_create_a_file_once_is_refused_in_words():
    store = Store("http://127.0.0.1/store")
    with pytest.raises(Stop, match="http:// cannot keep two runs apart"):
        store.create("a", b"")


def test_one_holds_it_at_a_time_and_the_epoch_rises(store: Store):
    with hold_lease(store, FOLDER, 0) as first:
        words = r"vips is being synced by process \d+ on .* \(epoch 1\)"
        with pytest.raises(Retry, match=words), hold_lease(store, FOLDER, 0):
            pytest.fail("two hold it")
        first.check()
        assert lease_holder(store, FOLDER)
    assert lease_holder(store, FOLDER) is None
    with hold_lease(store, FOLDER, 0) as second:
        assert (first.epoch, second.epoch) == (1, 2)
        assert len(store.list(FOLDER)) == 1


def test_the_lease_of_a_process_that_is_gone_is_free_at_once(store: Store):
    with hold_lease(store, FOLDER, 0) as lost:
        seem(store, process_began=1.0)
        with hold_lease(store, FOLDER, 0) as taken:
            assert taken.epoch == lost.epoch + 1
            with pytest.raises(LeaseLost, match="epoch 2, ours is 1"):
                lost.check()
        with pytest.raises(LeaseLost):
            lost.renew()


def test_a_clock_that_is_set_meanwhile_declares_nobody_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def later(found: re.Match[bytes]) -> bytes:
        return b"btime %d" % (int(found[1]) + 1)

    store = Store(str(tmp_path / "store"))
    with hold_lease(store, FOLDER, 0):
        # What the kernel tells of when it was started moves with the clock.
        told = tmp_path / "proc"
        told.mkdir()
        told.joinpath(str(os.getpid())).symlink_to(f"/proc/{os.getpid()}")
        stat = Path("/proc/stat").read_bytes()
        told.joinpath("stat").write_bytes(re.sub(rb"btime (\d+)", later, stat))
        monkeypatch.setattr(psutil, "PROCFS_PATH", str(told))

        assert lease_holder(store, FOLDER)


def test_on_another_machine_a_holder_is_dead_once_it_was_not_renewed_in_time(store: Store):
    with hold_lease(store, FOLDER, 0):
        seem(store, machine="elsewhere", process_began=1.0)
        with pytest.raises(Retry), hold_lease(store, FOLDER, 0):
            pytest.fail("it lives")
        seem(store, renewed_at="2026-01-01T00:00:00+00:00")
        with hold_lease(store, FOLDER, 0) as taken:
            assert taken.epoch == 2


def test_who_looked_long_ago_does_not_get_an_epoch_that_is_over(store: Store):
    for _ in range(3):
        with hold_lease(store, FOLDER, 0):
            pass
    # The file of epoch 2 was cleared away, so that it can be created once more.
    assert lease._try(store, FOLDER, 2) is None
    assert len(store.list(FOLDER)) == 1


def test_a_holder_shows_that_it_lives(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lease, "RENEWALS_IN_A_LEASE", 600)
    with hold_lease(store, FOLDER, 0):
        seem(store, renewed_at="2026-01-01T00:00:00+00:00")
        until(lambda: lease_holder(store, FOLDER))
        with pytest.raises(Retry), hold_lease(store, FOLDER, 0):
            pytest.fail("it lives")


def test_a_lease_that_was_lost_is_not_given_back_in_the_others_name(tmp_path: Path):
    store = Store(str(tmp_path))
    with hold_lease(store, FOLDER, 0) as mine:
        newer = replace(lease._newest(store, FOLDER), epoch=2)
        store.create(f"{FOLDER}/{2:010}.json", json.dumps(asdict(newer)).encode())
        other = Lease(store, FOLDER, newer)
        mine.release()
        other.check()
    assert lease_holder(store, FOLDER)


def test_a_termination_tells_who_handled_it_before_and_gives_the_lease_back(tmp_path: Path):
    store, told = Store(str(tmp_path)), []
    before = signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    try:
        with pytest.raises(SystemExit) as raised, hold_lease(store, FOLDER, 0):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert raised.value.code == lease.TERMINATED
    assert told == [signal.SIGTERM] * 2
    assert lease_holder(store, FOLDER) is None
