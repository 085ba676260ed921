"""The back-test for people: a table of the models, and a chart of predicted against happened.

The chart is one SVG file without any reference to elsewhere: it opens in every browser.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "templates"
SIZE, MARGIN, TOP, ROW = 300, 60, 90, 22
MEASURES = {
    "orders": "Order days per customer",
    "churn": "Share without an order, calibrated",
}
COLOURS = {"bg_nbd": "#d55e00", "mbg_nbd": "#0072b2", "pareto_nbd": "#009e73", "curve": "#777777"}


def backtest_summary(backtest: str) -> list[dict[str, Any]]:
    """One row per model of a published `prediction_backtest` (Parquet), rounded to be read."""
    columns = (
        "model, is_used, round(mean_deviance, 4) as mean_deviance, round(auc, 3) as auc, "
        "round(auc_p_alive, 3) as auc_p_alive, round(expected_orders) as expected_orders, "
        "actual_orders, round(churn_calibrated, 3) as churn, "
        "round(churn_actual, 3) as actual_churn, reason"
    )
    with duckdb.connect() as connection:
        models = connection.read_parquet(backtest).order("is_used desc, mean_deviance nulls last")
        rows: list[dict[str, Any]] = models.project(columns).to_arrow_table().to_pylist()
    return rows


def backtest_chart(backtest: str, calibration: str) -> str:
    """An SVG out of the published `prediction_backtest` and `prediction_calibration` (Parquet)."""
    with duckdb.connect() as connection:
        order = "is_used, mean_deviance desc nulls first, model"
        models = connection.read_parquet(backtest).order(order).to_arrow_table().to_pylist()
        deciles = connection.read_parquet(calibration).to_arrow_table().to_pylist()
    used = {model["model"] for model in models if model["is_used"]}
    # What is drawn last lies on top: the model in use.
    place = {model["model"]: number for number, model in enumerate(models)}
    deciles.sort(key=lambda row: (place[row["model"]], row["decile"]))
    panels = [
        _panel(number, measure, [row for row in deciles if row["measure"] == measure], used)
        for number, measure in enumerate(MEASURES)
    ]
    legend = TOP + SIZE + 70
    template = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined
    ).get_template("backtest.svg")
    return template.render(
        width=2 * (SIZE + MARGIN) + 2 * MARGIN,
        height=legend + ROW * len(models),
        size=SIZE,
        margin=MARGIN,
        legend=legend,
        panels=panels,
        models=[
            model | {"colour": COLOURS[model["model"]], "words": _words(model)}
            for model in reversed(models)
        ],
        backtest_days=models[0]["backtest_days"],
        last_known_date=models[0]["last_known_date"],
    )


def _panel(
    number: int, measure: str, deciles: list[dict[str, Any]], used: set[str]
) -> dict[str, Any]:
    highest = max((max(row["calibrated"], row["actual"]) for row in deciles), default=0.0) or 1.0
    return {
        "title": MEASURES[measure],
        "left": MARGIN + number * (SIZE + 2 * MARGIN),
        "top": TOP,
        "ticks": [
            {"at": SIZE * part / 4, "label": f"{highest * part / 4:.3g}"} for part in range(5)
        ],
        "dots": [
            {
                "x": round(SIZE * row["calibrated"] / highest, 1),
                "y": round(SIZE * (1 - row["actual"] / highest), 1),
                "colour": COLOURS[row["model"]],
                "is_used": row["model"] in used,
                "label": (
                    f"{row['model']}, {row['customers']} customers: predicted "
                    f"{row['calibrated']:.3g}, happened {row['actual']:.3g}"
                ),
            }
            for row in deciles
        ],
    }


def _words(model: dict[str, Any]) -> str:
    if model["expected_orders"] is None:
        return str(model["reason"])
    auc = "" if model["auc"] is None else f", AUC {model['auc']:.3f}"
    return (
        f"{model['expected_orders']:,.0f} order days predicted, {model['actual_orders']:,} happened"
        f"{auc}, deviance {model['mean_deviance']:.4f}"
    )
