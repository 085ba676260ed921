"""Scores month by month: what each month's end would have shown, kept until that changes."""

from __future__ import annotations

from datetime import date, timedelta
from include.errors import Stop
from typing import Any

import pytest

from tests.dbt_project.shops import Shop, line

DECEMBER, JANUARY = date(2025, 12, 31), date(2026, 1, 31)
MODELS = ("--indirect-selection", "buildable", "--select", "+fct_rfm_migrations", "+dim_customers")
HISTORY = "select * exclude (orders_fingerprint) from marts.rfm_history"
CANCELLATIONS = (
    "insert into raw.source_rules values ('till', 'cancellation_prefix', 'C')",
    "insert into raw.order_lines by name select 'till' as source, 'till:C1' as order_id,"
    " '1' as line_id, 'shop:c3' as customer_id, date '2026-01-09' as ordered_date,"
    " timestamp '2026-01-09' as ordered_at, 'vase' as sku, -1 as quantity, 70 as unit_price,"
    " -70 as gross_amount, 0 as discount_amount",
)


def orders(first: date, last: date) -> list[dict[str, Any]]:
    """Orders of ten customers between two days, some of them refunded, cancelled or given up weeks later."""
    placed = []
    unpaid = {(9, 2): "voided", (7, 2): "pending"}
    for customer in range(10):
        for number in range(customer % 4 + 2):
            day = date(2025, 10, 5) + timedelta(days=customer * 3 + number * (17 + customer))
            order = {
                "order_id": f"shop:{customer}-{number}",
                "customer_id": f"shop:c{customer}",
                "currency": None,
                "ordered_date": str(day),
                "lines": [line(1, gross_amount=10 + customer, unit_price=10 + customer)],
            }
            later = f"{day + timedelta(days=20)}T10:00:00"
            if (customer, number) in {(1, 1), (4, 0), (7, 1)}:
                order["cancelled_at"] = later
            elif (customer, number) in unpaid:
                order |= {"payment_status": unpaid[customer, number], "cancelled_at": later}
            elif number == 1:
                order["refunds"] = [
                    {"refund_id": "1", "line_id": "1", "kind": "line", "quantity": 1, "amount": 9,
                     "refunded_at": later}
                ]  # fmt: skip
            if first <= day <= last:
                placed.append(order)
    return placed


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Shop:
    """A shop built as of the end of December, and then of January."""
    shop = Shop(tmp_path_factory.mktemp("shop"))
    sold = [("till:1", "c3"), ("till:2", "c6"), ("till:3", "c3")]
    shop.sell(
        {"source": "till", "order_id": order, "customer_id": f"shop:{customer}", "sku": "vase",
         "ordered_date": date(2025, 12, 20), "unit_price": 70, "gross_amount": 70}
        for order, customer in sold
    )  # fmt: skip
    shop.place(orders(date(2025, 1, 1), DECEMBER))
    shop.build(*MODELS, as_of=DECEMBER)
    return shop


@pytest.fixture(scope="module")
def scores_of_december(shop) -> list[tuple[Any, ...]]:
    return shop.read(
        "select customer_id, recency_days, order_count, net_spend, r_score, f_score, m_score,"
        " rfm_segment from marts.customers where order_count > 0 order by all"
    )


def test_a_month_s_end_shows_what_a_build_of_that_day_showed(shop, scores_of_december):
    for statement in CANCELLATIONS:
        shop.write(statement)
    shop.place(orders(date(2026, 1, 1), JANUARY))
    shop.build(*MODELS, as_of=JANUARY)
    of_december = shop.read(
        "select customer_id, recency_days, frequency, net_spend, r_score, f_score, m_score,"
        " rfm_segment from marts.rfm_history where as_of_date = '2025-12-31' order by all"
    )
    assert scores_of_december
    assert of_december == scores_of_december
    assert shop.read(
        "select customer_id, r_score, f_score, m_score, rfm_segment from marts.rfm_history"
        " where as_of_date = '2026-01-31' order by all"
    ) == shop.read(
        "select customer_id, r_score, f_score, m_score, rfm_segment from marts.customers"
        " where order_count > 0 order by all"
    )


def test_what_a_month_began_with_is_what_the_last_one_ended_with(shop, scores_of_december):
    wrong = shop.read(
        "select * from marts.rfm_history as month left join marts.rfm_history as before"
        " on month.customer_id = before.customer_id"
        " and before.as_of_date = date_trunc('month', month.as_of_date) - interval 1 day"
        " where row(month.previous_r_score, month.previous_f_score, month.previous_m_score,"
        " month.previous_rfm_segment) is distinct from"
        " row(before.r_score, before.f_score, before.m_score, before.rfm_segment)"
    )
    assert wrong == []


def test_months_are_kept_until_one_of_their_orders_changes_and_equal_a_full_refresh(shop):
    full = shop.read(f"{HISTORY} order by all")
    shop.write("update marts.rfm_history set frequency = 99 where as_of_date = '2025-11-30'")
    shop.build(*MODELS, as_of=DECEMBER)
    assert shop.read("select max(as_of_date) from marts.rfm_history") == [(DECEMBER,)]
    shop.build(*MODELS, as_of=JANUARY)
    touched = "select count(*) from marts.rfm_history where frequency = 99"
    assert shop.read(touched) != [(0,)]

    late = {"order_id": "shop:late", "customer_id": "shop:c2", "ordered_date": "2025-11-28"}
    shop.place([late | {"currency": None}])
    shop.build(*MODELS, as_of=JANUARY)
    assert shop.read(touched) == [(0,)]
    incremental = shop.read(f"{HISTORY} order by all")
    assert incremental != full
    shop.build(*MODELS, "--full-refresh", as_of=JANUARY)
    assert incremental == shop.read(f"{HISTORY} order by all")


WHOLE = {"segment": "all", "r": [1, 5], "fm": [1, 5]}


@pytest.mark.parametrize(
    ("grid", "complaint"),
    [
        ([{"segment": "all", "r": [1, 5], "f": [1, 4]}], "r 1, f 5 is in no segment"),
        ([WHOLE, {"segment": "best", "r": [5, 5], "fm": [5, 5]}], "r 5, fm 5 is in all and best"),
    ],
)
def test_a_grid_that_is_no_partition_is_refused_with_the_cell(tmp_path, capfd, grid, complaint):
    with pytest.raises(Stop):
        Shop(tmp_path).build(
            "--select", "int_customer_scores", rfm_grid="own", rfm_grids={"own": grid}
        )
    assert complaint in capfd.readouterr().out


def test_the_grid_of_recency_and_value_names_shopify_s_groups(shop):
    shop.build(*MODELS, "test_name:segments_partition_the_grid_of_scores", rfm_grid="recency_value")
    named = shop.read(
        "select distinct r_score, f_score, m_score, rfm_segment from marts.rfm_history"
        " where (r_score, (f_score + m_score + 1) // 2) in ((5, 5), (2, 5), (3, 1), (4, 1))"
        " order by all"
    )
    names = {(r, (f + m + 1) // 2): segment for r, f, m, segment in named}
    expected = {
        (5, 5): "champions",
        (2, 5): "previously_loyal",
        (3, 1): "almost_lost",
        (4, 1): "promising",
    }
    assert names
    assert names.items() <= expected.items()
