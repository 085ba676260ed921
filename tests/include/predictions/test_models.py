"""The purchase models against printed figures, their closed forms, and finite differences."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from scipy.special import gammaln, hyp2f1
from scipy.stats import rankdata

from include.predictions.fitting import fit_amounts, fit_purchases
from include.predictions.histories import Histories
from include.predictions.models import MODELS
from include.predictions.value import GammaGamma
from tests.dbt_project.test_cdnow import FILE
from tests.include.predictions.simulated import (
    bought,
    cdnow,
    cdnow_days,
    histories,
    history,
    one,
)

EVERYBODY = 50
BG, MBG, PARETO = (MODELS[name] for name in ("bg_nbd", "mbg_nbd", "pareto_nbd"))
HISTORIES = histories(
    [(0, 0, 20), (0, 0, 1), (1, 3, 20), (7, 19, 20), (2, 20, 20), (150, 180, 190)]
)

published = pytest.mark.skipif(FILE is None, reason="the package lifetimes is not installed")


@published
@pytest.mark.parametrize(
    ("model", "parameters", "log_likelihood"),
    [
        # Fader, Hardie, Lee, Marketing Science 24 (2005), table 2.
        (BG, {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}, -9582.4),
        (PARETO, {"r": 0.553, "alpha": 10.578, "s": 0.606, "beta": 11.669}, -9595.0),
        # Fader, Hardie: Implementing the MBG/NBD, as its other implementations have it too.
        (MBG, {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614}, -9582.1),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_cdnow_s_parameters_are_those_printed(model, parameters, log_likelihood):
    known, _ = cdnow(FILE, date(1997, 9, 30))
    fit = fit_purchases(model, known, EVERYBODY)
    assert fit.is_usable
    assert fit.is_converged
    assert (fit.customers, fit.repeat_customers) == (2357, 946)
    assert {name: round(value, 3) for name, value in fit.parameters.items()} == parameters
    assert round(fit.log_likelihood, 1) == log_likelihood


@published
def test_cdnow_s_amounts_are_fitted_as_printed():
    _, amounts = cdnow(FILE, date(1997, 9, 30))
    fit = fit_amounts(amounts, EVERYBODY)
    assert {name: round(value, 2) for name, value in fit.parameters.items()} == {
        "p": 6.25,
        "q": 3.74,
        "v": 15.44,
    }
    assert fit.value_correlation == pytest.approx(0.11, abs=0.01)
    # Everybody's mean for somebody of whom nothing is known, then more and more their own.
    value = GammaGamma()
    means = [
        float(value.expected_amount(fit.parameters, np.array([x]), np.array([50.0 * x]))[0])
        for x in (0.0, 1.0, 10.0, 1000.0)
    ]
    assert means == sorted(means)
    assert means[0] == pytest.approx(6.25 * 15.44 / 2.74, rel=0.01)
    assert means[-1] == pytest.approx(50, rel=0.01)


@published
def test_the_expected_orders_of_a_customer_are_those_printed():
    known, _ = cdnow(FILE, date(1997, 9, 30))
    fit = fit_purchases(BG, known, EVERYBODY)
    expected = BG.expected_orders(fit.parameters, one(2, 30.43, 38.86), [39.0])
    assert expected[0, 0] == pytest.approx(1.226, abs=0.0005)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize(
    "values", [(0.5, 6.0, 0.8, 2.5), (1.4, 1.4, 0.02, 15.0), (3, 40, 2.5, 0.3)]
)
def test_the_gradient_is_what_finite_differences_find(model, values):
    place = np.array(values)
    _, gradient = model.likelihood(place, HISTORIES)
    for number, step in enumerate(np.diag(place) * 1e-6):
        ahead, behind = (model.likelihood(place + sign * step, HISTORIES)[0] for sign in (1, -1))
        slope = (ahead - behind) / (2 * step[number])
        assert gradient[number] == pytest.approx(slope, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_likelihood_of_all_is_that_of_each(model):
    place = model.in_order(dict(zip(model.parameters, model.start, strict=True)))
    total, _ = model.likelihood(place, HISTORIES)
    assert total == pytest.approx(model.terms(place, HISTORIES).total @ HISTORIES.customers)


@pytest.mark.parametrize("weeks", [4.0, 52.0, 300.0])
@pytest.mark.parametrize("model", [BG, MBG], ids=["bg_nbd", "mbg_nbd"])
def test_expected_orders_are_those_of_the_closed_form(model, weeks):
    r, alpha, a, b = place = np.array([0.8, 6.0, 1.7, 2.5])
    x, end = HISTORIES.repeats, alpha + HISTORIES.observed
    k = x + model.first_chances
    power = hyp2f1(r + x, b + k, a + b + k - 1, weeks / (end + weeks))
    closed = (a + b + k - 1) / (a - 1) * (1 - (end / (end + weeks)) ** (r + x) * power)
    assert model.orders_if_alive(place, HISTORIES, [weeks])[0] == pytest.approx(closed, rel=1e-6)


def test_pareto_s_likelihood_is_that_of_the_closed_form():
    r, alpha, s, beta = place = np.array([0.55, 10.6, 0.6, 9.7])
    # Of a hundred and fifty orders the closed form is 0, in floating point.
    known = HISTORIES.rows(slice(0, 5))
    x, last, end = known.repeats, known.last, known.observed

    def part(time):
        shape = hyp2f1(r + s + x, s + 1, r + s + x + 1, (alpha - beta) / (alpha + time))
        return shape / (alpha + time) ** (r + s + x)

    alive = (alpha + end) ** -(r + x) * (beta + end) ** -s
    closed = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta)
    closed += np.log(alive + s / (r + s + x) * (part(last) - part(end)))
    assert PARETO.terms(place, known).total == pytest.approx(closed, rel=1e-6)


def test_bg_nbd_takes_everybody_who_bought_once_for_alive_and_the_others_do_not():
    alive = {
        model.name: model.terms(np.array(model.start), one(0, 0, 200)).p_alive[0]
        for model in MODELS.values()
    }
    assert alive["bg_nbd"] == 1
    assert alive["mbg_nbd"] < 0.6
    assert alive["pareto_nbd"] < 0.6


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_chance_of_an_order_is_what_a_simulation_finds(model):
    draw = np.random.default_rng(7)
    r, alpha, *others = model.start
    x, last, end, weeks, n = 2, 10.0, 20.0, 12.0, 400_000
    rate = draw.gamma(r + x, 1 / alpha, n)
    # Importance weights: gamma(r + x, alpha) carries rate^x already, the rest is the chance of no
    # order since, in each way to drop out.
    if model is PARETO:
        death = draw.gamma(others[0], 1 / others[1], n)
        gone = (
            death
            / (rate + death)
            * (np.exp(-(rate + death) * last) - np.exp(-(rate + death) * end))
        )
        alive = np.exp(-(rate + death) * end)
        chance = rate / (rate + death) * -np.expm1(-(rate + death) * weeks)
        orders = rate / death * -np.expm1(-death * weeks)
    else:
        drop = draw.beta(*others, n)
        k = x + model.first_chances
        gone = drop * (1 - drop) ** (k - 1) * np.exp(-rate * last)
        alive = (1 - drop) ** k * np.exp(-rate * end)
        chance = -np.expm1(-rate * weeks)
        orders = -np.expm1(-rate * drop * weeks) / drop
    whole = (alive + gone).sum()
    parameters = dict(zip(model.parameters, model.start, strict=True))
    known = one(x, last, end)
    assert model.p_alive(parameters, known)[0] == pytest.approx(alive.sum() / whole, abs=0.01)
    assert model.p_order(parameters, known, weeks)[0] == pytest.approx(
        (alive * chance).sum() / whole, abs=0.01
    )
    assert model.expected_orders(parameters, known, [weeks])[0, 0] == pytest.approx(
        (alive * orders).sum() / whole, abs=0.02
    )


def test_frequent_buyers_overflow_nothing():
    known = histories([(2000, 519, 520), (500, 100, 520)])
    for model in MODELS.values():
        parameters = dict(zip(model.parameters, model.start, strict=True))
        assert np.isfinite(model.terms(np.array(model.start), known).total).all()
        gone, active = model.expected_orders(parameters, known, [52.0])[0]
        assert 0 <= gone < 1e-6
        assert 20 < active < 210


def test_histories_of_many_customers_are_those_of_each(monkeypatch):
    known = bought(500, seed=3, first_can_be_last=False)
    place = np.array(PARETO.start)
    whole = PARETO.likelihood(place, known)
    monkeypatch.setattr("include.predictions.models.ROWS_AT_ONCE", 7)
    parts = PARETO.likelihood(place, known)
    assert parts[0] == pytest.approx(whole[0])
    assert parts[1] == pytest.approx(whole[1])


@published
@pytest.mark.parametrize(
    ("model", "by_p_alive", "by_orders"),
    [(BG, 0.316, 0.773), (MBG, 0.687, 0.773), (PARETO, 0.726, 0.779)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_who_buys_again_is_ranked_well_by_orders_and_never_by_bg_nbd_s_p_alive(
    model, by_p_alive, by_orders
):
    until = date(1997, 9, 30)
    known, _ = cdnow(FILE, until)
    parameters = fit_purchases(model, known, EVERYBODY).parameters
    days = list(cdnow_days(FILE).values())
    past = [history((day for day in customer if day <= until), until) for customer in days]
    repeats, last, observed = np.array(past).T
    everybody = Histories(repeats, last, observed, np.ones(len(past)))
    is_back = np.array([max(customer) > until for customer in days])
    alive = model.p_alive(parameters, everybody)
    orders = model.expected_orders(parameters, everybody, [39.0])[0]
    assert area(is_back, alive) == pytest.approx(by_p_alive, abs=0.001)
    assert area(is_back, orders) == pytest.approx(by_orders, abs=0.001)


def area(is_back, scores):
    """The share of pairs, one who came back and one who did not, that are ranked right."""
    ranks = rankdata(scores)[is_back]
    return (ranks.mean() - (len(ranks) + 1) / 2) / (~is_back).sum()
