"""The keeper leaves nothing behind, whatever happens to it or to who started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from include.local.keeper import Order, Service, hold
from tests.waiting import until

# A service whose grandchild leaves its session, loses its parent and ignores polite requests.
STUBBORN = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() > 0:
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1] + str(os.getpid()), "w").close()
time.sleep(600)
"""


def order(folder: Path, *commands: list[str], ends_with_its_starter: bool = True) -> Order:
    services = [Service(name=f"service{n}", command=c) for n, c in enumerate(commands)]
    return Order(
        preparations=[Service(name="preparation", command=[sys.executable, "-c", ""])],
        services=services,
        lock=folder / "lock",
        logs=folder / "logs",
        notice={"url": "here"},
        ends_with_its_starter=ends_with_its_starter,
    )


@contextmanager
def keeper(what: Order) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "include.local.keeper"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    process.stdin.write(what.model_dump_json() + "\n")
    process.stdin.flush()
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def stubborn(tmp_path: Path) -> tuple[Order, Callable[[], list[int]]]:
    """An order for a stubborn service, and the processes that it has started."""
    marks = tmp_path / "marks"
    marks.mkdir()
    what = order(tmp_path, [sys.executable, "-c", STUBBORN, f"{marks}/"])
    return what, lambda: [int(mark.name) for mark in marks.iterdir()]


def test_the_end_of_its_starter_ends_everything(stubborn, tmp_path):
    what, pids = stubborn
    with keeper(what) as process:
        until(lambda: len(pids()) == 2)
        process.stdin.close()
        process.wait(timeout=300)
    assert not any(psutil.pid_exists(pid) for pid in pids())
    assert hold(tmp_path / "lock")


def test_a_polite_request_ends_everything_when_its_starter_is_long_gone(stubborn):
    what, pids = stubborn
    with keeper(what.model_copy(update={"ends_with_its_starter": False})) as process:
        process.stdin.close()
        until(lambda: len(pids()) == 2)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=300)
    assert not any(psutil.pid_exists(pid) for pid in pids())


def test_a_service_that_dies_takes_the_others_with_it(stubborn):
    what, pids = stubborn
    with keeper(what) as process:
        until(lambda: len(pids()) == 2)
        [service] = [pid for pid in pids() if os.getsid(pid) == pid]
        os.kill(service, signal.SIGKILL)
        assert process.wait(timeout=300) == 1
        assert process.stderr.read() == "service0 ended with exit code -9\n"
    assert not any(psutil.pid_exists(pid) for pid in pids())


def test_nothing_starts_after_a_preparation_has_failed(tmp_path):
    what = order(tmp_path, [sys.executable, "-c", "open('started', 'w')"])
    failing = Service(name="migrate", command=[sys.executable, "-c", "raise SystemExit(3)"])
    with keeper(what.model_copy(update={"preparations": [failing]})) as process:
        assert process.wait(timeout=300) == 1
        assert process.stderr.read() == "migrate ended with exit code 3\n"
    assert not (tmp_path / "logs/service0.log").exists()


def test_a_second_keeper_of_the_same_home_starts_nothing(stubborn, tmp_path):
    what, pids = stubborn
    with keeper(what) as first:
        until(lambda: len(pids()) == 2)
        with keeper(what) as second:
            assert second.wait(timeout=300) == 0
        assert len(pids()) == 2
        first.stdin.close()
        first.wait(timeout=300)
