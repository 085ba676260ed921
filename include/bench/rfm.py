"""RFM, VIP and lapsed buyers from orders: the models beside what people write instead.

`models` runs the SQL that dbt compiled from `dbt_project`, model after model, over the same Parquet
file that the others read. `scan` is the floor: DuckDB
reads the same five columns and only adds them up. One of them says that an order is its customer's
first: the orders' own model has it; the others find the second order themselves. `summary` is the
table that `lifetimes` builds first (frequency, recency, T, monetary value per customer), in pandas
as that library writes it.
"""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl

from include.bench.measure import Case, Limit
from include.bench.orders import write_orders
from include.dbt import run_dbt
from include.settings import load_settings

AS_OF = date(2026, 1, 1)
ORDERS = "orders.parquet"
MODELS = ("int_customer_history", "int_population", "int_customer_scores")
DRAWN = """
select
    order_id, customer_id, ordered_at, ordered_at::date as ordered_date, gross_amount,
    gross_amount as net_amount, true as is_counted,
    row_number() over (partition by customer_id order by ordered_at, order_id) = 1 as is_first_order
from read_parquet($path)
"""


def prepare_1m(folder: Path) -> None:
    """A million orders of 125,000 customers, and the models compiled."""
    _prepare(folder, 1_000_000)


def prepare_10m(folder: Path) -> None:
    """Ten million orders of 1,250,000 customers, and the models compiled."""
    _prepare(folder, 10_000_000)


def _prepare(folder: Path, orders: int) -> None:
    drawn = folder / "drawn.parquet"
    write_orders(drawn, orders)
    with duckdb.connect() as connection:
        connection.sql(DRAWN, params={"path": str(drawn)}).write_parquet(str(folder / ORDERS))
    drawn.unlink()
    settings = load_settings(home=folder, warehouse=folder / "compiling.duckdb")
    run_dbt(settings, ["--log-level", "none", "compile", "--select", *MODELS], AS_OF)


def models(folder: Path) -> None:
    """The project's own SQL, into tables in memory, as the others leave their frames there."""
    compiled = folder / "dbt/target/compiled/regulars/models/intermediate"
    with duckdb.connect(config={"memory_limit": "1500MB"}) as connection:
        connection.execute("attach ':memory:' as compiling; use compiling")
        connection.execute("set preserve_insertion_order = false")
        connection.execute("create schema marts; create schema intermediate")
        connection.read_parquet(str(folder / ORDERS)).create_view("orders_file")
        connection.execute("create view marts.orders as from orders_file")
        for model in MODELS:
            sql = (compiled / f"{model}.sql").read_text()
            connection.sql(sql).create(f"intermediate.{model}")


def scan(folder: Path) -> None:
    """The floor: the same columns read, and each added up."""
    with duckdb.connect() as connection:
        orders = connection.read_parquet(str(folder / ORDERS))
        orders.aggregate(
            "max(customer_id), max(ordered_date), sum(net_amount), bool_or(is_counted), "
            "bool_or(is_first_order)"
        ).fetchall()


