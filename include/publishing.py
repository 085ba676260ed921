"""Snapshots: what passed the audience gate appears for everybody in one step, then never changes.

    published/<snapshot_id>/<table>.parquet   every table of the schemas marts and marts_private
    published/<snapshot_id>/quality.json      the gate's report by which it passed
    published/<snapshot_id>/snapshot.json     what current.json said of it
    published/analytics.duckdb                the marts with their descriptions, for analysts
    published/current.json                    which snapshot counts; written last

A crash before the last step leaves the old snapshot current, and the next publish clears up.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from include.errors import GateFailed, Stop
from include.instants import IDENTIFIER, now_after
from include.quality import report as reports
from include.quality.builds import fingerprint, models_checksum, published_tables
from include.settings import Settings
from include.store import PRIVATE, Store, alone, copies, make_private_folder
from include.warehouse import Warehouse, visit

CURRENT = "published/current.json"
ANALYTICS = "published/analytics.duckdb"
# Stands beside a snapshot's files while they are changed.
AMENDING = "amending.json"
PUBLIC_SCHEMA = "marts"

log = logging.getLogger(__name__)


class Published(BaseModel):
    """One table of a snapshot: its rows, and the SHA-256 of its file."""

    model_config = ConfigDict(frozen=True)

    rows: int
    sha256: str


class Snapshot(BaseModel):
    """One published state of all tables, as `current.json` records it; its files never change.

    `build` is the fingerprint of what dbt had built, `kept` the older snapshots still there.
    """

    model_config = ConfigDict(frozen=True)

    snapshot_id: str
    as_of: date
    published_at: datetime
    build: str
    previous_snapshot_id: str | None
    kept: tuple[str, ...]
    versions: dict[str, str]
    tables: dict[str, Published]
    _store: Store = PrivateAttr()

    @property
    def folder(self) -> str:
        """Where the snapshot's files lie in the store."""
        return f"published/{self.snapshot_id}"

    def bound_to(self, store: Store) -> Snapshot:
        """The same snapshot, knowing the store that its files lie in."""
        self._store = store
        return self

    def path(self, table: str) -> str:
        """A local Parquet file of one table, for DuckDB; from an object store it is fetched once.

        Raises `Stop` if the snapshot has no such table, or if what was fetched is not what was
        published.
        """
        if table not in self.tables:
            raise Stop(f"snapshot {self.snapshot_id} has no table {table}; build and publish again")
        file = f"{self.folder}/{table}.parquet"
        if self._store.is_local:
            return self._store.locate(file)
        fetched = copies() / self.snapshot_id / f"{table}.parquet"
        if not fetched.exists():
            fetched.parent.mkdir(exist_ok=True)
            arriving = fetched.with_suffix(".arriving")
            self._store.fetch(file, arriving)
            self._check(table, arriving)
            arriving.chmod(PRIVATE)
            arriving.replace(fetched)
        return str(fetched)

    def verify(self) -> None:
        """Compare every file with its checksum. Raises `Stop` that names the first that differs."""
        for table in self.tables:
            self._check(table, Path(self.path(table)))

    def report(self) -> reports.GateReport:
        """The audience gate's report by which this snapshot was published."""
        return reports.GateReport.model_validate_json(
            self._store.read(f"{self.folder}/quality.json")
        )

    def _check(self, table: str, file: Path) -> None:
        if not file.exists() or _sha256(file) != self.tables[table].sha256:
            raise Stop(
                f"{self.folder}/{table}.parquet is missing or is not what was published; "
                "publish again"
            )


def current(store: Store) -> Snapshot | None:
    """The snapshot that counts; None before the first. Raises `Stop` if its record is damaged."""
    if not store.exists(CURRENT):
        return None
    try:
        return Snapshot.model_validate_json(store.read(CURRENT)).bound_to(store)
    except ValidationError as error:
        raise Stop(
            f"{CURRENT} is damaged: put a copy of the newest snapshot's snapshot.json in its place"
        ) from error


def newest(store: Store) -> Snapshot:
    """The snapshot that counts. Raises `Stop` before the first."""
    snapshot = current(store)
    if snapshot is None:
        raise Stop("nothing has been published yet: run `regulars build` and `regulars publish`")
    return snapshot


