"""Small shops to load in tests: their declaration, their files, and what became of them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from include.settings import Settings
from include.warehouse import visit

LINES = {
    "name": "shop",
    "type": "files",
    "path": "export",
    "grain": "order_line",
    "time_zone": "Europe/Berlin",
    "currency": "EUR",
    "columns": {
        "order_id": "order",
        "ordered_at": "at",
        "customer_key": "customer",
        "sku": "sku",
        "quantity": "quantity",
        "unit_price": "price",
    },
}
HEADER = ["order", "at", "customer", "sku", "quantity", "price"]
ANN = ["1", "2026-01-05 10:00:00", "ann", "mug", "2", "4.50"]
BEN = ["2", "2026-01-06 11:00:00", "ben", "cup", "1", "3.00"]
# What differs between two loads of the same rows in other files.
_PROVENANCE = {
    "file_name",
    "file_modified_at",
    "row_number",
    "load_number",
    "landed_at",
    "committed_at",
}


# Requests for erasure by address; they are about the customers of the shop.
REQUESTS = {
    "name": "requests",
    "type": "files",
    "path": "requests.csv",
    "grain": "erasure_request",
    "customers_of": "shop",
    "columns": {"request_id": "id", "requested_at": "at", "email": "email"},
}


def declare(folder: Path, *sources: dict[str, Any], **settings: Any) -> Settings:
    """Write `sources.yml`; the first source's `path` defaults to the folder `export`."""
    (folder / "export").mkdir(exist_ok=True)
    file = folder / "sources.yml"
    file.write_text(yaml.safe_dump({"sources": list(sources)}))
    return Settings(home=folder / "home", sources=file, threads=2, **settings)


def write_csv(file: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER) -> Path:
    """Write rows under a header."""
    with file.open("w", newline="", encoding="utf-8") as target:
        csv.writer(target).writerows([header, *rows])
    return file


def raw(settings: Settings, table: str) -> list[dict[str, Any]]:
    """All of a raw table but where its rows came from, in one order."""
    with visit(settings, read_only=True) as warehouse:
        rows = warehouse.connection.table(f"raw.{table}").to_arrow_table().to_pylist()
    kept = [{k: v for k, v in row.items() if k not in _PROVENANCE} for row in rows]
    return sorted(kept, key=str)
