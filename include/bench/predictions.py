"""Purchase models of a million simulated customers: grouped histories beside one row per customer.

`group` is the one GROUP BY that makes distinct histories; the fits read what it made. `lifetimes`
fits BG/NBD on its own, on all customers: the library is archived, but its fitter still runs here.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from include.bench.measure import Case, Limit
from include.predictions.fitting import fit_purchases
from include.predictions.histories import Histories
from include.predictions.models import MODELS

CUSTOMERS = 1_000_000
EVERYBODY, DISTINCT = "customers.parquet", "histories.parquet"
HISTORY = "repeat_count, last_repeat_days, observed_days"


def prepare(folder: Path) -> None:
    """A million customers of BG/NBD with the parameters of CDNOW, watched for 27 to 39 weeks."""
    draw = np.random.default_rng(20260101)
    observed = draw.integers(27 * 7, 39 * 7, CUSTOMERS, endpoint=True)
    rate = draw.gamma(0.243, 1 / (4.414 * 7), CUSTOMERS)
    chance = draw.beta(0.793, 2.426, CUSTOMERS)
    repeats = np.zeros(CUSTOMERS, dtype=np.int64)
    last = np.zeros(CUSTOMERS)
    alive: NDArray[np.intp] = np.arange(CUSTOMERS)
    while len(alive):
        order = last[alive] + draw.exponential(1 / rate[alive])
        is_seen = order <= observed[alive]
        alive = alive[is_seen]
        last[alive], repeats[alive] = order[is_seen], repeats[alive] + 1
        alive = alive[draw.random(len(alive)) > chance[alive]]
    drawn = pa.table(
        {
            "repeat_count": repeats,
            "last_repeat_days": np.ceil(last).astype(np.int64),
            "observed_days": observed,
        }
    )
    with duckdb.connect() as connection:
        connection.from_arrow(drawn).write_parquet(str(folder / EVERYBODY))
    group(folder)


def group(folder: Path) -> None:
    """The distinct histories with their counts."""
    with duckdb.connect() as connection:
        customers = connection.read_parquet(str(folder / EVERYBODY))
        grouped = customers.aggregate(f"{HISTORY}, count(*) as customers").order(HISTORY)
        grouped.write_parquet(str(folder / DISTINCT))


def bg_nbd(folder: Path) -> None:
    """Our BG/NBD."""
    _fit("bg_nbd", folder)


def mbg_nbd(folder: Path) -> None:
    """Our MBG/NBD."""
    _fit("mbg_nbd", folder)


def pareto_nbd(folder: Path) -> None:
    """Our Pareto/NBD."""
    _fit("pareto_nbd", folder)


def _fit(model: str, folder: Path) -> None:
    with duckdb.connect() as connection:
        columns = connection.read_parquet(str(folder / DISTINCT)).fetchnumpy()
    fit = fit_purchases(MODELS[model], Histories.of_days(columns), 50)
    if not fit.is_usable:
        raise AssertionError(fit.refusal)


def lifetimes(folder: Path) -> None:
    """The BG/NBD of `lifetimes`, one row per customer, in weeks."""
    library = import_module("lifetimes")
    with duckdb.connect() as connection:
        columns: dict[str, Any] = connection.read_parquet(str(folder / EVERYBODY)).fetchnumpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library.BetaGeoFitter().fit(
            columns["repeat_count"].astype(float),
            columns["last_repeat_days"] / 7,
            columns["observed_days"] / 7,
        )


CASE = Case(
    "BG/NBD, MBG/NBD and Pareto/NBD of 1 M customers",
    prepare,
    {
        "group": group,
        "bg_nbd": bg_nbd,
        "mbg_nbd": mbg_nbd,
        "pareto_nbd": pareto_nbd,
        "lifetimes": lifetimes,
    },
    (
        Limit("bg_nbd", "cpu_seconds", 1.5),
        Limit("mbg_nbd", "cpu_seconds", 1.5),
        Limit("bg_nbd", "wall_seconds", 0.5, "lifetimes"),
    ),
    runs=2,
)
