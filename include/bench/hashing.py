"""A million contacts normalised and hashed for Meta: the engine's SQL beside the SDK's own."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from facebook_business.adobjects.customaudience import CustomAudience

from include.bench.measure import Case, Limit
from include.destinations.meta import Meta

CONTACTS = 1_000_000
FILE = "contacts.parquet"
DRAWN = """
select
    'bench:' || i as customer_id, ' Customer-' || i || '@Shop.Example ' as email,
    '+447700' || (900000 + i % 1000) as phone_key
from range(0, $contacts) as numbers (i)
"""


def prepare(folder: Path) -> None:
    """Addresses as people type them; phones in E.164, as every page is landed."""
    with duckdb.connect() as connection:
        rows = connection.sql(DRAWN, params={"contacts": CONTACTS})
        rows.write_parquet(str(folder / FILE))


def destination(folder: Path) -> None:
    """The select that the Meta destination declares."""
    with duckdb.connect() as connection:
        connection.read_parquet(str(folder / FILE)).create_view("contacts")
        connection.sql(Meta.contacts_sql).write_parquet(str(folder / "addressed.parquet"))


def sdk(folder: Path) -> None:
    """The normaliser of Meta's Python SDK, 10,000 people a call as it is used."""
    table = pq.read_table(folder / FILE, columns=["email", "phone_key"])
    for rows in table.to_batches(max_chunksize=10_000):
        CustomAudience.format_params(
            ["EMAIL", "PHONE"],
            [[row["email"], row["phone_key"]] for row in rows.to_pylist()],
            is_raw=True,
        )


CASE = Case(
    "Normalise and hash 1 M contacts",
    prepare,
    {"destination": destination, "sdk": sdk},
    (Limit("destination", "wall_seconds", 1 / 5, "sdk"),),
)
