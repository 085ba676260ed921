"""A folder or an object store in which files appear whole or not at all.

Landing files, snapshots, plans, receipts and state are plain files under one root: any number of
workers can read them, and a crash at any instant leaves either the old file or the new one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

PRIVATE = 0o600
WORKSPACE = ".regulars-"
# Between making its folder and locking it a process needs less than this.
ABANDONED_AFTER_SECONDS = 60


class Store:
    """Files below one root, named by paths relative to it (`published/current.json`).

    A write to a local folder goes to a temporary name, is flushed to the disk, then renamed; an
    object store's single put is atomic by itself. Every file is private to its owner (mode 0600).
    """

    def __init__(self, url: str) -> None:
        self.filesystem: Any
        self.filesystem, root = fsspec.core.url_to_fs(url)
        self.root = str(root).rstrip("/")
        self.is_local = "file" in self.filesystem.protocol

    def locate(self, path: str) -> str:
        """The path as the file system itself knows it; on a local folder, what DuckDB can read."""
        if ".." in PurePosixPath(path).parts or path.startswith("/"):
            raise ValueError(f"{path!r} is not a path below the store")
        return f"{self.root}/{path}"

    def exists(self, path: str) -> bool:
        """Whether a file or a folder of that name is there."""
        return bool(self.filesystem.exists(self.locate(path)))

    def version(self, path: str) -> str:
        """What changes with every write of a file; '' while there is none."""
        self.filesystem.invalidate_cache()
        return str(self.filesystem.ukey(self.locate(path))) if self.exists(path) else ""

    def read(self, path: str) -> bytes:
        """The whole file. Raises `FileNotFoundError`."""
        content: bytes = self.filesystem.cat_file(self.locate(path))
        return content

    def write(self, path: str, content: bytes) -> None:
        """Put the file in place in one atomic step, replacing an older one."""
        if not self.is_local:
            self.filesystem.pipe_file(self.locate(path), content)
            return
        target = Path(self.locate(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".writing-")
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        self._appear(Path(temporary), target)

    def take(self, file: Path, path: str) -> None:
        """Move a finished local file into the store in one atomic step; the original is gone."""
        if not self.is_local:
            self.filesystem.put_file(str(file), self.locate(path))
            file.unlink()
            return
        target = Path(self.locate(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        self._appear(file, target)

    def list(self, path: str) -> list[str]:
        """Names directly below a folder, sorted, without unfinished writes; none if missing."""
        if not self.exists(path):
            return []
        entries = self.filesystem.ls(self.locate(path), detail=False)
        names = (PurePosixPath(str(entry)).name for entry in entries)
        return sorted(name for name in names if not name.startswith("."))

    def remove(self, path: str) -> None:
        """Delete a file or a folder with all below it; a missing one is no error."""
        if self.exists(path):
            self.filesystem.rm(self.locate(path), recursive=True)

    @contextmanager
    def workspace(self) -> Iterator[str]:
        """A temporary folder from which `take` can move files (a local store's own disk).

        What a killed process left of its own is removed by the next one: it may hold contacts.
        """
        home = Path(self.root) if self.is_local else Path(tempfile.gettempdir())
        home.mkdir(parents=True, exist_ok=True)
        _sweep(home)
        with tempfile.TemporaryDirectory(prefix=WORKSPACE, dir=home) as folder:
            lock = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield folder
            finally:
                os.close(lock)

    def abandoned(self) -> bool:
        """Whether killed processes have left workspaces that are not swept yet."""
        home = Path(self.root) if self.is_local else Path(tempfile.gettempdir())
        return any(_is_free(folder) for folder in home.glob(f"{WORKSPACE}*"))

    @staticmethod
    def _appear(source: Path, target: Path) -> None:
        """Rename so that after a power cut the name holds either the old or the whole new file."""
        source.chmod(PRIVATE)
        with source.open("rb") as file:
            os.fsync(file.fileno())
        source.replace(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _is_free(folder: Path) -> bool:
    try:
        lock = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def _sweep(home: Path) -> None:
    """Remove workspaces whose process is gone: the lock on a living one's folder is held."""
    for folder in home.glob(f"{WORKSPACE}*"):
        try:
            if time.time() - folder.stat().st_mtime < ABANDONED_AFTER_SECONDS:
                continue
            lock = os.open(folder, os.O_RDONLY)
        except OSError:
            # Gone by now, or another user's.
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
