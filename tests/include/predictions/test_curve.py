"""The curve counts gaps; calibration and the day of the next order keep to what they are told."""

from __future__ import annotations

import numpy as np
import pytest

from include.predictions.calibration import UNCHANGED, calibrate, calibrated
from include.predictions.curve import Curve
from include.predictions.histories import Gaps
from include.predictions.models import MODELS
from include.predictions.scoring import Fitted, future, median_days
from tests.include.predictions.simulated import histories, one

WEEK = 7


def curve_of(closed: list[tuple[int, bool]], silences: list[tuple[float, float, float]]) -> Curve:
    """From closed gaps in days, each with whether it was the first, and everybody's history."""
    columns = {
        "days": [days for days, _ in closed],
        "is_first": [is_first for _, is_first in closed],
        "customers": [1] * len(closed),
    }
    return Curve(Gaps.of(columns, histories(silences)))


def after(days: int) -> tuple[float, float, float]:
    """Somebody who bought once, so many days ago."""
    return (0, 0, days / WEEK)


def test_silences_that_still_last_count_for_as_long_as_they_have_lasted():
    # Of four first gaps one ends on day 10; two are watched on, and one of them ends on day 20.
    curve = curve_of([(10, True), (20, True)], [after(15), after(30)])
    chances = [curve.p_order(one(*after(0)), days / WEEK)[0] for days in (9, 10, 19, 20, 500)]
    assert chances == pytest.approx([0, 1 / 4, 1 / 4, 1 / 4 + 3 / 4 / 2, 1 / 4 + 3 / 4 / 2])


def test_who_has_been_silent_past_a_gap_is_judged_by_those_still_silent_then():
    curve = curve_of([(10, True), (20, True)], [after(15), after(30)])
    assert curve.p_order(one(*after(10)), 10 / WEEK)[0] == pytest.approx(1 / 2)
    assert curve.p_order(one(*after(20)), 300 / WEEK)[0] == 0
    assert curve.p_alive(one(*after(10)))[0] == pytest.approx(1 / 2)


def test_those_who_came_back_have_a_curve_of_their_own():
    curve = curve_of([(10, True), (3, False)], [after(30), (1, 10 / WEEK, 50 / WEEK)])
    assert curve.p_order(one(*after(0)), 5 / WEEK)[0] == 0
    assert curve.p_order(one(1, 4, 4), 5 / WEEK)[0] == pytest.approx(1 / 2)


def test_expected_orders_follow_one_another():
    # Every gap lasts seven days: four orders in thirty days, one in seven, none in six.
    curve = curve_of([(7, True), (7, False)], [])
    orders = curve.expected_orders(one(*after(0)), [6 / WEEK, 1, 30 / WEEK])[:, 0]
    assert orders == pytest.approx([0, 1, 4])


def test_a_calibration_makes_chances_agree_with_what_happened():
    draw = np.random.default_rng(3)
    chances = draw.random(4000)
    happened = (draw.random(4000) < chances**2).astype(float)
    line = calibrate(chances, np.ones(4000), happened)
    better = calibrated(chances, line)
    for low in (0.0, 0.25, 0.5, 0.75):
        group = (chances >= low) & (chances < low + 0.25)
        assert better[group].mean() == pytest.approx(happened[group].mean(), abs=0.04)
    assert (np.diff(better[np.argsort(chances)]) >= 0).all()


def test_without_anything_to_learn_from_a_calibration_changes_nothing():
    nothing = np.empty(0)
    line = calibrate(nothing, nothing, nothing)
    assert line == UNCHANGED
    assert calibrated(np.array([0.2, 0.9]), line) == pytest.approx([0.2, 0.9])


def test_a_calibration_never_turns_the_order_of_customers_round():
    line = calibrate(np.array([0.1, 0.9]), np.array([900.0, 900.0]), np.array([800.0, 100.0]))
    assert line["a"] == line["b"] == 0


def test_the_next_order_is_due_when_it_is_as_likely_as_not_and_never_for_the_lost():
    model = Fitted(MODELS["mbg_nbd"], {"r": 2.0, "alpha": 4.0, "a": 0.5, "b": 20.0})
    known = histories([(0, 0, 400), (10, 50, 51), (30, 50, 51)])
    days = median_days(model, known)
    assert np.isnan(days[0])
    assert 1 <= days[2] < days[1] < 60
    for number in (1, 2):
        before, by = (
            model.p_order(known, (days[number] + step) / WEEK)[number] for step in (-1, 0)
        )
        assert before < 0.5 <= by


def test_discounting_takes_off_what_comes_later():
    model = Fitted(MODELS["mbg_nbd"], {"r": 2.0, "alpha": 4.0, "a": 0.5, "b": 20.0})
    known = one(10, 50, 51)
    plain, discounted = (future(model, known, rate) for rate in (0.0, 0.10))
    assert plain["discounted_orders_365d"] == pytest.approx(plain["expected_orders_365d"])
    share = discounted["discounted_orders_365d"][0] / plain["expected_orders_365d"][0]
    assert 1 / 1.1 < share < 1
