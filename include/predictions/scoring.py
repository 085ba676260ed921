"""What a fitted model says of each distinct history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from include.predictions.histories import DAYS_PER_WEEK, Floats, Histories
from include.predictions.models import PurchaseModel

SHORT_HORIZONS = (30, 90)
MONTHS = 12
YEAR_DAYS = 365


class Predictor(Protocol):
    """Something that predicts each history's future."""

    def p_alive(self, histories: Histories) -> Floats:
        """The chance to be alive today."""

    def p_order(self, histories: Histories, weeks: float | Floats) -> Floats:
        """The chance of at least one order in the coming weeks."""

    def expected_orders(self, histories: Histories, weeks: Sequence[float]) -> Floats:
        """Expected order days in so many coming weeks: a row for each, a column per history."""


@dataclass(frozen=True)
class Fitted:
    """A purchase model with its parameters."""

    model: PurchaseModel
    parameters: Mapping[str, float]

    def p_alive(self, histories: Histories) -> Floats:
        """The chance to be alive today."""
        return self.model.p_alive(self.parameters, histories)

    def p_order(self, histories: Histories, weeks: float | Floats) -> Floats:
        """The chance of at least one order in the coming weeks."""
        return self.model.p_order(self.parameters, histories, weeks)

    def expected_orders(self, histories: Histories, weeks: Sequence[float]) -> Floats:
        """Expected order days in so many coming weeks: a row for each, a column per history."""
        return self.model.expected_orders(self.parameters, histories, weeks)


def future(
    predictor: Predictor, histories: Histories, annual_discount_rate: float
) -> dict[str, Floats]:
    """Expected orders over the horizons, those of a year discounted, and when the next is due.

    Columns expected_orders_30d, _90d, _365d, discounted_orders_365d, days_to_next_order. Discounted
    by month, as Fader and Hardie have it: (E[Y(k)] - E[Y(k - 1)]) / (1 + d)^k.
    """
    days = [*SHORT_HORIZONS, *(YEAR_DAYS / MONTHS * month for month in range(1, MONTHS + 1))]
    expected = predictor.expected_orders(histories, [day / DAYS_PER_WEEK for day in days])
    soon, by_month = expected[: len(SHORT_HORIZONS)], expected[len(SHORT_HORIZONS) :]
    factors = (1 + annual_discount_rate) ** (-np.arange(1, MONTHS + 1) / MONTHS)
    columns = {
        f"expected_orders_{day}d": orders for day, orders in zip(SHORT_HORIZONS, soon, strict=True)
    }
    return columns | {
        "expected_orders_365d": by_month[-1],
        "discounted_orders_365d": np.einsum(
            "i,ij->j", factors, np.diff(by_month, axis=0, prepend=0)
        ),
        "days_to_next_order": median_days(predictor, histories),
    }


def median_days(predictor: Predictor, histories: Histories) -> Floats:
    """The day by which an order is as likely as not; NaN where none is within a year."""
    days = np.full(len(histories), np.nan)
    due = np.flatnonzero(predictor.p_order(histories, YEAR_DAYS / DAYS_PER_WEEK) >= 0.5)
    if not len(due):
        return days
    chosen = histories.rows(due)
    before, by = np.zeros(len(due)), np.full(len(due), float(YEAR_DAYS))
    while np.any(by - before > 1):
        middle = np.floor((before + by) / 2)
        # Histories differ in the day that is tried: each is watched until its own.
        is_due = predictor.p_order(chosen, middle / DAYS_PER_WEEK) >= 0.5
        before, by = np.where(is_due, before, middle), np.where(is_due, middle, by)
    days[due] = by
    return days
