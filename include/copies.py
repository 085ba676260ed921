"""A page's copy: the bytes that came, and what has to be known to merge them again."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from include.sources.base import Page
from include.store import Store

# Beside a landing file: what is known of it. A file without one does not count as landed.
RECORD = ".page.json"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Copy:
    """A page's bytes on this machine. `cursor`: how far the source is read with it, for a reply.

    A page that somebody was erased from is kept as the rows it was read into (`is_rows`); `came_as`
    is then the checksum of the bytes that came.
    """

    file_name: str
    checksum: str
    size: int
    modified_at: datetime
    version: str
    path: Path = field(compare=False)
    cursor: Mapping[str, Any] | None = field(default=None, compare=False)
    came_as: str | None = None
    is_rows: bool = False

    @property
    def landing_name(self) -> str:
        """The file's name below `landing/<source>/`."""
        return f"{self.checksum}-{re.sub(r'[^A-Za-z0-9._-]', '_', self.file_name)}"

    def described(self) -> dict[str, Any]:
        """All but the path, ready for JSON."""
        told = asdict(self) | {"modified_at": self.modified_at.isoformat()}
        del told["path"]
        return told

    def record(self) -> bytes:
        """What is kept beside the landing file."""
        return json.dumps(self.described(), indent=2).encode()


def recorded(described: Mapping[str, Any], path: Path) -> Copy:
    """The copy at `path` that was described so once."""
    kept = dict(described)
    kept["modified_at"] = datetime.fromisoformat(kept["modified_at"])
    return Copy(**kept, path=path)


def landed(store: Store, folder: str, but: Collection[str] = ()) -> Iterator[Copy]:
    """What the records of a landing folder say, but for files of these names.

    `path` is the file's bare name: nobody has looked at it, nor fetched it.
    """
    for record in store.list(folder):
        name = record.removesuffix(RECORD)
        if name != record and name not in but:
            yield recorded(json.loads(store.read(f"{folder}/{record}")), Path(name))


def fetch(page: Page, folder: Path) -> Copy:
    """Copy a page's bytes into the folder, hashing on the way."""
    version = page.version()
    digest = hashlib.sha256()
    size = 0
    descriptor, path = tempfile.mkstemp(dir=folder)
    with page.open() as source, os.fdopen(descriptor, "wb") as target:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            size += target.write(chunk)
    return Copy(
        page.name, digest.hexdigest(), size, page.modified_at, version, Path(path), page.cursor
    )


def checksum(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
