"""The result of a bulk operation, kept in parts that can be put together one by one.

It may hold millions of orders, each followed by its lines. What does not fit into memory at once is
cut here, where every line passes by anyway, between two orders.
"""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from typing import IO

# Of a part before it is compressed: some 50,000 orders, a hundred MB once they are rows.
PART_BYTES = 96 << 20
COMPRESSION = 3
_PARENT = b'"__parentId"'


class BulkParts:
    """Takes a result's lines and keeps them, compressed, in files that are gone once closed.

    Shopify promises that a line comes after its record, not right after it, as it does. Where it
    does not, nothing is cut: all is one part.
    """

    def __init__(self) -> None:
        self._open = ExitStack()
        self._files: list[IO[bytes]] = []
        self._packed: gzip.GzipFile | None = None
        self._size = 0
        self._record: bytes | None = None
        self._is_in_order = True

    def add(self, lines: Iterable[bytes]) -> None:
        """The next lines, without what ends them."""
        waiting: list[bytes] = []
        for line in lines:
            parent = _parent(line)
            if parent is None:
                if self._size >= PART_BYTES:
                    self._write(waiting)
                    waiting = []
                    self._end_part()
                self._record = _identity(line)
            elif parent != self._record:
                self._is_in_order = False
            waiting.append(line)
            self._size += len(line)
        self._write(waiting)

    def finish(self) -> list[IO[bytes]]:
        """The parts, in the result's order; the caller closes them."""
        self._end_part()
        if len(self._files) > 1 and not self._is_in_order:
            # Compressed streams one after the other are one.
            whole, *others = self._files
            whole.seek(0, 2)
            for part in others:
                shutil.copyfileobj(part, whole)
                part.close()
            whole.seek(0)
            self._files = [whole]
        return self._files

    def close(self) -> None:
        """Give up what was kept."""
        self._open.close()

    def _write(self, lines: list[bytes]) -> None:
        if not lines:
            return
        if self._packed is None:
            file = self._open.enter_context(_temporary())
            self._files.append(file)
            self._packed = gzip.GzipFile(
                fileobj=file, mode="wb", compresslevel=COMPRESSION, mtime=0
            )
        self._packed.write(b"\n".join(lines) + b"\n")

    def _end_part(self) -> None:
        if self._packed is not None:
            self._packed.close()
            self._packed = None
            self._files[-1].seek(0)
        self._size = 0


def _parent(line: bytes) -> bytes | None:
    """The id of the record that a line belongs to; None if it is a record itself."""
    at = line.rfind(_PARENT)
    return None if at < 0 else line[at + len(_PARENT) :].strip(b' :"}\r')


def _identity(line: bytes) -> bytes:
    """A record's id: it is asked for first, so it comes first."""
    told = line.split(b'"', 4)
    if len(told) == 5 and told[1] == b"id":
        return told[3]
    record = json.loads(line)
    return str(record.get("id") if isinstance(record, dict) else None).encode()


def _temporary() -> IO[bytes]:
    return tempfile.TemporaryFile()
