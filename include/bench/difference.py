"""The difference between 10 M desired and 10 M held memberships, one in a hundred changed."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl

from include.bench.measure import Case, Limit
from include.warehouse import Warehouse

MEMBERS = 10_000_000
WANTED, HELD = "wanted.parquet", "held.parquet"
DRAWN_WANTED = """
select
    'bench:' || i as customer_id, md5_number_lower('bench:' || i) as member_key,
    md5_number_lower(case when i % 200 = 0 then 'new' else 'old' end || i) as fingerprint,
    '{}' as payload
from range(0, $members) as numbers (i) where i % 400 <> 1
"""
DRAWN_HELD = """
select
    'bench:' || i as customer_id, md5_number_lower('bench:' || i) as member_key,
    md5('identity' || i) as identity, md5_number_lower('old' || i) as fingerprint,
    timestamp '2026-01-01' as since, 'held' as status, null::varchar as class
from range(0, $members) as numbers (i) where i % 400 <> 2
"""


def prepare(folder: Path) -> None:
    """Two files as a sync finds them: a snapshot's memberships and the kept state."""
    with duckdb.connect() as connection:
        for file, statement in ((WANTED, DRAWN_WANTED), (HELD, DRAWN_HELD)):
            rows = connection.sql(statement, params={"members": MEMBERS})
            rows.write_parquet(str(folder / file), compression="zstd")


def scan(folder: Path) -> None:
    """The floor: keys and fingerprints of both files read once."""
    with duckdb.connect() as connection:
        for file in (WANTED, HELD):
            connection.read_parquet(str(folder / file)).aggregate(
                "max(member_key), max(fingerprint)"
            ).fetchall()


def plan(folder: Path) -> None:
    """The engine's own statement."""
    with duckdb.connect(config={"memory_limit": "1200MB"}) as connection:
        connection.execute("set preserve_insertion_order = false")
        connection.read_parquet(str(folder / WANTED)).create_view("wanted")
        connection.read_parquet(str(folder / HELD)).create_view("held")
        Warehouse(connection).run("diff_memberships")


def polars(folder: Path) -> None:
    """The same difference with polars."""
    columns = ["member_key", "fingerprint"]
    wanted = pl.scan_parquet(folder / WANTED).select(columns)
    held = pl.scan_parquet(folder / HELD).select(columns)
    wanted.join(held, on="member_key", how="full").filter(
        pl.col("member_key").is_null()
        | pl.col("member_key_right").is_null()
        | (pl.col("fingerprint") != pl.col("fingerprint_right"))
    ).collect()


CASE = Case(
    "Difference, 10 M desired against 10 M held",
    prepare,
    {"scan": scan, "plan": plan, "polars": polars},
    (Limit("plan", "cpu_seconds", 6, "scan"), Limit("plan", "peak_mib", 1536)),
    runs=2,
)
