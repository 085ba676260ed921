"""Pages as they came: kept immutable, then merged into the raw tables.

Every page is copied once into the store (`landing/<source>/<checksum>-<name>`), read from that copy
and merged by its key, newest version first, in one transaction together with the source's cursor.
Loading anything twice changes nothing. A page that cannot be read goes to `quarantine/` with a
report, and its source loads nothing at all until it is replaced.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from include.errors import BadInput, Stop
from include.settings import Settings
from include.sources.base import BadPage, Grain, Page, Source
from include.sources.declarations import load_sources
from include.store import Store
from include.warehouse import Warehouse, visit

Progress = Callable[[str], None]

_TABLES: dict[Grain, str] = {
    "order": "order_lines",
    "order_line": "order_lines",
    "contact": "contacts",
    "product": "products",
}
_CHUNK = 1 << 20
_RECORD = ".page.json"


@dataclass(frozen=True)
class Loaded:
    """What one source's load did: files read (and skipped as known), rows in them, seconds."""

    source: str
    files: int
    rows: int
    skipped: int
    seconds: float


@dataclass(frozen=True)
class Copy:
    """A page's bytes on this machine, and all that has to be known to merge them again."""

    file_name: str
    checksum: str
    size: int
    modified_at: datetime
    version: str
    path: Path = field(compare=False)

    @property
    def landing_name(self) -> str:
        """The file's name below `landing/<source>/`."""
        return f"{self.checksum}-{re.sub(r'[^A-Za-z0-9._-]', '_', self.file_name)}"

    def record(self) -> bytes:
        """What is kept beside the landing file, as JSON."""
        kept = asdict(self) | {"modified_at": self.modified_at.isoformat()}
        del kept["path"]
        return json.dumps(kept, indent=2).encode()


