"""The purchase models: likelihood with its gradient, chance to be alive, expected orders.

BG/NBD: Fader, Hardie, Lee, Marketing Science 24 (2005). MBG/NBD: Batislam, Denizel, Filiztekin,
International Journal of Research in Marketing 24 (2007). Pareto/NBD: Schmittlein, Morrison,
Colombo, Management Science 33 (1987). In all of them a customer buys at a rate of their own, gamma
distributed (r, alpha), until they drop out unseen.

Each likelihood is a sum of two terms, kept as logarithms: still alive at the end, or dropped out at
some time after the last order. All else follows: the chance to be alive is the first term's share,
and the chance of no order for some time is the likelihood after that time over the one today.
Times are in weeks, and so are the scales alpha and beta.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import betaln, digamma, gammaln

from include.predictions.histories import Floats, Histories, summed

JACOBI_NODES = 24
LEGENDRE_NODES = 16
ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Terms:
    """Log-likelihood of each history as that of the alive and that of those who dropped out."""

    alive: Floats
    gone: Floats

    @property
    def total(self) -> Floats:
        """The log-likelihood."""
        return self.split()[0]

    @property
    def p_alive(self) -> Floats:
        """The chance to be alive at the end."""
        return 1 - self.split()[1]

    def split(self) -> tuple[Floats, Floats]:
        """The log-likelihood, and the share in it of those who dropped out."""
        rest = np.exp(-np.abs(self.gone - self.alive))
        whole = 1 + rest
        gone = np.where(self.gone > self.alive, 1.0, rest) / whole
        return np.maximum(self.alive, self.gone) + np.log(whole), gone


class PurchaseModel(ABC):
    """One model; its parameters are positive and are handed over in the order of their names."""

    name: ClassVar[str]
    parameters: ClassVar[tuple[str, ...]]
    start: ClassVar[tuple[float, ...]]
    """Where a fit begins when the time that histories were observed is about 40 weeks."""
    scales: ClassVar[tuple[str, ...]]
    """The parameters that are times."""

    @abstractmethod
    def terms(self, parameters: Floats, histories: Histories) -> Terms:
        """The log-likelihood of each history."""

    @abstractmethod
    def likelihood(self, parameters: Floats, histories: Histories) -> tuple[float, Floats]:
        """The log-likelihood of all customers, and its derivative by each parameter."""

    @abstractmethod
    def orders_if_alive(
        self, parameters: Floats, histories: Histories, weeks: Sequence[float]
    ) -> Floats:
        """Expected orders in so many coming weeks of customers of each history, were they alive.

        One row for each of `weeks`, one column for each history.
        """

    def expected_orders(
        self, parameters: Mapping[str, float], histories: Histories, weeks: Sequence[float]
    ) -> Floats:
        """E[Y(weeks)]: expected order days in so many coming weeks.

        One row for each of `weeks`, one column for each history.
        """
        values = self.in_order(parameters)
        alive = self.terms(values, histories).p_alive
        return alive * self.orders_if_alive(values, histories, weeks)

    def p_alive(self, parameters: Mapping[str, float], histories: Histories) -> Floats:
        """The chance to be alive, per history."""
        return self.terms(self.in_order(parameters), histories).p_alive

    def p_order(
        self, parameters: Mapping[str, float], histories: Histories, weeks: float | Floats
    ) -> Floats:
        """The chance of an order in the coming weeks, per history; `weeks` may be too."""
        values = self.in_order(parameters)
        now = self.terms(values, histories).total
        later = self.terms(values, histories.watched_for(weeks)).total
        return np.clip(-np.expm1(later - now), 0.0, 1.0)

    def in_order(self, parameters: Mapping[str, float]) -> Floats:
        """Named parameters as an array."""
        return np.array([parameters[name] for name in self.parameters])


class BetaGeometric(PurchaseModel):
    """BG/NBD: after every repeat order a customer drops out with a chance that is beta (a, b)."""

    name = "bg_nbd"
    parameters = ("r", "alpha", "a", "b")
    start = (0.5, 6.0, 0.8, 2.5)
    scales = ("alpha",)
    first_chances: ClassVar[int] = 0
    """Chances to drop out that came with the very first order."""

    def terms(self, parameters: Floats, histories: Histories) -> Terms:
        """The log-likelihood of each history."""
        r, alpha, a, b = parameters
        repeats, places = histories.distinct_repeats
        chances = repeats + self.first_chances
        survived = (
            gammaln(r + repeats)
            - gammaln(r)
            + r * np.log(alpha)
            + betaln(a, b + chances)
            - betaln(a, b)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            # Without a chance nobody drops out.
            dropped = survived + np.where(chances > 0, np.log(a / (b + chances - 1)), -np.inf)
        power = r + histories.repeats
        return Terms(
            survived[places] - power * np.log(alpha + histories.observed),
            dropped[places] - power * np.log(alpha + histories.last),
        )

    def likelihood(self, parameters: Floats, histories: Histories) -> tuple[float, Floats]:
        """The log-likelihood of all customers, and its derivative by r, alpha, a and b."""
        r, alpha, a, b = parameters
        total, gone = self.terms(parameters, histories).split()
        weights = histories.customers
        alive = 1 - gone
        end, last = alpha + histories.observed, alpha + histories.last
        repeats, places = histories.distinct_repeats
        chances = repeats + self.first_chances
        # Per distinct number of repeats: all customers, and those of them expected to be gone.
        customers = np.bincount(places, weights, len(repeats))
        lost = np.bincount(places, weights * gone, len(repeats))
        fewer = np.maximum(b + chances - 1, b)
        shared = digamma(a + b) - digamma(a + b + chances)
        by_r = customers @ (digamma(r + repeats) - digamma(r) + np.log(alpha))
        by_r -= summed(weights, alive * np.log(end) + gone * np.log(last))
        by_alpha = customers.sum() * r / alpha
        by_alpha -= summed(weights * (r + histories.repeats), alive / end + gone / last)
        by_a = customers @ shared + lost.sum() / a
        by_b = customers @ (shared + digamma(b + chances) - digamma(b)) - lost @ (1 / fewer)
        return summed(weights, total), np.array([by_r, by_alpha, by_a, by_b])

    def orders_if_alive(
        self, parameters: Floats, histories: Histories, weeks: Sequence[float]
    ) -> Floats:
        """Expected orders in so many coming weeks of customers of each history, were they alive.

        Given rate and chance p, orders come until the first drop-out: (1 - e^(-rate p t)) / p.
        Its mean over the rate is closed, over p a Gauss-Jacobi sum; the closed form with 2F1 is
        singular at a = 1 and overflows for frequent buyers.
        """
        r, alpha, a, b = parameters
        repeats, places = histories.distinct_repeats
        chance, weight = beta_quadrature(a, b + repeats + self.first_chances)
        weight /= chance
        expected = np.empty((len(weeks), len(histories)))
        for rows in _slices(len(histories)):
            p, share = chance[places[rows]], weight[places[rows]]
            power = (r + histories.repeats[rows])[:, None]
            per_week = p / (alpha + histories.observed[rows])[:, None]
            for number, length in enumerate(weeks):
                orders = -np.expm1(-power * np.log1p(per_week * length))
                expected[number, rows] = np.einsum("ij,ij->i", share, orders)
        return expected


class ModifiedBetaGeometric(BetaGeometric):
    """MBG/NBD: the very first order too may have been the last."""

    name = "mbg_nbd"
    first_chances = 1


class Pareto(PurchaseModel):
    """Pareto/NBD: a customer drops out at a rate of their own, gamma distributed (s, beta)."""

    name = "pareto_nbd"
    parameters = ("r", "alpha", "s", "beta")
    start = (0.6, 10.0, 0.6, 10.0)
    scales = ("alpha", "beta")

    def terms(self, parameters: Floats, histories: Histories) -> Terms:
        """The log-likelihood of each history."""
        shared, alive = self._alive(parameters, histories)
        gone = np.concatenate(
            [_dropout(parameters, histories, rows)[0] for rows in _slices(len(histories))]
            or [np.empty(0)]
        )
        return Terms(alive, shared + gone)

    def likelihood(self, parameters: Floats, histories: Histories) -> tuple[float, Floats]:
        """The log-likelihood of all customers, and its derivative by r, alpha, s and beta."""
        r, alpha, s, beta = parameters
        shared, alive = self._alive(parameters, histories)
        weights = histories.customers
        repeats, places = histories.distinct_repeats
        customers = np.bincount(places, weights, len(repeats))
        everybody = customers.sum()
        value = 0.0
        gradient = np.array(
            [
                customers @ (digamma(r + repeats) - digamma(r) + np.log(alpha)),
                everybody * r / alpha,
                everybody * np.log(beta),
                everybody * s / beta,
            ]
        )
        for rows in _slices(len(histories)):
            gone, by_parameter = _dropout(parameters, histories, rows)
            total, share = Terms(alive[rows], shared[rows] + gone).split()
            weight = weights[rows]
            value += summed(weight, total)
            lost = weight * share
            kept = weight - lost
            end = histories.observed[rows]
            power = r + histories.repeats[rows]
            gradient += np.einsum("i,ji->j", lost, by_parameter)
            gradient -= [
                summed(kept, np.log(alpha + end)),
                summed(kept, power / (alpha + end)),
                summed(kept, np.log(beta + end)),
                summed(kept, s / (beta + end)),
            ]
        return value, gradient

    def orders_if_alive(
        self, parameters: Floats, histories: Histories, weeks: Sequence[float]
    ) -> Floats:
        """Expected orders in so many coming weeks of customers of each history, were they alive."""
        r, alpha, s, beta = parameters
        end = beta + histories.observed
        stay = np.log1p(np.divide.outer(np.asarray(weeks), end))
        # (1 - e^(-(s - 1) stay)) / (s - 1), which is `stay` where s is 1.
        reach = stay if abs(s - 1) < 1e-9 else -np.expm1(-(s - 1) * stay) / (s - 1)
        orders: Floats = (r + histories.repeats) / (alpha + histories.observed) * end * reach
        return orders

    @staticmethod
    def _alive(parameters: Floats, histories: Histories) -> tuple[Floats, Floats]:
        """What both terms share, and the term of the alive."""
        r, alpha, s, beta = parameters
        repeats, places = histories.distinct_repeats
        shared = gammaln(r + repeats) - gammaln(r) + r * np.log(alpha) + s * np.log(beta)
        shared = shared[places]
        return shared, (
            shared
            - (r + histories.repeats) * np.log(alpha + histories.observed)
            - s * np.log(beta + histories.observed)
        )


def _dropout(parameters: Floats, histories: Histories, rows: slice) -> tuple[Floats, Floats]:
    """Log of the integral, from the last order to the end, over the time of dropping out.

    s (alpha + u)^-(r + x) (beta + u)^-(s + 1): a sum of positive parts, so nothing cancels, unlike
    in the closed form with two 2F1. The nodes are equally spread in the logarithm of time, whose
    unit is how fast the integrand falls at first. Also its derivatives by the four parameters.
    """
    r, alpha, s, beta = parameters
    last, length = histories.last[rows], histories.observed[rows] - histories.last[rows]
    power = r + histories.repeats[rows]
    fall = power / (alpha + last) + (s + 1) / (beta + last)
    reach = np.log1p(fall * length)
    node, weight = _LEGENDRE
    # A row per node, a column per history: numpy works along rows, and sixteen nodes are no length.
    spread = np.multiply.outer(node, reach)
    time = np.exp(spread)
    time -= 1
    time *= 1 / fall
    time += last
    by_alpha, by_beta = alpha + time, beta + time
    log_alpha, log_beta = np.log(by_alpha), np.log(by_beta)
    logs = spread - power * log_alpha
    logs -= (s + 1) * log_beta
    highest = logs.max(axis=0)
    logs -= highest
    parts = np.exp(logs)
    parts *= weight[:, None]
    whole = parts.sum(axis=0)
    with np.errstate(divide="ignore"):
        # Without any time since the last order nobody can have dropped out.
        value = highest + np.log(whole * reach / fall * s)
    derivatives = np.array(
        [
            -np.einsum("ij,ij->j", parts, log_alpha),
            -power * (parts / by_alpha).sum(axis=0),
            -np.einsum("ij,ij->j", parts, log_beta),
            -(s + 1) * (parts / by_beta).sum(axis=0),
        ]
    )
    derivatives /= whole
    derivatives[2] += 1 / s
    return value, derivatives


def beta_quadrature(a: float, b: Floats) -> tuple[Floats, Floats]:
    """Nodes and weights of Gauss-Jacobi sums that average over Beta(a, b), one row for each b.

    Golub and Welsch, Mathematics of Computation 23 (1969): the eigenvalues of the recurrence's
    matrix, and the squared first parts of its eigenvectors.
    """
    upper, lower = b[:, None] - 1, a - 1
    n = np.arange(1, JACOBI_NODES)
    both = 2 * n + upper + lower
    diagonal = np.empty((len(b), JACOBI_NODES))
    diagonal[:, 0] = (lower - upper[:, 0]) / (upper[:, 0] + lower + 2)
    diagonal[:, 1:] = (lower**2 - upper**2) / (both * (both + 2))
    # For n = 1 two factors cancel that may both be 0.
    ratio = np.ones_like(both)
    ratio[:, 1:] = (n[1:] + upper + lower) / (both[:, 1:] - 1)
    beside = np.sqrt(4 * n * (n + upper) * (n + lower) * ratio / (both**2 * (both + 1)))
    matrices = np.zeros((len(b), JACOBI_NODES, JACOBI_NODES))
    place = np.arange(JACOBI_NODES)
    matrices[:, place, place] = diagonal
    matrices[:, place[1:], place[:-1]] = beside
    roots, vectors = np.linalg.eigh(matrices)
    return np.maximum((1 + roots) / 2, 1e-15), vectors[:, 0, :] ** 2


def _slices(length: int) -> list[slice]:
    """Rows taken together, so that their nodes stay in the cache."""
    return [slice(first, first + ROWS_AT_ONCE) for first in range(0, length, ROWS_AT_ONCE)]


def _legendre() -> tuple[Floats, Floats]:
    """Gauss-Legendre nodes and weights on [0, 1]."""
    node, weight = np.polynomial.legendre.leggauss(LEGENDRE_NODES)
    return (1 + node) / 2, weight / 2


_LEGENDRE = _legendre()

MODELS: dict[str, PurchaseModel] = {
    model.name: model for model in (BetaGeometric(), ModifiedBetaGeometric(), Pareto())
}
