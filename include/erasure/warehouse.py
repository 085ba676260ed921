"""People leave the warehouse: raw tables and models at once, and the file's own bytes.

DuckDB marks deleted rows and frees blocks, and the bytes stay in the file. So the file is written
anew, and the new one takes the place of the old.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

from include import raw_tables
from include.erasure.rows import about_a_person, figures, find_erased, purge
from include.erasure.tombstones import Identifier, load_tombstones, show_identifiers
from include.settings import Settings
from include.store import alone
from include.warehouse import Warehouse, remove_database, replace_database, visit

# Beside them there are only tables that name nobody.
RAW = "raw"


def replacing(settings: Settings) -> AbstractContextManager[None]:
    """Keep erasures and rebuilds apart: each takes away what the other reads.

    Raises `Retry` while another one is under way.
    """
    return alone(settings.home / "erasure.lock", "an erasure or a rebuild")


def purge_warehouse(
    settings: Settings, identifiers: Iterable[Identifier], erasure_id: str
) -> dict[str, int]:
    """Take people out of every table; how many rows were about them, by table.

    In one transaction, together with the note of which tombstones this warehouse agrees with.
    """
    if not settings.warehouse_path.exists():
        return {}
    with visit(settings) as warehouse:
        raw_tables.make(warehouse)
        return _purge(warehouse, identifiers, load_tombstones(settings).generation, erasure_id)


def is_purged(settings: Settings, erasure_id: str) -> bool:
    """Whether that erasure was the last one to come through the warehouse."""
    if not settings.warehouse_path.exists():
        return True
    with visit(settings) as warehouse:
        raw_tables.make(warehouse)
        return erasure_id in warehouse.run("erasure_generation")["erasure_id"].to_pylist()


def enforce(settings: Settings) -> bool:
    """Hold the warehouse against the tombstones, if it has not seen them all: an old backup.

    Returns whether anybody was taken out. Costs nothing while the warehouse has seen them.
    """
    tombstones = load_tombstones(settings)
    # While an erasure is under way, the warehouse is what it finds people's identifiers in.
    if tombstones.generation != tombstones.settled or not tombstones:
        return False
    if not settings.warehouse_path.exists():
        return False
    with visit(settings) as warehouse:
        raw_tables.make(warehouse)
        if warehouse.run("erasure_generation")["generation"].to_pylist() == [tombstones.generation]:
            return False
        tombstones.show(warehouse)
        found = {
            identifier
            for table, columns in tables_and_columns(warehouse).items()
            if table.startswith(f"{RAW}.")
            for identifier in find_erased(warehouse, table, columns, tombstones)
        }
        rows = _purge(warehouse, found, tombstones.generation, "")
    if rows:
        compact(settings)
    return bool(rows)


def compact(settings: Settings) -> None:
    """Write the warehouse's file anew, so that nothing deleted is left in its bytes.

    It is replaced while this process still holds it, and whole: a crash leaves the old one.
    """
    fresh = settings.warehouse_path.with_suffix(".compacting")
    remove_database(fresh)
    with visit(settings) as warehouse:
        # An earlier release left a view of the page it read last: its file may be gone by now.
        warehouse.run("forget_last_page")
        copy_database(warehouse, str(fresh))
        replace_database(settings.warehouse_path, fresh)


def copy_database(warehouse: Warehouse, path: str) -> None:
    """All that an open database holds, into a new file."""
    # ATTACH takes no parameters.
    quoted = path.replace("'", "''")
    [(name,)] = warehouse.connection.sql("select current_database()").fetchall()
    warehouse.connection.execute(f"attach '{quoted}' as fresh (storage_version 'v1.5.0')")
    warehouse.connection.execute(f'copy from database "{name}" to fresh')
    warehouse.connection.execute("detach fresh")
    warehouse.connection.execute("checkpoint")


def _purge(
    warehouse: Warehouse, identifiers: Iterable[Identifier], generation: str, erasure_id: str
) -> dict[str, int]:
    show_identifiers(warehouse, identifiers)
    with warehouse.transaction():
        rows = purge_tables(warehouse)
        warehouse.run("rewrite_erasure_generation", generation=generation, erasure_id=erasure_id)
    return rows


def purge_tables(warehouse: Warehouse) -> dict[str, int]:
    """Take the people of `identifiers` out of every table of an open database."""
    found = {}
    for table, columns in tables_and_columns(warehouse).items():
        is_figures = figures(table.rpartition(".")[2])
        if table == f"{RAW}.order_lines":
            warehouse.run("lines_without_people", {"condition": _condition(columns)})
        count = purge(warehouse, table, columns, is_figures=is_figures)
        if count:
            found[table] = count
    return found


def _condition(columns: list[str]) -> str:
    return about_a_person(columns) or "false"


def tables_and_columns(warehouse: Warehouse) -> dict[str, list[str]]:
    """The columns of every table, by `schema.table`."""
    rows = warehouse.run("tables_and_columns").to_pylist()
    return {f"{row['schema_name']}.{row['table_name']}": row["columns"] for row in rows}
