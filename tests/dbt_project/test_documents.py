"""Orders that come as documents, from raw to customers: money, currencies, and who is counted."""

from __future__ import annotations

from decimal import Decimal
from include.errors import Stop

import pytest

from tests.dbt_project.shops import Shop, line

RATES = """
insert into raw.exchange_rates by name
select 'bank' as source, 'USD' as currency, 'EUR' as base_currency, date '2026-01-14' as rate_date,
    0.5 as rate
"""


def refund(number: int, amount: float, kind: str = "line", line_id: str | None = "1") -> dict:
    return {
        "refund_id": str(number),
        "line_id": line_id,
        "kind": kind,
        "quantity": 1 if kind == "line" else None,
        "amount": amount,
        "refunded_at": "2026-01-20T10:00:00",
    }


def payment(name: str, kind: str, amount: float, parent: str | None = None) -> dict:
    return {
        "payment_id": name,
        "parent_payment_id": parent,
        "kind": kind,
        "status": "success",
        "amount": amount,
        "currency": "EUR",
    }


ORDERS = [
    {
        "order_id": "shop:sale",
        "customer_id": "shop:ann",
        "lines": [line(1, discount_amount=1), line(2)],
        "shipping_amount": 4,
        "tax_amount": 2,
        "payments": [
            payment("a", "authorization", 25),
            payment("b", "sale", 25),
            payment("c", "capture", 25, parent="b"),
        ],
    },
    {
        "order_id": "shop:partly",
        "customer_id": "shop:ann",
        "ordered_date": "2026-01-16",
        "lines": [line(1, quantity=2, gross_amount=20)],
        "refunds": [
            refund(1, 10),
            refund(1, 4, "shipping", None),
            refund(2, 1.5, "adjustment", None),
        ],
        "payments": [
            payment("a", "authorization", 20),
            payment("b", "capture", 20, parent="a"),
            payment("c", "refund", 15.5, parent="b"),
        ],
    },
    {
        "order_id": "shop:beyond",
        "customer_id": "shop:ann",
        "ordered_date": "2026-01-17",
        "refunds": [refund(3, 10), refund(3, 2, "adjustment", None)],
    },
    {
        "order_id": "shop:cancelled",
        "customer_id": "shop:ann",
        "ordered_date": "2026-01-18",
        "cancelled_at": "2026-01-19T10:00:00",
        "refunds": [refund(4, 10)],
    },
    {"order_id": "shop:voided", "customer_id": "shop:ann", "payment_status": "voided"},
    {"order_id": "shop:pending", "customer_id": "shop:ann", "payment_status": "pending"},
    {"order_id": "shop:test", "customer_id": "shop:ann", "is_test": True},
    {"order_id": "shop:deleted", "deleted_at": "2026-01-19T10:00:00"},
    {"order_id": "shop:too early", "lines": [], "refunds": [refund(5, 10)]},
    {"order_id": "shop:guest", "email_key": "ann@post.net", "email": "Ann@post.net"},
    {"order_id": "shop:nobody"},
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Shop:
    shop = Shop(tmp_path_factory.mktemp("shop"))
    shop.place(ORDERS)
    shop.write(
        "insert into raw.contacts by name select 'shop' as source, 'shop:ann' as customer_id,"
        " 'ann@post.net' as email, 'ann@post.net' as email_key,"
        " timestamp '2026-01-01' as updated_at;"
        "insert into raw.products by name select 'shop' as source, 'lamp' as sku, 4 as unit_cost"
    )
    shop.build()
    return shop


def test_discounts_refunds_and_payments_count_once_and_postage_and_tax_stand_apart(shop):
    assert shop.read(
        "select order_id, gross_amount::double, discount_amount::double, refunded_amount::double,"
        " net_amount::double, margin_amount::double, shipping_refunded_amount::double,"
        " paid_amount::double, is_counted, is_cancelled, is_over_refunded"
        " from marts.orders where customer_id is not null order by ordered_at, order_id"
    ) == [
        ("shop:guest", 10, 0, 0, 10, 6, 0, 0, True, False, False),
        ("shop:sale", 20, 1, 0, 19, 11, 0, 25, True, False, False),
        ("shop:voided", 10, 0, 10, 0, 0, 0, 0, False, True, False),
        ("shop:partly", 20, 0, 11.5, 8.5, 4.5, 4, 4.5, True, False, False),
        ("shop:beyond", 10, 0, 12, -2, -2, 0, 0, False, True, True),
        ("shop:cancelled", 10, 0, 10, 0, 0, 0, 0, False, True, False),
    ]


def test_what_does_not_count_is_counted_under_its_rule(shop):
    assert shop.read("select records, rule, row_count from marts.data_quality order by all") == [
        ("order_lines", "cancelled_order", 2),
        ("order_lines", "deleted_order", 1),
        ("order_lines", "guest_sale", 1),
        ("order_lines", "sale", 5),
        ("order_lines", "test_order", 1),
        ("order_lines", "unpaid_order", 1),
        ("orders", "order_without_lines", 1),
        ("orders", "refund_beyond_total", 1),
        ("refunds", "orphan_refund", 1),
        ("refunds", "refund_of_cancelled_order", 1),
        ("refunds", "return", 4),
        ("refunds", "shipping_refund", 1),
    ]


def test_a_guest_with_the_address_of_an_account_is_its_customer(shop):
    assert shop.read(
        "select customer_id, order_count, net_spend::double, email"
        " from marts.customers inner join marts_private.contacts using (customer_id)"
    ) == [("shop:ann", 3, 35.5, "ann@post.net")]


def test_two_currencies_are_never_added_and_each_is_converted_at_its_day(tmp_path):
    shop = Shop(tmp_path)
    shop.place(
        [
            {"order_id": "shop:euros", "customer_id": "shop:ann"},
            {"order_id": "shop:dollars", "customer_id": "shop:ann", "currency": "USD"},
            {"order_id": "shop:yens", "customer_id": "shop:ann", "currency": "JPY"},
        ]
    )
    shop.write(RATES)
    with pytest.raises(Stop):
        shop.build("--select", "+orders_share_one_currency")
    shop.build(reporting_currency="EUR")
    assert shop.read(
        "select order_id, net_amount, currency, order_currency_net_amount, order_currency,"
        " exchange_rate from marts.orders order by all"
    ) == [
        ("shop:dollars", 5, "EUR", 10, "USD", Decimal("0.5")),
        ("shop:euros", 10, "EUR", 10, "EUR", 1),
    ]
    assert shop.read("select rule, row_count from marts.data_quality where not is_kept") == [
        ("missing_rate", 1)
    ]
