"""A million orders from one gzip JSON-lines file into merged raw tables."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path

import pandas as pd
import polars as pl

from include import landing
from include.bench.measure import Case, Limit
from include.bench.orders import write_orders
from include.settings import load_settings

ORDERS = 1_000_000
FILE = "orders.jsonl.gz"
SOURCES = """
sources:
  - name: bench
    type: files
    path: orders.jsonl.gz
    grain: order
    time_zone: UTC
    currency: EUR
    columns: {order_id: order_id, ordered_at: ordered_at, customer_key: customer_id,
              gross_amount: gross_amount, discount_amount: discount_amount, country: country,
              order_status: status, updated_at: updated_at}
"""


def prepare(folder: Path) -> None:
    """The file, and the declaration that reads it."""
    (folder / "sources.yml").write_text(SOURCES)
    write_orders(folder / FILE, ORDERS)


def inflate(folder: Path) -> None:
    """The floor: the bytes inflated, and nothing done with them."""
    inflater = zlib.decompressobj(wbits=31)
    with (folder / FILE).open("rb") as file:
        while block := file.read(1 << 20):
            inflater.decompress(block)


def ingest(folder: Path) -> None:
    """Landing with its checksum, parsing, merging and the cursor, into a new warehouse."""
    home = folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    landing.ingest(load_settings(home=home, sources=folder / "sources.yml"))


def pandas(folder: Path) -> None:
    """The same file into a frame with pandas."""
    pd.read_json(folder / FILE, lines=True)


def polars(folder: Path) -> None:
    """The same file into a frame with polars."""
    pl.read_ndjson(folder / FILE)


CASE = Case(
    "Load 1 M gzip JSON-line orders",
    prepare,
    {"inflate": inflate, "ingest": ingest, "polars": polars, "pandas": pandas},
    (Limit("ingest", "wall_seconds", 5, "inflate"),),
)
