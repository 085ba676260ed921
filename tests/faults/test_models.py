"""Cases that the models decide: refunds, currencies and consent, from raw to what is sent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.dbt_project.shops import Shop, line

KNOWN = """
insert into raw.exchange_rates by name
select 'bank' as source, 'USD' as currency, 'EUR' as base_currency, date '2026-01-14' as rate_date,
    0.5 as rate;
insert into raw.contacts by name
select 'shop' as source, 'shop:' || name as customer_id, name || '@post.net' as email,
    name || '@post.net' as email_key, consent as has_email_consent,
    timestamp '2026-01-01' as updated_at
from (values ('ann', true), ('ben', false), ('cat', null)) as people (name, consent)
"""


def refund(amount: float, kind: str = "line", at: str = "2026-01-20T10:00:00") -> dict[str, Any]:
    is_line = kind == "line"
    return {
        "refund_id": f"{kind} {at}",
        "line_id": "1" if is_line else None,
        "kind": kind,
        "quantity": 1 if is_line else None,
        "amount": amount,
        "refunded_at": at,
    }


def order(name: str, customer: str = "ann", **others: Any) -> dict[str, Any]:
    return {"order_id": f"shop:{name}", "customer_id": f"shop:{customer}"} | others


ORDERS = [
    order("whole"),
    order("partial", refunds=[refund(4)]),
    order("full", refunds=[refund(10)]),
    order("beyond", refunds=[refund(10), refund(2, "adjustment")]),
    order("before", refunds=[refund(10, at="2026-01-02T10:00:00")]),
    order("cancelled", cancelled_at="2026-01-19T10:00:00"),
    order("exchanged", refunds=[refund(10)], lines=[line(1), line(2)]),
    order("orphan", lines=[], refunds=[refund(10)]),
    order("dollars", currency="USD"),
    order("yen", currency="JPY"),
    order("of ben", "ben"),
    order("of cat", "cat"),
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = Shop(tmp_path_factory.mktemp("shop"))
    shop.place(ORDERS)
    shop.write(KNOWN)
    shop.build(reporting_currency="EUR")
    return shop


def test_case_37_refunds_of_every_kind_count_once_and_only_a_full_one_takes_the_order(shop: Shop):
    found = shop.read(
        "select order_id, net_amount, is_counted from marts.orders where customer_id ="
        " (select customer_id from marts.orders where order_id = 'shop:whole')"
    )
    orders = {name.removeprefix("shop:"): tuple(told) for name, *told in found}
    assert orders == {
        "whole": (10, True),
        "partial": (6, True),
        "full": (0, False),
        "beyond": (-2, False),
        "before": (0, False),
        "cancelled": (0, False),
        "exchanged": (10, True),
        "dollars": (5, True),
    }
    assert shop.read(
        "select order_count, net_spend from marts.customers where customer_id ="
        " (select customer_id from marts.orders where order_id = 'shop:whole')"
    ) == [(4, Decimal(29))]


def test_case_39_currencies_are_converted_at_their_day_or_parked_and_never_added(shop: Shop):
    assert shop.read(
        "select order_currency_net_amount, net_amount from marts.order_lines"
        " where order_id = 'shop:dollars'"
    ) == [(Decimal(10), Decimal(5))]
    assert shop.read("select 1 from marts.orders where order_id = 'shop:yen'") == []
    assert shop.read("select distinct currency from marts.orders") == [("EUR",)]
    assert shop.read(
        "select order_count from marts.data_quality where rule = 'missing_rate' and order_count > 0"
    ) == [(1,)]


def test_case_44_only_who_has_agreed_is_ever_to_be_sent(shop: Shop):
    found = shop.read(
        "select distinct contacts.email from marts.desired_memberships"
        " inner join marts_private.contacts using (customer_id)"
        " where desired_memberships.channel = 'mailchimp'"
    )
    assert found == [("ann@post.net",)]
