"""What the models promise for any shop, against the plainest computation of the same thing."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.dbt_project.compiled import AS_OF, Models

SOME = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Models:
    return Models(
        tmp_path_factory.mktemp("compiled"),
        "int_refund_allocations",
        "int_customer_history",
        "int_population",
        "int_customer_scores",
        "fct_kpis_by_dimension",
            "int_customer_months",
    )


def frame_of_histories(values: list[tuple[int, int, int]]) -> pd.DataFrame:
    frame = pd.DataFrame(values, columns=["recency_days", "frequency", "monetary"])
    frame["customer_id"] = [f"shop:{number}" for number in range(len(frame))]
    frame["order_count"] = frame["order_count_12_months"] = frame["frequency"]
    frame["net_spend_vip_months"] = frame["monetary"]
    frame["last_order_date"] = [AS_OF - timedelta(days=days) for days in frame["recency_days"]]
    frame["first_order_date"] = frame["last_order_date"]
    frame["second_order_date"] = pd.Series([date(2026, 1, 1)] * len(frame))
    return frame


# Few different values, so that most customers are tied with somebody.
HISTORIES = st.lists(
    st.tuples(st.integers(0, 9), st.integers(1, 4), st.integers(-2, 6)), min_size=1, max_size=60
)


def score(models: Models, histories: pd.DataFrame) -> dict[str, dict[str, Any]]:
    warehouse = models.warehouse()
    warehouse.make("int_customer_history", histories)
    warehouse.build("int_population")
    return {row["customer_id"]: row for row in warehouse.build("int_customer_scores")}


@SOME
@given(values=HISTORIES)
def test_cut_points_give_the_scores_of_the_rank_formula(models, values):
    histories = frame_of_histories(values)
    goodness = {
        "r_score": -histories["recency_days"],
        "f_score": histories["frequency"],
        "m_score": histories["monetary"],
    }
    rows = score(models, histories)
    for name, measure in goodness.items():
        rank = measure.rank(method="min").astype(int)
        expected = np.minimum(5, 1 + 5 * (rank - 1) // len(measure))
        assert [rows[key][name] for key in histories["customer_id"]] == expected.to_list()


@SOME
@given(values=HISTORIES, seed=st.integers(0, 2**16))
def test_the_order_of_the_rows_changes_no_score_and_no_segment(models, values, seed):
    histories = frame_of_histories(values)
    assert score(models, histories) == score(models, histories.sample(frac=1, random_state=seed))


@SOME
@given(size=st.integers(1, 200), seed=st.integers(0, 2**16))
def test_whoever_nine_in_ten_spenders_stay_below_is_valued_and_nobody_else(models, size, seed):
    spends = np.random.default_rng(seed).integers(-50, 500, size).tolist()
    histories = frame_of_histories([(5, 6, spend) for spend in spends])
    rows = score(models, histories)
    spenders = [spend for spend in spends if spend > 0]
    for key, spend in zip(histories["customer_id"], spends, strict=True):
        at_least_as_much = sum(other >= spend for other in spenders)
        is_top = spend > 0 and 10 * at_least_as_much <= len(spenders)
        assert (rows[key]["vip_status"] != "none") == is_top


MOVEMENTS = st.lists(
    st.tuples(st.sampled_from(["sale", "cancellation"]), st.integers(1, 5)), min_size=1, max_size=14
)


@SOME
@given(movements=MOVEMENTS)
def test_a_cancellation_takes_back_the_latest_purchases_still_held(models, movements):
    lines = pd.DataFrame(
        {
            "order_id": [f"shop:{number}" for number in range(len(movements))],
            "line_number": 1,
            "source": "shop",
            "customer_id": "shop:ann",
            "sku": "lamp",
            "unit_price": 2.5,
            "ordered_at": [datetime(2026, 1, 1 + number) for number in range(len(movements))],
            "line_kind": [kind for kind, _ in movements],
            "quantity": [q if kind == "sale" else -q for kind, q in movements],
        }
    )
    lines["net_amount"] = lines["quantity"] * lines["unit_price"]
    lines["order_currency_net_amount"] = lines["net_amount"]
    lines["margin_amount"] = lines["net_amount"] / 2
    warehouse = models.warehouse()
    warehouse.make("order_lines", lines)
    allocations = warehouse.build("int_refund_allocations")

    held: list[int] = []
    taken_back: Counter[str] = Counter()
    for number, (kind, quantity) in enumerate(movements):
        if kind == "sale":
            held += [number] * quantity
        else:
            for _ in range(min(quantity, len(held))):
                taken_back[f"shop:{held.pop()}"] += 1

    found: Counter[str] = Counter()
    by_cancellation: Counter[str] = Counter()
    for row in allocations:
        assert int(row["order_id"][5:]) < int(row["cancellation_order_id"][5:])
        assert float(row["refunded_amount"]) == float(row["quantity"]) * 2.5
        assert float(row["order_currency_refunded_amount"]) == float(row["refunded_amount"])
        assert float(row["refunded_margin_amount"]) == float(row["quantity"]) * 1.25
        found[row["order_id"]] += int(row["quantity"])
        by_cancellation[row["cancellation_order_id"]] += int(row["quantity"])
    assert found == taken_back
    assert all(by_cancellation[key] <= movements[int(key[5:])][1] for key in by_cancellation)


NOTHING_BUT_ORDERS = """
create table staging.stg_shop__orders
    (order_id bigint, acquisition_source varchar, discount_codes varchar[]);
