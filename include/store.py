"""A folder or an object store in which files appear whole or not at all.

Landing files, snapshots, plans, receipts and state are plain files under one root: any number of
workers can read them, and a crash at any instant leaves either the old file or the new one.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from include.errors import Retry, Stop

PRIVATE = 0o600
PRIVATE_FOLDER = 0o700
WORKSPACE = ".regulars-"
WRITING = ".writing-"
# The object stores whose clients create a file on the condition that there is none.
CREATES_ONCE = frozenset({"s3", "memory"})
# Between making its folder and locking it a process needs less than this, and to write a file, too.
ABANDONED_AFTER_SECONDS = 60


class Store:
    """Files below one root, named by paths relative to it (`published/current.json`).

    A write to a local folder goes to a temporary name, is flushed to the disk, then renamed; an
    object store's single put is atomic by itself. Every file and folder is private to its owner,
    whatever the process's umask.
    """

    def __init__(self, url: str) -> None:
        self.filesystem: Any
        # Others write, too: what was there a moment ago tells nothing.
        self.filesystem, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
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
        return str(self.filesystem.ukey(self.locate(path))) if self.exists(path) else ""

    def read(self, path: str) -> bytes:
        """The whole file. Raises `FileNotFoundError`."""
        content: bytes = self.filesystem.cat_file(self.locate(path))
        return content

    def fetch(self, path: str, target: Path) -> None:
        """Copy a file to this machine. Raises `FileNotFoundError`."""
        self.filesystem.get_file(self.locate(path), str(target))

    def local(self, path: str, folder: Path | None = None) -> str:
        """Where a file can be read on this machine: in place, or as a copy in a folder.

        Without a folder the copy is among this process's `copies`.
        """
        if self.is_local:
            return self.locate(path)
        fetched = (folder or copies()) / path.replace("/", "-")
        self.fetch(path, fetched)
        return str(fetched)

    def write(self, path: str, content: bytes) -> None:
        """Put the file in place in one atomic step, replacing an older one."""
        if not self.is_local:
            self.filesystem.pipe_file(self.locate(path), content)
            return
        target = Path(self.locate(path))
        make_private_folder(target.parent)
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=WRITING)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        self._appear(Path(temporary), target)

    def create(self, path: str, content: bytes) -> bool:
        """Put the file in place if there is none of that name; whether it was this call that did.

        Of several who try at the same instant exactly one succeeds: a local folder links the whole
        file to its name, an object store is asked with a condition (S3's `If-None-Match: *`).
        Raises `Stop` on a store that knows no such condition.
        """
        if not self.is_local:
            return self._create_remotely(path, content)
        target = Path(self.locate(path))
        make_private_folder(target.parent)
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=WRITING)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, target)
        except FileExistsError:
            return False
        finally:
            os.unlink(temporary)
        return True

    def _create_remotely(self, path: str, content: bytes) -> bool:
        if not CREATES_ONCE & set(_names(self.filesystem.protocol)):
            raise Stop(
                f"a store at {_names(self.filesystem.protocol)[0]}:// cannot keep two runs apart: "
                f"use a local folder or one of {', '.join(sorted(CREATES_ONCE))}"
            )
        try:
            self.filesystem.pipe_file(self.locate(path), content, mode="create")
        except OSError as error:
            if isinstance(error, FileExistsError) or error.errno == errno.EBUSY:
                # EBUSY: S3's word for two conditional writes at the same instant.
                return False
            raise
        return True

    def take(self, file: Path, path: str) -> None:
        """Move a finished local file into the store in one atomic step; the original is gone."""
        if not self.is_local:
            self.filesystem.put_file(str(file), self.locate(path))
            file.unlink()
            return
        target = Path(self.locate(path))
        make_private_folder(target.parent)
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
        make_private_folder(self._home)
        with _locked_folder(self._home) as folder:
            yield folder

    def abandoned(self) -> bool:
        """Whether workspaces or half-written files are there that may be killed processes'."""
        workspaces = self._home.glob(f"{WORKSPACE}*")
        return any(map(_is_free, workspaces)) or any(self._half_written())

    def sweep(self) -> None:
        """Remove what killed processes have left: unlocked workspaces, old half-written files."""
        _sweep(self._home)
        for file in filter(_is_old, self._half_written()):
            file.unlink(missing_ok=True)

    @property
    def _home(self) -> Path:
        """Where the workspaces are."""
        return Path(self.root) if self.is_local else Path(tempfile.gettempdir())

    def _half_written(self) -> Iterator[Path]:
        # Unlike a glob, a walk does not mind folders that others remove meanwhile.
        for folder, _, names in os.walk(self.root) if self.is_local else ():
            yield from (Path(folder, name) for name in names if name.startswith(WRITING))

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


def _names(protocol: str | tuple[str, ...]) -> tuple[str, ...]:
    return (protocol,) if isinstance(protocol, str) else protocol


_until_dropped = ExitStack()


@cache
def copies() -> Path:
    """This process's folder for copies from an object store, until it drops them or ends.

    What a killed process left is removed by the next one: it may hold contacts. A task of Airflow
    counts as killed, since it ends without its exit handlers.
    """
    return Path(_until_dropped.enter_context(_locked_folder(Path(tempfile.gettempdir()))))


@atexit.register
def drop_copies() -> None:
    """Remove this process's copies from an object store."""
    copies.cache_clear()
    _until_dropped.close()


def keep_private() -> None:
    """From now on, what this process writes is its owner's alone.

    For files that others write for us: DuckDB's log of changes and what it spills, dbt's logs.
    """
    os.umask(0o777 - PRIVATE_FOLDER)


def make_private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for its owner alone."""
    for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
        missing.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)


@contextmanager
def alone(lock: Path, work: str) -> Iterator[None]:
    """Be the only process of this machine in such a block: `lock` is a file for nothing else.

    The lock is the kernel's, so that a killed process never leaves it behind. Raises `Retry`, which
    says that `work` is under way, while another process is in its block.
    """
    make_private_folder(lock.parent)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Retry(f"{work} is under way", after_seconds=60) from error
        yield


@contextmanager
def _locked_folder(home: Path) -> Iterator[str]:
    """A temporary folder whose lock tells that its process lives."""
    _sweep(home)
    with tempfile.TemporaryDirectory(prefix=WORKSPACE, dir=home) as folder:
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
        finally:
            os.close(lock)


def _is_free(folder: Path) -> bool:
    """Whether the process that made a workspace is gone: a living one holds the lock on it."""
    try:
        lock = os.open(folder, os.O_RDONLY)
    except OSError:
        # Gone by now, or another user's.
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def _is_old(path: Path) -> bool:
    """Whether whoever made a file or a folder has had the time to finish or to lock it."""
    try:
        return time.time() - path.stat().st_mtime >= ABANDONED_AFTER_SECONDS
    except FileNotFoundError:
        return False


def _sweep(home: Path) -> None:
    for folder in home.glob(f"{WORKSPACE}*"):
        if _is_old(folder) and _is_free(folder):
            shutil.rmtree(folder, ignore_errors=True)
