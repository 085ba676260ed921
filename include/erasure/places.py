"""People leave the files of the store: landed, waiting, put aside, published and sent."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import tempfile
import time
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import unquote_plus

import duckdb
import zstandard

from include import publishing
from include.activation.ledger import ROOT, Ledger, lease_folder, ledgers
from include.copies import RECORD, Copy, landed
from include.erasure.pages import cleansed, kept_rows, remove
from include.erasure.person import People
from include.erasure.rows import figures, purge_file
from include.erasure.tombstones import show_identifiers
from include.erasure.warehouse import copy_database, purge_tables
from include.errors import BadInput, Retry
from include.lease import hold_lease
from include.quarantine import Quarantine
from include.raw_tables import Incoming
from include.settings import Settings
from include.sources.base import BadPage, Source
from include.sources.declarations import load_sources
from include.sources.webhooks import inbox
from include.store import ABANDONED_AFTER_SECONDS, Store
from include.warehouse import Warehouse

LOOK_AGAIN_SECONDS = 0.5
CHUNK = 1 << 20
JSON_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
# Waiting calls are only looked at; when they came plays no role.
_LONG_AGO = datetime(1970, 1, 1)
Progress = Callable[[str], None]


class Places:
    """The files that may hold the people, one method for each place; each may be called again.

    Every method returns how much was about them.
    """

    def __init__(self, settings: Settings, people: People, progress: Progress) -> None:
        self.settings = settings
        self.store = Store(settings.store)
        self.people = people
        self.report = progress
        self.needles = [
            value.lstrip("+") for kind in ("email", "phone") for value in people.values(kind)
        ]

    def landing(self) -> int:
        """Landed pages are written anew without the people; what cannot be read is refused.

        Raises `BadInput` for a page that holds one of them and cannot be read as declared.
        """
        count = 0
        sources = load_sources(self.settings)
        for name in self.store.list("landing"):
            self._drop_leftovers(f"landing/{name}")
            for copy, path in self._landed(f"landing/{name}"):
                source = sources.get(name)
                if source is None:
                    if self._is_mentioned(self.store.local(path)):
                        raise BadInput(
                            f"{path} is about a person who is to be erased, and source {name} is"
                            " not declared any more: declare it, or remove its landing files"
                        )
                    continue
                count += self._cleanse(source, copy, path)
        return count

    def inbox(self) -> int:
        """Calls that wait to be loaded are removed, if they are about the people."""
        count = 0
        sources = load_sources(self.settings)
        for name in self.store.list("inbox"):
            for call in self.store.list(inbox(name)):
                if self._mentions(self.store.read(f"{inbox(name)}/{call}")) or (
                    name in sources and self._is_about(sources[name], f"{inbox(name)}/{call}")
                ):
                    self.store.remove(f"{inbox(name)}/{call}")
                    count += 1
        return count

    def quarantine(self) -> int:
        """A page that could not be read is dropped if it holds one of them, or cannot be searched.

        Nobody can take single records out of what nobody can read.
        """
        count = 0
        quarantine = Quarantine(self.store)
        for page in quarantine.pages():
            with self.store.workspace() as folder:
                copy = quarantine.open(page, Path(folder))
                if self._is_mentioned(copy.path):
                    quarantine.remove(page)
                    count += 1
        for path in quarantine.leftovers():
            if self._is_mentioned(self.store.local(path)):
                self.store.remove(path)
                count += 1
        return count

    def snapshots(self, workspace: Path) -> int:
        """Every kept snapshot is written anew without the people, its checksums renewed.

        `workspace`: of the pause in publishing that this needs.
        """
        with self._scratch() as warehouse:
            counts: list[int] = []

            def rewrite(table: str, source: str, target: Path) -> int | None:
                found = purge_file(warehouse.connection, source, target, is_figures=figures(table))
                if found is None:
                    return None
                counts.append(found[0])
                return found[1]

            publishing.amend(self.store, workspace, rewrite, self._purge_database)
            return sum(counts)

    def activation(self) -> tuple[int, list[str]]:
        """State, plans, receipts and statuses; also the syncs that are not finished.

        These are the plans under way that name the people, and what a run works on just now: its
        files are left to it, since it would write over ours, or we over its.
        """
        count = 0
        waiting = []
        with self._scratch() as warehouse:
            for destination in self.store.list(ROOT):
                rows, unfinished = self._at_destination(warehouse, destination)
                count += rows
                waiting += [f"{audience} to {destination}" for audience in unfinished]
        return count, waiting

    def workspaces(self) -> None:
        """Wait until what killed processes have left of their work is swept: it may hold anybody.

        Raises `Retry` if it is not: it may be another user's, or be written just now.
        """
        deadline = time.monotonic() + 2 * ABANDONED_AFTER_SECONDS
        while self.store.abandoned():
            if time.monotonic() > deadline:
                raise Retry("the store has files that killed processes left and we cannot remove")
            self.store.sweep()
            time.sleep(LOOK_AGAIN_SECONDS)

    def identities_held(self, destination: str) -> set[str]:
        """By which keys a destination knows the people, going by states and plans."""
        accounts = self.people.values("platform_id")
        found: set[str] = set()
        if not accounts:
            return found
        with self._scratch() as warehouse:
            for ledger in ledgers(self.store):
                if ledger.destination != destination:
                    continue
                files = [ledger.state]
                files += [ledger.path(one, "plan.parquet") for one in ledger.plan_ids()]
                for path in files:
                    if self.store.exists(path):
                        rows = warehouse.connection.read_parquet(self.store.local(path))
                        about = rows.filter(
                            duckdb.ColumnExpression("customer_id").isin(
                                *map(duckdb.ConstantExpression, accounts)
                            )
                        )
                        found |= {row[0] for row in about.select("identity").fetchall()}
        return found - {None}

    def _at_destination(self, warehouse: Warehouse, destination: str) -> tuple[int, list[str]]:
        count = 0
        waiting = []
        is_ours = True
        with ExitStack() as held:
            for ledger in ledgers(self.store):
                if ledger.destination != destination:
                    continue
                folder = lease_folder(destination, ledger.audience)
                try:
                    lease = held.enter_context(hold_lease(self.store, folder, 0))
                except Retry:
                    waiting.append(ledger.audience)
                    is_ours = False
                    continue
                leased = Ledger(self.store, destination, ledger.audience, lease)
                rows, is_under_way = self._ledger(warehouse, leased)
                count += rows
                if is_under_way:
                    waiting.append(ledger.audience)
            # All audiences of the destination read and write the same ones.
            if is_ours:
                count += self._statuses(warehouse, destination)
        return count, waiting

    def _ledger(self, warehouse: Warehouse, ledger: Ledger) -> tuple[int, bool]:
        """One audience at one destination; whether its plan under way names the people."""
        count = 0
        is_under_way = False
        ledger.discard_unstarted()
        unfinished = ledger.unfinished()
        is_known = ledger.is_state_known()
        for plan_id in ledger.plan_ids():
            path = ledger.path(plan_id, "plan.parquet")
            if plan_id == unfinished:
                is_under_way = self._rewritten(warehouse, path, is_dry=True) > 0
                continue
            count += self._rewritten(warehouse, path)
            count += self._receipts(ledger, plan_id)
        for name in self.store.list(ledger.folder):
            if name.endswith(".parquet"):
                count += self._rewritten(warehouse, f"{ledger.folder}/{name}")
        if is_known:
            ledger.acknowledge_state()
        return count, is_under_way

    def _statuses(self, warehouse: Warehouse, destination: str) -> int:
        folder = f"{ROOT}/{destination}"
        return sum(
            self._rewritten(warehouse, f"{folder}/{name}")
            for name in self.store.list(folder)
            if name.startswith("statuses-")
        )

    def _cleanse(self, source: Source, copy: Copy, path: str) -> int:
        with self.store.workspace() as folder, self._scratch() as warehouse:
            try:
                incoming = self._staged(warehouse, source, copy, Path(folder))
            except (BadPage, duckdb.Error):
                if self._is_mentioned(copy.path):
                    raise BadInput(
                        f"{path} is about a person who is to be erased, and cannot be read as"
                        f" source {source.name} is declared now: put the declaration right"
                    ) from None
                return 0
            files = remove(incoming, sorted(self.people.identifiers), Path(folder))
            if not files:
                return 0
            kept = cleansed(copy, files[0])
            target = f"landing/{source.name}/{kept.landing_name}"
            self.store.take(kept.path, target)
            self.store.write(f"{target}{RECORD}", kept.record())
            if target != path:
                self.store.remove(f"{path}{RECORD}")
                self.store.remove(path)
            self.report(f"{source.name}: {copy.file_name} was written anew")
            return 1

    def _is_about(self, source: Source, path: str) -> bool:
        with self.store.workspace() as folder, self._scratch() as warehouse:
            file = Path(folder) / Path(path).name
            file.write_bytes(self.store.read(path) + b"\n")
            try:
                rows = source.rows(warehouse.connection, file.name, file, Path(folder))
                incoming = _incoming(warehouse, source)
                with rows as found:
                    incoming.stage(found, 0, file.name, _LONG_AGO)
            except (BadPage, duckdb.Error):
                return False
            return bool(remove(incoming, sorted(self.people.identifiers), Path(folder)))

    def _staged(self, warehouse: Warehouse, source: Source, copy: Copy, folder: Path) -> Incoming:
        incoming = _incoming(warehouse, source)
        with (
            warehouse.time_zone(source.session_time_zone),
            kept_rows(warehouse.connection, copy.path)
            if copy.is_rows
            else source.rows(warehouse.connection, copy.file_name, copy.path, folder) as rows,
        ):
            incoming.stage(rows, 0, copy.file_name, copy.modified_at)
        if incoming.has_people:
            incoming.key_phones()
        return incoming

    def _landed(self, folder: str) -> Iterator[tuple[Copy, str]]:
        for copy in landed(self.store, folder):
            path = f"{folder}/{copy.path}"
            if self.store.exists(path):
                yield replace(copy, path=Path(self.store.local(path))), path

    def _drop_leftovers(self, folder: str) -> None:
        """What a killed erasure has replaced and not removed yet; it has no record any more."""
        names = set(self.store.list(folder))
        replaced = {copy.came_as for copy, _ in self._landed(folder)} - {None}
        for name in names:
            if name.endswith(RECORD) or f"{name}{RECORD}" in names:
                continue
            path = f"{folder}/{name}"
            if name.partition("-")[0] in replaced or self._is_mentioned(self.store.local(path)):
                self.store.remove(path)

    def _receipts(self, ledger: Ledger, plan_id: str) -> int:
        accounts = set(self.people.values("platform_id"))
        count = 0
        folder = ledger.path(plan_id, "receipts")
        for name in self.store.list(folder):
            receipt: dict[str, Any] = json.loads(self.store.read(f"{folder}/{name}"))
            kept = [row for row in receipt["not_accepted"] if row["customer_id"] not in accounts]
            if len(kept) < len(receipt["not_accepted"]):
                count += len(receipt["not_accepted"]) - len(kept)
                ledger.record(f"{folder}/{name}", receipt | {"not_accepted": kept})
        return count

    def _rewritten(self, warehouse: Warehouse, path: str, *, is_dry: bool = False) -> int:
        """Rows about the people, which are out of the file by now unless it is a dry run."""
        if not self.store.exists(path):
            return 0
        with self.store.workspace() as folder:
            file = Path(folder) / "without.parquet"
            found = purge_file(warehouse.connection, self.store.local(path), file, is_figures=False)
            if found is None:
                return 0
            if not is_dry:
                self.store.take(file, path)
            return found[0]

    def _purge_database(self, source: str, target: Path) -> None:
        """A DuckDB file without the people, in a new file so that no byte of them is left."""
        with (
            tempfile.TemporaryDirectory(dir=target.parent) as folder,
            duckdb.connect(config=self._limits(folder)) as connection,
        ):
            dirty = Path(folder) / "before.duckdb"
            shutil.copyfile(source, dirty)
            connection.execute(f"attach '{str(dirty).replace(chr(39), chr(39) * 2)}' as before")
            connection.execute("use before")
            warehouse = Warehouse(connection)
            show_identifiers(warehouse, self.people.identifiers)
            purge_tables(warehouse)
            copy_database(warehouse, str(target))

    @contextmanager
    def _scratch(self) -> Iterator[Warehouse]:
        with (
            self.store.workspace() as folder,
            duckdb.connect(config=self._limits(folder)) as connection,
        ):
            connection.execute("set timezone = 'UTC'")
            warehouse = Warehouse(connection)
            show_identifiers(warehouse, self.people.identifiers)
            yield warehouse

    def _limits(self, folder: str) -> dict[str, Any]:
        return {
            "memory_limit": self.settings.memory_limit,
            "threads": self.settings.threads,
            "temp_directory": f"{folder}/spill",
        }

    def _is_mentioned(self, file: str | Path) -> bool:
        """Whether a file's text holds an address or a number; also if it cannot be searched.

        That is one that is no text at all, or cannot be unpacked.
        """
        # What lies across two chunks may be written in escapes of six characters each.
        overlap = 6 * max((len(needle.encode()) for needle in self.needles), default=1)
        before = b""
        try:
            with _unpacked(Path(file)) as content:
                while chunk := content.read(CHUNK):
                    if not before and (b"\0" in chunk[:4096] or chunk[:4] == b"PAR1"):
                        return True
                    if self._mentions(before + chunk):
                        return True
                    before = (before + chunk)[-overlap:]
        except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError):
            return True
        return False

    def _mentions(self, content: bytes) -> bool:
        text = content.decode(errors="replace")
        unescaped = JSON_ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
        plain = [
            unicodedata.normalize("NFC", one).lower()
            for one in {text, unescaped, unquote_plus(text)}
        ]
        return any(needle in one for needle in self.needles for one in plain)


def _incoming(warehouse: Warehouse, source: Source) -> Incoming:
    return Incoming(warehouse, source.table, source.has_line_ids, source.options.phone_country)


def _unpacked(file: Path) -> AbstractContextManager[BinaryIO]:
    content = file.open("rb")
    magic = content.read(4)
    content.seek(0)
    if magic[:2] == b"\x1f\x8b":
        content.close()
        return cast(BinaryIO, gzip.open(file))
    if magic == b"\x28\xb5\x2f\xfd":
        return cast(
            BinaryIO,
            zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True),
        )
    return content
