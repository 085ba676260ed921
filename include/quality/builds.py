"""A fingerprint of what dbt has built, so that only what a gate has judged can be published."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from typing import Any

from include.settings import PROJECT
from include.warehouse import Warehouse


def published_tables(warehouse: Warehouse) -> list[dict[str, Any]]:
    """What a snapshot holds: schema_name, table_name, definition (columns and comments)."""
    tables: list[dict[str, Any]] = warehouse.run("published_tables").to_pylist()
    return tables


def fingerprint(warehouse: Warehouse, as_of: date) -> str:
    """A hash over the day, and every published table's definition, row count and content.

    The order of rows does not count. DuckDB's `hash` may change with its version: then a build must
    pass the gate again before it is published, which is right.
    """
    content = [
        [
            table["schema_name"],
            table["table_name"],
            table["definition"],
            warehouse.run(
                "fingerprint_table", table=f"{table['schema_name']}.{table['table_name']}"
            ).to_pylist(),
        ]
        for table in published_tables(warehouse)
    ]
    text = json.dumps([as_of.isoformat(), content], default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def models_checksum() -> str:
    """SHA-256 over everything in the dbt project that decides what is built."""
    project = PROJECT / "dbt_project"
    digest = hashlib.sha256()
    for folder in ("dbt_project.yml", "macros", "models", "seeds"):
        for file in sorted([project / folder, *(project / folder).rglob("*")]):
            if file.is_file():
                digest.update(f"{file.relative_to(project)}\n".encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()