def pandas(folder: Path) -> None:
    """The same figures with pandas, as a data scientist writes them."""
    columns = ["customer_id", "ordered_at", "gross_amount", "net_amount"]
    orders = pd.read_parquet(folder / ORDERS, columns=columns)
    orders["net_amount"] = orders["net_amount"].astype(float)
    as_of = pd.Timestamp(AS_OF)
    orders["is_recent"] = orders["ordered_at"] > as_of - pd.DateOffset(months=12)
    recent = orders["ordered_at"] > as_of - pd.DateOffset(months=24)
    orders["recent_amount"] = orders["net_amount"].where(recent, 0.0)
    orders = orders.sort_values(["customer_id", "ordered_at"])
    by_customer = orders.groupby("customer_id", sort=False)
    customers = by_customer.agg(
        first=("ordered_at", "min"),
        last=("ordered_at", "max"),
        frequency=("ordered_at", "size"),
        monetary=("net_amount", "sum"),
        recent_orders=("is_recent", "sum"),
        recent_spend=("recent_amount", "sum"),
    )
    second = by_customer["ordered_at"].nth(1)
    customers["second"] = pd.Series(second.to_numpy(), orders.loc[second.index, "customer_id"])
    customers["recency"] = (as_of - customers["last"]).dt.days
    for name, goodness in (
        ("r", -customers["recency"]),
        ("f", customers["frequency"]),
        ("m", customers["monetary"]),
    ):
        rank = goodness.rank(method="min")
        customers[name] = np.minimum(5, 1 + (5 * (rank - 1)) // len(customers))
    span = (customers["last"] - customers["first"]).dt.days
    repeats = customers["frequency"] > 1
    mean_gap = span[repeats].sum() / (customers["frequency"][repeats] - 1).sum()
    own_gap = (span + mean_gap) / customers["frequency"]
    one_time = (customers["second"] - customers["first"]).dt.days.quantile(0.95)
    customers["is_lapsed"] = customers["recency"] > np.where(repeats, 3 * own_gap, one_time)
    customers["is_vip"] = (
        (customers["recent_spend"] > customers["recent_spend"].quantile(0.9))
        & ((customers["recent_orders"] >= 4) | (customers["frequency"] >= 6))
        & ~customers["is_lapsed"]
    )


def polars(folder: Path) -> None:
    """The same figures with polars."""
    customers = (
        pl.scan_parquet(folder / ORDERS)
        .group_by("customer_id")
        .agg(
            first=pl.col("ordered_at").min(),
            last=pl.col("ordered_at").max(),
            second=pl.col("ordered_at").bottom_k(2).max(),
            frequency=pl.len(),
            monetary=pl.col("net_amount").sum(),
            recent_orders=(pl.col("ordered_at") > date(2025, 1, 1)).sum(),
            recent_spend=pl.col("net_amount").filter(pl.col("ordered_at") > date(2024, 1, 1)).sum(),
        )
        .with_columns(
            recency=(pl.lit(AS_OF).cast(pl.Datetime) - pl.col("last")).dt.total_days(),
            span=(pl.col("last") - pl.col("first")).dt.total_days(),
            repeats=pl.col("frequency") > 1,
        )
        .with_columns(
            *(
                (1 + 5 * (goodness.rank("min") - 1) // pl.len()).clip(upper_bound=5).alias(name)
                for name, goodness in (
                    ("r", -pl.col("recency")),
                    ("f", pl.col("frequency")),
                    ("m", pl.col("monetary")),
                )
            ),
            mean_gap=pl.col("span").sum() / (pl.col("frequency") - 1).sum(),
            one_time=(pl.col("second") - pl.col("first"))
            .dt.total_days()
            .filter(pl.col("repeats"))
            .quantile(0.95),
        )
        .with_columns(
            is_lapsed=pl.col("recency")
            > pl.when("repeats")
            .then(3 * (pl.col("span") + pl.col("mean_gap")) / pl.col("frequency"))
            .otherwise(pl.col("one_time"))
        )
        .with_columns(
            is_vip=(pl.col("recent_spend") > pl.col("recent_spend").quantile(0.9))
            & ((pl.col("recent_orders") >= 4) | (pl.col("frequency") >= 6))
            & ~pl.col("is_lapsed")
        )
    )
    customers.collect()


def summary(folder: Path) -> None:
    """Frequency, recency, T and monetary value per customer, as `lifetimes` computes them."""
    orders = pd.read_parquet(folder / ORDERS, columns=["customer_id", "ordered_at", "net_amount"])
    orders["net_amount"] = orders["net_amount"].astype(float)
    orders["day"] = orders["ordered_at"].dt.to_period("D")
    days = orders.groupby(["customer_id", "day"], sort=False)["net_amount"].sum().reset_index()
    first = days.groupby("customer_id", sort=True).head(1).index
    days["is_first"] = False
    days.loc[first, "is_first"] = True
    repeats = days[~days["is_first"]]
    customers = days.groupby("customer_id", sort=False)["day"].agg(["min", "max", "count"])
    customers["frequency"] = customers["count"] - 1
    ordinals = customers[["min", "max"]].apply(lambda column: column.dt.to_timestamp())
    customers["T"] = (pd.Timestamp(AS_OF) - ordinals["min"]).dt.days
    customers["recency"] = (ordinals["max"] - ordinals["min"]).dt.days
    customers["monetary"] = repeats.groupby("customer_id")["net_amount"].mean()


CASE_1M = Case(
    "RFM + VIP + lapsed, 1 M orders",
    prepare_1m,
    {"scan": scan, "models": models, "polars": polars, "pandas": pandas, "summary": summary},
    (
        Limit("models", "cpu_seconds", 8, "scan"),
        Limit("models", "wall_seconds", 1, "pandas"),
    ),
)
CASE_10M = dataclasses.replace(
    CASE_1M,
    name="RFM + VIP + lapsed, 10 M orders",
    prepare=prepare_10m,
    limits=(*CASE_1M.limits, Limit("models", "peak_mib", 2048)),
    runs=2,
)