def publish(settings: Settings, as_of: date, accept: str | None = None) -> Snapshot:
    """Publish what dbt has built for a day, if the audience gate let it through.

    `accept` is the id of a report of that gate whose warnings a person accepts. A build that is
    published already is not published again: the current snapshot is returned.
    Raises `GateFailed` if this very build was not judged, was refused, or waits for a person's
    word; `Retry` while another publish or an erasure is under way.
    """
    store = Store(settings.store)
    with paused(settings, store) as workspace:
        # Every day, because looking through the whole store takes a while.
        store.sweep()
        before = current(store)
        _sweep(store, before)
        with visit(settings, read_only=True) as warehouse:
            build = fingerprint(warehouse, as_of)
            if before and before.build == build and store.exists(ANALYTICS):
                log.info("snapshot %s holds this build already", before.snapshot_id)
                return before
            report = _passed(store, build, accept)
            rows = _export(warehouse, workspace)
            descriptions = warehouse.run("column_comments")["statement"].to_pylist()
        snapshot = _describe(settings, store, before, report, workspace, rows)
        _write_analytics(settings, workspace, snapshot, descriptions)
        _put(store, snapshot, report, workspace)
        _sweep(store, snapshot)
    log.info("published snapshot %s", snapshot.snapshot_id)
    return snapshot


def amend(
    store: Store,
    workspace: Path,
    rewrite: Callable[[str, str, Path], int | None],
    rewrite_analytics: Callable[[str, Path], None],
) -> None:
    """Change the files of every kept snapshot: only when the law wants it, as an erasure does.

    To be called while publishing is `paused`, in that workspace. `rewrite` is given a table's name
    and file, and writes another file; it returns that one's rows, or None to leave the table as it
    is. `rewrite_analytics` does the same for `analytics.duckdb`. Checksums are renewed; a crash in
    the middle is made good by the next call.
    """
    newest_one = current(store)
    _sweep(store, newest_one)
    is_changed = False
    for name in store.list("published"):
        folder = f"published/{name}"
        is_current = newest_one is not None and name == newest_one.snapshot_id
        record = CURRENT if is_current else f"{folder}/snapshot.json"
        if not store.exists(record):
            continue
        snapshot = Snapshot.model_validate_json(store.read(record))
        amended = _amend(store, snapshot.bound_to(store), rewrite, workspace)
        is_changed |= is_current and amended is not None
    if is_changed and store.exists(ANALYTICS):
        analytics = workspace / "analytics.duckdb"
        before = workspace / "before.duckdb"
        store.fetch(ANALYTICS, before)
        rewrite_analytics(str(before), analytics)
        store.take(analytics, ANALYTICS)
    for name in store.list("published"):
        if not store.exists(f"published/{name}/{AMENDING}"):
            continue
        if newest_one is not None and name == newest_one.snapshot_id:
            store.write(CURRENT, store.read(f"published/{name}/snapshot.json"))
        store.remove(f"published/{name}/{AMENDING}")


def _amend(
    store: Store,
    snapshot: Snapshot,
    rewrite: Callable[[str, str, Path], int | None],
    workspace: Path,
) -> Snapshot | None:
    """Rewrite the tables of one snapshot; None if it stays as it is.

    A mark stands beside the files until the record agrees with them again.
    """
    mark = f"{snapshot.folder}/{AMENDING}"
    is_resumed = store.exists(mark)
    tables = dict(snapshot.tables)
    for table in snapshot.tables:
        file = f"{snapshot.folder}/{table}.parquet"
        source = workspace / "before.parquet"
        store.fetch(file, source)
        target = workspace / "after.parquet"
        rows = rewrite(table, str(source), target)
        if rows is not None:
            if not store.exists(mark):
                store.write(mark, b"{}")
            tables[table] = Published(rows=rows, sha256=_sha256(target))
            store.take(target, file)
        elif is_resumed:
            tables[table] = Published(rows=_row_count(source), sha256=_sha256(source))
        source.unlink()
    if tables == snapshot.tables and not is_resumed:
        return None
    amended = snapshot.model_copy(update={"tables": tables}).bound_to(store)
    store.write(f"{snapshot.folder}/snapshot.json", amended.model_dump_json(indent=1).encode())
    return amended


def _row_count(file: Path) -> int:
    rows: int = pq.read_metadata(file).num_rows
    return rows


