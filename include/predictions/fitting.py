"""Maximum likelihood with standard errors, and the reasons to refuse a fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from include.predictions.histories import Floats, Histories, OrderAmounts, summed
from include.predictions.models import PurchaseModel
from include.predictions.value import GammaGamma

Likelihood = Callable[[Floats], tuple[float, Floats]]
Flags = NDArray[np.bool_]

FARTHEST = 9.0
"""Logarithms of parameters are looked for from -9 to 9, from one in 8,000 to 8,000."""
TYPICAL_WEEKS = 40.0
SAMPLE_ABOVE = 20_000
SAMPLE_EVERY = 20
SHARED = 1000
NEWTON_STEPS = 8
NEAR_ENOUGH = 1e-4
"""Twice the log-likelihood that another of Newton's steps would find."""
STEP = 1e-5


@dataclass(frozen=True)
class Fit:
    """What came of fitting one model: its parameters by name, or why they cannot be used.

    Times are in weeks. `log_likelihood` is of all customers together and compares models of the
    same data. `refusal` is None for a fit that may be used.
    """

    model: str
    customers: int
    repeat_customers: int
    parameters: dict[str, float] = field(default_factory=dict)
    standard_errors: dict[str, float] = field(default_factory=dict)
    log_likelihood: float | None = None
    is_converged: bool = False
    iterations: int = 0
    value_correlation: float | None = None
    refusal: str | None = None

    @property
    def is_usable(self) -> bool:
        """Whether predictions may be made with it."""
        return self.refusal is None


def fit_purchases(model: PurchaseModel, histories: Histories, min_repeat_customers: int) -> Fit:
    """Fit a purchase model; refused when fewer customers than `min_repeat_customers` came back."""
    customers, repeaters = histories.customer_count, histories.repeat_customer_count
    refusal = _too_few(repeaters, min_repeat_customers)
    if refusal:
        return Fit(model.name, customers, repeaters, refusal=refusal)
    weeks = summed(histories.customers, histories.observed) / customers / TYPICAL_WEEKS
    start = [
        value * (weeks if name in model.scales else 1)
        for name, value in zip(model.parameters, model.start, strict=True)
    ]
    if len(histories) > SAMPLE_ABOVE:
        # A sample leads close to the top, at a small part of the price of each step.
        sample = _sample(histories)
        top = _climb(lambda values: model.likelihood(values, sample), start)
        top = _refine(lambda values: model.likelihood(values, histories), top)
    else:
        top = _climb(lambda values: model.likelihood(values, histories), start)
    return _judged(top, model.name, model.parameters, customers, repeaters)


def fit_amounts(amounts: OrderAmounts, min_repeat_customers: int) -> Fit:
    """Fit Gamma-Gamma; refused when too few came back, or when q <= 1: then there is no mean."""
    model = GammaGamma()
    customers = amounts.customer_count
    correlation = amounts.correlation()
    refusal = _too_few(customers, min_repeat_customers)
    if refusal is None and np.ptp(amounts.means) == 0:
        refusal = "every customer spends the same: there is nothing to fit"
    if refusal:
        return Fit(model.name, customers, customers, value_correlation=correlation, refusal=refusal)
    # Fitted in units of the typical amount, so that the search knows no currency.
    unit = model.start(amounts)[2]
    scaled = OrderAmounts(amounts.repeats, amounts.amounts / unit, amounts.customers)
    climbed = _climb(lambda values: model.likelihood(values, scaled), model.start(scaled))
    fit = _judged(climbed, model.name, model.parameters, customers, customers)
    if fit.is_usable and fit.parameters["q"] <= 1:
        fit = _refused(fit, f"q is {fit.parameters['q']:.3f}: at most 1, so there is no mean")
    return Fit(
        fit.model,
        customers,
        customers,
        fit.parameters | {"v": fit.parameters["v"] * unit},
        fit.standard_errors | {"v": fit.standard_errors["v"] * unit},
        # The density of amounts in money, not in units.
        fit.log_likelihood and fit.log_likelihood - customers * math.log(unit),
        fit.is_converged,
        fit.iterations,
        correlation,
        fit.refusal,
    )


@dataclass(frozen=True)
class _Top:
    """Where a climb ended, in logarithms of the parameters."""

    place: Floats
    log_likelihood: float
    gradient: Floats
    hessian: Floats
    iterations: int


def _climb(likelihood: Likelihood, start: Sequence[float] | Floats) -> _Top:
    """L-BFGS-B over logarithms of the parameters, then the matrix of second derivatives."""
    logs = np.log(np.asarray(start))
    scale = abs(likelihood(np.exp(logs))[0]) or 1.0

    def downhill(place: Floats) -> tuple[float, Floats]:
        value, gradient = _in_logs(likelihood, place)
        return -value / scale, -gradient / scale

    found = minimize(
        downhill,
        logs,
        jac=True,
        method="L-BFGS-B",
        bounds=[(-FARTHEST, FARTHEST)] * len(logs),
        options={"maxiter": 300, "ftol": 1e-13, "gtol": 1e-9},
    )
    place = np.asarray(found.x)
    return _topped(likelihood, place, *_in_logs(likelihood, place), int(found.nfev))


