"""Turns at a vendor's account: how many calls run at once, how often, and pauses for everybody.

Limits are per credential, whichever audience or process it is that calls. All processes of this
machine meet at a few files in the home: a call holds the lock of one of as many files as the vendor
allows connections, and one small file says when the next call may begin. The kernel gives the locks
of a killed process back.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from include.connections import Credentials
from include.destinations.base import Destination
from include.errors import Retry
from include.store import PRIVATE, make_private_folder

LOOK_AGAIN_SECONDS = 0.01
# No vendor answers a call after so long: who still holds its connection then has been stopped.
LONGEST_CALL_SECONDS = 180
MOMENTS_BYTES = 200


class NotCalled(Retry):
    """The account is limited for longer than we wait: no call was made."""


class Turns:
    """One run's access to an account. The clock is monotonic: the wall's may be set meanwhile.

    `longest_wait`: whoever would have to wait for longer gets `NotCalled`, which says how long.
    `fence` is called before each call begins, and may raise.
    """

    def __init__(
        self,
        home: Path,
        destination: type[Destination],
        credentials: Credentials,
        longest_wait: float,
        fence: Callable[[], None],
    ) -> None:
        secret = f"{destination.name} {credentials.login} {credentials.password}"
        self._folder = home / "turns" / f"{destination.name}-{sha256(secret.encode()).hexdigest()}"
        make_private_folder(self._folder)
        self._connections = destination.connections
        rate = destination.calls_per_second
        self._interval = 1 / rate if rate else 0.0
        self._longest_wait = longest_wait
        self._fence = fence
        self._abandoned = threading.Event()
        self._cause: BaseException | None = None

    @contextmanager
    def take(self) -> Iterator[None]:
        """Wait for a connection and for the moment to use it; keep it while the block lasts.

        A `Retry` within the block that says for how long holds everybody up before the connection
        is free again: else the next in line would call an account that is limited.
        """
        lock = self._connection()
        try:
            self.wait(self._interval)
            self._fence()
            try:
                yield
            except Retry as error:
                if error.after_seconds:
                    self.hold_up(error.after_seconds)
                raise
        finally:
            os.close(lock)

    def wait(self, interval: float = 0.0) -> None:
        """Until a call may begin; the next one of anybody's begins an interval later.

        Raises `NotCalled` if that takes longer than this run waits, and the cause once abandoned.
        """
        mine = self._reserve(interval)
        while (left := max(mine, self._reserve(0.0)) - time.monotonic()) > 0:
            if left > self._longest_wait:
                raise NotCalled("the account is limited, and told when calls may go on", left)
            self._abandoned.wait(left)
            self._go_on()
        self._go_on()

    def hold_up(self, seconds: float) -> None:
        """Let nobody call this account for so long."""
        with self._moments() as moments:
            moments["not_before"] = max(moments["not_before"], time.monotonic() + seconds)

    def abandon(self, cause: BaseException) -> None:
        """End every wait, and refuse further calls for that reason; the first one counts."""
        self._cause = self._cause or cause
        self._abandoned.set()

    def _go_on(self) -> None:
        if self._cause:
            raise self._cause

    def _connection(self) -> int:
        """The lock of one of the account's connections."""
        while True:
            for number in range(self._connections):
                path = self._folder / f"connection-{number}"
                lock = os.open(path, os.O_CREAT | os.O_RDWR, PRIVATE)
                if _is_free(lock):
                    os.utime(lock)
                    return lock
                os.close(lock)
            self._abandoned.wait(LOOK_AGAIN_SECONDS)
            self._go_on()

    def _reserve(self, interval: float) -> float:
        """When a call may begin; one of an interval takes that moment."""
        with self._moments() as moments:
            begins = max(time.monotonic(), moments["not_before"])
            if interval:
                begins = max(begins, moments["next_call"])
                moments["next_call"] = begins + interval
            return begins

    @contextmanager
    def _moments(self) -> Iterator[dict[str, float]]:
        """What the account's file says, locked; written back if the block changes it."""
        file = os.open(self._folder / "moments.json", os.O_CREAT | os.O_RDWR, PRIVATE)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            now = time.monotonic()
            moments = {"written": now, "not_before": 0.0, "next_call": 0.0}
            moments |= _kept(os.read(file, MOMENTS_BYTES), now)
            before = dict(moments)
            yield moments
            if moments != before:
                text = json.dumps(moments | {"written": now})
                # In one write of always as many bytes, so that no end of an older one stays.
                os.pwrite(file, text.ljust(MOMENTS_BYTES).encode(), 0)
        finally:
            os.close(file)


def _kept(text: bytes, now: float) -> dict[str, float]:
    """What an account's file says; nothing if a power cut has torn it.

    Nor is it anything if it is from before the machine was started anew: its clock means nothing.
    """
    try:
        kept: dict[str, float] = json.loads(text)
    except ValueError:
        return {}
    return kept if kept["written"] <= now else {}


def _is_free(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return time.time() - os.fstat(lock).st_mtime > LONGEST_CALL_SECONDS
    return True
