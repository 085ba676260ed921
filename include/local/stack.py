"""The local stack: the sandbox and a real Airflow on loopback, for looking around and for the demo.

A running stack belongs to one home folder and is known by the lock in it (`keeper.py`).
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Collection, Sequence
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
from pydantic import BaseModel

from include.errors import Stop
from include.local.environment import sandbox_connections, stack_environment
from include.local.keeper import Order, Service, hold
from include.local.rest import Airflow
from include.settings import PROJECT, Settings
from include.store import PRIVATE, make_private_folder

DAGS = PROJECT / "dags"
POOLS = PROJECT / "plugins/pools.json"
START_SECONDS = 180
# What Airflow makes up where it finds none; its processes start at once, and must agree.
KEYS = """[core]
fernet_key = {}
[api]
secret_key = {}
[api_auth]
jwt_secret = {}
"""
STOP_SECONDS = 30
EMPTY_DATABASE = Path(sys.prefix) / "airflow.db"
"""Airflow's tables with nothing in them, made where the project is installed."""
"""Longer than the keeper's own patience with what it stops."""


class Address(BaseModel):
    """Where the services of a running stack answer, and which process keeps them."""

    airflow: str
    sandbox: str
    keeper: int = 0


def free_port(wanted: int) -> int:
    """The wanted port on loopback, or any free one if something else listens there."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Stop("no free port on 127.0.0.1")


def lock_path(settings: Settings) -> Path:
    """The file whose lock says that a stack runs in this home."""
    return settings.home.absolute() / "local.lock"


def running(settings: Settings) -> Address | None:
    """Where the stack of this home answers; None when none is running."""
    path = lock_path(settings)
    if not path.exists():
        return None
    lock = hold(path)
    if lock is not None:
        lock.close()
        return None
    notice = path.read_text()
    # Between taking the lock and writing the notice there is a moment.
    return Address.model_validate_json(notice) if notice else None


class Stack:
    """A stack to start, and to stop at the end of the `with` block unless it `stays`.

    `preparations` have to end well before Airflow starts. All destinations are the sandbox's,
    except those in `real`: AIRFLOW_CONN_* variables of the caller that are left as they are.
    """

    def __init__(
        self,
        settings: Settings,
        preparations: Sequence[Service] = (),
        real: Collection[str] = (),
        *,
        stays: bool = False,
    ) -> None:
        self.settings = settings
        self.preparations = preparations
        self.stays = stays
        self.logs = settings.home.absolute() / "logs"
        self.airflow_port = free_port(settings.airflow_port)
        self.sandbox_port = free_port(settings.sandbox_port)
        self.address = Address(
            airflow=f"http://127.0.0.1:{self.airflow_port}",
            sandbox=f"http://127.0.0.1:{self.sandbox_port}",
        )
        self.environment = stack_environment(settings, self.airflow_port) | {
            variable: connection
            for variable, connection in sandbox_connections(self.address.sandbox).items()
            if variable not in real
        }
        self._airflow_home = Path(self.environment["AIRFLOW_HOME"])
        # Which release of Airflow its database is of.
        self._made_by = self._airflow_home / "made_by"
        self.keeper: subprocess.Popen[str] | None = None

    def __enter__(self) -> Stack:
        try:
            self._start()
            self._wait_until_it_answers()
            _write_private(self._made_by, version("apache-airflow"))
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self.stays:
            self._stop()

    def check(self) -> None:
        """Raise `Stop` with the last lines of the log when a service has died."""
        if self.keeper is not None and self.keeper.poll() is not None:
            raise Stop(f"the local stack ended: {self._last_words()}")

    def _start(self) -> None:
        make_private_folder(self.logs)
        for log in self.logs.glob("*.log"):
            log.unlink()
        with (self.logs / "keeper.log").open("ab") as output:
            self.keeper = subprocess.Popen(
                [sys.executable, "-m", "include.local.keeper"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                text=True,
                start_new_session=True,
                env=self.environment,
            )
        assert self.keeper.stdin is not None
        self.keeper.stdin.write(self._order().model_dump_json() + "\n")
        self.keeper.stdin.flush()

    def _order(self) -> Order:
        airflow = str(Path(sys.executable).with_name("airflow"))
        sandbox = [
            *(sys.executable, "-m", "include.sandbox"),
            *("--port", str(self.sandbox_port)),
            *("--database", str(self.settings.home.absolute() / "sandbox.sqlite")),
        ]
        return Order(
            preparations=[*self.preparations, *self._migration()],
            services=[
                Service(name="api-server", command=[airflow, "api-server"]),
                Service(name="dag-processor", command=[airflow, "dag-processor"]),
                # Its log server would listen on every interface; here all logs are on one disk.
                Service(name="scheduler", command=[airflow, "scheduler", "--skip-serve-logs"]),
                Service(name="triggerer", command=[airflow, "triggerer", "--skip-serve-logs"]),
                Service(name="sandbox", command=sandbox),
            ],
            lock=lock_path(self.settings),
            logs=self.logs,
            notice=self.address.model_dump(mode="json"),
            ends_with_its_starter=not self.stays,
        )

    def _migration(self) -> list[Service]:
        """What brings Airflow's tables up to date; nothing where this release has made them."""
        database = self._airflow_home / "airflow.db"
        if not database.exists() and EMPTY_DATABASE.exists():
            make_private_folder(self._airflow_home)
            arriving = database.with_suffix(".arriving")
            shutil.copyfile(EMPTY_DATABASE, arriving)
            arriving.chmod(PRIVATE)
            keys = [urlsafe_b64encode(os.urandom(32)).decode() for _ in range(3)]
            _write_private(self._airflow_home / "airflow.cfg", KEYS.format(*keys))
            _write_private(self._made_by, version("apache-airflow"))
            arriving.replace(database)
        if self._made_by.exists() and self._made_by.read_text() == version("apache-airflow"):
            return []
        airflow = str(Path(sys.executable).with_name("airflow"))
        return [Service(name="migrate", command=[airflow, "db", "migrate"])]

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        for url in (f"{self.address.sandbox}/_health", f"{self.address.airflow}/api/v2/version"):
            while not _answers(url):
                self.check()
                if time.monotonic() > deadline:
                    raise Stop(f"{url} did not answer in {START_SECONDS} s; see {self.logs}")
                time.sleep(0.2)

    def _last_words(self) -> str:
        reason = (self.logs / "keeper.log").read_text().strip()
        service = reason.split(" ", 1)[0]
        log = self.logs / f"{service}.log"
        tail = log.read_text(errors="replace").splitlines()[-15:] if log.exists() else []
        return "\n".join([reason or "it was stopped, or another one runs in this home", *tail])

    def _stop(self) -> None:
        if self.keeper is None:
            return
        assert self.keeper.stdin is not None
        self.keeper.stdin.close()
        self.keeper.terminate()
        self.keeper.wait()


