"""What every source promises. Inherit it in a source's test to hold it to them.

A test of a source says where its data are and how they change; the promises follow from that:

    class TestMyShop(SourceContract):
        source = MyShop             # the class that is held to the contract
        table = "orders"            # the raw table that its rows go to; default order_lines

        @contextmanager
        def place(self, folder):    # what is read from; default: the folder itself
            with start_sandbox(folder) as sandbox:
                ...                 # two pages at least, two records at least
                yield sandbox

        def declaration(self, place):     # its entry of sources.yml, called `shop`
        def credentials(self, place):     # what its connection holds; default: there is none
        def change(self, place):          # one record is new, and one says something else
        def break_a_page(self, place):    # a page cannot be read; the canary stands where
        def mend_the_page(self, place):   # and now it can

Everything runs through landing, as in production. `place` is one value for all hooks of a test.
"""

from __future__ import annotations

import hashlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from include.connections import Credentials
from include.errors import BadInput
from include.landing import Loaded, ingest, rebuild
from include.quarantine import Quarantine
from include.settings import Settings
from include.sources.base import Source, Window
from include.store import Store
from tests.include.sources.shops import declare, raw


class Crash(BaseException):
    """The process dies; nothing that runs in it may hold this up."""


class SourceContract(ABC):
    source: ClassVar[type[Source]]
    table: ClassVar[str] = "order_lines"
    canary = "canary@shoppers.regulars.example"

    @contextmanager
    def place(self, folder: Path) -> Iterator[Any]:
        """Where the source's data are, for one test: a folder, or a server that is running."""
        yield folder

    @abstractmethod
    def declaration(self, place: Any) -> dict[str, Any]:
        """Its entry of `sources.yml`, named `shop`, with two pages and two records at least."""

    def credentials(self, place: Any) -> Credentials:
        """What the connection that it names holds."""
        raise BadInput("this source needs no connection")

    @abstractmethod
    def change(self, place: Any) -> None:
        """From now on one record more is there, and one record says something else."""

    @abstractmethod
    def break_a_page(self, place: Any) -> None:
        """From now on one page cannot be read; the canary stands where it breaks."""

    @abstractmethod
    def mend_the_page(self, place: Any) -> None:
        """From now on it can."""

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Iterator[Any]:
        with self.place(tmp_path) as place:
            yield place

    @pytest.fixture
    def settings(self, opened: Any, tmp_path: Path) -> Settings:
        return declare(tmp_path, self.declaration(opened))

    @pytest.fixture
    def load(self, opened: Any, settings: Settings) -> Callable[..., Loaded]:
        """Ingest, into these settings or others."""

        def load(into: Settings = settings, **options: Any) -> Loaded:
            def resolve(connection: str) -> Credentials:
                return self.credentials(opened)

            [loaded] = ingest(into, credentials=resolve, **options)
            return loaded

        return load

    def elsewhere(self, settings: Settings, tmp_path: Path) -> Settings:
        """The same declaration, loaded from nothing."""
        return settings.model_copy(update={"home": tmp_path / "elsewhere"})

    def test_loading_twice_is_loading_once(self, settings, load) -> None:
        first = load()
        rows, landed = raw(settings, self.table), _landed(settings)
        assert len(rows) >= 2
        assert first.files >= 2
        assert load().rows == 0
        assert raw(settings, self.table) == rows
        assert _landed(settings) == landed

    def test_what_changes_is_merged_as_if_all_were_loaded_anew(
        self, opened, settings, load, tmp_path
    ) -> None:
        load()
        before = raw(settings, self.table)
        self.change(opened)
        load()
        after = raw(settings, self.table)
        assert len(after) == len(before) + 1
        assert len([row for row in after if row not in before]) == 2
        load(self.elsewhere(settings, tmp_path))
        assert raw(self.elsewhere(settings, tmp_path), self.table) == after

    def test_a_crash_at_any_point_loses_and_doubles_nothing(
        self, opened, settings, load, tmp_path
    ) -> None:
        load(self.elsewhere(settings, tmp_path))
        whole = raw(self.elsewhere(settings, tmp_path), self.table)
        for point in itertools.count(1):
            try:
                load(progress=_dying(point))
            except Crash:
                continue
            break
        assert point > 3
        assert raw(settings, self.table) == whole
        assert load().rows == 0

    def test_landing_keeps_every_page_and_can_rebuild_the_warehouse(self, settings, load) -> None:
        load()
        rows = raw(settings, self.table)
        landed = raw(settings, "landed_files")
        settings.warehouse_path.write_bytes(b"ruined")
        rebuild(settings)
        assert raw(settings, self.table) == rows
        assert [page["checksum"] for page in raw(settings, "landed_files")] == [
            page["checksum"] for page in landed
        ]
        for page in landed:
            kept = Path(settings.store) / page["landing_path"]
            assert hashlib.sha256(kept.read_bytes()).hexdigest() == page["checksum"]
            assert kept.stat().st_mode & 0o777 == 0o600
        # The cursor is back too.
        assert load().rows == 0

    def test_the_cursor_is_committed_with_the_data_it_belongs_to(self, settings, load) -> None:
        load()
        landed = raw(settings, "landed_files")
        assert sum(page["row_count"] for page in landed) >= len(raw(settings, self.table))
        assert [cursor["source"] for cursor in raw(settings, "cursors")] == ["shop"]

    def test_asking_for_past_days_again_doubles_nothing_and_leaves_the_cursor(
        self, opened, settings, load, tmp_path
    ) -> None:
        every_day = Window(date(2000, 1, 1), date(2100, 1, 1))
        if not self.source.has_windows:
            with pytest.raises(BadInput, match="no days to ask for"):
                load(names=["shop"], window=every_day)
            return
        load()
        cursors = raw(settings, "cursors")
        self.change(opened)
        assert load(names=["shop"], window=every_day).rows >= 2
        assert raw(settings, "cursors") == cursors
        rows = raw(settings, self.table)
        load()
        assert raw(settings, self.table) == rows
        load(self.elsewhere(settings, tmp_path))
        assert raw(self.elsewhere(settings, tmp_path), self.table) == rows
        no_day = Window(date(2000, 1, 1), date(2000, 1, 2))
        assert load(names=["shop"], window=no_day).rows == 0

    def test_a_page_that_cannot_be_read_loads_nothing_until_it_is_replaced(
        self, opened, settings, load
    ) -> None:
        self.break_a_page(opened)
        with pytest.raises(BadInput) as raised:
            load()
        assert raw(settings, self.table) == []
        assert raw(settings, "landed_files") == []
        [page] = Quarantine(Store(settings.store)).pages()
        assert page.file_name in str(raised.value)
        assert page.reason in str(raised.value)
        assert page.place
        told = "".join(file.read_text() for file in _quarantine(settings).glob("*.report.json"))
        assert self.canary not in str(raised.value) + told

        self.mend_the_page(opened)
        assert load().rows >= 2
        assert Quarantine(Store(settings.store)).pages() == []

    def test_a_bad_page_is_put_aside_where_some_are_allowed_and_the_rest_is_loaded(
        self, opened, tmp_path, load
    ) -> None:
        self.break_a_page(opened)
        lenient = declare(tmp_path, self.declaration(opened) | {"max_bad_pages": 1})
        loaded = load(lenient)
        assert loaded.quarantined == 1
        assert loaded.rows == len(raw(lenient, self.table)) >= 1
        [page] = Quarantine(Store(lenient.store)).pages()
        assert page.source == "shop"

    def test_an_unknown_key_is_refused_by_name(self, opened, tmp_path) -> None:
        settings = declare(tmp_path, self.declaration(opened) | {"colour": "red"})
        with pytest.raises(BadInput, match=r"sources\.yml, shop, colour: unknown key"):
            ingest(settings)

    def test_the_type_stands_in_the_registry(self, opened) -> None:
        entry = yaml.safe_load(yaml.safe_dump(self.declaration(opened)))
        assert Source.registry[entry["type"]] is self.source


def _dying(point: int) -> Callable[[str], None]:
    """Progress that ends the process at its nth message."""
    messages = itertools.count(1)

    def report(message: str) -> None:
        if next(messages) == point:
            raise Crash

    return report


def _landed(settings: Settings) -> list[str]:
    return sorted(file.name for file in (Path(settings.store) / "landing/shop").iterdir())


def _quarantine(settings: Settings) -> Path:
    return Path(settings.store) / "quarantine/shop"