@contextmanager
def paused(settings: Settings, store: Store) -> Iterator[Path]:
    """An empty folder on the store's disk; while the block lasts, nobody else publishes.

    Raises `Retry` while somebody does.
    """
    folder = Path(store.locate("published") if store.is_local else settings.home) / ".publishing"
    with alone(settings.home / "publishing.lock", "a publish or an erasure"):
        shutil.rmtree(folder, ignore_errors=True)
        make_private_folder(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _passed(store: Store, build: str, accept: str | None) -> reports.GateReport:
    """The audience gate's last report on this build, provided that it lets it through."""
    judged = (report for report in reports.history(store, "audience") if report.build == build)
    report = next(judged, None)
    if report is None:
        raise GateFailed(
            "this build was never judged for this day: run `regulars build` with the same --as-of"
        )
    if accept == report.report_id:
        reports.accept(store, report)
    elif accept is not None:
        raise GateFailed(f"report {accept} is not about this build; {report.report_id} is")
    if not report.is_accepted(store):
        raise GateFailed(
            f"{reports.explain(report)} Once a person has looked at it: "
            f"`regulars publish --accept {report.report_id}`"
            if report.verdict == "approve"
            else reports.explain(report)
        )
    return report


def _export(warehouse: Warehouse, workspace: Path) -> dict[str, int]:
    """Write each published table to `<schema>/<table>.parquet`; the rows of each by that path."""
    rows = {}
    for table in published_tables(warehouse):
        schema, name = table["schema_name"], table["table_name"]
        file = workspace / schema / f"{name}.parquet"
        make_private_folder(file.parent)
        exported = warehouse.run("export_table", table=f"{schema}.{name}", path=str(file))
        rows[f"{schema}/{name}.parquet"] = exported["Count"][0].as_py()
    return rows


def _describe(
    settings: Settings,
    store: Store,
    before: Snapshot | None,
    report: reports.GateReport,
    workspace: Path,
    rows: dict[str, int],
) -> Snapshot:
    now = now_after(before.published_at if before else None)
    older = sorted((before.snapshot_id, *before.kept), reverse=True) if before else []
    in_use = _in_unfinished_plans(store)
    return Snapshot(
        snapshot_id=now.strftime(IDENTIFIER),
        as_of=report.as_of,
        published_at=now,
        build=report.build,
        previous_snapshot_id=before.snapshot_id if before else None,
        kept=tuple(
            snapshot_id
            for place, snapshot_id in enumerate(older, start=1)
            if place < settings.keep_snapshots or snapshot_id in in_use
        ),
        versions={
            "regulars": version("regulars"),
            "dbt": version("dbt-core"),
            "duckdb": version("duckdb"),
            "models": models_checksum(),
        },
        tables={
            Path(file).stem: Published(rows=count, sha256=_sha256(workspace / file))
            for file, count in rows.items()
        },
    ).bound_to(store)


def _write_analytics(
    settings: Settings, workspace: Path, snapshot: Snapshot, descriptions: list[str]
) -> None:
    """The marts as one DuckDB file, with a table `snapshot` that says which snapshot it is."""
    with visit(settings, path=workspace / "analytics.duckdb") as analytics:
        for file in sorted((workspace / PUBLIC_SCHEMA).glob("*.parquet")):
            analytics.connection.read_parquet(str(file)).create(file.stem)
        for statement in descriptions:
            analytics.connection.execute(statement)
        analytics.run(
            "label_snapshot",
            snapshot_id=snapshot.snapshot_id,
            as_of=snapshot.as_of,
            published_at=snapshot.published_at.replace(tzinfo=None),
        )


def _put(store: Store, snapshot: Snapshot, report: reports.GateReport, workspace: Path) -> None:
    """Move everything into the store, what makes it count last."""
    for file in sorted(workspace.glob("*/*.parquet")):
        store.take(file, f"{snapshot.folder}/{file.name}")
    record = snapshot.model_dump_json(indent=1)
    (workspace / "quality.json").write_text(report.model_dump_json(indent=1))
    (workspace / "snapshot.json").write_text(record)
    (workspace / "current.json").write_text(record)
    store.take(workspace / "quality.json", f"{snapshot.folder}/quality.json")
    store.take(workspace / "snapshot.json", f"{snapshot.folder}/snapshot.json")
    store.take(workspace / "analytics.duckdb", ANALYTICS)
    store.take(workspace / "current.json", CURRENT)


def _sweep(store: Store, snapshot: Snapshot | None) -> None:
    """Remove what a crash left behind and what retention lets go."""
    kept = {snapshot.snapshot_id, *snapshot.kept} if snapshot else set()
    files = {PurePosixPath(CURRENT).name, PurePosixPath(ANALYTICS).name}
    surplus = [name for name in store.list("published") if name not in kept | files]
    if surplus:
        in_use = _in_unfinished_plans(store)
        for name in surplus:
            if name not in in_use:
                store.remove(f"published/{name}")


def _in_unfinished_plans(store: Store) -> set[str]:
    """The snapshots that a plan without `finished.json` beside it refers to."""
    plans, finished = (
        {
            PurePosixPath(str(path)).parent
            for path in store.filesystem.glob(store.locate(f"activation/*/*/plans/*/{name}.json"))
        }
        for name in ("plan", "finished")
    )
    return {
        Plan.model_validate_json(store.filesystem.cat_file(str(folder / "plan.json"))).snapshot_id
        for folder in plans - finished
    }


class Plan(BaseModel):
    """What retention needs to know of a plan."""

    snapshot_id: str


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
