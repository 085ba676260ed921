"""Deterministic synthetic orders: N orders of N / 8 customers, skewed as a shop's are."""

from __future__ import annotations

from pathlib import Path

import duckdb

# No library's random numbers: the row's own number decides, through md5, so that the same file
# comes out on every machine. The power gives a few customers many orders, as Zipf's law has it.
ORDERS = """
with draws as (
    select
        i,
        md5_number_lower('customer' || i)::double / 18446744073709551615.0 as customer_draw,
        md5_number_lower('day' || i)::double / 18446744073709551615.0 as day_draw,
        md5_number_lower('amount' || i)::double / 18446744073709551615.0 as amount_draw
    from range(0, $orders) as numbers (i)
)

select
    'bench:' || i as order_id,
    'bench:' || floor(($orders // 8) * pow(customer_draw, 2))::bigint as customer_id,
    timestamp '2026-01-01' - to_seconds(floor(day_draw * 94608000)::bigint + 1) as ordered_at,
    cast(5 + 95 * pow(amount_draw, 3) as decimal(18, 4)) as gross_amount
from draws
"""

JSON_LINES = (
    "copy (select order_id, strftime(ordered_at, '%Y-%m-%dT%H:%M:%S') as ordered_at, customer_id,"
    " gross_amount, 0.00 as discount_amount, 'DE' as country, 'paid' as status,"
    " strftime(ordered_at, '%Y-%m-%dT%H:%M:%S') as updated_at, 'web' as channel,"
    " md5(order_id) as checkout_token from orders) to $path (format json, compression gzip)"
)
PARQUET = "copy (from orders) to $path (format parquet)"


def write_orders(path: Path, orders: int) -> None:
    """Write the orders as Parquet, or as gzip JSON lines where the name ends so."""
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.sql(ORDERS, params={"orders": orders}).create("orders")
        statement = JSON_LINES if path.name.endswith(".jsonl.gz") else PARQUET
        connection.execute(statement, {"path": str(path)})
