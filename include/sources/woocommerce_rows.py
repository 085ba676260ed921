"""WooCommerce's records in our own words: an order, a customer, a product with its variations.

Amounts are text there and stay exact. Whatever is not as it must be is a `BadPage` that names the
record and the path, and never the value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

from include.sources.base import BadPage
from include.sources.documents import MONEY, ORDER

Row = dict[str, Any]

CONTACT = {
    "customer_id": "VARCHAR",
    "email": "VARCHAR",
    "phone": "VARCHAR",
    "first_name": "VARCHAR",
    "last_name": "VARCHAR",
    "country": "VARCHAR",
    "has_email_consent": "BOOLEAN",
    "email_consent_source": "VARCHAR",
    "has_ads_consent": "BOOLEAN",
    "ads_consent_source": "VARCHAR",
    "has_sms_consent": "BOOLEAN",
    "sms_consent_source": "VARCHAR",
    "deleted_at": "TIMESTAMP",
    "updated_at": "TIMESTAMP",
}
PRODUCT = {
    "sku": "VARCHAR",
    "product_id": "VARCHAR",
    "product_name": "VARCHAR",
    "category": "VARCHAR",
    "unit_cost": MONEY,
    "currency": "VARCHAR",
    "is_active": "BOOLEAN",
    "stock_quantity": "BIGINT",
    "created_at": "TIMESTAMP",
    "deleted_at": "TIMESTAMP",
    "updated_at": "TIMESTAMP",
}
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "order": ORDER,
    "contact": CONTACT,
    "product": PRODUCT,
}

# What WooCommerce's own statuses say of the money; a status that a plugin adds says nothing.
_PAYMENT_STATUS = {
    "pending": "pending",
    "checkout-draft": "pending",
    "on-hold": "pending",
    "processing": "paid",
    "completed": "paid",
    "refunded": "refunded",
    "failed": "failed",
}
ATTRIBUTION = "_wc_order_attribution_utm_source"
_REFUNDED_LINE = "_refunded_item_id"
_YES = frozenset({"1", "yes", "true", "on", "y", "subscribed", "opted_in", "granted"})
_MOST = Decimal(10) ** 14


@dataclass(frozen=True)
class Owners:
    """Whose the records are, and what the declaration adds to them.

    consent: the channel's column -> the key of a customer's meta data that says yes.
    """

    name: str
    customers: str
    time_zone: str
    currency: str | None
    consent: Mapping[str, str]


class Record:
    """A JSON object of a page, or one inside it."""

    def __init__(self, page: str, name: str, content: Any, path: str = "") -> None:
        self.page, self.name, self.path = page, name, path
        if not isinstance(content, dict):
            raise self.bad("", "must be an object")
        self.content = content

    def bad(self, key: str, reason: str) -> BadPage:
        """What is wrong with one of its values."""
        path = f"{self.path}{key}" or None
        return BadPage(self.page, reason, record=self.name, path=path)

    def text(self, key: str) -> str | None:
        """A text, a number as text, or nothing."""
        value = self.content.get(key)
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise self.bad(key, "must be text")
        return str(value)

    def need(self, key: str) -> str:
        """A text that must be there."""
        value = self.text(key)
        if value is None:
            raise self.bad(key, "is not there")
        return value

    def money(self, key: str) -> Decimal:
        """An amount, which WooCommerce writes as text; nothing counts as zero."""
        value = self.content.get(key)
        try:
            amount = Decimal(str(value or 0))
        except InvalidOperation:
            raise self.bad(key, "is no amount") from None
        if isinstance(value, bool) or not amount.is_finite() or abs(amount) >= _MOST:
            raise self.bad(key, "is no amount that fits DECIMAL(18,4)")
        return amount

    def whole(self, key: str) -> int | None:
        """A whole number, or nothing. A shop may count its stock in fractions; those are cut."""
        return None if self.content.get(key) is None else int(self.money(key))

    def instant(self, key: str) -> datetime | None:
        """A point in time, which WooCommerce writes in GMT without saying so."""
        text = self.text(key)
        try:
            instant = datetime.fromisoformat(text) if text else None
        except ValueError:
            raise self.bad(key, "is no point in time") from None
        if instant is not None and instant.tzinfo is not None:
            instant = instant.astimezone(UTC).replace(tzinfo=None)
        return instant

    def moment(self, key: str) -> datetime:
        """A point in time that must be there."""
        instant = self.instant(key)
        if instant is None:
            raise self.bad(key, "is not there")
        return instant

    def one(self, key: str) -> Record:
        """The object inside; an empty one if there is none. PHP writes that as an empty list."""
        return Record(self.page, self.name, self.content.get(key) or {}, f"{self.path}{key}.")

    def each(self, key: str) -> Iterator[Record]:
        """The objects of a list inside."""
        values = self.content.get(key) or []
        if not isinstance(values, list):
            raise self.bad(key, "must be a list")
        for number, value in enumerate(values):
            yield Record(self.page, self.name, value, f"{self.path}{key}[{number}].")

    def meta(self, key: str) -> str | None:
        """What the record's meta data say under a key."""
        for entry in self.each("meta_data"):
            if entry.content.get("key") == key:
                value = entry.content.get("value")
                return str(value) if isinstance(value, str | int | float) else None
        return None


