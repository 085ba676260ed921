"""Fits find what histories were drawn from, whatever their order, and say when they cannot."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from include.predictions import fitting
from include.predictions.fitting import fit_amounts, fit_purchases
from include.predictions.histories import Histories, OrderAmounts
from include.predictions.models import MODELS
from tests.include.predictions.simulated import bought, bought_until_death, histories

DRAWN = {
    "bg_nbd": lambda: bought(20_000, seed=1, first_can_be_last=False),
    "mbg_nbd": lambda: bought(20_000, seed=2, first_can_be_last=True),
    "pareto_nbd": lambda: bought_until_death(20_000, seed=3),
}
TRUTH = {
    "bg_nbd": {"r": 0.8, "alpha": 6.0, "a": 0.9, "b": 2.5},
    "mbg_nbd": {"r": 0.8, "alpha": 6.0, "a": 0.9, "b": 2.5},
    "pareto_nbd": {"r": 0.8, "alpha": 6.0, "s": 0.7, "beta": 12.0},
}


@pytest.mark.parametrize("name", MODELS)
def test_a_fit_finds_what_its_customers_were_drawn_from(name):
    fit = fit_purchases(MODELS[name], DRAWN[name](), 50)
    assert fit.is_converged
    for parameter, true in TRUTH[name].items():
        error = fit.standard_errors[parameter]
        assert abs(fit.parameters[parameter] - true) < 3.5 * error
        assert error < true


@pytest.mark.parametrize("name", MODELS)
def test_many_histories_reach_the_same_top_by_way_of_a_sample(name, monkeypatch):
    known = DRAWN[name]()
    shown = fit_purchases(MODELS[name], known, 50)
    monkeypatch.setattr(fitting, "SAMPLE_ABOVE", len(known) + 1)
    climbed = fit_purchases(MODELS[name], known, 50)
    assert shown.log_likelihood == pytest.approx(climbed.log_likelihood, abs=0.01)
    for parameter, value in climbed.parameters.items():
        assert shown.parameters[parameter] == pytest.approx(value, rel=0.01)


@pytest.mark.parametrize("name", MODELS)
def test_neither_the_order_nor_the_grouping_of_customers_changes_a_fit(name):
    known = bought(1500, seed=5, first_can_be_last=True)
    twice = Histories(known.repeats, known.last, known.observed, known.customers * 2)
    shuffled = np.random.default_rng(0).permutation(np.repeat(np.arange(len(known)), 2))
    apart = replace(known.rows(shuffled), customers=known.customers[shuffled])
    together, one_by_one = (fit_purchases(MODELS[name], some, 50) for some in (twice, apart))
    assert one_by_one.parameters == pytest.approx(together.parameters, rel=1e-3)
    assert one_by_one.log_likelihood == pytest.approx(together.log_likelihood, abs=1e-3)
    assert one_by_one.customers == together.customers


def test_standard_errors_shrink_with_the_root_of_the_number_of_customers():
    known = bought(1500, seed=5, first_can_be_last=True)
    four = Histories(known.repeats, known.last, known.observed, known.customers * 4)
    few, many = (fit_purchases(MODELS["mbg_nbd"], some, 50) for some in (known, four))
    for name, error in few.standard_errors.items():
        assert many.standard_errors[name] == pytest.approx(error / 2, rel=0.01)


def test_too_few_who_came_back_identify_nothing():
    fit = fit_purchases(MODELS["bg_nbd"], histories([(0, 0, 9)] * 60 + [(1, 3, 9)] * 49), 50)
    assert fit.refusal == "49 customers came back: at least 50 are needed"
    assert fit.parameters == {}


def test_without_any_drop_out_to_be_seen_a_is_at_its_bound():
    draw = np.random.default_rng(1)
    rows = []
    for rate in draw.gamma(2, 0.25, 2000):
        orders = np.cumsum(draw.exponential(1 / rate, 200))
        orders = orders[orders <= 50]
        rows.append((float(len(orders)), float(orders.max(initial=0)), 50.0))
    fit = fit_purchases(MODELS["bg_nbd"], histories(rows), 50)
    assert "at the bound of the search: not identified" in fit.refusal
    assert not fit.is_usable


def test_what_is_at_its_bound_for_a_sample_is_refused_for_all_without_another_climb(monkeypatch):
    draw = np.random.default_rng(1)
    rows = []
    for rate in draw.gamma(2, 0.25, 2000):
        orders = np.cumsum(draw.exponential(1 / rate, 200))
        orders = orders[orders <= 50]
        rows.append((float(len(orders)), float(orders.max(initial=0)), 50.0))
    everybody = histories(rows)
    climbed = fit_purchases(MODELS["bg_nbd"], everybody, 50)
    climbs = []
    climb = fitting._climb
    monkeypatch.setattr(fitting, "SAMPLE_ABOVE", 100)
    monkeypatch.setattr(fitting, "SHARED", 1)
    monkeypatch.setattr(fitting, "_climb", lambda *given: climbs.append(given) or climb(*given))
    fit = fit_purchases(MODELS["bg_nbd"], everybody, 50)
    assert len(climbs) == 1
    assert fit.refusal == climbed.refusal
    assert fit.log_likelihood == pytest.approx(climbed.log_likelihood, abs=0.01)


def test_equal_histories_are_refused_and_break_nothing():
    for model in MODELS.values():
        fit = fit_purchases(model, histories([(3, 20, 30)] * 100), 50)
        assert fit.refusal


def spent_by(customers: int, q: float) -> OrderAmounts:
    """Customers of Gamma-Gamma with p 6 and v 15, who came back one to five times."""
    draw = np.random.default_rng(2)
    repeats = draw.integers(1, 6, customers).astype(float)
    spent = draw.gamma(6 * repeats, 15 / draw.gamma(q, 1, customers))
    return OrderAmounts(repeats, spent, np.ones(customers))


def test_amounts_without_a_mean_are_refused():
    assert re.fullmatch(
        r"q is 0\.\d+: at most 1, so there is no mean",
        fit_amounts(spent_by(2000, q=0.7), 50).refusal,
    )


def test_too_few_amounts_and_equal_ones_are_refused():
    assert fit_amounts(spent_by(49, q=3.5), 50).refusal == (
        "49 customers came back: at least 50 are needed"
    )
    same = OrderAmounts(np.array([1.0, 2.0]), np.array([20.0, 40.0]), np.array([50.0, 50.0]))
    assert fit_amounts(same, 50).refusal == (
        "every customer spends the same: there is nothing to fit"
    )


def test_the_currency_changes_v_and_nothing_else():
    amounts = spent_by(2000, q=3.5)
    in_yen = replace(amounts, amounts=160 * amounts.amounts)
    euro, yen = (fit_amounts(some, 50) for some in (amounts, in_yen))
    assert yen.parameters["q"] == pytest.approx(euro.parameters["q"], rel=1e-3)
    assert yen.parameters["v"] == pytest.approx(160 * euro.parameters["v"], rel=1e-3)
    for name, true in {"p": 6, "q": 3.5, "v": 15}.items():
        assert abs(euro.parameters[name] - true) < 3.5 * euro.standard_errors[name]
