from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb

from include.settings import Settings

AS_OF = date(2026, 1, 31)
AUDIENCES = ["vips", "lapsed_buyers"]
SHOP = Path(__file__).with_suffix(".sql").read_text()


def settings_for(home: Path, **others: object) -> Settings:
    return Settings(home=home, threads=2, lock_wait_seconds=0, **others)


def change(settings: Settings, statements: str) -> None:
    """Write the warehouse as dbt or landing would."""
    settings.home.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(settings.warehouse_path)) as warehouse:
        warehouse.execute(statements)