def order_row(order: Record, refunds: list[Record], owners: Owners) -> Row:
    """An order as it was placed, and apart from that what was given back."""
    key = order.need("id")
    status = order.need("status")
    ordered_at = order.moment("date_created_gmt")
    updated_at = order.moment("date_modified_gmt")
    paid_at = order.instant("date_paid_gmt")
    currency = order.need("currency")
    billing = order.one("billing")
    lines = [_line(line) for line in order.each("line_items")]
    # A fee below zero is how plug-ins write a discount.
    fees = [fee.money("total") for fee in order.each("fee_lines")]
    fee_discount = -sum((fee for fee in fees if fee < 0), Decimal())
    _spread(fee_discount, lines)
    goods = sum((line["gross_amount"] - line["discount_amount"] for line in lines), Decimal())
    given_back = _refund_rows(refunds, goods, order.money("total"))
    customer = order.text("customer_id")
    return {
        "order_id": f"{owners.name}:{key}",
        "customer_id": f"{owners.customers}:{customer}" if customer not in (None, "0") else None,
        "email": billing.text("email"),
        "phone": billing.text("phone"),
        "first_name": billing.text("first_name"),
        "last_name": billing.text("last_name"),
        "country": billing.text("country"),
        "address_key": billing.text("address_key"),
        "ordered_at": ordered_at,
        "ordered_date": _local(ordered_at, owners.time_zone),
        "currency": currency.upper(),
        "payment_status": _payment_status(order, status, paid_at, refunds),
        "is_test": False,
        "cancelled_at": updated_at if status == "cancelled" else None,
        # The day that the shop calls the order done is the nearest it knows to the delivery.
        "delivered_at": order.instant("date_completed_gmt"),
        "deleted_at": updated_at if status == "trash" else None,
        "shipping_amount": order.money("shipping_total"),
        "tax_amount": order.money("total_tax"),
        "discount_amount": order.money("discount_total") + fee_discount,
        "total_amount": order.money("total"),
        # Lines are without tax, whichever way the shop shows its prices.
        "is_tax_included": False,
        "discount_codes": [coupon.need("code") for coupon in order.each("coupon_lines")],
        "acquisition_source": order.meta(ATTRIBUTION),
        "lines": lines,
        "refunds": given_back,
        "payments": _payments(order, key, currency, paid_at, refunds),
        "updated_at": updated_at,
    }


def contact_row(customer: Record, owners: Owners) -> Row:
    """A customer account, and what it has agreed to. Nothing said means no."""
    billing = customer.one("billing")
    row: Row = {
        "customer_id": f"{owners.customers}:{customer.need('id')}",
        "email": customer.text("email") or billing.text("email"),
        "phone": billing.text("phone"),
        "first_name": customer.text("first_name") or billing.text("first_name"),
        "last_name": customer.text("last_name") or billing.text("last_name"),
        "country": billing.text("country"),
        "updated_at": customer.instant("date_modified_gmt") or customer.instant("date_created_gmt"),
    }
    for channel in ("email", "ads", "sms"):
        key = owners.consent.get(channel)
        agrees = key is not None and (customer.meta(key) or "").strip().lower() in _YES
        row[f"has_{channel}_consent"] = agrees
        row[f"{channel}_consent_source"] = f"woocommerce {key}" if agrees else None
    return row


def product_rows(product: Record, owners: Owners) -> Iterator[Row]:
    """What is sold under a stock-keeping unit: a product, or each of its variations."""
    variations = [*product.each("variation_records")]
    categories = [category.text("name") for category in product.each("categories")]
    named = [unescape(name) for name in categories if name]
    is_published = product.text("status") == "publish"
    for sold in variations or [product]:
        cost = sold.one("cost_of_goods_sold")
        is_known = cost.content.get("total_value") is not None
        yield {
            "sku": sku_of(sold.text("sku"), sold.need("id")),
            "product_id": product.need("id"),
            "product_name": unescape(product.text("name") or ""),
            "category": named[0] if named else None,
            "unit_cost": cost.money("total_value") if is_known else None,
            "currency": owners.currency if is_known else None,
            "is_active": is_published and sold.text("status") in (None, "publish"),
            "stock_quantity": sold.whole("stock_quantity"),
            "created_at": product.instant("date_created_gmt"),
            "updated_at": sold.instant("date_modified_gmt"),
        }


def sku_of(sku: str | None, product: str) -> str:
    """The stock-keeping unit; a shop may do without, and then the product's id stands for it."""
    return sku or f"id-{product}"