create table staging.stg_shop__survey_answers
    (customer_id varchar, email_key varchar, phone_key varchar, answered_at timestamp);
create table staging.stg_shop__ad_spend
    (spend_date date, platform varchar, amount decimal(18, 4), currency varchar);
create table intermediate.int_exchange_rates
    (currency varchar, ordered_date date, exchange_rate decimal(28, 14));
create table marts.customer_identities
    (identifier_kind varchar, identifier varchar, identifier_key uuid, customer_id varchar);
"""


@SOME
@given(
    bought=st.lists(
        st.tuples(st.sampled_from("abcdef"), st.integers(0, 17)), min_size=1, max_size=40
    )
)
def test_monthly_retention_is_that_of_sets_of_customers(models, bought):
    bought = sorted(set(bought), key=lambda purchase: purchase[1])
    orders = pd.DataFrame(
        {
            "customer_id": [customer for customer, _ in bought],
            "ordered_date": [date(2024 + (7 + m) // 12, (7 + m) % 12 + 1, 5) for _, m in bought],
            "is_counted": True,
            "net_amount": 1.0,
        }
    )
    orders["is_first_order"] = ~orders.duplicated("customer_id")
    orders["gross_amount"] = orders["net_amount"]
    orders["order_id"] = range(len(orders))
    orders[["discount_amount", "margin_amount"]] = 0.0
    orders[["country", "currency"]] = "XX"
    warehouse = models.warehouse()
    warehouse.connection.execute(NOTHING_BUT_ORDERS)
    warehouse.make("orders", orders)
    warehouse.build("int_customer_history")
    warehouse.build("int_customer_months")
    kpis = warehouse.build("fct_kpis_by_dimension")
    months = sorted((row for row in kpis if row["dimension"] == "shop"), key=itemgetter("month"))

    def customers_after(month: int) -> set[str]:
        return {customer for customer, m in bought if month - 6 < m <= month}

    first = bought[0][1]
    for number, row in enumerate(months, start=first):
        start, end = customers_after(number - 1), customers_after(number)
        assert (row["customers_at_start"], row["customers_at_end"]) == (len(start), len(end))
        if number < first + 6 or not start:
            assert row["retention_rate"] is None
        else:
            assert row["retention_rate"] == pytest.approx(len(start & end) / len(start))
