"""Canaries: addresses and secrets that are planted, and the search for where they must not be."""

from __future__ import annotations

import json
import logging
import sqlite3
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from include.errors import RegularsError

# What is a personal file by its purpose: what came, the warehouse, the contacts that are published.
PERSONAL = ("landing/", "contacts.parquet", "warehouse.duckdb", "inbox/", "quarantine/")


class Overheard:
    """All that a block logs, from any library, and the errors that it raises."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.raised: list[RegularsError] = []

    def __str__(self) -> str:
        return "\n".join(self.texts)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """The block may raise an error of ours; its text and its whole trace are kept."""
        try:
            yield
        except RegularsError as error:
            self.raised.append(error)
            self.texts += [repr(error), "".join(traceback.format_exception(error))]


@contextmanager
def overhear() -> Iterator[Overheard]:
    """Listen to every logger, down to what libraries tell their debuggers."""
    overheard = Overheard()

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            overheard.texts.append(f"{record.name}: {self.format(record)}")

    ear, root = Ear(), logging.getLogger()
    level = root.level
    root.addHandler(ear)
    root.setLevel(logging.DEBUG)
    try:
        yield overheard
    finally:
        root.removeHandler(ear)
        root.setLevel(level)


def texts_below(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file's content as text: Parquet and SQLite by their rows, which they may compress."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix in {".pyc", ".lock"}:
            continue
        if path.suffix == ".parquet":
            rows = duckdb.read_parquet(str(path)).to_arrow_table().to_pylist()
            yield path, json.dumps(rows, default=str)
        elif path.suffix in {".db", ".sqlite"}:
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
                yield path, "\n".join(connection.iterdump())
        else:
            yield path, path.read_bytes().decode(errors="replace")


def found(folder: Path, canaries: Iterable[str], leave_out: Iterable[str] = PERSONAL) -> list[str]:
    """The files below a folder that hold a canary and must not."""
    canaries = [canary.lower() for canary in canaries]
    leave_out = tuple(leave_out)
    return [
        str(path.relative_to(folder))
        for path, text in texts_below(folder)
        if not any(part in str(path.relative_to(folder)) for part in leave_out)
        and any(canary in text.lower() for canary in canaries)
    ]