def _write_private(path: Path, text: str) -> None:
    path.touch(PRIVATE)
    path.write_text(text)


def stop(settings: Settings) -> bool:
    """Stop the stack of this home; False when none was running. Raises `Stop` if it goes on."""
    address = running(settings)
    if address is None:
        return False
    os.kill(address.keeper, 15)
    deadline = time.monotonic() + STOP_SECONDS
    while running(settings) is not None:
        if time.monotonic() > deadline:
            raise Stop(f"process {address.keeper} did not stop in {STOP_SECONDS} s")
        time.sleep(0.1)
    return True


def load_pools() -> dict[str, dict[str, Any]]:
    """The pools that the DAGs name, as `airflow pools import` would read them."""
    pools: dict[str, dict[str, Any]] = json.loads(POOLS.read_text())
    return pools


def prepare(airflow: Airflow) -> None:
    """Wait until Airflow has read every DAG, and create the pools.

    Raises `Stop` with the error of a DAG that can not be read.
    """
    for name, pool in load_pools().items():
        airflow.set_pool(name, pool)
    waiting = {path.stem for path in DAGS.glob("*.py")}
    while waiting := {dag for dag in waiting if not airflow.has_dag(dag)}:
        if errors := airflow.import_errors():
            raise Stop("\n".join(errors))
        time.sleep(0.3)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.TransportError:
        return False
