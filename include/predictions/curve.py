"""The non-parametric fallback: the share that orders again within N days, given the silence so far.

Kaplan and Meier's estimate (Journal of the American Statistical Association 53, 1958) of how long a
gap between two order days lasts, once for the first gap of all and once for the later ones, in
which silences that still last count for as long as they have lasted. It knows a customer's silence
and whether they ever came back, nothing else; any model has to be better than it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from include.predictions.histories import DAYS_PER_WEEK, Floats, Gaps, Histories, summed

Bools = NDArray[np.bool_]


class Curve:
    """Survival of gaps, by day: `first` for customers with one order day, `later` for others.

    Where one of the two has never been closed by an order, the curve of all gaps stands in for it.
    """

    name: ClassVar[str] = "curve"

    def __init__(self, gaps: Gaps) -> None:
        everything = np.ones(len(gaps.days), dtype=np.bool_)
        self.first = _survival(gaps, _closed_or(gaps, gaps.is_first, everything))
        self.later = _survival(gaps, _closed_or(gaps, ~gaps.is_first, everything))

    def p_alive(self, histories: Histories) -> Floats:
        """The share that has ever ordered again after such a silence."""
        longest = max(len(self.first), len(self.later)) / DAYS_PER_WEEK
        return self.p_order(histories, longest)

    def p_order(self, histories: Histories, weeks: float | Floats) -> Floats:
        """The chance of at least one order in the coming weeks, per history."""
        days = np.broadcast_to(np.rint(np.asarray(weeks) * DAYS_PER_WEEK), len(histories))
        chances = np.empty(len(histories))
        for curve, silence, rows in self._tracks(histories):
            chances[rows] = _ended(curve, silence, days[rows])
        return chances

    def expected_orders(self, histories: Histories, weeks: Sequence[float]) -> Floats:
        """Expected order days in so many coming weeks: a renewal process of later gaps.

        One row for each of `weeks`, one column for each history.
        """
        horizons = [round(length * DAYS_PER_WEEK) for length in weeks]
        renewals = _renewals(self.later, max(horizons))
        expected = np.empty((len(weeks), len(histories)))
        for curve, silence, rows in self._tracks(histories):
            distinct, places = np.unique(silence, return_inverse=True)
            ended = [_ended(curve, distinct, day) for day in range(max(horizons) + 1)]
            on_day = np.diff(ended, axis=0)
            for number, horizon in enumerate(horizons):
                orders = 1 + renewals[:horizon][::-1]
                expected[number, rows] = np.einsum("i,ij->j", orders, on_day[:horizon])[places]
        return expected

    def _tracks(self, histories: Histories) -> Iterator[tuple[Floats, Floats, Bools]]:
        """The two curves, each with the silence in days of its histories, and which these are."""
        silence = np.rint((histories.observed - histories.last) * DAYS_PER_WEEK)
        once = histories.repeats == 0
        yield self.first, silence[once], once
        yield self.later, silence[~once], ~once


def _closed_or(gaps: Gaps, wanted: Bools, otherwise: Bools) -> Bools:
    return wanted if bool(np.any(gaps.is_closed & wanted)) else otherwise


def _survival(gaps: Gaps, rows: Bools) -> Floats:
    """The share of gaps that last longer than 0, 1, 2, ... days."""
    days, closed, customers = gaps.days[rows], gaps.is_closed[rows], gaps.customers[rows]
    if len(days) == 0:
        return np.ones(1)
    length = int(days.max()) + 1
    ended = np.bincount(days, customers * closed, length)
    at_risk = np.cumsum(np.bincount(days, customers, length)[::-1])[::-1]
    lasting: Floats = np.cumprod(1 - ended / at_risk).astype(np.float64)
    return lasting


def _ended(curve: Floats, silence: Floats, days: float | Floats) -> Floats:
    """The chance that a gap that has lasted for so long ends within so many more days."""
    last = len(curve) - 1
    now = curve[np.minimum(silence, last).astype(np.intp)]
    then = curve[np.minimum(silence + days, last).astype(np.intp)]
    return np.divide(now - then, now, out=np.zeros(len(now)), where=now > 0)


def _renewals(curve: Floats, horizon: int) -> Floats:
    """Expected order days within 0, 1, ... days after an order."""
    day = np.arange(horizon + 1)
    gap = np.append(0.0, -np.diff(curve[np.minimum(day, len(curve) - 1)]))
    expected = np.zeros(horizon + 1)
    for n in range(1, horizon + 1):
        expected[n] = summed(gap[1 : n + 1], 1 + expected[:n][::-1])
    return expected
