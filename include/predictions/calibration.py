"""Chances that turned out too high or too low, put right by what the hold-out window showed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from include.predictions.histories import Floats

UNCHANGED: Mapping[str, float] = {"a": 1.0, "b": 1.0, "c": 0.0}
"""Beta calibration that leaves every chance as it is."""
CLOSEST = 1e-6
STEPS = 50


def calibrated(chances: Floats, calibration: Mapping[str, float]) -> Floats:
    """The calibrated chances: log-odds a ln p - b ln(1 - p) + c. Their order is kept."""
    values = np.array([calibration[name] for name in UNCHANGED])
    odds: Floats = 1 / (1 + np.exp(-_features(chances) @ values))
    return odds


def calibrate(chances: Floats, customers: Floats, happened: Floats) -> dict[str, float]:
    """The calibration by which `happened` out of `customers` with each chance is likeliest.

    Beta calibration (Kull, Silva Filho, Flach, Electronic Journal of Statistics 11, 2017) by
    Newton's steps. A weak normal prior (standard deviation 1) about what changes nothing keeps it
    there for a shop with few customers, or with none who came back. A negative slope would turn
    the order of the customers round: it becomes 0.
    """
    start = np.array(list(UNCHANGED.values()))
    values, is_free = start.copy(), np.ones(len(start), dtype=np.bool_)
    features = _features(chances)
    while True:
        values = _likeliest(features, customers, happened, values, start, is_free)
        negative = (values < 0) & np.array([True, True, False])
        if not negative.any():
            return dict(zip(UNCHANGED, map(float, values), strict=True))
        values[negative], is_free[negative] = 0.0, False


def _likeliest(
    features: Floats,
    customers: Floats,
    happened: Floats,
    values: Floats,
    prior: Floats,
    is_free: NDArray[np.bool_],
) -> Floats:
    values = values.copy()
    for _ in range(STEPS):
        expected = 1 / (1 + np.exp(-features @ values))
        gradient = features.T @ (happened - customers * expected) - (values - prior)
        spread = customers * expected * (1 - expected)
        curvature = (features.T * spread) @ features + np.eye(len(values))
        step = np.linalg.solve(curvature[np.ix_(is_free, is_free)], gradient[is_free])
        # A step too far would leave the region where the curvature means anything.
        step /= max(1.0, float(np.abs(step).max()))
        values[is_free] += step
        if np.abs(step).max() < 1e-10:
            break
    return values


def _features(chances: Floats) -> Floats:
    within = np.clip(chances, CLOSEST, 1 - CLOSEST)
    return np.column_stack([np.log(within), -np.log1p(-within), np.ones(len(within))])
