"""Chances that turned out too high or too low, put right by what happened in the hold-out window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from include.predictions.histories import Floats, summed

CLOSEST = 1e-6
STEPS = 50


@dataclass(frozen=True)
class Calibration:
    """A line on the scale of log-odds: 0 and 1 leave every chance as it is."""

    intercept: float = 0.0
    slope: float = 1.0

    def apply(self, chances: Floats) -> Floats:
        """The calibrated chances. Their order is kept, as the slope is never negative."""
        return 1 / (1 + np.exp(-self.intercept - self.slope * _log_odds(chances)))


def calibrate(chances: Floats, customers: Floats, happened: Floats) -> Calibration:
    """The line that fits best what happened to `happened` of `customers` with equal chances.

    Platt's scaling by Newton's steps. A weak normal prior (standard deviation 1) about the line that
    changes nothing keeps it there for a shop with few customers, or with none who came back.
    """
    odds = _log_odds(chances)
    intercept, slope = 0.0, 1.0
    for _ in range(STEPS):
        expected = 1 / (1 + np.exp(-intercept - slope * odds))
        missed = happened - customers * expected
        spread = customers * expected * (1 - expected)
        gradient = np.array(
            [missed.sum() - intercept, summed(missed, odds) - (slope - 1)]
        )
        curvature = np.array(
            [
                [spread.sum() + 1, summed(spread, odds)],
                [summed(spread, odds), summed(spread, odds**2) + 1],
            ]
        )
        step = np.linalg.solve(curvature, gradient)
        # A step too far would leave the region where the curvature means anything.
        step /= max(1.0, float(np.abs(step).max()))
        intercept, slope = intercept + step[0], slope + step[1]
        if np.abs(step).max() < 1e-10:
            break
    return Calibration(float(intercept), max(0.0, float(slope)))


def _log_odds(chances: Floats) -> Floats:
    within = np.clip(chances, CLOSEST, 1 - CLOSEST)
    return np.log(within / (1 - within))
