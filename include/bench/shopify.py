"""Shopify's bulk operations into merged raw tables: a million orders of two or three lines each."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from include import landing
from include.bench.loading import inflate_file
from include.bench.measure import Case, Limit
from include.settings import load_settings
from include.sources import polls
from include.sources.base import Page
from include.sources.shopify import Shopify
from include.sources.shopify_bulk import RECORDS_SUFFIX, BulkParts

PARTS = "part-*.jsonl.gz"
MEMORY_LIMIT = "1GB"
# What Shopify writes for the query in `include/sources/shopify_queries.py`: an order, its lines.
LINES = """
with

numbers as (
    select i, 4500000000000 + i * 37 as number, (i * 7919) % ($orders // 8) as customer
    from range(1, $orders + 1) as numbers (i)
),

orders as (
    select
        i,
        0 as line,
        {
            'id': 'gid://shopify/Order/' || number,
            'updatedAt': updated_at,
            'processedAt': updated_at,
            'cancelledAt': null::varchar,
            'test': false,
            'currencyCode': 'EUR',
            'displayFinancialStatus': 'PAID',
            'email': 'person' || customer || '@shoppers.regulars.example',
            'phone': null::varchar,
            'taxesIncluded': true,
            'discountCodes': case when i % 7 = 0 then ['WELCOME'] else [] end,
            'customer': {'id': 'gid://shopify/Customer/' || customer},
            'displayAddress': {
                'firstName': 'Ann', 'lastName': 'Person ' || customer, 'countryCodeV2': 'DE'
            },
            'customerJourneySummary': {
                'firstVisit': {'source': 'google', 'utmParameters': null::varchar}
            },
            'totalPriceSet': {'shopMoney': {'amount': total}},
            'totalTaxSet': {'shopMoney': {'amount': '3.19'}},
            'totalDiscountsSet': {'shopMoney': {'amount': '0.0'}},
            'totalShippingPriceSet': {'shopMoney': {'amount': '4.9'}},
            'transactions': [
                {
                    'id': 'gid://shopify/OrderTransaction/' || i,
                    'kind': 'SALE',
                    'status': 'SUCCESS',
                    'createdAt': updated_at,
                    'processedAt': updated_at,
                    'amountSet': {'shopMoney': {'amount': '49.02', 'currencyCode': 'EUR'}},
                    'parentTransaction': null::varchar
                }
            ],
            'fulfillments': [{'status': 'SUCCESS', 'deliveredAt': updated_at}],
            'refunds': []::varchar[]
        }::json::varchar as text
    from (
        select
            *,
            strftime(timestamp '2020-01-01' + to_seconds(i * 60), '%Y-%m-%dT%H:%M:%SZ')
                as updated_at,
            (i * 31 % 20000 / 100)::decimal(9, 2)::varchar as total
        from numbers
    )
),

lines as (
    select
        i,
        line,
        {
            'id': 'gid://shopify/LineItem/' || (10000000000000 + i * 4 + line),
            'sku': 'SKU-' || (i * 13 + line * 101) % 5000,
            'title': 'A good mug of blue stoneware',
            'quantity': 2,
            'currentQuantity': 2,
            'product': {'id': 'gid://shopify/Product/' || (i + line) % 3000},
            'variant': {'id': 'gid://shopify/ProductVariant/' || (i + line) % 5000},
            'originalUnitPriceSet': {'shopMoney': {'amount': '12.5'}},
            'discountAllocations': []::varchar[],
            'taxLines': [{'priceSet': {'shopMoney': {'amount': '1.59'}}}],
            '__parentId': 'gid://shopify/Order/' || number
        }::json::varchar as text
    from numbers, unnest(range(1, 2 + (i % 4))) as places (line)
)

select text
from (from orders union all from lines)
order by i, line
"""


class BulkFile(Shopify):
    """A bulk operation whose result has been downloaded; the shop itself is not asked."""

    type = "shopify_bulk_file"

    def pages(self, cursor: Mapping[str, Any]) -> Iterator[Page]:
        """The result, once, in the parts that the download leaves of it."""
        with ExitStack() as opened:
            parts = [] if cursor else _parts(self.place.file.parent)
            files = [opened.enter_context(part.open("rb")) for part in parts]
            contents = [(RECORDS_SUFFIX, file) for file in files]
            yield from polls.pages(contents, lambda: {"done": True}, {})


def prepare(folder: Path) -> None:
    """A million orders."""
    _write(folder, 1_000_000)


def prepare_tenth(folder: Path) -> None:
    """A tenth of them, for those who take long."""
    _write(folder, 100_000)


def _write(folder: Path, orders: int) -> None:
    (folder / "sources.yml").write_text(
        "sources: [{name: shop, type: shopify_bulk_file, grain: order, time_zone: Europe/Berlin}]"
    )
    kept = BulkParts("lineItems")
    with duckdb.connect() as connection:
        lines = connection.execute(LINES, {"orders": orders}).to_arrow_reader(100_000)
        for block in lines:
            kept.add(line.encode() for line in block.column(0).to_pylist())
    for number, part in enumerate(kept.finish()):
        with part, (folder / PARTS.replace("*", f"{number:03}")).open("wb") as file:
            shutil.copyfileobj(part, file)


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob(PARTS))


def inflate(folder: Path) -> None:
    """The floor: the bytes inflated, and nothing done with them."""
    for part in _parts(folder):
        inflate_file(part)


def ingest(folder: Path) -> None:
    """Landing with its checksum, parsing, merging and the cursor, into a new warehouse."""
    home = folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    sources = folder / "sources.yml"
    landing.ingest(load_settings(home=home, sources=sources, memory_limit=MEMORY_LIMIT))


def pandas(folder: Path) -> None:
    """Orders and lines as frames, joined by the order's id."""
    rows = pd.concat(pd.read_json(part, lines=True) for part in _parts(folder))
    orders = rows[rows["__parentId"].isna()]
    lines = rows[rows["__parentId"].notna()]
    lines.merge(orders, left_on="__parentId", right_on="id", suffixes=("", "_order"))


def dlt(folder: Path) -> None:
    """dlt's own way: a resource merged by its key into DuckDB, nested lists as child tables."""
    os.environ |= {"DLT_DATA_DIR": str(folder / "dlt"), "RUNTIME__DLTHUB_TELEMETRY": "false"}
    # Only this contender is to bear what it takes to import it.
    peer = import_module("dlt")

    def records() -> Iterator[Any]:
        for part in _parts(folder):
            with gzip.open(part, "rb") as file:
                for line in file:
                    yield json.loads(line)

    resource = peer.resource(records, name="records", primary_key="id", write_disposition="merge")
    database = folder / "dlt.duckdb"
    database.unlink(missing_ok=True)
    peer.pipeline(
        "bench",
        pipelines_dir=str(folder / "pipelines"),
        destination=peer.destinations.duckdb(str(database)),
        dataset_name="raw_data",
    ).run(resource, loader_file_format="parquet")


CASE = Case(
    "Load 1 M Shopify orders from a bulk operation",
    prepare,
    {"inflate": inflate, "ingest": ingest},
    (
        Limit("ingest", "wall_seconds", 5, "inflate"),
        Limit("ingest", "peak_mib", 1536),
    ),
)
TENTH_CASE = Case(
    "Load 100 k Shopify orders from a bulk operation, beside dlt and pandas",
    prepare_tenth,
    {"inflate": inflate, "ingest": ingest, "pandas": pandas, "dlt": dlt},
    (Limit("ingest", "wall_seconds", 1, "dlt"), Limit("ingest", "wall_seconds", 1, "pandas")),
    runs=1,
)
