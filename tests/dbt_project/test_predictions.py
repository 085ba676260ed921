"""The prediction models' SQL with the fits between, on shops made up in memory: the smallest too."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.predictions.chart import backtest_chart, backtest_summary
from include.predictions.tables import history_predictions, prediction_fits
from tests.dbt_project.compiled import AS_OF, Models

SQL = (
    "int_customer_days",
    "int_order_days",
    "int_purchase_histories",
    "fct_prediction_fits",
    "fct_prediction_backtest",
    "fct_prediction_calibration",
    "fct_customer_value",
)


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Models:
    return Models(tmp_path_factory.mktemp("models"), *SQL)


class Predicted:
    """A shop's predictions, built as dbt builds them."""

    def __init__(self, models: Models, orders: Sequence[tuple[str, date, float]]) -> None:
        self.warehouse = models.warehouse()
        rows = pd.DataFrame(orders, columns=["customer_id", "ordered_date", "net_amount"])
        rows["ordered_date"] = pd.to_datetime(rows["ordered_date"]).astype("datetime64[us]")
        self.connection = self.warehouse.connection
        self.connection.from_df(rows).create("drawn")
        self.connection.execute(
            "create table marts.orders as select customer_id::varchar as customer_id,"
            " ordered_date::date as ordered_date, net_amount::decimal(18, 4) as net_amount,"
            " true as is_counted from drawn;"
            "create table marts.customers as select distinct customer_id, 'EUR' as currency"
            " from marts.orders union all select 'prospect', null"
        )
        for model in SQL[:3]:
            self.warehouse.build(model)
        days, histories = (self.connection.table(f"intermediate.{model}") for model in SQL[1:3])
        fits = prediction_fits(histories, days, min_repeat_customers=50, churn_days=90)
        self.connection.from_arrow(fits).create("intermediate.int_prediction_fits")
        predictions = history_predictions(
            histories,
            days,
            self.connection.table("intermediate.int_prediction_fits"),
            annual_discount_rate=0.10,
            churn_days=90,
            backtest_days=90,
        )
        self.connection.from_arrow(predictions).create("intermediate.int_history_predictions")
        for model in SQL[2:]:
            table = model.replace("fct_", "marts.")
            self.connection.sql(models.sql[model]).create(table)

    def read(self, query: str) -> list[tuple[Any, ...]]:
        """The rows a query finds."""
        return self.connection.execute(query).fetchall()


def shop_of(customers: int, seed: int = 1) -> list[tuple[str, date, float]]:
    """Customers of MBG/NBD over two years: rates and amounts of their own, some drop out."""
    draw = np.random.default_rng(seed)
    orders = []
    for number in range(customers):
        day = AS_OF - timedelta(days=int(draw.integers(20, 730)))
        rate, chance, amount = draw.gamma(1.5, 1 / 60), draw.beta(1, 4), draw.gamma(4, 10)
        while day <= AS_OF:
            orders.append((f"c{number}", day, round(float(draw.gamma(4, amount / 4)) + 1, 2)))
            if draw.random() < chance:
                break
            day += timedelta(days=1 + int(draw.exponential(1 / rate)))
    return orders


@pytest.fixture(scope="module")
def shop(models) -> Predicted:
    return Predicted(models, shop_of(1500))


def test_every_customer_has_a_row_and_a_reason(shop):
    customers = shop.read(
        "select count(*), count(distinct customer_id), count(p_alive), count(clv_365d),"
        " count(model_reason) from marts.customer_value"
    )
    assert customers == [(1501, 1501, 1500, 1500, 1501)]
    assert shop.read(
        "select model, p_alive, expected_orders_90d, clv_365d, model_reason"
        " from marts.customer_value where customer_id = 'prospect'"
    ) == [(None, None, None, None, "no order yet")]


def test_the_model_with_the_lowest_deviance_in_the_hold_out_window_is_used(shop):
    (used,) = shop.read("select model, reason from marts.prediction_backtest where is_used")
    assert (
        used[0]
        == shop.read("select arg_min(model, mean_deviance) from marts.prediction_backtest")[0][0]
    )
    assert used[1].startswith("best in the back-test: deviance ")
    assert shop.read("select distinct model from marts.customer_value order by 1 nulls last") == [
        (used[0],),
        (None,),
    ]


def test_p_alive_is_never_bg_nbd_s(shop):
    assert shop.read(
        "select count(*) from marts.prediction_backtest"
        " where is_used_for_p_alive and model != 'bg_nbd'"
    ) == [(1,)]
    assert shop.read(
        "select count(*) from marts.customer_value"
        " join intermediate.int_purchase_histories using (customer_id)"
        " where repeat_count = 0 and last_repeat_days < observed_days and p_alive = 1"
    ) == [(0,)]


def test_what_was_predicted_is_near_what_happened(shop):
    for model, expected, actual, auc, churn, happened in shop.read(
        "select model, expected_orders, actual_orders, auc, churn_calibrated, churn_actual"
        " from marts.prediction_backtest where mean_deviance is not null"
    ):
        assert expected == pytest.approx(actual, rel=0.25), model
        assert churn == pytest.approx(happened, abs=0.02), model
        assert auc > 0.7, model


