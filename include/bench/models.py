"""All models by the real `dbt build`: how a full build grows, and what one more day costs.

The raw tables of a warehouse of its own are filled as landing would leave them: every other order a
document with its lines inside, every other one flat lines, two and a half lines on average, an
eighth as many customers, one order in ten by a guest who is known by an address alone.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from include import raw_tables
from include.bench.measure import Case, Figures, Limit
from include.dbt import BUILD, run_dbt, target_path
from include.settings import Settings, load_settings
from include.warehouse import visit

FIRST_DAY = date(2026, 1, 1)
NEXT_DAY = FIRST_DAY + timedelta(days=1)
ORDERS_A_DAY = 10_000
SLOWEST = 12

# No library's random numbers: an order's own number decides, through md5, so that the same shop
# comes out on every machine. The power gives a few customers many orders, as Zipf's law has it.
DRAWN = """
create or replace temp table drawn as
with draws as (
    select
        i,
        md5_number_lower('customer' || i)::double / 18446744073709551615.0 as customer_draw,
        md5_number_lower('moment' || i)::double / 18446744073709551615.0 as moment_draw
    from range($first, $first + $orders) as numbers (i)
),

dated as (
    select
        i,
        floor($customers * pow(customer_draw, 2))::bigint as customer,
        ($until::timestamp - to_seconds(1 + floor($seconds * moment_draw)::bigint)) as ordered_at
    from draws
)

