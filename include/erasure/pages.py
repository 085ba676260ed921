"""Pages of a load without those who were erased, before anything of them is kept.

A page that was about an erased person is kept as the rows it was read into (Parquet), without that
person; any other page is kept as it came. So a restored landing file, an export that still has the
person, or a shop that tells of them again brings nobody back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb

from include.copies import Copy, checksum
from include.erasure.rows import about_a_person, figures, find_erased, purge
from include.erasure.tombstones import Identifier, Tombstones, show_identifiers
from include.raw_tables import Incoming, declared

# What landing works out again when it reads a page.
_WORKED_OUT = frozenset({"page", "region", "email_key", "phone_key"})


def take_out(incoming: Incoming, tombstones: Tombstones, folder: Path) -> dict[int, Path]:
    """Take everybody who was erased out of what was staged.

    Returns a Parquet file, in `folder`, for each page that was about one of them. A request for
    erasure may stay until it is fulfilled.
    """
    if not tombstones or incoming.table == "erasure_requests":
        return {}
    columns = [column.name for column in declared()[incoming.table]]
    if about_a_person(columns) is None:
        return {}
    if incoming.has_people:
        incoming.key_phones()
    tombstones.show(incoming.warehouse)
    columns = incoming.columns
    return remove(
        incoming, find_erased(incoming.warehouse, "incoming", columns, tombstones), folder
    )


def remove(incoming: Incoming, identifiers: list[Identifier], folder: Path) -> dict[int, Path]:
    """Take these people out of what was staged; the files of the pages that were about them."""
    condition = about_a_person(incoming.columns)
    if condition is None or not identifiers:
        return {}
    warehouse = incoming.warehouse
    show_identifiers(warehouse, identifiers)
    names = {"condition": condition}
    touched = warehouse.run("pages_about", names).column("page").to_pylist()
    purge(warehouse, "incoming", incoming.columns, is_figures=figures(incoming.table))
    kept = [f'"{name}"' for name in incoming.columns if name not in _WORKED_OUT]
    files = {}
    for page in touched:
        file = folder / f"without-erased-{page}.parquet"
        names = {"columns": ", ".join(kept)}
        warehouse.run("export_page", names, page=page, path=str(file))
        files[page] = file
    return files


def cleansed(copy: Copy, file: Path) -> Copy:
    """The copy that takes the place of one that was about an erased person."""
    return replace(
        copy,
        checksum=checksum(file),
        size=file.stat().st_size,
        path=file,
        came_as=copy.came_as or copy.checksum,
        is_rows=True,
    )


@contextmanager
def kept_rows(
    connection: duckdb.DuckDBPyConnection, file: Path
) -> Iterator[duckdb.DuckDBPyRelation]:
    """The rows of a page that is kept as rows."""
    yield connection.read_parquet(str(file))
