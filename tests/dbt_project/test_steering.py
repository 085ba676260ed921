"""The figures that a shop is steered by: MetricFlow computes what the table says."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from include.dbt import run_metricflow
from tests.dbt_project.shops import Shop, line

FIGURES = {
    "kpi_net_revenue": "net_revenue",
    "kpi_new_customers": "new_customers",
} | {
    name: name
    for name in (
        "returning_customers",
        "new_revenue",
        "returning_revenue",
        "retention_rate",
        "churn_rate",
        "repeat_purchase_rate",
        "engagement_rate",
        "top_decile_revenue_share",
        "customer_lifetime_value",
        "customer_acquisition_cost",
        "lifetime_value_to_acquisition_cost",
        "gross_margin_rate",
        "costed_revenue_share",
        "discounted_revenue_share",
        "code_revenue_share",
    )
}
SHOP = """
insert into raw.products by name select 'shop' as source, 'lamp' as sku, 4 as unit_cost;
insert into raw.ad_spend by name
select 'ads' as source, date '2025-12-05' as spend_date, 'meta' as platform, '1' as campaign_id,
    'EUR' as currency, 30 as amount;
insert into raw.survey_answers by name
select 'survey' as source, '1' as answer_id, 'shop:c1' as customer_id, 'nps' as kind, 9 as score,
    timestamp '2026-01-30 10:00:00' as answered_at;
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Shop:
    shop = Shop(tmp_path_factory.mktemp("shop"))
    shop.place(
        [
            {
                "order_id": f"shop:{customer}-{number}",
                "customer_id": f"shop:c{customer}" if customer else None,
                "ordered_date": str(date(2025, 4, 1) + timedelta(days=customer * 20 + number * 35)),
                "country": ["ES", "FR"][customer % 2],
                "acquisition_source": ["facebook", None, "newsletter"][customer % 3],
                "discount_codes": ["ten"] if customer % 4 == 0 else [],
                "lines": [
                    line(1, discount_amount=customer % 4),
                    line(2, sku="lamp" if number else "vase", gross_amount=10 + number),
                ],
            }
            for customer in range(12)
            for number in range(1 + customer % 5)
        ]
    )
    shop.write(SHOP)
    models = ("+fct_monthly_kpis", "int_days", "+dim_customers")
    shop.build("--indirect-selection", "buildable", "--select", *models)
    return shop


def queried(shop: Shop, file: Path, *arguments: str) -> list[dict[str, str]]:
    """The rows of an `mf query`."""
    run_metricflow(shop.settings, ["query", *arguments, "--csv", str(file)])
    with file.open() as rows:
        return list(csv.DictReader(rows))


@pytest.mark.parametrize(
    "dimension", ["shop", "first_order_month", "country", "acquisition_source"]
)
def test_metricflow_tells_the_figures_of_the_table(shop, tmp_path, dimension):
    file = tmp_path / "figures.csv"
    rows = queried(shop, file, "--saved-query", f"kpis_of_{dimension}")
    told = {(row["metric_time__month"][:10], row["kpi__dimension_value"]): row for row in rows}
    columns = ", ".join(FIGURES.values())
    with duckdb.connect(str(shop.settings.warehouse_path), read_only=True) as warehouse:
        warehouse.execute("use marts")
        kpis = warehouse.table("kpis_by_dimension").filter(f"dimension = '{dimension}'")
        table = kpis.project(f"month, dimension_value, {columns}").fetchall()
    assert len(table) == len(told)
    for month, value, *figures in table:
        for name, figure in zip(FIGURES, figures, strict=True):
            text = told[str(month), value][name]
            expected = None if figure is None else pytest.approx(float(figure), abs=1e-4)
            assert (float(text) if text else None) == expected, (month, value, name)


def test_metricflow_groups_orders_by_what_is_known_of_their_customers(shop, tmp_path):
    rows = queried(
        shop, tmp_path / "orders.csv",
        "--metrics", "net_revenue,order_count,active_customers,average_order_value",
        "--group-by", "metric_time__month,customer__lifecycle_stage",
    )  # fmt: skip
    told = {
        (row["metric_time__month"][:10], row["customer__lifecycle_stage"] or None): (
            float(row["net_revenue"]),
            int(float(row["order_count"])),
            int(float(row["active_customers"])),
        )
        for row in rows
    }
    table = shop.read(
        "select date_trunc('month', ordered_date)::date, lifecycle_stage, sum(net_amount)::double,"
        " count(*), count(distinct orders.customer_id) from marts.orders"
        " left join marts.customers using (customer_id) where is_counted group by 1, 2"
    )
    assert told == {(str(month), stage): tuple(figures) for month, stage, *figures in table}


def test_the_median_time_to_a_second_order_is_that_of_the_month_it_came_in(shop, tmp_path):
    rows = queried(
        shop, tmp_path / "days.csv",
        "--metrics", "median_days_to_second_order", "--group-by", "metric_time__month",
    )  # fmt: skip
    told = {
        row["metric_time__month"][:10]: int(float(row["median_days_to_second_order"]))
        for row in rows
        if row["median_days_to_second_order"]
    }
    table = shop.read(
        "select month::varchar, median_days_to_second_order from marts.monthly_kpis"
        " where median_days_to_second_order is not null"
    )
    assert told == dict(table)