def _refine(likelihood: Likelihood, near: _Top) -> _Top:
    """From the top for a sample that stands for all to the top for all.

    Newton's steps with the sample's curvature, which is nearly that of all; if they do not lead
    there, the climb starts again from the sample's top. What came to lie at the bound of the search
    stays there, as long as it is not uphill from it.
    """
    held = _at_bound(near.place)
    free = np.flatnonzero(~held)
    covariance = np.zeros_like(near.hessian)
    try:
        covariance[np.ix_(free, free)] = np.linalg.inv(near.hessian[np.ix_(free, free)])
    except np.linalg.LinAlgError:
        return _climb(likelihood, np.exp(near.place))
    place, highest = near.place, -math.inf
    for step in range(1, NEWTON_STEPS + 1):
        value, gradient = _in_logs(likelihood, place)
        left = float(gradient @ covariance @ gradient)
        is_uphill = bool(np.any(gradient[held] * np.sign(place[held]) < 0))
        if value < highest or is_uphill or not 0 <= left < math.inf:
            break
        if left < NEAR_ENOUGH:
            return _topped(likelihood, place, value, gradient, near.iterations + step)
        place, highest = np.clip(place + covariance @ gradient, -FARTHEST, FARTHEST), value
    return _climb(likelihood, np.exp(near.place))


def _at_bound(place: Floats) -> Flags:
    """Which parameters lie where the search ends."""
    flags: Flags = np.abs(place) > FARTHEST - 0.01
    return flags


def _topped(
    likelihood: Likelihood, place: Floats, value: float, gradient: Floats, iterations: int
) -> _Top:
    """The curvature at a place from differences of the gradient."""
    slopes = [
        (gradient - _in_logs(likelihood, place + step)[1]) / STEP
        for step in np.eye(len(place)) * STEP
    ]
    hessian = np.array(slopes)
    return _Top(place, value, gradient, (hessian + hessian.T) / 2, iterations)


def _in_logs(likelihood: Likelihood, place: Floats) -> tuple[float, Floats]:
    """The log-likelihood at logarithms of the parameters, and its derivatives by them."""
    values = np.exp(place)
    value, gradient = likelihood(values)
    return value, gradient * values


def _judged(
    top: _Top, model: str, names: Sequence[str], customers: int, repeat_customers: int
) -> Fit:
    """A fit out of where the climb ended. Standard errors by the delta method: those of the
    logarithms, times the parameters."""
    values = np.exp(top.place)
    try:
        covariance = np.linalg.inv(top.hessian)
        variances = np.diag(covariance)
        # How much likelihood a Newton step would still find.
        left = 0.5 * float(top.gradient @ covariance @ top.gradient)
    except np.linalg.LinAlgError:
        variances, left = np.full(len(values), np.nan), math.inf
    with np.errstate(invalid="ignore"):
        relative = np.sqrt(variances)
    at_bound = [name for name, ends in zip(names, _at_bound(top.place), strict=True) if ends]
    is_converged = bool(np.all(variances > 0) and abs(left) < 0.01)
    refusal = None
    if at_bound:
        refusal = f"{' and '.join(at_bound)} at the bound of the search: not identified"
    elif not is_converged:
        refusal = "the search for the likeliest parameters did not converge"
    return Fit(
        model,
        customers,
        repeat_customers,
        dict(zip(names, map(float, values), strict=True)),
        dict(zip(names, map(float, values * relative), strict=True)),
        top.log_likelihood,
        is_converged,
        top.iterations,
        refusal=refusal,
    )


def _sample(histories: Histories) -> Histories:
    """The histories that most customers share, and every so many of the others, with the weight of
    all of them."""
    rare = histories.customers < np.partition(histories.customers, -SHARED)[-SHARED]
    others = np.flatnonzero(rare)
    chosen = others[::SAMPLE_EVERY]
    weight = histories.customers[others].sum() / histories.customers[chosen].sum()
    rows = np.concatenate([np.flatnonzero(~rare), chosen])
    sample = histories.rows(rows)
    return replace(sample, customers=np.where(rare[rows], weight, 1.0) * sample.customers)


def _refused(fit: Fit, why: str) -> Fit:
    return replace(fit, refusal=why)


def _too_few(repeat_customers: int, least: int) -> str | None:
    if repeat_customers >= least:
        return None
    return f"{repeat_customers} customers came back: at least {least} are needed"
