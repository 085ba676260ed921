"""Pages as they came: kept immutable, then merged into the raw tables.

Every page is copied once into the store (`landing/<source>/<checksum>-<name>`), read from that copy
and merged by its key, newest version first, in one transaction together with the source's cursor.
Loading anything twice changes nothing. A page that cannot be read goes to `quarantine/` with a
report; its source loads nothing at all, unless it allows for some such pages (`max_bad_pages`).

The warehouse is open only while a load looks up how far it is, and while it merges: whatever a
source takes for its replies, it holds nobody up.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import duckdb

from include import raw_tables
from include.connections import Credentials, read_connection
from include.copies import RECORD, Copy, checksum, fetch, landed
from include.erasure.pages import cleansed, kept_rows, take_out
from include.erasure.tombstones import load_tombstones
from include.erasure.warehouse import enforce, replacing
from include.errors import BadInput, RegularsError, Retry, Stop
from include.quarantine import Quarantine, Quarantined
from include.settings import Settings
from include.sources.base import BadPage, Source, Table, Window, is_about_this_machine
from include.sources.declarations import load_sources
from include.store import Store
from include.warehouse import REBUILDING, Warehouse, remove_database, replace_database, visit

Progress = Callable[[str], None]
Resolve = Callable[[str], Credentials]

# What DuckDB says of data; what it says of our own statements is not a page's fault.
_UNREADABLE = (
    duckdb.DataError,
    duckdb.IntegrityError,
    duckdb.InvalidInputException,
    duckdb.IOException,
)


@dataclass(frozen=True)
class Loaded:
    """What one source's load did: pages merged, rows in them, pages skipped as known, seconds.

    quarantined: pages that could not be read. new_columns: what the source brings since this load
    and nobody uses.
    """

    source: str
    files: int
    rows: int
    skipped: int
    quarantined: int
    new_columns: tuple[str, ...]
    seconds: float


def ingest(
    settings: Settings,
    names: Sequence[str] | None = None,
    progress: Progress | None = None,
    credentials: Resolve = read_connection,
    window: Window | None = None,
) -> list[Loaded]:
    """Land and merge all new pages of the named sources (default: all that are declared).

    credentials: who knows the sources' connections. window: ask for these days again, and leave
    the cursors where they are. A source that fails loads nothing, the others load; what failed is
    raised afterwards. Raises `BadInput` that names every bad page of a source that has too many;
    `Stop` when the warehouse is gone, although files have landed before; `Retry` when another
    process holds the warehouse or loads the same source.
    """
    sources = load_sources(settings, credentials)
    unknown = [name for name in names or () if name not in sources]
    if unknown:
        known = ", ".join(sources)
        raise BadInput(f"{settings.sources}: no source {unknown[0]!r}; there are: {known}")
    _refuse_lost(settings)
    chosen = [sources[name] for name in (names or sources)]
    if window:
        whole = [source.name for source in chosen if not source.has_windows]
        if whole:
            raise BadInput(
                f"source {whole[0]} has no days to ask for: its pages are landed whole, and what"
                " changes in them is loaded anyway; name other sources for --from and --to"
            )
    return _each(chosen, lambda source: _Load(settings, source, progress or _silent).ingest(window))


def rebuild(settings: Settings, progress: Progress | None = None) -> list[Loaded]:
    """Make the raw tables anew from the landing files, in a new warehouse that replaces the old.

    For a damaged or lost warehouse. The models come back with the next build. Raises `Retry` when
    another process holds the old one, or while an erasure is under way; `BadInput` when a landing
    file is not what was landed.
    """
    progress = progress or _silent
    fresh = settings.warehouse_path.with_suffix(REBUILDING)
    beside = settings.model_copy(update={"warehouse": fresh})
    with replacing(settings), ExitStack() as held:
        try:
            if settings.warehouse_path.exists():
                # All the while: what another process loads into it would be lost with it.
                old = held.enter_context(visit(settings))
                # Closed with changes in its log, it would remove the new one's log.
                old.connection.execute("checkpoint")
                progress("the present warehouse can be opened; it is replaced all the same")
        except (Stop, duckdb.Error) as error:
            progress(str(error))
        remove_database(fresh)
        try:
            loaded = [
                _Load(beside, source, progress).restore()
                for source in load_sources(settings).values()
            ]
        except BaseException:
            remove_database(fresh)
            raise
        replace_database(settings.warehouse_path, fresh)
    return loaded


def replay(
    settings: Settings, name: str | None = None, progress: Progress | None = None
) -> list[Loaded]:
    """Try quarantined pages again (default: all), after their declaration or our code was mended.

    What can be read now is landed, merged and taken out of quarantine; the rest stays there, and
    is counted. Raises `BadInput` when the name is unknown, or its source is not declared any more;
    `Stop` when the warehouse is gone.
    """
    _refuse_lost(settings)
    quarantine = Quarantine(Store(settings.store))
    pages = quarantine.find(name) if name else quarantine.pages()
    sources = load_sources(settings)
    gone = [page.source for page in pages if page.source not in sources]
    if gone:
        raise BadInput(f"{settings.sources}: no source {gone[0]!r}; drop its pages, or declare it")
    return _each(
        [sources[name] for name in dict.fromkeys(page.source for page in pages)],
        lambda source: _Load(settings, source, progress or _silent).replay(
            [page for page in pages if page.source == source.name]
        ),
    )


def _refuse_lost(settings: Settings) -> None:
    """Raise `Stop` if there are landing files of which the warehouse can know nothing.

    It is gone, or an empty one was made in its place, as dbt does.
    """
    if not Store(settings.store).list("landing"):
        return
    if settings.warehouse_path.exists():
        with visit(settings, read_only=True) as warehouse:
            if warehouse.has_table("raw", "landed_files"):
                return
    raise Stop(
        f"the warehouse {settings.warehouse_path} is gone, and files have landed before: run"
        " `regulars ingest --rebuild`, which makes it anew from them"
    )


def _each(sources: Iterable[Source], load: Callable[[Source], Loaded]) -> list[Loaded]:
    """One source after the other; one that fails stops no other."""
    loaded: list[Loaded] = []
    failures: list[RegularsError] = []
    for source in sources:
        try:
            loaded.append(load(source))
        except RegularsError as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        kinds = {BadInput if isinstance(one, BadInput) else type(one) for one in failures}
        # Where it is not the same that has to be done for all, a person has to look.
        kind = kinds.pop() if len(kinds) == 1 else Stop
        raise kind("\n".join(str(one) for one in failures))
    return loaded


@dataclass(frozen=True)
class _Standing:
    """How far a source is merged: its pages, and what was committed with them.

    cursor: the source's own, of the last reply. meaning: what the declaration and this release
    made of the pages. table, owner: where their rows are, and what these carry in `source`.
    unused: what they brought that nobody uses; None while that is not known.
    """

    pages: list[dict[str, str]] = field(default_factory=list)
    committed_at: datetime | None = None
    cursor: Mapping[str, Any] = field(default_factory=dict)
    meaning: str | None = None
    table: Table | None = None
    owner: str | None = None
    unused: list[str] | None = None

    @property
    def contents(self) -> set[tuple[str, str]]:
        """What is merged: names, and checksums of what came by them."""
        return {(row["file_name"], row["checksum"]) for row in self.pages}


_COMMITTED = ("cursor", "meaning", "table", "owner", "unused")


def _standing(warehouse: Warehouse, source: Source) -> _Standing:
    pages = warehouse.run("landed_files", source=source.name).to_pylist()
    [committed] = warehouse.run("read_cursor", source=source.name).to_pylist() or [{}]
    # An earlier release kept other keys; what it merged is read again.
    told = json.loads(committed.get("cursor", "{}"))
    return _Standing(
        pages,
        committed.get("committed_at"),
        **{name: told[name] for name in _COMMITTED if name in told},
    )


class _Load:
    """One source's load: its pages are gathered and decoded, then recorded and merged together."""

    def __init__(self, settings: Settings, source: Source, progress: Progress) -> None:
        self.started = time.monotonic()
        self.settings = settings
        self.source = source
        self.store = Store(settings.store)
        self.quarantine = Quarantine(self.store)
        self.report = progress
        # Whose rows these are in the raw table's column `source`.
        self.owner: str = source.options.products_of or source.name
        self.meaning = f"{source.fingerprint()} {raw_tables.fingerprint(source.table)}"
        self.standing = _Standing()
        self.cursor: Mapping[str, Any] = {}
        self.copies: list[Copy] = []
        self.replayed: dict[Copy, Quarantined] = {}
        self.refused: dict[Copy, BadPage] = {}
        # What is not used, and the page that brought it first.
        self.unused: dict[str, str] = {}
        self.skipped = 0
        # Whether the source is asked again for the replies that this load has to refuse.
        self.is_asked_again = False

    def ingest(self, window: Window | None) -> Loaded:
        """What the source has and the warehouse has not."""
        self.source.window = window
        self.is_asked_again = window is None
        with self.store.workspace() as folder:
            self._look_up(Path(folder))
            if not self.is_reread:
                self._take_unmerged(Path(folder))
            self._fetch(Path(folder))
            return self._finish(Path(folder))

    def restore(self) -> Loaded:
        """What landing keeps, into a warehouse that has nothing of it."""
        with self.store.workspace() as folder:
            self._look_up(Path(folder))
            self._take_landed(Path(folder))
            cursors = [copy.cursor for copy in sorted(self.copies, key=_rank) if copy.cursor]
            self.cursor = cursors[-1] if cursors else {}
            return self._finish(Path(folder))

    def replay(self, pages: Sequence[Quarantined]) -> Loaded:
        """Quarantined pages of the source, once more."""
        with self.store.workspace() as folder:
            self._look_up(Path(folder))
            for page in pages:
                self.replayed[self.quarantine.open(page, Path(folder))] = page
            self.copies += [copy for copy in self.replayed if copy not in self.copies]
            return self._finish(Path(folder))

    @property
    def is_reread(self) -> bool:
        """Whether what is merged would be read otherwise today."""
        return bool(self.standing.pages) and self.standing.meaning != self.meaning

    def _look_up(self, folder: Path) -> None:
        enforce(self.settings)
        with visit(self.settings) as warehouse:
            raw_tables.make(warehouse)
            self.standing = _standing(warehouse, self.source)
        self.cursor = self.standing.cursor
        if self.is_reread:
            self._take_landed(folder)

    def _fetch(self, folder: Path) -> None:
        """Copy the pages that are new. A reply is landed at once: it comes but once."""
        contents = self.standing.contents
        versions = {(row["file_name"], row["version"]) for row in self.standing.pages}
        for page in self.source.pages(self.standing.cursor):
            if page.cursor is not None:
                reply = fetch(page, folder)
                if self.source.window is None:
                    self.cursor = page.cursor
                else:
                    reply = replace(reply, cursor=None)
                self.copies.append(self._keep(reply))
                self._say(f"fetched {page.name}")
                continue
            if (page.name, page.version()) in versions:
                self.skipped += 1
                continue
            self._say(f"fetching {page.name}")
            copy = fetch(page, folder)
            if (copy.file_name, copy.checksum) in contents or copy in self.copies:
                self.skipped += 1
            elif copy.version != page.version():
                self.refused[copy] = BadPage(page.name, "the file is still being written")
                self.copies.append(copy)
            else:
                self.copies.append(copy)

    def _take_unmerged(self, folder: Path) -> None:
        """Pages that landed and that the warehouse does not know: an older one was put back.

        What comes but once, like a webhook's call, is nowhere else by now.
        """
        names = {PurePosixPath(row["landing_path"]).name for row in self.standing.pages}
        names |= {page.landing_name for page in self.quarantine.pages(self.source.name)}
        contents = self.standing.contents
        self._take(
            (
                copy
                for copy in landed(self.store, f"landing/{self.source.name}", names)
                # A page that somebody was erased from has another name by now.
                if (copy.file_name, copy.came_as or copy.checksum) not in contents
            ),
            folder,
        )

    def _take_landed(self, folder: Path) -> None:
        """All pages that landing keeps. Raises `BadInput` if one is not what was landed."""
        self._take(landed(self.store, f"landing/{self.source.name}"), folder)

    def _take(self, copies: Iterable[Copy], folder: Path) -> None:
        for copy in copies:
            path = self._landing_path(copy)
            local = Path(self.store.local(path, folder))
            if not local.exists() or checksum(local) != copy.checksum:
                raise BadInput(f"{path} is not what was landed: restore it from a backup")
            self.copies.append(replace(copy, path=local))

    def _finish(self, folder: Path) -> Loaded:
        """Decode all pages, so that nothing is left to fail; then record and merge them."""
        # A page's number is its rank in the version rule: newest last.
        self.copies.sort(key=_rank)
        with visit(self.settings) as warehouse:
            if _standing(warehouse, self.source) != self.standing:
                raise Retry(f"source {self.source.name} was loaded by another process meanwhile")
            incoming = raw_tables.Incoming(
                warehouse,
                self.source.table,
                self.source.has_line_ids,
                self.source.options.phone_country,
            )
            for number, copy in enumerate(self.copies):
                if copy not in self.refused:
                    self._say(f"reading {copy.file_name} ({number + 1} of {len(self.copies)})")
                    self._stage(incoming, number, copy, folder)
            self._refuse()
            without_erased = take_out(incoming, load_tombstones(self.settings), folder)
            rows = incoming.row_counts()
            self._say(f"merging {sum(rows.values())} rows")
            merged = {
                number: copy for number, copy in enumerate(self.copies) if copy not in self.refused
            }
            for number, copy in merged.items():
                if number in without_erased:
                    merged[number] = self._replace(copy, without_erased[number])
                else:
                    self._record(self._keep(copy))
            with warehouse.transaction():
                self._merge(warehouse, incoming, merged)
                self._commit(warehouse, merged, rows)
            self._clear([*merged.values()])
        return Loaded(
            source=self.source.name,
            files=len(merged),
            rows=sum(rows.values()),
            skipped=self.skipped,
            quarantined=len(self.refused),
            new_columns=self._new_columns(),
            seconds=time.monotonic() - self.started,
        )

    def _stage(self, incoming: raw_tables.Incoming, number: int, copy: Copy, folder: Path) -> None:
        warehouse = incoming.warehouse
        self.source.unused = set()
        try:
            with (
                warehouse.time_zone(self.source.session_time_zone),
                self._rows(warehouse, copy, folder) as rows,
            ):
                incoming.stage(rows, number, copy.file_name, copy.modified_at)
        except BadPage as error:
            self.refused[copy] = error
        except _UNREADABLE as error:
            if is_about_this_machine(error):
                raise
            # DuckDB's own text quotes what it could not read.
            self.refused[copy] = BadPage(copy.file_name, "it cannot be read as declared")
        for name in sorted(self.source.unused):
            self.unused.setdefault(name, copy.file_name)

    def _rows(
        self, warehouse: Warehouse, copy: Copy, folder: Path
    ) -> AbstractContextManager[duckdb.DuckDBPyRelation]:
        if copy.is_rows:
            return kept_rows(warehouse.connection, copy.path)
        return self.source.rows(warehouse.connection, copy.file_name, copy.path, folder)

    def _refuse(self) -> None:
        """Put the bad pages aside. Raises `BadInput` when they are more than the source allows."""
        name = self.source.name
        stopping = [copy for copy in self.refused if copy not in self.replayed]
        is_stopped = len(stopping) > self.source.options.max_bad_pages
        for copy, fault in self.refused.items():
            self._say(f"to quarantine: {fault}")
            is_asked_again = is_stopped and self.is_asked_again and copy.cursor is not None
            self.quarantine.add(name, copy, fault, is_asked_again)
        if is_stopped:
            raise BadInput(
                f"source {name} loaded nothing: {len(stopping)} of its pages cannot be read"
                " (`regulars quarantine` lists them): "
                + "; ".join(str(self.refused[copy]) for copy in stopping)
            )

    def _merge(
        self, warehouse: Warehouse, incoming: raw_tables.Incoming, merged: Mapping[int, Copy]
    ) -> None:
        names = [copy.file_name for copy in merged.values()]
        if self.is_reread:
            raw_tables.forget(
                warehouse,
                self.standing.table or self.source.table,
                source=self.source.name,
                owner=self.standing.owner or self.owner,
            )
            warehouse.run("forget_landed_files", source=self.source.name)
        else:
            names += [row["file_name"] for row in self.standing.pages]
        if merged:
            is_retold = len(set(names)) < len(names)
            incoming.merge(self.source.name, self.owner, is_retold)
            if self.source.has_whole_products and self.source.table == "products":
                warehouse.run("mark_missing_skus", source=self.owner)

    def _commit(
        self, warehouse: Warehouse, merged: Mapping[int, Copy], rows: Mapping[int, int]
    ) -> None:
        """The cursor and the rules, in the transaction of the data they belong to."""
        name = self.source.name
        now = datetime.now(UTC).replace(tzinfo=None)
        files = [
            {
                "file_name": copy.file_name,
                "checksum": copy.came_as or copy.checksum,
                "bytes": copy.size,
                "row_count": rows.get(number, 0),
                "landing_path": self._landing_path(copy),
                "version": copy.version,
            }
            for number, copy in merged.items()
        ]
        warehouse.run("record_landed_files", source=name, landed_at=now, files=files)
        known = self.standing.unused
        standing = {
            "cursor": self.cursor,
            "meaning": self.meaning,
            "table": self.source.table,
            "owner": self.owner,
            "unused": sorted({*(known or ()), *self.unused}) if known or merged else known,
        }
        cursor = json.dumps(standing, sort_keys=True)
        warehouse.run("rewrite_cursor", source=name, cursor=cursor, committed_at=now)
        rules = self.source.options.rules.rows()
        warehouse.run("rewrite_source_rules", source=name, rules=rules)

    def _keep(self, copy: Copy) -> Copy:
        """The copy in landing. Without a record beside it, it does not count as landed yet."""
        path = self._landing_path(copy)
        if not self.store.exists(path):
            file = copy.path
            if not self.store.is_local:
                file = copy.path.with_name(f"{copy.path.name}.kept")
                shutil.copyfile(copy.path, file)
            self.store.take(file, path)
        return replace(copy, path=Path(self.store.locate(path))) if self.store.is_local else copy

    def _replace(self, copy: Copy, file: Path) -> Copy:
        """Keep a page without those who were erased, in the stead of the copy."""
        path = self._landing_path(copy)
        kept = self._keep(cleansed(copy, file))
        self._record(kept)
        if self._landing_path(kept) != path:
            self.store.remove(f"{path}{RECORD}")
            self.store.remove(path)
        return kept

    def _record(self, copy: Copy) -> None:
        self.store.write(f"{self._landing_path(copy)}{RECORD}", copy.record())

    def _clear(self, merged: Sequence[Copy]) -> None:
        """Take out of quarantine what was merged after all, and away what a crash left behind."""
        names = {copy.file_name for copy in merged}
        for page in self.quarantine.pages(self.source.name):
            if page.file_name in names or (page.is_asked_again and self.is_asked_again):
                self.quarantine.remove(page)
        landing = f"landing/{self.source.name}"
        landed = set(self.store.list(landing))
        for name in landed:
            if not name.endswith(RECORD) and f"{name}{RECORD}" not in landed:
                self.store.remove(f"{landing}/{name}")

    def _new_columns(self) -> tuple[str, ...]:
        """What the source brings and nobody uses, where that was not so before."""
        if self.standing.unused is None:
            return ()
        new = tuple(name for name in self.unused if name not in self.standing.unused)
        for name in new:
            self._say(f"new column {name!r} in {self.unused[name]}, not used")
        return new

    def _landing_path(self, copy: Copy) -> str:
        return f"landing/{self.source.name}/{copy.landing_name}"

    def _say(self, message: str) -> None:
        self.report(f"{self.source.name}: {message}")


def _rank(copy: Copy) -> tuple[str, datetime]:
    return copy.file_name, copy.modified_at


def _silent(message: str) -> None:
    """Report progress to nobody."""
