"""A lease: one process at a time may work on what a folder of the store stands for.

    activation/<destination>/<audience>/lease/<epoch>.json

Who creates the file of the next epoch has the lease, and renews it by rewriting that file. A lease
is free once it was given back, was not renewed in time, or its process is gone. The epoch is the
fencing token: a run that was taken for dead and lives finds a greater one before its next batch or
receipt, and stops.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil

from include.errors import Retry, Stop
from include.store import Store

# Without a sign of life for so long, a holder on another machine counts as dead.
LEASE_SECONDS = 60.0
RENEWALS_IN_A_LEASE = 4
LOOK_AGAIN_SECONDS = 0.5
TERMINATED = 128 + signal.SIGTERM

log = logging.getLogger(__name__)


class LeaseLost(Stop):
    """Another run has taken over; nothing more must be sent or written by this one."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a lease. `machine` tells apart where a process id means something."""

    epoch: int
    host: str
    machine: str
    process_id: int
    process_began: float
    taken_at: str
    renewed_at: str
    released_at: str | None = None

    def __str__(self) -> str:
        return f"process {self.process_id} on {self.host} since {self.taken_at[:19]}Z"

    @property
    def is_active(self) -> bool:
        """Whether the holder must be left alone."""
        if self.released_at:
            return False
        if self.machine == _machine() and not _lives(self.process_id, self.process_began):
            return False
        age = datetime.now(UTC) - datetime.fromisoformat(self.renewed_at)
        return age < timedelta(seconds=LEASE_SECONDS)


class Lease:
    """The lease of one folder (an audience at a destination, say), held by this process."""

    def __init__(self, store: Store, folder: str, holder: Holder) -> None:
        self._store = store
        self._folder = folder
        self._holder = holder

    @property
    def epoch(self) -> int:
        """The fencing token."""
        return self._holder.epoch

    def check(self) -> None:
        """Raise `LeaseLost` if another run has taken over."""
        newest = _newest_epoch(self._store, self._folder)
        if newest != self.epoch:
            raise LeaseLost(
                f"another run has taken over {self._folder.removesuffix('/lease')} "
                f"(epoch {newest}, ours is {self.epoch}): this one was not heard of for "
                f"{LEASE_SECONDS:.0f} s and leaves the rest to it"
            )

    def renew(self) -> None:
        """Show that this run lives. Raises `LeaseLost`."""
        self.check()
        self._holder = replace(self._holder, renewed_at=_now())
        self._store.write(_path(self._folder, self.epoch), _encoded(self._holder))

    def release(self) -> None:
        """Give it back, unless another run has it by now."""
        with suppress(LeaseLost):
            self.check()
            self._holder = replace(self._holder, released_at=_now())
            self._store.write(_path(self._folder, self.epoch), _encoded(self._holder))


@contextmanager
def hold_lease(store: Store, folder: str, wait_seconds: float) -> Iterator[Lease]:
    """Hold the lease in `folder` while the block lasts; a SIGTERM gives it back.

    Waits for another run; raises `Retry` that names its holder if it goes on for longer.
    """
    lease = _take(store, folder, wait_seconds)
    ended = threading.Event()
    heart = threading.Thread(target=_beat, args=(lease, ended), daemon=True, name="lease")
    heart.start()
    try:
        with _terminable():
            yield lease
    finally:
        ended.set()
        heart.join()
        lease.release()


def lease_holder(store: Store, folder: str) -> Holder | None:
    """Who holds the lease now, None if nobody does."""
    holder = _newest(store, folder)
    return holder if holder and holder.is_active else None


def _take(store: Store, folder: str, wait_seconds: float) -> Lease:
    give_up_at = time.monotonic() + wait_seconds
    while True:
        last = _newest(store, folder)
        if last is None or not last.is_active:
            lease = _try(store, folder, last.epoch + 1 if last else 1)
            if lease:
                if last and not last.released_at:
                    log.warning("took over %s from %s, who is gone", folder, last)
                return lease
        elif time.monotonic() >= give_up_at:
            raise Retry(
                f"{folder.removesuffix('/lease')} is being synced by {last} (epoch {last.epoch}): "
                "this run leaves it to that one",
                after_seconds=LEASE_SECONDS,
            )
        else:
            time.sleep(LOOK_AGAIN_SECONDS)


def _try(store: Store, folder: str, epoch: int) -> Lease | None:
    now = _now()
    process = psutil.Process()
    holder = Holder(epoch, socket.gethostname(), _machine(), process.pid, _began(process), now, now)
    if not store.create(_path(folder, epoch), _encoded(holder)):
        return None
    epochs = _epochs(store, folder)
    if epochs[-1] != epoch:
        # Ours was looked up long ago: its file is one that a later run had cleared away.
        store.remove(_path(folder, epoch))
        return None
    for older in epochs[:-1]:
        store.remove(_path(folder, older))
    return Lease(store, folder, holder)


def _beat(lease: Lease, ended: threading.Event) -> None:
    """Renew until the end; whoever sends finds out by itself that the lease is lost."""
    while not ended.wait(LEASE_SECONDS / RENEWALS_IN_A_LEASE):
        try:
            lease.renew()
        except LeaseLost:
            return
        except Exception as error:
            log.warning("the lease could not be renewed: %s", type(error).__name__)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let a SIGTERM unwind the stack: what is on its way is waited for, and the lease given back.

    Whoever handles it already is called first: Airflow tells a task's operator, and goes on.
    """
    before = signal.getsignal(signal.SIGTERM)
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or before in (signal.SIG_IGN, None):
        yield
        return

    def terminate(number: int, frame: FrameType | None) -> NoReturn:
        if callable(before):
            before(number, frame)
        raise SystemExit(TERMINATED)

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _newest(store: Store, folder: str) -> Holder | None:
    while epoch := _newest_epoch(store, folder):
        try:
            return Holder(**json.loads(store.read(_path(folder, epoch))))
        except FileNotFoundError:
            # A later run has cleared it away in between.
            continue
    return None


def _newest_epoch(store: Store, folder: str) -> int:
    return max(_epochs(store, folder), default=0)


def _epochs(store: Store, folder: str) -> list[int]:
    return [int(name.removesuffix(".json")) for name in store.list(folder)]


def _path(folder: str, epoch: int) -> str:
    return f"{folder}/{epoch:010}.json"


def _encoded(holder: Holder) -> bytes:
    return json.dumps(asdict(holder), indent=1).encode()


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _machine() -> str:
    """This machine since it was started; within a container, that container."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _lives(process_id: int, began: float) -> bool:
    try:
        process = psutil.Process(process_id)
        return _began(process) == began and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _began(process: psutil.Process) -> float:
    """Seconds since the machine was started: the clock may be set while a process lives."""
    return round(process.create_time() - psutil.boot_time(), 2)
