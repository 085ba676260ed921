"""Canaries: addresses and secrets that are planted, and the search for where they must not be."""

from __future__ import annotations

import logging
import re
import sqlite3
import traceback
from collections.abc import Iterable, Iterator, Sequence
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


def holds(path: Path, canaries: Sequence[str]) -> bool:
    """Whether a file holds one of them: Parquet and SQLite by their rows, which may be packed."""
    if path.suffix == ".parquet":
        query = """
            select count(*) from read_parquet($path) as entry
            where regexp_matches(lower(entry::varchar), $canaries)
        """
        expression = "|".join(map(re.escape, canaries))
        told = {"path": str(path), "canaries": expression}
        return bool(duckdb.execute(query, told).fetchall()[0][0])
    if path.suffix in {".db", ".sqlite"}:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            text = "\n".join(connection.iterdump())
    else:
        text = path.read_bytes().decode(errors="replace")
    return any(canary in text.lower() for canary in canaries)


def found(folder: Path, canaries: Iterable[str], leave_out: Iterable[str] = PERSONAL) -> list[str]:
    """The files below a folder that hold a canary and must not."""
    canaries, leave_out = [canary.lower() for canary in canaries], tuple(leave_out)
    names = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not any(part in name for part in leave_out) and holds(path, canaries):
            names.append(name)
    return names
