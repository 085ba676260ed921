"""Shops that behave exactly as a model says, and the histories of real ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

import numpy as np

from include.predictions.histories import Histories, OrderAmounts


def histories(rows: Sequence[tuple[float, float, float]]) -> Histories:
    """Distinct histories (repeats, weeks to the last, weeks observed) with their counts."""
    counted = sorted(Counter(rows).items())
    repeats, last, observed = np.array([row for row, _ in counted], dtype=float).reshape(-1, 3).T
    return Histories(repeats, last, observed, np.array([float(count) for _, count in counted]))


def one(repeats: float, last: float, observed: float) -> Histories:
    """The history of one customer."""
    return histories([(repeats, last, observed)])


def history(days: Iterable[date], until: date) -> tuple[float, float, float]:
    """The history of a customer with an order on these days, as known at the end of a day."""
    first, *repeats = sorted(days)
    last = max(repeats, default=first)
    return (float(len(repeats)), (last - first).days / 7, (until - first).days / 7)


def bought(customers: int, seed: int, *, first_can_be_last: bool) -> Histories:
    """Customers of BG/NBD or MBG/NBD: r 0.8, alpha 6, a 0.9, b 2.5, watched for 30 to 78 weeks."""
    draw = np.random.default_rng(seed)
    rows = []
    for rate, chance, observed in zip(
        draw.gamma(0.8, 1 / 6.0, customers),
        draw.beta(0.9, 2.5, customers),
        draw.uniform(30, 78, customers),
        strict=True,
    ):
        repeats, last = 0, 0.0
        is_alive = not first_can_be_last or draw.random() > chance
        while is_alive:
            order = last + draw.exponential(1 / rate)
            if order > observed:
                break
            repeats, last = repeats + 1, order
            is_alive = draw.random() > chance
        rows.append((float(repeats), last, observed))
    return histories(rows)


def bought_until_death(customers: int, seed: int) -> Histories:
    """Customers of Pareto/NBD with r 0.8, alpha 6, s 0.7, beta 12, watched for 30 to 78 weeks."""
    draw = np.random.default_rng(seed)
    observed = draw.uniform(30, 78, customers)
    life = np.minimum(draw.exponential(1 / draw.gamma(0.7, 1 / 12.0, customers)), observed)
    counts = draw.poisson(draw.gamma(0.8, 1 / 6.0, customers) * life)
    # Of so many orders spread evenly over the life, the last one.
    last = np.where(counts > 0, life * draw.random(customers) ** (1 / np.maximum(counts, 1)), 0.0)
    return histories(list(zip(counts.astype(float), last, observed, strict=True)))


def cdnow_days(file: Path) -> dict[str, dict[date, float]]:
    """What each customer of CDNOW's one-in-ten sample spent on which day."""
    days: dict[str, dict[date, float]] = {}
    for _, customer, day, _, amount in (line.split() for line in file.read_text().splitlines()):
        of_customer = days.setdefault(customer, {})
        when = date.fromisoformat(day)
        of_customer[when] = of_customer.get(when, 0.0) + float(amount)
    return days


def cdnow(file: Path, until: date) -> tuple[Histories, OrderAmounts]:
    """The histories and amounts of that sample as known at the end of a day."""
    rows, spent = [], []
    for of_customer in cdnow_days(file).values():
        known = {day: amount for day, amount in of_customer.items() if day <= until}
        rows.append(history(known, until))
        spent.append(sum(known.values()) - known[min(known)])
    amounts = {
        "repeat_count": [repeats for repeats, _, _ in rows],
        "repeat_amount": spent,
        "customers": np.ones(len(rows)),
    }
    return histories(rows), OrderAmounts.of(amounts)
