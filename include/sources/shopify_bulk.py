"""The result of a bulk operation, kept in parts that can be put together one by one.

It may hold millions of orders, each followed by its lines. What does not fit into memory at once is
cut here, where every line passes by anyway, between two orders.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from typing import IO

# Of a part before it is compressed: some 50,000 orders, a hundred MB once they are rows.
PART_BYTES = 96 << 20
COMPRESSION = 3
# As Shopify writes a result, what belongs to a record on lines of its own; and all of it inside.
BULK_SUFFIX = ".jsonl.gz"
RECORDS_SUFFIX = ".records.jsonl.gz"
_PARENT = b'"__parentId"'


class BulkParts:
    """Takes a result's lines and keeps them, compressed, in files that are gone once closed.

    What belongs to a record is put inside of it, under the name of its connection, as in a reply:
    that is read in one go, and at half the cost. Shopify promises that a line comes after its
    record, not right after it, as it does. Where it does not, the lines stay as they came, and
    nothing is cut: all is one part.
    """

    def __init__(self, connection: str | None) -> None:
        self._open = ExitStack()
        self._files: list[IO[bytes]] = []
        self._packed: gzip.GzipFile | None = None
        self._size = 0
        self._inside = b',"%s":{"nodes":[' % connection.encode() if connection else b""
        self._id: bytes | None = None
        # The record that is not written yet, and its lines.
        self._record: bytes | None = None
        self._lines: list[bytes] = []
        self._is_in_order = True

    @property
    def suffix(self) -> str:
        """How the parts are to be read, once they are finished."""
        return RECORDS_SUFFIX if self._is_in_order else BULK_SUFFIX

    def add(self, lines: Iterable[bytes]) -> None:
        """The next lines, without what ends them."""
        whole: list[bytes] = []
        for line in lines:
            parent = _parent(line)
            if parent is None:
                self._end_record(whole)
                if self._size >= PART_BYTES:
                    self._write(whole)
                    whole = []
                    self._end_part()
                self._id, self._record = _identity(line), line
            elif parent == self._id and self._record is not None:
                self._lines.append(line)
            else:
                self._is_in_order = False
                self._end_record(whole)
                whole.append(line)
            self._size += len(line)
        self._write(whole)

    def finish(self) -> list[IO[bytes]]:
        """The parts, in the result's order; the caller closes them."""
        whole: list[bytes] = []
        self._end_record(whole)
        self._write(whole)
        self._end_part()
        if len(self._files) > 1 and not self._is_in_order:
            # Compressed streams one after the other are one.
            first, *others = self._files
            first.seek(0, 2)
            for part in others:
                shutil.copyfileobj(part, first)
                part.close()
            first.seek(0)
            self._files = [first]
        return self._files

    def close(self) -> None:
        """Give up what was kept."""
        self._open.close()

    def _end_record(self, whole: list[bytes]) -> None:
        """Add the record that is not written yet, with its lines inside."""
        if self._record is None:
            return
        record = self._record.rstrip()
        if self._inside and self._id is not None and record.endswith(b"}"):
            lines = b",".join(line.strip() for line in self._lines)
            whole.append(record[:-1] + self._inside + lines + b"]}}")
        else:
            whole += [record, *self._lines]
            self._is_in_order = self._is_in_order and not self._lines
        self._record, self._lines = None, []

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


def _identity(line: bytes) -> bytes | None:
    """A record's id, if it is one: it is asked for first, so it comes first."""
    told = line.split(b'"', 4)
    return told[3] if len(told) == 5 and told[1] == b"id" else None


def _temporary() -> IO[bytes]:
    return tempfile.TemporaryFile()
