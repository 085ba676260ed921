"""What a fit needs of a shop's customers: distinct histories, amounts and gaps, with counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DAYS_PER_WEEK = 7.0


@dataclass(frozen=True)
class Histories:
    """Distinct purchase histories, times in weeks since a customer's first order.

    `repeats`: days with an order after the first day of all; `last`: when the latest of them was,
    0 without any; `observed`: how long the customer has been watched; `customers`: how many share
    the history. Four arrays of one length.
    """

    repeats: Floats
    last: Floats
    observed: Floats
    customers: Floats

    @classmethod
    def of_days(cls, columns: Mapping[str, Any]) -> Histories:
        """From columns that count days, as `int_purchase_histories` has them."""
        return cls(
            _floats(columns["repeat_count"]),
            _floats(columns["last_repeat_days"]) / DAYS_PER_WEEK,
            _floats(columns["observed_days"]) / DAYS_PER_WEEK,
            _floats(columns["customers"]),
        )

    def __len__(self) -> int:
        return len(self.repeats)

    @property
    def customer_count(self) -> int:
        """How many customers there are."""
        return int(self.customers.sum())

    @property
    def repeat_customer_count(self) -> int:
        """How many of them came back."""
        return int(self.customers[self.repeats > 0].sum())

    @cached_property
    def distinct_repeats(self) -> tuple[Floats, NDArray[np.intp]]:
        """The distinct numbers of repeats, and the place among them of each history's.

        There are few, so that what depends on nothing else (gamma functions) is computed once each.
        """
        values, places = np.unique(self.repeats, return_inverse=True)
        return values, places.reshape(-1)

    def rows(self, chosen: slice | NDArray[np.intp]) -> Histories:
        """Some of the histories."""
        return Histories(
            self.repeats[chosen], self.last[chosen], self.observed[chosen], self.customers[chosen]
        )

    def watched_for(self, weeks: float | Floats) -> Histories:
        """The same histories after so many more weeks without an order."""
        return Histories(self.repeats, self.last, self.observed + weeks, self.customers)


@dataclass(frozen=True)
class OrderAmounts:
    """Distinct pairs of repeat order days and what they brought, of customers who came back."""

    repeats: Floats
    amounts: Floats
    customers: Floats

    @classmethod
    def of(cls, columns: Mapping[str, Any]) -> OrderAmounts:
        """From the columns repeat_count, repeat_amount and customers.

        An amount that is not above 0 has no logarithm: such a customer tells nothing about value.
        """
        repeats = _floats(columns["repeat_count"])
        amounts = _floats(columns["repeat_amount"])
        counted = (repeats > 0) & (amounts > 0)
        return cls(repeats[counted], amounts[counted], _floats(columns["customers"])[counted])

    @property
    def customer_count(self) -> int:
        """How many customers there are."""
        return int(self.customers.sum())

    @property
    def means(self) -> Floats:
        """The mean amount of each pair's order days."""
        return self.amounts / self.repeats

    def correlation(self) -> float | None:
        """Pearson's correlation of repeats and mean amount; None if either is the same for all.

        Gamma-Gamma assumes that there is none.
        """
        if self.customer_count < 2:
            return None
        return _correlation(self.repeats, self.means, self.customers)


@dataclass(frozen=True)
class Gaps:
    """Distinct gaps between two order days of one customer, in days, with counts.

    `is_first`: the gap between the first two; `is_closed`: an order ended it, otherwise it is the
    silence that still lasts.
    """

    days: NDArray[np.int64]
    is_first: NDArray[np.bool_]
    is_closed: NDArray[np.bool_]
    customers: Floats

    @classmethod
    def of(cls, closed: Mapping[str, Any], histories: Histories) -> Gaps:
        """From the columns days, is_first and customers of closed gaps, and everybody's silence."""
        silence = np.rint((histories.observed - histories.last) * DAYS_PER_WEEK).astype(np.int64)
        days = np.asarray(closed["days"], dtype=np.int64)
        return cls(
            np.concatenate([days, silence]),
            np.concatenate(
                [np.asarray(closed["is_first"], dtype=np.bool_), histories.repeats == 0]
            ),
            np.concatenate(
                [np.ones(len(days), dtype=np.bool_), np.zeros(len(silence), dtype=np.bool_)]
            ),
            np.concatenate([_floats(closed["customers"]), histories.customers]),
        )


def summed(weights: Floats, values: Floats) -> float:
    """The weighted sum, by one thread: BLAS has its threads wait for each other, busily."""
    return float(np.einsum("i,i", weights, values))


def _floats(column: Any) -> Floats:
    return np.asarray(column, dtype=np.float64)


def _correlation(first: Floats, second: Floats, weights: Floats) -> float | None:
    shares = weights / weights.sum()
    first, second = first - summed(shares, first), second - summed(shares, second)
    spread = np.sqrt(summed(shares, first**2) * summed(shares, second**2))
    return summed(shares, first * second) / spread if spread > 0 else None
