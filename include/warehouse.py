"""Short visits to the warehouse: open it, run named static statements, close it.

DuckDB lets one process at a time open the file, readers included, so nobody keeps it open. Whoever
only wants results reads a published snapshot instead (`include/publishing.py`).
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from include.errors import BadInput, RegularsError, Retry, Stop
from include.settings import Settings
from include.store import PRIVATE, keep_private, make_private_folder

STATEMENTS = Path(__file__).parent / "sql"
# Beside the warehouse, while `regulars ingest --rebuild` makes another one.
REBUILDING = ".rebuilding"

_CORRUPT = ("not a valid duckdb database", "corrupt", "checksum", "replaying wal", "serialization")
_HOLDER = re.compile(r"PID (\d+)")


class Warehouse:
    """An open warehouse. `connection` is for DuckDB's relational API; SQL is in `include/sql`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def run(
        self, statement: str, names: Mapping[str, str] | None = None, /, **parameters: object
    ) -> pa.Table:
        """Run `include/sql/<statement>.sql` and return the rows of its last statement.

        A file may hold several statements; each is given the parameters (`$name`) that it names.
        `names` fills what cannot be a parameter (`{table}`): names of our own, never input.
        Raises `ValueError` when a parameter is missing or named nowhere.
        """
        text = read_statement(statement)
        parts = self.connection.extract_statements(text.format_map(names) if names else text)
        named = {name for part in parts for name in part.named_parameters}
        if named != parameters.keys():
            raise ValueError(f"{statement}.sql names {sorted(named)}, got {sorted(parameters)}")
        for part in parts:
            own = {name: parameters[name] for name in part.named_parameters}
            self.connection.execute(part, own or None)
        return self.connection.to_arrow_table()

    def has_table(self, schema: str, table: str) -> bool:
        """Whether there is such a table."""
        found = self.run("has_table", schema=schema, table=table)
        return bool(found["is_there"][0].as_py())

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block is kept, or nothing."""
        self.connection.begin()
        try:
            yield
        except BaseException:
            # The engine may have rolled back by itself (a full disk); the first error counts.
            with suppress(duckdb.Error):
                self.connection.rollback()
            raise
        self.connection.commit()

    @contextmanager
    def time_zone(self, name: str) -> Iterator[None]:
        """Within the block, timestamps without an offset are times of this zone."""
        self.connection.execute("set timezone = $name", {"name": name})
        try:
            yield
        finally:
            self.connection.execute("set timezone = 'UTC'")


@contextmanager
def visit(
    settings: Settings, read_only: bool = False, path: Path | None = None
) -> Iterator[Warehouse]:
    """Open the warehouse (`path`: another file in its stead) for as long as the block lasts.

    Raises `Retry` when another process holds it for longer than `settings.lock_wait_seconds`,
    `Stop` when it is missing (read-only) or damaged, or when the work outgrows its memory.
    """
    path = path or settings.warehouse_path
    if read_only and not path.exists():
        raise Stop("there is no warehouse yet: run `regulars ingest` first")
    keep_private()
    make_private_folder(path.parent)
    try:
        connection, opened_at = _connect(settings, path, read_only)
    except duckdb.Error as error:
        raise _explained(error, path) from error
    try:
        path.chmod(PRIVATE)
        if not read_only:
            _sweep_spill(path, opened_at)
        connection.execute("set timezone = 'UTC'")
        with explained_outgrowth(settings):
            yield Warehouse(connection)
    except duckdb.Error as error:
        if _is_damage(error):
            raise _explained(error, path) from error
        raise
    finally:
        connection.close()


def remove_database(path: Path) -> None:
    """Remove a DuckDB file that nobody has open, its log and what was spilled beside it."""
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
    for folder in _spilled(path):
        shutil.rmtree(folder)


def replace_database(path: Path, fresh: Path) -> None:
    """Put a finished DuckDB file in the place of one that nobody else has open.

    The file is never missing: whoever waits for it would make an empty one.
    """
    fresh.chmod(PRIVATE)
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
    fresh.replace(path)


@contextmanager
def explained_outgrowth(settings: Settings) -> Iterator[None]:
    """Raise `Stop`, naming the settings, if work outgrows its memory although it may spill."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise Stop(
            f"the work does not fit into {settings.memory_limit} of memory: raise"
            " REGULARS_MEMORY_LIMIT or lower REGULARS_THREADS"
        ) from error


@cache
def read_statement(name: str) -> str:
    """The text of `include/sql/<name>.sql`."""
    return (STATEMENTS / f"{name}.sql").read_text()


def _sweep_spill(path: Path, opened_at: float) -> None:
    """Remove what killed processes have spilled: it may hold anybody.

    To be called by whoever has the file open to write: nobody else has it open at all. What was
    written since `opened_at` is the caller's own, who spills if a long log is replayed.
    """
    for folder in _spilled(path):
        for file in folder.iterdir():
            if file.stat().st_mtime < opened_at:
                file.unlink()
        if folder != _spill(path):
            folder.rmdir()


def _spilled(path: Path) -> list[Path]:
    """The folders of all who have spilled, dbt among them."""
    return list(path.parent.glob(f"{path.name}.*tmp"))


def _spill(path: Path, reader: int | None = None) -> Path:
    """Where DuckDB spills by itself; a reader beside others, by its process, in a place of its own.

    DuckDB's names in there are the same in every process.
    """
    return path.with_name(f"{path.name}.{reader}.tmp" if reader else f"{path.name}.tmp")


def _connect(
    settings: Settings, path: Path, read_only: bool
) -> tuple[duckdb.DuckDBPyConnection, float]:
    """The open file, and a moment at which nobody else had it open any more."""
    deadline = time.monotonic() + settings.lock_wait_seconds
    config: dict[str, Any] = {
        "memory_limit": settings.memory_limit,
        "threads": settings.threads,
        "temp_directory": str(_spill(path, os.getpid() if read_only else None)),
        # Of a new file; its compression costs a quarter less time than the oldest format's.
        "storage_compatibility_version": "v1.5.0",
    }
    while True:
        opened_at = time.time()
        try:
            return duckdb.connect(str(path), read_only=read_only, config=config), opened_at
        except duckdb.IOException as error:
            if not _is_locked(error) or time.monotonic() >= deadline:
                raise
        time.sleep(0.1)


def _is_locked(error: duckdb.Error) -> bool:
    return "could not set lock" in str(error).lower()


def _is_damage(error: duckdb.Error) -> bool:
    message = str(error).lower()
    return any(sign in message for sign in _CORRUPT)


def _explained(error: duckdb.Error, path: Path) -> RegularsError:
    if _is_locked(error):
        holder = _HOLDER.search(str(error))
        process = f"process {holder[1]}" if holder else "another process"
        return Retry(f"the warehouse {path} is held by {process}: wait until it is done, or end it")
    if _is_damage(error):
        return Stop(
            f"the warehouse {path} is damaged: run `regulars ingest --rebuild`, which makes it"
            " anew from the landing files"
        )
    if isinstance(error, duckdb.ParserException | duckdb.InvalidInputException):
        return BadInput(f"DuckDB refuses the settings of REGULARS_MEMORY_LIMIT or THREADS: {error}")
    return Stop(f"the warehouse {path} cannot be opened: {error}")
