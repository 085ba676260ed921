"""Pages that cannot be read: kept as they came, with a report that holds no value of theirs.

A page and its report (`<page>.report.json`) lie in `quarantine/<source>/` of the store, until the
page is merged after all, comes again, or a person drops it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from include.copies import Copy, recorded
from include.errors import BadInput
from include.sources.base import BadPage
from include.store import Store

_FOLDER = "quarantine"
_REPORT = ".report.json"


@dataclass(frozen=True)
class Quarantined:
    """A bad page's report.

    place: the row, line, record, column, path ... of the first fault. is_asked_again: the source
    stopped at it and will be asked for it again. page: the copy's description.
    """

    source: str
    file_name: str
    reason: str
    place: Mapping[str, int | str]
    found_at: str
    is_asked_again: bool
    page: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What a person calls it by."""
        return f"{self.source}/{self.file_name}"

    @property
    def landing_name(self) -> str:
        """The file's name, here as in landing."""
        return recorded(self.page, Path()).landing_name

    def summary(self) -> dict[str, str | int]:
        """The report in one line."""
        place = ", ".join(f"{kind} {value}" for kind, value in self.place.items())
        return {
            "name": self.name,
            "place": place,
            "reason": self.reason,
            "bytes": self.page["size"],
            "found_at": self.found_at,
        }


class Quarantine:
    """The bad pages of a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, source: str, copy: Copy, fault: BadPage, is_asked_again: bool) -> None:
        """Put a page aside. The copy's own file stays where it is."""
        path = self._path(source, copy)
        report = Quarantined(
            source=source,
            file_name=copy.file_name,
            reason=fault.reason,
            place=fault.place,
            found_at=datetime.now(UTC).isoformat(timespec="seconds"),
            is_asked_again=is_asked_again,
            page=copy.described(),
        )
        if not self.store.exists(path):
            with self.store.workspace() as folder:
                page = Path(folder) / copy.landing_name
                shutil.copyfile(copy.path, page)
                self.store.take(page, path)
        # Last, so that a report never stands without its page.
        self.store.write(f"{path}{_REPORT}", json.dumps(asdict(report), indent=2).encode())

    def pages(self, source: str | None = None) -> list[Quarantined]:
        """The reports, of one source or of all."""
        folders = [source] if source else self.store.list(_FOLDER)
        return [
            Quarantined(**json.loads(self.store.read(f"{_FOLDER}/{folder}/{name}")))
            for folder in folders
            for name in self.store.list(f"{_FOLDER}/{folder}")
            if name.endswith(_REPORT)
        ]

    def find(self, name: str) -> list[Quarantined]:
        """The pages that are called so. Raises `BadInput` that lists the names there are."""
        every = self.pages()
        found = [page for page in every if page.name == name]
        if not found:
            known = ", ".join(sorted({page.name for page in every})) or "none"
            raise BadInput(f"no page {name!r} in quarantine; there are: {known}")
        return found

    def open(self, page: Quarantined, folder: Path) -> Copy:
        """A copy of the page in a local folder, to be tried again."""
        copy = recorded(page.page, folder)
        local = folder / copy.landing_name
        self.store.fetch(self._path(page.source, copy), local)
        return recorded(page.page, local)

    def remove(self, page: Quarantined) -> None:
        """Forget a page and its report."""
        path = self._path(page.source, recorded(page.page, Path()))
        self.store.remove(f"{path}{_REPORT}")
        self.store.remove(path)

    def leftovers(self) -> list[str]:
        """Pages of the store that a killed process has left without a report."""
        found = []
        for source in self.store.list(_FOLDER):
            names = set(self.store.list(f"{_FOLDER}/{source}"))
            pages = {name for name in names if not name.endswith(_REPORT)}
            found += [f"{_FOLDER}/{source}/{n}" for n in pages if f"{n}{_REPORT}" not in names]
        return sorted(found)

    @staticmethod
    def _path(source: str, copy: Copy) -> str:
        return f"{_FOLDER}/{source}/{copy.landing_name}"