def ingest(
    settings: Settings,
    names: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> list[Loaded]:
    """Land and merge all new pages of the named sources (default: all that are declared).

    A source with a bad page loads nothing, the others load. Raises `BadInput` that names every bad
    file afterwards; `Retry` when the warehouse is held by another process.
    """
    sources = load_sources(settings)
    unknown = [name for name in names or () if name not in sources]
    if unknown:
        known = ", ".join(sources)
        raise BadInput(f"{settings.sources}: no source {unknown[0]!r}; there are: {known}")
    chosen = [sources[name] for name in (names or sources)]
    loaded: list[Loaded] = []
    refused: list[str] = []
    for source in chosen:
        try:
            loaded.append(_ingest(settings, source, progress or _silent))
        except BadInput as error:
            refused.append(str(error))
    if refused:
        raise BadInput("\n".join(refused))
    return loaded


def rebuild(settings: Settings, progress: Progress | None = None) -> list[Loaded]:
    """Make the raw tables anew from the landing files, in a new warehouse that replaces the old.

    For a damaged or lost warehouse. The models come back with the next build. Raises `Retry` when
    another process holds the old one, `BadInput` when a landing file is not what was landed.
    """
    progress = progress or _silent
    try:
        with visit(settings):
            progress("the present warehouse can be opened; it is replaced all the same")
    except Stop as error:
        progress(str(error))
    fresh = settings.warehouse_path.with_suffix(".rebuilding")
    _remove_database(fresh)
    loaded = []
    for source in load_sources(settings).values():
        store = Store(settings.store)
        with store.workspace() as folder, visit(settings, path=fresh) as warehouse:
            load = _Load(source, store, warehouse, Path(folder), progress)
            load.restore()
            loaded.append(load.finish())
    _remove_database(settings.warehouse_path)
    fresh.replace(settings.warehouse_path)
    return loaded


def _ingest(settings: Settings, source: Source, progress: Progress) -> Loaded:
    store = Store(settings.store)
    with store.workspace() as folder, visit(settings) as warehouse:
        load = _Load(source, store, warehouse, Path(folder), progress)
        load.fetch()
        return load.finish()


class _Load:
    """One source's load: its pages are gathered and decoded, then kept and merged all together."""

    def __init__(
        self,
        source: Source,
        store: Store,
        warehouse: Warehouse,
        workspace: Path,
        progress: Progress,
    ) -> None:
        self.started = time.monotonic()
        self.source = source
        self.store = store
        self.warehouse = warehouse
        self.workspace = workspace
        self.progress = progress
        self.table = _TABLES[source.options.grain]
        # Whose rows these are in the raw table's column `source`.
        self.owner: str = source.options.products_of or source.name
        self.copies: list[Copy] = []
        self.skipped = 0
        self.refused: list[BadPage] = []
        warehouse.run("raw_tables")
        self.known = warehouse.run("landed_files", source=source.name).to_pylist()
        cursors = warehouse.run("read_cursor", source=source.name).to_pylist()
        self.cursor: dict[str, Any] = json.loads(cursors[0]["cursor"]) if cursors else {}
        self.is_reread = bool(self.known) and (
            self.cursor.get("declaration") != source.fingerprint()
        )

    def fetch(self) -> None:
        """Copy the pages that are new; take the kept ones too if they now read otherwise."""
        if self.is_reread:
            self.restore()
        contents = {(row["file_name"], row["checksum"]) for row in self.known}
        versions = {(row["file_name"], row["version"]) for row in self.known}
        for page in self.source.pages(self.cursor):
            if (page.name, page.version()) in versions:
                self.skipped += 1
                continue
            self.progress(f"{self.source.name}: fetching {page.name}")
            copy = _fetch(page, self.workspace)
            if (copy.file_name, copy.checksum) in contents:
                self.skipped += 1
            elif copy.version != page.version():
                self._refuse(copy, BadPage(page.name, "the file is still being written"))
            else:
                self.copies.append(copy)

    def restore(self) -> None:
        """Take all pages that landing keeps. Raises `BadInput` if one is not what was landed."""
        folder = f"landing/{self.source.name}"
        for name in self.store.list(folder):
            if not name.endswith(_RECORD):
                continue
            kept = json.loads(self.store.read(f"{folder}/{name}"))
            path = f"{folder}/{name.removesuffix(_RECORD)}"
            local = Path(self.store.locate(path))
            if not self.store.is_local:
                local = self.workspace / local.name
                self.store.filesystem.get_file(self.store.locate(path), str(local))
            if not local.exists() or _checksum(local) != kept["checksum"]:
                raise BadInput(f"{path} is not what was landed: restore it from a backup")
            kept["modified_at"] = datetime.fromisoformat(kept["modified_at"])
            self.copies.append(Copy(**kept, path=local))

    def finish(self) -> Loaded:
        """Decode all pages, so that nothing is left to fail; then keep and merge them."""
        # A page's number is its rank in the version rule: newest last.
        self.copies.sort(key=lambda copy: (copy.file_name, copy.modified_at))
        self.warehouse.run(f"incoming_{self.table}")
        self.warehouse.run("incoming_pages")
        for number, copy in enumerate(self.copies):
            self.progress(
                f"{self.source.name}: reading {copy.file_name} ({number + 1} of {len(self.copies)})"
            )
            try:
                self._stage(number, copy)
            except BadPage as error:
                self._refuse(copy, error)
        if self.refused:
            raise BadInput(
                f"source {self.source.name} loaded nothing: {len(self.refused)} of its files cannot"
                f" be read (see quarantine/{self.source.name} in the store): "
                + "; ".join(str(error) for error in self.refused)
            )
        rows = {row["page"]: row["rows"] for row in self.warehouse.run("incoming_rows").to_pylist()}
        for copy in self.copies:
            self._keep(copy)
        total = sum(rows.values())
        self.progress(f"{self.source.name}: merging {total} rows")
        with self.warehouse.transaction():
            self._merge()
            self._record(rows)
        seconds = time.monotonic() - self.started
        return Loaded(self.source.name, len(self.copies), total, self.skipped, seconds)

    def _stage(self, number: int, copy: Copy) -> None:
        connection = self.warehouse.connection
        with (
            self.warehouse.time_zone(self.source.session_time_zone),
            self.source.rows(connection, copy.file_name, copy.path, self.workspace) as rows,
        ):
            rows.create_view("page_rows", replace=True)
            self.warehouse.run(
                "stage_page",
                page=number,
                file_name=copy.file_name,
                file_modified_at=copy.modified_at,
            )

    def _merge(self) -> None:
        if self.is_reread:
            owner = self.cursor.get("owner", self.owner)
            self.warehouse.run(f"forget_{self.table}", source=self.source.name, owner=owner)
            self.warehouse.run("forget_landed_files", source=self.source.name)
        if not self.copies:
            return
        if self.table == "order_lines":
            self._identify_lines()
            if not self._answer("holds_order_lines", source=self.owner):
                self.warehouse.run("insert_order_lines", source=self.owner)
                return
        self.warehouse.run(f"merge_{self.table}", source=self.owner)

    def _identify_lines(self) -> None:
        if not self.source.has_line_ids:
            names = [row["file_name"] for row in self.known]
            names += [copy.file_name for copy in self.copies]
            if len(set(names)) < len(names):
                self.warehouse.run("supersede_lines", source=self.source.name)
            self.warehouse.run("lines_by_content")
        elif self._answer("count_repeated_lines"):
            self.warehouse.run("newest_lines_by_number")
        else:
            self.warehouse.run("lines_by_number")

    def _answer(self, statement: str, **parameters: object) -> Any:
        """The only value that a statement returns."""
        return self.warehouse.run(statement, **parameters).column(0)[0].as_py()

    def _record(self, rows: dict[int, int]) -> None:
        """The cursor and the rules, in the transaction of the data they belong to."""
        name = self.source.name
        now = datetime.now(UTC).replace(tzinfo=None)
        for number, copy in enumerate(self.copies):
            self.warehouse.run(
                "record_landed_file",
                source=name,
                file_name=copy.file_name,
                checksum=copy.checksum,
                bytes=copy.size,
                row_count=rows.get(number, 0),
                landed_at=now,
                landing_path=self._landing_path(copy),
                version=copy.version,
            )
        cursor = json.dumps({"declaration": self.source.fingerprint(), "owner": self.owner})
        self.warehouse.run("rewrite_cursor", source=name, cursor=cursor, committed_at=now)
        rules = self.source.options.rules.rows()
        self.warehouse.run("rewrite_source_rules", source=name, rules=rules)

    def _keep(self, copy: Copy) -> None:
        path = self._landing_path(copy)
        if not self.store.exists(path):
            self.store.take(copy.path, path)
        # Last, so that a record never stands without its file.
        self.store.write(f"{path}{_RECORD}", copy.record())

    def _landing_path(self, copy: Copy) -> str:
        return f"landing/{self.source.name}/{copy.landing_name}"

    def _refuse(self, copy: Copy, error: BadPage) -> None:
        """Put the page aside with a report that names the place and the fault, not the value."""
        self.refused.append(error)
        path = f"quarantine/{self.source.name}/{copy.landing_name}"
        report = {
            "source": self.source.name,
            "file_name": copy.file_name,
            "checksum": copy.checksum,
            "bytes": copy.size,
            "reason": error.reason,
            "place": error.place,
            "found_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        if not self.store.exists(path):
            self.store.write(path, copy.path.read_bytes())
        self.store.write(f"{path}.json", json.dumps(report, indent=2).encode())


def _fetch(page: Page, workspace: Path) -> Copy:
    """Copy a page's bytes, hashing on the way."""
    version = page.version()
    digest = hashlib.sha256()
    size = 0
    descriptor, path = tempfile.mkstemp(dir=workspace)
    with page.open() as source, os.fdopen(descriptor, "wb") as target:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            size += target.write(chunk)
    return Copy(page.name, digest.hexdigest(), size, page.modified_at, version, Path(path))


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove_database(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)


def _silent(message: str) -> None:
    """Report progress to nobody."""