def test_the_area_under_the_curve_is_the_share_of_pairs_ranked_right(shop):
    pairs = shop.read(
        """
        with scored as (
            select customer_id, is_back, expected_orders_backtest as score
            from intermediate.int_purchase_histories as customers
            join intermediate.int_history_predictions as predictions
                on past_repeat_count = predictions.repeat_count
                and past_last_repeat_days = predictions.last_repeat_days
                and past_observed_days = predictions.observed_days
            where purpose = 'backtest' and model = 'mbg_nbd'
        )
        select avg(case when back.score > gone.score then 1 when back.score = gone.score then 0.5
            else 0 end)
        from scored as back join scored as gone on back.is_back and not gone.is_back
        """
    )
    assert shop.read("select auc from marts.prediction_backtest where model = 'mbg_nbd'")[0][
        0
    ] == pytest.approx(pairs[0][0])


def test_tenths_hold_every_customer_once_and_rise(shop):
    for model, measure, customers, rising in shop.read(
        "select model, measure, sum(customers), list(predicted order by decile)"
        " from marts.prediction_calibration group by all"
    ):
        known = "select count(past_repeat_count) from intermediate.int_purchase_histories"
        assert customers == shop.read(known)[0][0], (model, measure)
        assert rising == sorted(rising)
        assert len(rising) == 10 or model == "curve"


def test_the_value_is_orders_times_amount_less_the_discount(shop):
    assert shop.read(
        "select count(*) from marts.customer_value where clv_365d not between"
        " 0.9 * expected_orders_365d * expected_order_value - 0.01"
        " and expected_orders_365d * expected_order_value + 0.01"
    ) == [(0,)]
    assert shop.read(
        "select distinct value_model, currency from marts.customer_value where p_alive is not null"
    ) == [("gamma_gamma", "EUR")]


def test_the_order_of_the_rows_changes_no_prediction(models, shop):
    backwards = Predicted(models, shop_of(1500)[::-1])
    query = "from marts.customer_value order by customer_id"
    assert backwards.read(query) == shop.read(query)


def test_the_chart_shows_both_measures_and_refers_to_nothing_elsewhere(shop, tmp_path):
    files = []
    for table in ("prediction_backtest", "prediction_calibration"):
        files.append(str(tmp_path / f"{table}.parquet"))
        shop.connection.table(f"marts.{table}").write_parquet(files[-1])
    chart = backtest_chart(*files)
    shown = shop.read("select count(*) from marts.prediction_calibration")[0][0]
    models = backtest_summary(files[0])
    assert chart.count("<circle") == shown + len(models)
    assert "http" not in chart.replace("http://www.w3.org/2000/svg", "")
    assert [row["is_used"] for row in models] == [True, False, False, False]


SOON, LONG_AGO = AS_OF - timedelta(days=10), AS_OF - timedelta(days=400)


@pytest.mark.parametrize(
    "orders",
    [
        [],
        [("only", LONG_AGO, 10.0)],
        [(f"c{number}", LONG_AGO, 10.0) for number in range(200)],
        [("only", AS_OF, 10.0)],
    ],
    ids=["nobody", "one", "two hundred who never came back", "one of today"],
)
def test_where_nobody_has_come_back_nothing_is_claimed(models, orders):
    shop = Predicted(models, orders)
    known = {customer for customer, *_ in orders}
    assert shop.read(
        "select count(*), count(p_alive), count(expected_orders_365d), count(churn_probability)"
        " from marts.customer_value"
    ) == [(len(known) + 1, 0, 0, 0)]
    if known:
        assert shop.read(
            "select distinct model_reason from marts.customer_value where customer_id != 'prospect'"
        ) == [("refused: nobody has come back yet: there is nothing to learn from",)]


def test_five_customers_are_judged_by_the_curve(models):
    days = [AS_OF - timedelta(days=days) for days in (300, 270, 240)]
    orders = [(f"c{n}", day, 20.0 + n) for n in range(3) for day in days[: n + 1]]
    shop = Predicted(models, [*orders, ("d", SOON, 5.0), ("e", LONG_AGO, 5.0)])
    assert shop.read(
        "select distinct model, value_model from marts.customer_value"
        " where customer_id != 'prospect'"
    ) == [("curve", "mean")]
    assert shop.read(
        "select refusal from marts.prediction_fits"
        " where model = 'bg_nbd' and purpose = 'prediction'"
    ) == [("2 customers came back: at least 50 are needed",)]
    # The newest has been silent for 10 days, in which nobody came back; the oldest for longer than
    # any gap that ever ended.
    chances = dict(shop.read("select customer_id, expected_orders_90d from marts.customer_value"))
    assert chances["d"] > 0
    assert chances["e"] == 0


def test_equal_histories_are_refused_and_the_curve_takes_over(models):
    days = [AS_OF - timedelta(days=days) for days in (190, 160, 130, 100, 70, 40, 10)]
    shop = Predicted(models, [(f"c{n}", day, 30.0) for n in range(80) for day in days])
    assert shop.read(
        "select distinct model, p_alive_model from marts.customer_value"
        " where customer_id != 'prospect'"
    ) == [("curve", "curve")]
    refused = shop.read("select count(refusal) from marts.prediction_fits where model != 'curve'")
    assert refused == [(7,)]
    assert shop.read("select max(expected_orders_90d) from marts.customer_value")[0][
        0
    ] == pytest.approx(3)
