"""The tables that dbt's Python models return: fits, and what they say of every distinct history.

Both take DuckDB relations of the models they read, group them there, and hand back Arrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from include.predictions.calibration import UNCHANGED, calibrate, calibrated
from include.predictions.curve import Curve
from include.predictions.fitting import Fit, fit_amounts, fit_purchases
from include.predictions.histories import DAYS_PER_WEEK, Floats, Gaps, Histories, OrderAmounts
from include.predictions.models import MODELS
from include.predictions.scoring import Fitted, Predictor, future

Relation = duckdb.DuckDBPyRelation

PREDICTION, BACKTEST = "prediction", "backtest"
"""What a fit is for: it knows everything, or nothing of the hold-out window."""
PAST = {PREDICTION: "", BACKTEST: "past_"}
HISTORY = ("repeat_count", "last_repeat_days", "observed_days")

NUMBERS = pa.map_(pa.string(), pa.float64())
FITS = pa.schema(
    {
        "purpose": pa.string(),
        "model": pa.string(),
        "customers": pa.int64(),
        "repeat_customers": pa.int64(),
        "parameters": NUMBERS,
        "standard_errors": NUMBERS,
        "log_likelihood": pa.float64(),
        "is_converged": pa.bool_(),
        "iterations": pa.int64(),
        "value_correlation": pa.float64(),
        "refusal": pa.string(),
        "calibration": NUMBERS,
    }
)
SCORES = (
    "p_alive",
    "expected_orders_30d",
    "expected_orders_90d",
    "expected_orders_365d",
    "discounted_orders_365d",
    "days_to_next_order",
    "expected_orders_backtest",
    "p_order",
    "p_order_calibrated",
)
SCORED = pa.schema(
    {"purpose": pa.string(), "model": pa.string()}
    | dict.fromkeys(HISTORY, pa.int64())
    | dict.fromkeys(SCORES, pa.float64())
)


def prediction_fits(
    customers: Relation, order_days: Relation, min_repeat_customers: int, churn_days: int
) -> pa.Table:
    """One row per purpose and model, as `int_prediction_fits` describes it.

    `customers` is `int_purchase_histories`, `order_days` is `int_order_days`.
    """
    rows: list[dict[str, Any]] = []
    for purpose in PAST:
        grouped = _grouped(customers, purpose)
        histories = Histories.of_days(grouped)
        curve, fit_of_curve = _curve(order_days, histories, purpose)
        fits = [fit_purchases(model, histories, min_repeat_customers) for model in MODELS.values()]
        for fit in (*fits, fit_of_curve):
            calibration = UNCHANGED
            if purpose == BACKTEST and fit.is_usable:
                predictor = _predictor(fit.model, fit.parameters, curve)
                chances = predictor.p_order(histories, churn_days / DAYS_PER_WEEK)
                returned = np.asarray(grouped["customers_back"], dtype=np.float64)
                calibration = calibrate(chances, histories.customers, returned)
            rows.append(asdict(fit) | {"purpose": purpose, "calibration": calibration})
    amounts = fit_amounts(_amounts(customers), min_repeat_customers)
    rows.append(asdict(amounts) | {"purpose": PREDICTION, "calibration": {}})
    for row in rows:
        for numbers in ("parameters", "standard_errors", "calibration"):
            row[numbers] = list(row[numbers].items())
    return pa.Table.from_pylist(rows, schema=FITS)


def history_predictions(
    customers: Relation,
    order_days: Relation,
    fits: Relation,
    annual_discount_rate: float,
    churn_days: int,
    backtest_days: int,
) -> pa.Table:
    """One row per purpose, usable model and distinct history, as `int_history_predictions` says."""
    known = {(fit["purpose"], fit["model"]): fit for fit in fits.to_arrow_table().to_pylist()}
    tables = []
    for purpose in PAST:
        histories = Histories.of_days(_grouped(customers, purpose))
        curve, _ = _curve(order_days, histories, purpose)
        for name in (*MODELS, Curve.name):
            fit, checked = known[purpose, name], known[BACKTEST, name]
            if fit["refusal"] is None:
                predictor = _predictor(name, dict(fit["parameters"]), curve)
                p_order = predictor.p_order(histories, churn_days / DAYS_PER_WEEK)
                scores = {
                    "p_alive": predictor.p_alive(histories),
                    "p_order": p_order,
                    "p_order_calibrated": calibrated(p_order, dict(checked["calibration"])),
                }
                if purpose == PREDICTION:
                    scores |= future(predictor, histories, annual_discount_rate)
                else:
                    weeks = [backtest_days / DAYS_PER_WEEK]
                    expected = predictor.expected_orders(histories, weeks)
                    scores["expected_orders_backtest"] = expected[0]
                tables.append(_scored(purpose, name, histories, scores))
    return pa.concat_tables([SCORED.empty_table(), *tables])


def _grouped(customers: Relation, purpose: str) -> dict[str, Any]:
    """Distinct histories with counts, in an order of their own, so that sums come out the same
    every time: of all customers, and of those who ordered within the churn window."""
    past = PAST[purpose]
    key = ", ".join(f"{past}{column} as {column}" for column in HISTORY)
    known = customers.filter(f"{past}repeat_count is not null")
    counts = "count(*) as customers, count(case when is_back then 1 end) as customers_back"
    return known.aggregate(f"{key}, {counts}").order(", ".join(HISTORY)).fetchnumpy()


def _amounts(customers: Relation) -> OrderAmounts:
    columns = "repeat_count, cast(repeat_amount as double) as repeat_amount"
    grouped = customers.filter("repeat_count > 0").aggregate(f"{columns}, count(*) as customers")
    return OrderAmounts.of(grouped.order("repeat_count, repeat_amount").fetchnumpy())


def _curve(order_days: Relation, histories: Histories, purpose: str) -> tuple[Curve, Fit]:
    closed = order_days.filter("days_since_previous is not null")
    if purpose == BACKTEST:
        closed = closed.filter("is_past")
    counts = closed.aggregate(
        "days_since_previous as days, day_number = 2 as is_first, count(*) as customers"
    )
    gaps = Gaps.of(counts.order("days, is_first").fetchnumpy(), histories)
    has_ended = bool(gaps.is_closed.any())
    return Curve(gaps), Fit(
        Curve.name,
        histories.customer_count,
        histories.repeat_customer_count,
        is_converged=has_ended,
        refusal=None if has_ended else "nobody has come back yet: there is nothing to learn from",
    )


def _predictor(name: str, parameters: Mapping[str, float], curve: Curve) -> Predictor:
    return curve if name == Curve.name else Fitted(MODELS[name], parameters)


def _scored(
    purpose: str, model: str, histories: Histories, scores: Mapping[str, Floats]
) -> pa.Table:
    """Histories in days again, to be joined back, and a column per score; null where none is."""
    days = {
        "repeat_count": histories.repeats,
        "last_repeat_days": histories.last * DAYS_PER_WEEK,
        "observed_days": histories.observed * DAYS_PER_WEEK,
    }
    missing = np.full(len(histories), np.nan)
    columns = [
        pa.repeat(purpose, len(histories)),
        pa.repeat(model, len(histories)),
        *(pa.array(np.rint(days[name]).astype(np.int64)) for name in HISTORY),
    ]
    for name in SCORES:
        score = scores.get(name, missing)
        columns.append(pa.array(score, mask=np.isnan(score)))
    return pa.Table.from_arrays(columns, schema=SCORED)
