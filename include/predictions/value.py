"""What an order day is worth: the Gamma-Gamma model.

Fader, Hardie: The Gamma-Gamma Model of Monetary Value (2013), brucehardie.com/notes/025. What a
customer spends on an order day is gamma distributed with shape p and a scale of their own, which is
gamma distributed (q, v). It does not depend on how often they order; the correlation says whether
that holds. An order's mean exists only for q > 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from scipy.special import digamma, gammaln

from include.predictions.histories import Floats, OrderAmounts, summed


class GammaGamma:
    """The likelihood of mean amounts, of customers who came back; v is an amount of money."""

    name: ClassVar[str] = "gamma_gamma"
    parameters: ClassVar[tuple[str, ...]] = ("p", "q", "v")

    def start(self, amounts: OrderAmounts) -> tuple[float, ...]:
        """Where a fit begins: of the amounts' own size, whatever the currency."""
        mean = summed(amounts.customers, amounts.means) / float(amounts.customers.sum())
        return 5.0, 3.5, 0.5 * mean

    def likelihood(self, parameters: Floats, amounts: OrderAmounts) -> tuple[float, Floats]:
        """The log-likelihood of all customers, and its derivative by p, q and v."""
        p, q, v = parameters
        weights = amounts.customers
        repeats, places = np.unique(amounts.repeats, return_inverse=True)
        customers: Floats = np.bincount(places.reshape(-1), weights, len(repeats)).astype(float)
        shape = p * amounts.repeats
        log_sum = np.log(amounts.amounts + v)
        by_customer = (
            (shape - 1) * np.log(amounts.means)
            + shape * np.log(amounts.repeats)
            - (shape + q) * log_sum
        )
        by_repeats: Floats = (
            gammaln(p * repeats + q) - gammaln(p * repeats) - gammaln(q) + q * np.log(v)
        )
        by_p = (customers * repeats) @ (digamma(p * repeats + q) - digamma(p * repeats))
        by_p += summed(weights * amounts.repeats, np.log(amounts.amounts) - log_sum)
        by_q = customers @ (digamma(p * repeats + q) - digamma(q) + np.log(v))
        by_q -= summed(weights, log_sum)
        by_v = weights.sum() * q / v - summed(weights, (shape + q) / (amounts.amounts + v))
        value = summed(weights, by_customer) + summed(customers, by_repeats)
        return value, np.array([by_p, by_q, by_v])

    def expected_amount(
        self, parameters: Mapping[str, float], repeats: Floats, amounts: Floats
    ) -> Floats:
        """The expected amount of an order day, given repeats and what they brought in all."""
        p, q, v = (parameters[name] for name in self.parameters)
        return p * (v + amounts) / (p * repeats + q - 1)