select
    *,
    case when i % 10 > 0 then 'shop:' || customer end as customer_id,
    case when i % 10 = 0 then 'person-' || customer || '@regulars-bench.eu' end as email_key,
    list_transform(
        range(1, 2 + (i // 2) % 4),
        lambda n: {
            'number': n,
            'product': (7919 * i + 104729 * n) % 5000,
            'quantity': 1 + (i + n) % 2
        }
    ) as lines
from dated
"""

DOCUMENTS = """
insert into raw.orders by name
select
    'shop' as source,
    'shop:' || i as order_id,
    customer_id,
    email_key as email,
    email_key,
    'DE' as country,
    ordered_at,
    ordered_at::date as ordered_date,
    'EUR' as currency,
    'paid' as payment_status,
    list_transform(lines, lambda line: {
        'line_id': line.number::varchar,
        'sku': 'sku-' || line.product,
        'quantity': line.quantity,
        'unit_price': 5 + line.product % 90,
        'gross_amount': line.quantity * (5 + line.product % 90),
        'discount_amount': line.product % 3
    }) as lines,
    case
        when i % 40 = 0
            then [{
                'refund_id': 'refund-' || i, 'line_id': '1', 'kind': 'line', 'quantity': 1,
                'amount': 5, 'refunded_at': ordered_at
            }]
        else []
    end as refunds,
    [{
        'payment_id': 'payment-' || i, 'kind': 'sale', 'status': 'success', 'amount': 50,
        'currency': 'EUR', 'paid_at': ordered_at
    }] as payments,
    ordered_at as updated_at,
    'documents' as file_name,
    ordered_at as file_modified_at,
    i as row_number
from drawn
where i % 2 = 0
"""

FLAT_LINES = """
insert into raw.order_lines by name
select
    'till' as source,
    'till:' || i as order_id,
    line.number::varchar as line_id,
    customer_id,
    email_key as email,
    email_key,
    ordered_at,
    ordered_at::date as ordered_date,
    'sku-' || line.product as sku,
    case when i % 50 = 1 and line.number = 2 then -1 else 1 end * line.quantity as quantity,
    5 + line.product % 90 as unit_price,
    case when i % 50 = 1 and line.number = 2 then -1 else 1 end
    * line.quantity * (5 + line.product % 90) as gross_amount,
    0 as discount_amount,
    'EUR' as currency,
    'DE' as country,
    'flat lines' as file_name,
    ordered_at as file_modified_at,
    i as row_number
from (select *, unnest(lines) as line from drawn where i % 2 = 1)
"""

CONTACTS = """
insert into raw.contacts by name
select
    'shop' as source,
    'shop:' || i as customer_id,
    'person-' || i || '@regulars-bench.eu' as email,
    email as email_key,
    'First ' || i % 1000 as first_name,
    'DE' as country,
    i % 5 > 0 as has_email_consent,
    i % 4 > 0 as has_ads_consent,
    timestamp '2023-01-01' as updated_at,
    timestamp '2023-01-01' as consent_at,
    'contacts' as file_name,
    timestamp '2023-01-01' as file_modified_at,
    i as row_number
from range($customers) as numbers (i)
"""

PRODUCTS = """
insert into raw.products by name
select
    source,
    'sku-' || i as sku,
    'Product ' || i as product_name,
    'Category ' || i % 40 as category,
    (5 + i % 90) / 2 as unit_cost,
    'EUR' as currency,
    timestamp '2023-01-01' as updated_at,
    'products' as file_name,
    timestamp '2023-01-01' as file_modified_at,
    i as row_number
from range(5000) as numbers (i)
cross join (values ('shop'), ('till')) as sources (source)
"""

# Some of the last month's orders in a newer version, as landing's merge replaces them: a line is
# taken off, or a line is given back.
EDITED = """
create or replace temp table edited as
select
    * exclude (load_number) replace (
        case when hash(order_id) % 2 = 0 then lines[:-2] else lines end as lines,
        case
            when hash(order_id) % 2 = 1
                then list_append(refunds, {
                    'refund_id': 'late-' || order_id, 'line_id': '1', 'kind': 'line', 'quantity': 1,
                    'amount': 5, 'tax_amount': 0, 'refunded_at': $day::timestamp
                })
            else refunds
        end as refunds,
        $day::timestamp as updated_at,
        $day::timestamp as file_modified_at
    )
from raw.orders
where ordered_date >= $day::date - 31 and hash(order_id) % 100 < 2
"""

REPLACED = """
delete from raw.orders where order_id in (select order_id from edited);
insert into raw.orders by name from edited
"""


def prepare_1m(folder: Path) -> None:
    """A shop of a million orders, in a folder of its own."""
    _fill(folder / "1m", 1_000_000)


def prepare_1m_and_10m(folder: Path) -> None:
    """A shop of a million orders and one of ten million."""
    _fill(folder / "1m", 1_000_000)
    _fill(folder / "10m", 10_000_000)


def build_1m(folder: Path) -> Figures:
    """The full build of a million orders."""
    return _build(folder / "1m", FIRST_DAY)


def add_day_to_1m(folder: Path) -> Figures:
    """The next day's build."""
    return _add_day(folder / "1m", 1_000_000)


def build_10m(folder: Path) -> Figures:
    """The full build of ten million orders."""
    return _build(folder / "10m", FIRST_DAY)


def add_day_to_10m(folder: Path) -> Figures:
    """The next day's build."""
    return _add_day(folder / "10m", 10_000_000)


def slowest_models(folder: Path) -> Iterator[str]:
    """What took longest in each build, from dbt's own record of it."""
    for results in sorted(folder.glob("*/*/run_results.json")):
        ran = json.loads(results.read_text())["results"]
        ran.sort(key=lambda node: -node["execution_time"])
        slow = (
            f"{node['unique_id'].split('.')[2]} {node['execution_time']:.1f}"
            for node in ran[:SLOWEST]
        )
        yield f"{results.parent.relative_to(folder)}, slowest in seconds: {', '.join(slow)}"


def _settings(home: Path) -> Settings:
    return load_settings(home=home, store_url=str(home / "store"), warehouse=None)


def _fill(home: Path, orders: int) -> None:
    customers = orders // 8
    with visit(_settings(home)) as warehouse:
        raw_tables.make(warehouse)
        warehouse.connection.execute(CONTACTS, {"customers": customers})
        warehouse.connection.execute(PRODUCTS)
        # Slice by slice, so that a slice fits into memory; in the order of time, as orders come.
        slices = max(1, orders // 500_000)
        for number in range(slices):
            days = 3 * 365 / slices
            _sell(
                warehouse.connection.execute,
                first=number * (orders // slices),
                orders=orders // slices,
                customers=customers,
                until=FIRST_DAY - timedelta(days=days * (slices - 1 - number)),
                seconds=86_400 * days,
            )


def _sell(execute: Callable[..., Any], **drawn: object) -> None:
    execute(DRAWN, drawn)
    execute(DOCUMENTS)
    execute(FLAT_LINES)


def _add_day(home: Path, orders: int) -> Figures:
    with visit(_settings(home)) as warehouse:
        _sell(
            warehouse.connection.execute,
            first=orders,
            orders=ORDERS_A_DAY,
            customers=orders // 8,
            until=NEXT_DAY + timedelta(days=1),
            seconds=86_400,
        )
        warehouse.connection.execute(EDITED, {"day": NEXT_DAY})
        warehouse.connection.execute(REPLACED)
    return _build(home, NEXT_DAY)


def _build(home: Path, day: date) -> Figures:
    """What dbt's own process takes, its start included."""
    settings = _settings(home)
    started = time.perf_counter()
    run_dbt(settings, ["--quiet", *BUILD], day)
    wall = time.perf_counter() - started
    taken = resource.getrusage(resource.RUSAGE_CHILDREN)
    kept = home / day.isoformat()
    kept.mkdir(exist_ok=True)
    (target_path(settings) / "run_results.json").replace(kept / "run_results.json")
    return Figures(wall, taken.ru_utime + taken.ru_stime, taken.ru_maxrss / 1024)


CASE_1M = Case(
    "All models, 1 M orders",
    prepare_1m,
    {"full build": build_1m, "one day more": add_day_to_1m},
    runs=1,
    notes=slowest_models,
)
CASE_10M = Case(
    "All models, 10 M orders",
    prepare_1m_and_10m,
    {"1 M orders": build_1m, "full build": build_10m, "one day more": add_day_to_10m},
    (
        Limit("full build", "wall_seconds", 180),
        Limit("full build", "peak_mib", 4096),
        Limit("full build", "wall_seconds", 10, "1 M orders"),
        Limit("one day more", "wall_seconds", 0.15, "full build"),
    ),
    runs=1,
    notes=slowest_models,
)
