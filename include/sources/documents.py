"""The shape of an order that comes as one document, with its lines, refunds and payments inside.

Shop platforms send an order whole, again at every change. Kept whole, its newest version replaces
the older one in one step, so that a line which an edit took off is gone too.
"""

from __future__ import annotations

MONEY = "DECIMAL(18,4)"

LINE = f"""STRUCT(
    line_id VARCHAR, sku VARCHAR, product_id VARCHAR, product_name VARCHAR, category VARCHAR,
    quantity {MONEY}, unit_price {MONEY}, gross_amount {MONEY}, discount_amount {MONEY},
    tax_amount {MONEY}
)[]"""
REFUND = f"""STRUCT(
    refund_id VARCHAR, line_id VARCHAR, kind VARCHAR, quantity {MONEY}, amount {MONEY},
    tax_amount {MONEY}, refunded_at TIMESTAMP
)[]"""
PAYMENT = f"""STRUCT(
    payment_id VARCHAR, parent_payment_id VARCHAR, kind VARCHAR, status VARCHAR, amount {MONEY},
    currency VARCHAR, paid_at TIMESTAMP
)[]"""

ORDER: dict[str, str] = {
    "order_id": "VARCHAR",
    "customer_id": "VARCHAR",
    "email": "VARCHAR",
    "phone": "VARCHAR",
    "first_name": "VARCHAR",
    "last_name": "VARCHAR",
    "country": "VARCHAR",
    "address_key": "UUID",
    "ordered_at": "TIMESTAMP",
    "ordered_date": "DATE",
    "currency": "VARCHAR",
    "payment_status": "VARCHAR",
    "is_test": "BOOLEAN",
    "cancelled_at": "TIMESTAMP",
    "delivered_at": "TIMESTAMP",
    "deleted_at": "TIMESTAMP",
    "shipping_amount": MONEY,
    "tax_amount": MONEY,
    "discount_amount": MONEY,
    "total_amount": MONEY,
    "is_tax_included": "BOOLEAN",
    "discount_codes": "VARCHAR[]",
    "acquisition_source": "VARCHAR",
    "lines": LINE,
    "refunds": REFUND,
    "payments": PAYMENT,
    "updated_at": "TIMESTAMP",
}
"""Column -> DuckDB type. Instants are naive and in UTC; `ordered_date` is the shop's own day."""
