"""The only reader of the environment: what can be set, its default, and what it means.

Every variable begins with `REGULARS_`; an unknown one is an error, so that a typing mistake never
goes unnoticed. `.env` in the working directory is read too; `.env.example` lists all variables.
Secrets are not settings: they live in Airflow connections (`include/connections.py`).
"""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from include.errors import BadInput

PREFIX = "REGULARS_"
PROJECT = Path(__file__).parents[1]


class Settings(BaseSettings):
    """Where data live and how much of the machine may be used."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True
    )

    home: Path = Field(Path(".regulars"), description="Where data live.")
    store_url: str | None = Field(
        None,
        validation_alias="REGULARS_STORE",
        description="Folder or object-store URL for landing, snapshots and activation.",
    )
    warehouse: Path | None = Field(
        None, description="The DuckDB file; default `warehouse.duckdb` in the home."
    )
    sources: Path = Field(Path("sources.yml"), description="The file that lists the sources.")
    ingest_schedule: str = Field(
        "@daily", description="When `ingest_orders` runs: cron in UTC; `none` is only when asked."
    )
    as_of: date | None = Field(None, description="The day all is computed for; default today.")
    engine: Literal["duckdb"] = Field("duckdb", description="The engine that runs the models.")
    memory_limit: str = Field("2GB", description="DuckDB's memory limit; beyond it, it spills.")
    threads: int = Field(os.cpu_count() or 1, ge=1, description="DuckDB's and dbt's threads.")
    lock_wait_seconds: float = Field(60, ge=0, description="How long to wait for the warehouse.")
    keep_snapshots: int = Field(14, ge=1, description="How many published snapshots are kept.")
    sandbox_port: int = Field(8765, ge=1, le=65535, description="The sandbox's port on loopback.")
    airflow_port: int = Field(8080, ge=1, le=65535, description="Airflow's port on loopback.")
    test_data: Path = Field(Path("../shared/data"), description="Real orders for the test suite.")

    @property
    def store(self) -> str:
        """Where landing, snapshots and activation files are kept."""
        return self.store_url or str(self.home.absolute() / "store")

    @property
    def warehouse_path(self) -> Path:
        """The DuckDB file that has one writer."""
        return (self.warehouse or self.home / "warehouse.duckdb").absolute()

    def day(self) -> date:
        """The as-of day: the one set, else today."""
        return self.as_of or date.today()


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; `overrides` win over the environment.

    Raises `BadInput` that names the variable when one is unknown or does not fit.
    """
    known = {
        str(field.validation_alias or f"{PREFIX}{name.upper()}")
        for name, field in Settings.model_fields.items()
    }
    unknown = sorted(k for k in os.environ if k.startswith(PREFIX) and k not in known)
    if unknown:
        raise BadInput(f"unknown setting {unknown[0]}; known are: {', '.join(sorted(known))}")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper().removeprefix(PREFIX)
        raise BadInput(f"setting {PREFIX}{name}: {first['msg']}") from error
