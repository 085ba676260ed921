"""What others have published about CDNOW's customers, found again by the models' variables.

The sample: one in ten of the 23,570 people who first bought at CDNOW in the first quarter of 1997,
with all they bought until June 1998. The figures are for the 39 weeks to 30 September 1997:

- Fader, Hardie, Lee: "Counting Your Customers" the Easy Way, Marketing Science 24 (2005), 275-284:
  2,357 customers, by how many repeat transactions, days with a purchase being one transaction.
- Fader, Hardie: The Gamma-Gamma Model of Monetary Value (2013), brucehardie.com/notes/025: what the
  946 customers who came back spent per repeat transaction.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import pytest

from tests.dbt_project.shops import Shop

AS_OF = date(1997, 9, 30)


def sample() -> Path | None:
    """The sample as the package `lifetimes` carries it; the package itself is never imported."""
    try:
        listed = files("lifetimes") or []
    except PackageNotFoundError:
        return None
    return next((Path(f.locate()) for f in listed if f.name == "CDNOW_sample.txt"), None)


FILE = sample()
pytestmark = pytest.mark.skipif(FILE is None, reason="the package lifetimes is not installed")


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Shop:
    shop = Shop(tmp_path_factory.mktemp("cdnow"))
    shop.sell(
        [
            {
                "order_id": f"cdnow:{number}",
                "customer_id": f"cdnow:{customer}",
                "ordered_date": date.fromisoformat(day),
                "quantity": int(quantity),
                "unit_price": None,
                # Our rule leaves out what is worth nothing; the papers count it.
                "gross_amount": max(Decimal(amount), Decimal("0.0001")),
            }
            for number, (_, customer, day, quantity, amount) in enumerate(
                text.split() for text in FILE.read_text().splitlines()
            )
        ]
    )
    return shop


def test_repeat_transactions_are_distributed_as_published(shop):
    shop.build(as_of=AS_OF, rfm_frequency="order_days", rfm_monetary="gross")
    assert shop.read(
        "select least(order_day_count - 1, 7), count(*) from marts.customers"
        " where order_day_count > 0 group by 1 order by 1"
    ) == [(0, 1411), (1, 439), (2, 214), (3, 100), (4, 62), (5, 38), (6, 29), (7, 64)]


def test_what_was_spent_per_repeat_transaction_is_as_published(shop):
    assert shop.read(
        """
        with days as (
            select customer_id, ordered_date, sum(net_amount) as amount
            from marts.orders
            group by all
        ),
        repeats as (
            select customer_id, avg(amount) as amount
            from days
            anti join marts.customers
                on days.customer_id = customers.customer_id
                and days.ordered_date = customers.first_order_date
            group by customer_id
        )
        select
            count(*), round(avg(amount), 2), round(stddev(amount), 2), round(median(amount), 2),
            round(min(amount), 2), round(max(amount), 2)
        from repeats
        """
    ) == [(946, 35.08, 30.28, 27.5, 2.99, 299.63)]


def test_the_purchase_models_are_fitted_as_published(shop):
    shop.build(
        "--select",
        "+fct_prediction_fits",
        as_of=AS_OF,
        rfm_frequency="order_days",
        rfm_monetary="gross",
    )
    fits = dict(
        shop.read(
            "select model, map_values(parameters) from marts.prediction_fits"
            " where purpose = 'prediction' and refusal is null and model != 'curve'"
        )
    )
    amounts = fits.pop("gamma_gamma")
    assert [round(value, 2) for value in amounts] == [6.25, 3.74, 15.44]
    assert {model: [round(value, 3) for value in fit] for model, fit in fits.items()} == {
        "bg_nbd": [0.243, 4.414, 0.793, 2.426],
        "mbg_nbd": [0.525, 6.183, 0.891, 1.614],
        "pareto_nbd": [0.553, 10.578, 0.606, 11.669],
    }
