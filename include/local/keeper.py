"""The keeper: starts the services of the local stack, and never leaves one of them behind.

It runs as a process of its own, in its own session, and is told what to start by one JSON line on
its standard input (`Order`). Everything the services start stays below it in the process tree, also
what changes its session or loses its parent, because the keeper is the kernel's "child subreaper"
(Linux, prctl(2)). It stops the whole tree when it is asked to (SIGTERM), when a service dies, or
when the process that started it dies: that one holds the other end of the standard input, and the
kernel closes it even after a kill -9.

While it runs it holds a lock on `Order.lock`, in which others can read where the services answer;
the kernel releases it with the process, so that it can never be stale.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import psutil
from pydantic import BaseModel

from include.store import keep_private, make_private_folder

SET_CHILD_SUBREAPER = 36
GRACE_SECONDS = 3.0


class Service(BaseModel):
    """One command; its output goes to a log of its name."""

    name: str
    command: list[str]


class Order(BaseModel):
    """What has to end well first, what to keep running then, what the lock's file says of it."""

    preparations: list[Service]
    services: list[Service]
    lock: Path
    logs: Path
    notice: dict[str, Any]
    ends_with_its_starter: bool


class Keeper:
    """Starts an order's services once the preparations are done; waits for a reason to stop."""

    def __init__(self, order: Order, lifeline: int) -> None:
        self.order = order
        self.lifeline = lifeline
        self.running: dict[int, Service] = {}
        self.preparing: set[int] = set()
        self.wakeup, signalled = os.pipe()
        os.set_blocking(signalled, False)
        signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
        self.must_stop = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_soon)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self) -> str | None:
        """Keep the services running; return why they were stopped, None if that was asked for."""
        try:
            self.preparing = {self._start(service) for service in self.order.preparations}
            has_started = False
            while not self.must_stop:
                if not self.preparing and not has_started:
                    has_started = True
                    for service in self.order.services:
                        self._start(service)
                self._wait()
                for pid, service, code in self._ended():
                    if pid not in self.preparing or code != 0:
                        return f"{service.name} ended with exit code {code}"
                    self.preparing.remove(pid)
            return None
        finally:
            self._stop_all()

    def _stop_soon(self, *_: object) -> None:
        self.must_stop = True

    def _start(self, service: Service) -> int:
        log = str(self.order.logs / f"{service.name}.log")
        pid = os.posix_spawn(
            service.command[0],
            service.command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        self.running[pid] = service
        return pid

    def _wait(self) -> None:
        watched = [self.wakeup] + ([self.lifeline] if self.order.ends_with_its_starter else [])
        ready, _, _ = select.select(watched, [], [])
        if self.wakeup in ready:
            os.read(self.wakeup, 4096)
        if self.lifeline in ready and not os.read(self.lifeline, 4096):
            self.must_stop = True

    def _ended(self) -> list[tuple[int, Service, int]]:
        """Reap every child that ended; return the services among them with their exit codes."""
        ended: list[tuple[int, Service, int]] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if pid == 0:
                return ended
            if pid in self.running:
                ended.append((pid, self.running.pop(pid), os.waitstatus_to_exitcode(status)))

    def _stop_all(self) -> None:
        """Ask every service's group to end, then kill what is left until nothing is."""
        for pid in self.running:
            _send(os.killpg, pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while _children() and time.monotonic() < deadline:
            self._ended()
            time.sleep(0.05)
        while children := _children():
            for process in children:
                _send(os.kill, process.pid, signal.SIGKILL)
            self._ended()
            time.sleep(0.02)


def _children() -> list[psutil.Process]:
    """All below this process, the dead that nobody has reaped yet included."""
    return psutil.Process().children(recursive=True)


def _send(send: Callable[[int, int], None], pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        send(pid, number)


def hold(path: Path) -> IO[str] | None:
    """Take a lock that ends with the process; None if another process holds it."""
    make_private_folder(path.parent)
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def main() -> int:
    """Read the order from standard input, carry it out; exit code 1 if a service died."""
    order = Order.model_validate_json(sys.stdin.readline())
    lock = hold(order.lock)
    if lock is None:
        return 0
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    keep_private()
    make_private_folder(order.logs)
    lock.truncate(0)
    lock.write(json.dumps(order.notice | {"keeper": os.getpid()}))
    lock.flush()
    reason = Keeper(order, sys.stdin.fileno()).run()
    lock.truncate(0)
    if reason is not None:
        sys.stderr.write(f"{reason}\n")
    return 1 if reason else 0


if __name__ == "__main__":
    sys.exit(main())
