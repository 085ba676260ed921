"""The SQL that dbt compiles from the models, run on tables that a test makes up in memory."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from include.dbt import run_dbt, target_path
from include.settings import Settings

AS_OF = date(2026, 1, 31)


class Models:
    """Some models of the project, compiled once."""

    def __init__(self, home: Path, *names: str) -> None:
        settings = Settings(home=home, threads=2)
        run_dbt(settings, ["--quiet", "compile", "--select", *names], AS_OF)
        compiled = target_path(settings) / "compiled/regulars/models"
        self.sql = {path.stem: path.read_text() for path in compiled.rglob("*.sql")}

    def warehouse(self) -> Warehouse:
        """An empty warehouse in memory, in which these models can be built."""
        return Warehouse(self.sql)


class Warehouse:
    """A database in memory under the name that the compiled SQL expects."""

    def __init__(self, sql: dict[str, str]) -> None:
        self.sql = sql
        self.connection = duckdb.connect()
        self.connection.execute(
            "attach ':memory:' as warehouse; use warehouse;"
            "create schema marts; create schema intermediate; create schema staging"
        )

    def make(self, table: str, rows: pd.DataFrame) -> None:
        """Make a table out of a data frame."""
        self.connection.from_df(rows).create(_located(table))

    def build(self, model: str) -> list[dict[str, Any]]:
        """Make a model's table by its compiled SQL, and return its rows."""
        self.connection.sql(self.sql[model]).create(_located(model))
        return self.connection.table(_located(model)).to_arrow_table().to_pylist()


def _located(table: str) -> str:
    if table.startswith("int_"):
        return f"intermediate.{table}"
    return f"{'staging' if table == 'unlinkable_addresses' else 'marts'}.{table}"
