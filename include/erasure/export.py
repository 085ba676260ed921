"""All data held on a person, for the person (GDPR Art. 15 and 20): one private JSON file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from include import publishing
from include.activation.ledger import ledgers
from include.commerce import people as commerce
from include.destinations.mailchimp import Mailchimp
from include.erasure.person import People, Request, addressed, find_people
from include.erasure.rows import about_a_person
from include.erasure.tombstones import Identifier, show_identifiers
from include.erasure.warehouse import RAW, tables_and_columns
from include.errors import BadInput, Stop
from include.settings import Settings
from include.store import PRIVATE, Store
from include.warehouse import Warehouse, visit

Rows = list[dict[str, Any]]


def export_person(settings: Settings, request: Request, target: Path) -> dict[str, int]:
    """Write all that is held on the person to a new file (mode 0600); the rows by table.

    That is: the raw tables as sources told them, what the newest snapshot makes of it, what each
    destination was sent by our account, what Mailchimp's stores were told of the person's purchases
    (by the records' ids), and the journeys that the person was sent into. Raises `BadInput` if the
    file is there already, `Stop` where there is nothing to look at yet.
    """
    store = Store(settings.store)
    if not settings.warehouse_path.exists():
        raise Stop("there is no warehouse yet, so that nothing is held on anybody")
    held: dict[str, Rows] = {}
    snapshot = publishing.current(store)
    with visit(settings) as warehouse:
        warehouse.run("raw_tables")
        people = find_people(warehouse, snapshot, [request])
        show_identifiers(warehouse, people.identifiers)
        for table, columns in tables_and_columns(warehouse).items():
            if table.startswith(f"{RAW}."):
                _take(held, table, warehouse.connection.table(table), columns)
    with duckdb.connect() as connection:
        scratch = Warehouse(connection)
        show_identifiers(scratch, people.identifiers)
        if snapshot:
            for table in snapshot.tables:
                rows = connection.read_parquet(snapshot.path(table))
                _take(held, f"published.{table}", rows, rows.columns)
        for ledger in ledgers(store):
            if store.exists(ledger.state):
                rows = connection.read_parquet(store.local(ledger.state))
                _take(held, f"sent.{ledger.destination}.{ledger.audience}", rows, rows.columns)
    held |= _commerce(settings, store, people, held)
    _write(target, {"identifiers": sorted(people.identifiers), "tables": held})
    return {table: len(rows) for table, rows in held.items()}


def _commerce(
    settings: Settings, store: Store, people: People, held: Mapping[str, Rows]
) -> dict[str, Rows]:
    """Orders name nobody there: they are the person's by what was found before."""
    orders = {row["order_id"] for rows in held.values() for row in rows if row.get("order_id")}
    hashes: set[Identifier] = {("identity", one) for one in addressed(Mailchimp, people)}
    known = People(people.identifiers | hashes)
    return {
        path: rows
        for list_id in commerce.lists(store)
        for path, rows in commerce.told_of(settings, list_id, known, sorted(orders)).items()
    }


def _take(
    held: dict[str, Rows], table: str, rows: duckdb.DuckDBPyRelation, columns: list[str]
) -> None:
    condition = about_a_person(columns)
    if condition:
        found: Rows = rows.filter(duckdb.SQLExpression(condition)).to_arrow_table().to_pylist()
        if found:
            held[table] = found


def _write(target: Path, content: dict[str, Any]) -> None:
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    except FileExistsError:
        raise BadInput(f"{target} is there already: name another file") from None
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=1, default=str, ensure_ascii=False)