def _line(line: Record) -> Row:
    quantity = line.money("quantity")
    subtotal = line.money("subtotal")
    product, variation = line.text("product_id"), line.text("variation_id")
    sold = variation if variation not in (None, "0") else product
    return {
        "line_id": line.need("id"),
        # The line keeps no unit of its own: it shows the product's present one.
        "sku": sku_of(line.text("sku"), sold or "0"),
        "product_id": product,
        "product_name": unescape(line.text("name") or ""),
        "category": None,
        "quantity": quantity,
        "unit_price": _rounded(subtotal / quantity) if quantity else Decimal(),
        "gross_amount": subtotal,
        "discount_amount": subtotal - line.money("total"),
        "tax_amount": line.money("total_tax"),
    }


def _spread(discount: Decimal, lines: list[Row]) -> None:
    """Take a discount of the whole order off its lines, by what each costs; never below zero.

    WooCommerce spreads its own coupons like this. To the last digit, the shares add up.
    """
    costs = [line["gross_amount"] - line["discount_amount"] for line in lines]
    total = sum(costs, Decimal())
    if not discount or total <= 0:
        return
    discount = min(discount, total)
    reached = spread = Decimal()
    for line, cost in zip(lines, costs, strict=True):
        reached += cost
        share = _rounded(discount * reached / total) - spread
        line["discount_amount"] += share
        spread += share


def _refund_rows(refunds: list[Record], goods: Decimal, total: Decimal) -> list[Row]:
    """Refunds by what they are for; what is told of no line, shipping or fee is an adjustment.

    goods, total: what the lines cost without tax, and the order in all. An amount alone gives back
    tax, shipping and fees, too: of it the goods have the share that they had in what was left.
    """
    rows: list[Row] = []
    for refund in sorted(refunds, key=lambda one: one.moment("date_created_gmt")):
        key, at = refund.need("id"), refund.moment("date_created_gmt")
        parts = [*_refunded_parts(refund, key, at)]
        told = sum((part["amount"] + part["tax_amount"] for part in parts), Decimal())
        amount = refund.money("amount") - told
        parts = [part for part in parts if part["kind"] != "fee"]
        goods -= sum((part["amount"] for part in parts if part["kind"] != "shipping"), Decimal())
        total -= told
        share = amount
        if amount > 0 and total > 0:
            share = _rounded(amount * max(goods, Decimal()) / total)
        goods, total = goods - share, total - amount
        if share:
            parts.append(_refunded(key, "adjustment", share, at))
        rows += parts
    return rows


def _refunded_parts(refund: Record, key: str, at: datetime) -> Iterator[Row]:
    for line in refund.each("line_items"):
        yield _refunded(f"{key}-{line.need('id')}", "line", -line.money("total"), at) | {
            "line_id": line.meta(_REFUNDED_LINE),
            "quantity": -line.money("quantity"),
            "tax_amount": -line.money("total_tax"),
        }
    for name, kind in (("shipping_lines", "shipping"), ("fee_lines", "fee")):
        for charge in refund.each(name):
            amount = -charge.money("total")
            # A fee below zero was a discount on the lines, and less was given back for them.
            meant = "adjustment" if kind == "fee" and amount < 0 else kind
            yield _refunded(f"{key}-{charge.need('id')}", meant, amount, at) | {
                "tax_amount": -charge.money("total_tax")
            }


def _refunded(refund_id: str, kind: str, amount: Decimal, at: datetime) -> Row:
    return {
        "refund_id": refund_id,
        "line_id": None,
        "kind": kind,
        "quantity": Decimal(),
        "amount": amount,
        "tax_amount": Decimal(),
        "refunded_at": at,
    }


def _payments(
    order: Record, key: str, currency: str, paid_at: datetime | None, refunds: list[Record]
) -> list[Row]:
    """The one payment an order has, and what went back: WooCommerce lists no transactions."""
    if paid_at is None:
        return []
    paid = {
        "payment_id": f"{key}-sale",
        "parent_payment_id": None,
        "kind": "sale",
        "status": "success",
        "amount": order.money("total"),
        "currency": currency.upper(),
        "paid_at": paid_at,
    }
    back = [
        {
            "payment_id": refund.need("id"),
            "parent_payment_id": paid["payment_id"],
            "kind": "refund",
            "status": "success",
            "amount": refund.money("amount"),
            "currency": currency.upper(),
            "paid_at": refund.moment("date_created_gmt"),
        }
        for refund in refunds
    ]
    return [paid, *back]


def _payment_status(
    order: Record, status: str, paid_at: datetime | None, refunds: list[Record]
) -> str:
    if status == "cancelled" and paid_at is None:
        return "voided"
    standing = _PAYMENT_STATUS.get(status, "paid" if paid_at else "pending")
    returned = sum((refund.money("amount") for refund in refunds), Decimal())
    if standing != "paid" or not returned:
        return standing
    return "refunded" if returned >= order.money("total") else "partially_refunded"


def _local(instant: datetime, zone: str) -> str:
    return instant.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).date().isoformat()


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.0001"))
