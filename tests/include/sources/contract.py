"""What every source promises. Inherit it in a source's test to hold it to them."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from include.errors import BadInput
from include.landing import ingest, rebuild
from include.settings import Settings
from include.sources.base import Source
from tests.include.sources.shops import declare, raw


class SourceContract(ABC):
    source: ClassVar[type[Source]]
    canary = "canary@shoppers.regulars.example"

    @abstractmethod
    def declaration(self, folder: Path) -> dict[str, Any]:
        """An entry of `sources.yml` for a source of orders with at least two order lines."""

    @abstractmethod
    def break_a_page(self, folder: Path) -> None:
        """Make one page unreadable; the canary stands where it breaks."""

    @abstractmethod
    def mend_the_page(self, folder: Path) -> None:
        """Replace the broken page by a good one."""

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return declare(tmp_path, self.declaration(tmp_path))

    def test_loading_twice_is_loading_once(self, settings: Settings) -> None:
        first = ingest(settings)
        rows = raw(settings, "order_lines")
        second = ingest(settings)
        assert first[0].rows >= 2
        assert raw(settings, "order_lines") == rows
        assert (second[0].rows, second[0].skipped) == (0, first[0].files)

    def test_landing_keeps_every_page_and_can_rebuild_the_warehouse(self, settings: Settings):
        ingest(settings)
        rows = raw(settings, "order_lines")
        landed = raw(settings, "landed_files")
        settings.warehouse_path.write_bytes(b"ruined")
        rebuild(settings)
        assert raw(settings, "order_lines") == rows
        assert [page["checksum"] for page in raw(settings, "landed_files")] == [
            page["checksum"] for page in landed
        ]
        for page in landed:
            kept = Path(settings.store) / page["landing_path"]
            assert hashlib.sha256(kept.read_bytes()).hexdigest() == page["checksum"]
            assert kept.stat().st_mode & 0o777 == 0o600

    def test_the_cursor_is_committed_with_the_data_it_belongs_to(self, settings: Settings):
        ingest(settings)
        landed = raw(settings, "landed_files")
        assert sum(page["row_count"] for page in landed) >= len(raw(settings, "order_lines"))
        assert [cursor["source"] for cursor in raw(settings, "cursors")] == ["shop"]

    def test_a_page_that_cannot_be_read_loads_nothing_until_it_is_replaced(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        self.break_a_page(tmp_path)
        with pytest.raises(BadInput) as raised:
            ingest(settings)
        assert raw(settings, "order_lines") == []
        assert raw(settings, "landed_files") == []
        quarantine = Path(settings.store) / "quarantine" / "shop"
        report = next(quarantine.glob("*.json"))
        assert json.loads(report.read_text())["file_name"] in str(raised.value)
        assert (quarantine / report.name.removesuffix(".json")).exists()
        assert self.canary not in str(raised.value) + report.read_text()

        self.mend_the_page(tmp_path)
        assert ingest(settings)[0].rows >= 2

    def test_an_unknown_key_is_refused_by_name(self, tmp_path: Path) -> None:
        entry = self.declaration(tmp_path) | {"colour": "red"}
        settings = declare(tmp_path, entry)
        with pytest.raises(BadInput, match=r"sources\.yml, shop, colour: unknown key"):
            ingest(settings)

    def test_the_type_stands_in_the_registry(self, tmp_path: Path) -> None:
        entry = yaml.safe_load(yaml.safe_dump(self.declaration(tmp_path)))
        assert Source.registry[entry["type"]] is self.source
