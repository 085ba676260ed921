"""Small shops for the models: raw tables filled by hand, built by the real dbt project."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from include.dbt import BUILD, run_dbt
from include.settings import PROJECT, Settings
from include.sources.documents import ORDER

RAW = (PROJECT / "include/sql/raw_tables.sql").read_text()
AS_OF = date(2026, 1, 31)


class Shop:
    """A warehouse in a folder of its own, with raw tables that tests fill and dbt builds from."""

    def __init__(self, home: Path, **others: Any) -> None:
        self.settings = Settings(home=home, threads=2, **others)
        home.mkdir(parents=True, exist_ok=True)
        self.write(RAW)

    def write(self, statement: str, **parameters: Any) -> None:
        """Run SQL on the closed warehouse, as landing would."""
        with duckdb.connect(str(self.settings.warehouse_path)) as warehouse:
            warehouse.execute(statement, parameters or None)

    def sell(self, lines: Sequence[dict[str, Any]]) -> None:
        """Add order lines; a line's defaults are one lamp for 10."""
        defaults = {
            "source": "shop",
            "line_id": "1",
            "sku": "lamp",
            "quantity": 1,
            "unit_price": 10,
            "gross_amount": 10,
            "discount_amount": 0,
        }
        rows = [defaults | line for line in lines]
        for row in rows:
            row["ordered_at"] = row["ordered_date"]
        with duckdb.connect(str(self.settings.warehouse_path)) as warehouse:
            warehouse.executemany(
                "insert into raw.order_lines by name select $source as source,"
                " $order_id as order_id, $line_id as line_id, $customer_id as customer_id,"
                " $ordered_at as ordered_at, $ordered_date as ordered_date, $sku as sku,"
                " $quantity as quantity, $unit_price as unit_price, $gross_amount as gross_amount,"
                " $discount_amount as discount_amount",
                rows,
            )

    def place(self, orders: Sequence[dict[str, Any]]) -> None:
        """Add orders as documents; an order's defaults are a paid one of one lamp for 10."""
        defaults = {
            "source": "shop",
            "ordered_date": "2026-01-15",
            "currency": "EUR",
            "payment_status": "paid",
            "lines": [line()],
            "refunds": [],
            "payments": [],
        }
        file = self.settings.home / "orders.jsonl"
        rows = [defaults | order for order in orders]
        for row in rows:
            row.setdefault("ordered_at", f"{row['ordered_date']} 12:00:00")
            row["updated_at"] = row["ordered_at"]
        file.write_text("\n".join(json.dumps(row) for row in rows))
        columns = {"source": "VARCHAR", "email_key": "VARCHAR", "phone_key": "VARCHAR"} | ORDER
        with duckdb.connect(str(self.settings.warehouse_path)) as warehouse:
            warehouse.read_json(str(file), columns=columns).create_view("placed")
            warehouse.execute("insert into raw.orders by name from placed; drop view placed")

    def build(self, *arguments: str, as_of: date = AS_OF, **variables: Any) -> None:
        """`dbt build` without the unit tests, which have a run of their own."""
        run_dbt(self.settings, ["--quiet", *BUILD, *arguments], as_of, variables)

    def read(self, query: str) -> list[tuple[Any, ...]]:
        """The rows a query finds."""
        with duckdb.connect(str(self.settings.warehouse_path), read_only=True) as warehouse:
            return warehouse.execute(query).fetchall()


def line(number: int = 1, **others: Any) -> dict[str, Any]:
    """A line of an order document: one lamp for 10."""
    lamp = {"sku": "lamp", "quantity": 1, "unit_price": 10, "gross_amount": 10}
    return {"line_id": str(number), "discount_amount": 0} | lamp | others
