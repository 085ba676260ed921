"""A private DuckDB for one step of a sync: views over published and kept files, and a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

import duckdb
from duckdb import ColumnExpression, ConstantExpression, FunctionExpression

from include.destinations import Destination
from include.erasure.watch import Watch
from include.errors import Stop
from include.publishing import Snapshot
from include.settings import Settings
from include.store import Store
from include.warehouse import Warehouse, explained_outgrowth, read_statement

# From how much on DuckDB gives back what a task has freed; by itself from 128 MB and 512 MB on.
GIVEN_BACK = {
    "allocator_flush_threshold": "8MB",
    "allocator_bulk_deallocation_flush_threshold": "16MB",
}

# Numbers by now; an earlier release wrote the md5s that they are a half of.
NUMBERS = ("member_key", "fingerprint")
HALF = (
    "('0x' || array_to_string(list_reverse(regexp_extract_all("
    "right(replace({0}::varchar, '-', ''), 16), '..')), ''))::ubigint as {0}"
)

# Most of what is kept are hashes, which no codec makes smaller; reading them costs zstd most.
CODEC: Final = "lz4_raw"


class Workbench(Warehouse):
    """DuckDB within the settings' limits; what it spills lies in `folder` and goes with it.

    `watch` knows who was erased.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, store: Store, folder: Path, watch: Watch
    ) -> None:
        super().__init__(connection)
        self.watch = watch
        self.store = store
        self.folder = folder

    def show(self, view: str, path: str) -> None:
        """A Parquet file of the store as a view. Raises `Stop` if the file is damaged."""
        self._parquet(path).create_view(view)

    def _parquet(self, path: str) -> duckdb.DuckDBPyRelation:
        try:
            return _numbered(self.connection.read_parquet(self.store.local(path, self.folder)))
        except (duckdb.InvalidInputException, duckdb.IOException) as error:
            raise Stop(f"{path} is damaged: put it back from a backup") from error

    def show_state(self, path: str) -> None:
        """What a destination holds as the view `held`, which is empty before the first sync."""
        self.run("empty_held")
        if not self.store.exists(path):
            return
        columns = self.connection.view("held").columns
        kept = self._keyed(path)
        # A file of an earlier release lacks what was added since.
        missing = [ConstantExpression(None).alias(c) for c in columns if c not in kept.columns]
        kept.select(*kept.columns, *missing).select(*columns).create_view("held")

    def show_statuses(self, path: str) -> None:
        """What a destination has told us as the view `statuses`, empty if it never did."""
        if self.store.exists(path):
            self._keyed(path).create_view("statuses")
        else:
            self.run("empty_statuses")

    def _keyed(self, path: str) -> duckdb.DuckDBPyRelation:
        """A file that names people by identity; one of an earlier release lacks the key of it."""
        kept = self._parquet(path)
        if "identity_key" in kept.columns:
            return kept
        key = FunctionExpression("md5", ColumnExpression("identity")).cast("UUID")
        return kept.select(*kept.columns, key.alias("identity_key"))

    def show_wanted(
        self, snapshot: Snapshot, destination: str, audience: str, *, nobody: bool = False
    ) -> None:
        """Who should be in one audience at one destination, as the view `wanted`.

        nobody: whatever the snapshot says, because the audience no longer goes there.
        """
        memberships = self.connection.read_parquet(snapshot.path("desired_memberships"))
        _numbered(memberships).filter(
            (ColumnExpression("channel") == ConstantExpression(destination))
            & (ColumnExpression("audience") == ConstantExpression(audience))
            & ConstantExpression(not nobody)
        ).create_view("wanted")

    def show_addressed(
        self, snapshot: Snapshot, destination: type[Destination], contacts: str
    ) -> None:
        """Who the selected contacts are at the destination, as the view `addressed`."""
        self.connection.read_parquet(snapshot.path("contacts")).create_view("all_contacts")
        self.run(contacts)
        self.leave_out_erased()
        self.connection.sql(destination.contacts_sql).create_view("addressed")

    def leave_out_erased(self) -> None:
        """Take whoever was erased before this workbench was opened out of the view `contacts`."""
        if self.watch.tombstones:
            self.watch.tombstones.show(self)
            self.run("leave_out_erased")

    def statement(self, name: str) -> duckdb.DuckDBPyRelation:
        """`include/sql/<name>.sql`, a select without parameters, to be read or kept in a stream."""
        return self.connection.sql(read_statement(name))

    def keep(
        self, relation: duckdb.DuckDBPyRelation, path: str, row_group_size: int = 122_880
    ) -> Path:
        """Write a relation to a Parquet file beside the store; `Store.take` makes it appear."""
        file = self.folder / Path(path).name
        relation.write_parquet(str(file), compression=CODEC, row_group_size=row_group_size)
        return file


def _numbered(rows: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    kinds = dict(zip(rows.columns, rows.types, strict=True))
    halved = [HALF.format(name) for name in NUMBERS if kinds.get(name) == "UUID"]
    return rows.project(f"* replace ({', '.join(halved)})") if halved else rows


@contextmanager
def open_workbench(
    settings: Settings, store: Store, memory_limit: str | None = None
) -> Iterator[Workbench]:
    """A workbench on the store's disk, for as long as the block lasts.

    `memory_limit`: DuckDB's, instead of the settings'; what it frees is then given back at once.
    Raises `Stop` if the work outgrows what the settings allow.
    """
    with store.workspace() as folder:
        config: dict[str, Any] = {
            "memory_limit": memory_limit or settings.memory_limit,
            "threads": settings.threads,
            "temp_directory": f"{folder}/spill",
        }
        if memory_limit:
            config |= GIVEN_BACK
        told = nullcontext() if memory_limit else explained_outgrowth(settings)
        with told, duckdb.connect(config=config) as connection:
            yield Workbench(connection, store, Path(folder), Watch(settings))
