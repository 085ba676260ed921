"""Orders into merged raw tables: a million at once, and a day's changes among ten million."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl

from include import landing, raw_tables
from include.bench.measure import Case, Figures, Limit, in_own_process
from include.bench.orders import write_orders
from include.settings import Settings, load_settings
from include.sources.base import Page, Source, SourceOptions, Table
from include.sources.documents import ORDER
from include.warehouse import visit

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
    inflate_file(folder / FILE)


def inflate_file(path: Path) -> None:
    """Inflate a gzip file, block by block."""
    inflater = zlib.decompressobj(wbits=31)
    with path.open("rb") as file:
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


# Ten million orders are generated where they are held: what is measured is to load a tenth of them,
# and to merge a day's changes among them all.
HELD = 10_000_000
TENTH = HELD // 10
DAY = 10_000
DAYS = 3
DOCUMENTS = """
create temp macro documents(orders, every, since) as table
select
    'shop:' || i * every as order_id,
    'shop:' || i * every % 1000000 as customer_id,
    'person' || i * every % 1000000 || '@shoppers.regulars.example' as email,
    '+4930' || 1000000 + i * every % 1000000 as phone,
    'DE' as country,
    timestamp '2020-01-01' + to_seconds(15 * i * every) as ordered_at,
    ordered_at::date as ordered_date,
    'EUR' as currency,
    'paid' as payment_status,
    40::decimal(18, 4) as total_amount,
    true as is_tax_included,
    [
        {
            'line_id': n::varchar,
            'sku': 'sku' || (i + n) % 5000,
            'product_name': 'Product ' || (i + n) % 5000,
            'quantity': 2::decimal(18, 4),
            'unit_price': 10::decimal(18, 4),
            'gross_amount': 20::decimal(18, 4)
        }
        for n in [1, 2]
    ] as lines,
    [
        {
            'payment_id': 'p' || i,
            'kind': 'sale',
            'status': 'success',
            'amount': 40::decimal(18, 4),
            'currency': 'EUR'
        }
    ] as payments,
    greatest(ordered_at, since) as updated_at
from range(orders) as numbers (i)
"""
WRITE = "copy (from documents($orders, $every, $since)) to $path (format json)"
HOLD = """
insert into raw.orders by name
select
    'shop' as source,
    *,
    email as email_key,
    phone as phone_key,
    'generated' as file_name,
    timestamp '2025-01-01' as file_modified_at,
    row_number() over () as row_number
from documents($orders, 1, timestamp '2020-01-01')
"""


class Documents(Source):
    """Orders as a shop platform tells them, in JSON lines: one file for each day."""

    type = "documents"
    Options = SourceOptions

    @property
    def table(self) -> Table:
        """Whole orders."""
        return "orders"

    def pages(self, cursor: Mapping[str, Any]) -> Iterator[Page]:
        """The next day."""
        day = cursor.get("day", 0) + 1
        began = datetime.now(UTC).replace(tzinfo=None)
        yield Page(
            name=f"{began:%Y%m%dT%H%M%S}-0.jsonl",
            modified_at=began,
            version=lambda: str(day),
            open=lambda: self.place.file.with_name(f"{day}.jsonl").open("rb"),
            cursor={"day": day},
        )

    @contextmanager
    def rows(
        self, connection: duckdb.DuckDBPyConnection, name: str, file: Path, workspace: Path
    ) -> Iterator[duckdb.DuckDBPyRelation]:
        """See `Source.rows`."""
        yield connection.read_json(str(file), columns=ORDER, format="newline_delimited")


def prepare_days(folder: Path) -> None:
    """A tenth of all orders to load, and a warehouse that holds all of them with days to come."""
    files = {"tenth/1.jsonl": (TENTH, 1, date(2020, 1, 1))}
    for day in range(1, DAYS + 1):
        files[f"days/{day}.jsonl"] = (DAY, HELD // DAY, date(2026, 1, day))
    with duckdb.connect() as connection:
        connection.execute(DOCUMENTS)
        for name, (orders, every, since) in files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            values = {"orders": orders, "every": every, "since": since, "path": str(path)}
            connection.execute(WRITE, values)
    for place in ("tenth", "days"):
        (folder / place / "sources.yml").write_text(
            "sources: [{name: shop, type: documents, grain: order}]"
        )
    with visit(_settings(folder / "days")) as warehouse:
        raw_tables.make(warehouse)
        warehouse.connection.execute(DOCUMENTS)
        warehouse.connection.execute(HOLD, {"orders": HELD})


def load_a_tenth(folder: Path) -> None:
    """A million orders, each a document, into a new warehouse."""
    shutil.rmtree(folder / "tenth/home", ignore_errors=True)
    landing.ingest(_settings(folder / "tenth"))


def load_all(folder: Path) -> Figures:
    """Ten times the load of a tenth, as a measure of the load of all; its memory is the tenth's."""
    tenth = in_own_process(load_a_tenth, folder)
    return Figures(
        wall_seconds=tenth.wall_seconds * HELD / TENTH,
        cpu_seconds=tenth.cpu_seconds * HELD / TENTH,
        peak_mib=tenth.peak_mib,
    )


def merge_a_day(folder: Path) -> None:
    """Ten thousand changed orders, spread over ten million; each run is the next day."""
    [loaded] = landing.ingest(_settings(folder / "days"))
    if loaded.rows != DAY:
        raise RuntimeError(f"a day has {DAY} orders, but {loaded.rows} were merged")


def _settings(place: Path) -> Settings:
    return load_settings(home=place / "home", sources=place / "sources.yml")


DAY_CASE = Case(
    "Merge a day of 10 k changed orders into 10 M, against the load of all (10 x a tenth's)",
    prepare_days,
    {"load all": load_all, "merge a day": merge_a_day},
    (
        Limit("merge a day", "wall_seconds", 0.05, "load all"),
        Limit("merge a day", "cpu_seconds", 0.05, "load all"),
    ),
    runs=DAYS,
)

CASE = Case(
    "Load 1 M gzip JSON-line orders",
    prepare,
    {"inflate": inflate, "ingest": ingest, "polars": polars, "pandas": pandas},
    (Limit("ingest", "wall_seconds", 5, "inflate"),),
)
