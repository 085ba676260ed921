"""A shop's documents as the API's objects: nested dictionaries with the schema's field names.

Connections stand as plain lists; `execution` cuts them into pages. What belongs to another record
stands as that record's number and is looked up when it is asked for.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from zlib import crc32

from include.sandbox.shopify.world import (
    Customer,
    Line,
    Order,
    Parcel,
    Product,
    Refund,
    Transaction,
)

CENT = Decimal("0.01")


def gid(kind: str, number: int) -> str:
    """A global id."""
    return f"gid://shopify/{kind}/{number}"


def bag(amount: Decimal | str, currency: str) -> dict[str, Any]:
    """An amount in shop and presentment currency, which are the same here."""
    money = {"amount": str(amount), "currencyCode": currency}
    return {"shopMoney": money, "presentmentMoney": money}


def share(amount: str, units: int, of: int) -> Decimal:
    """What some units of a line have of its amount."""
    whole = Decimal(amount)
    return whole if units == of else (whole * units / of).quantize(CENT)


def kept(line: Line) -> int:
    """The units that edits have left on a line."""
    return line.quantity - line.removed


def totals(order: Order) -> dict[str, Decimal]:
    """An order's sums, before refunds and after edits."""
    gross = sum((Decimal(line.price) * kept(line) for line in order.lines), Decimal(0))
    discount = sum(
        (share(line.discount, kept(line), line.quantity) for line in order.lines), Decimal(0)
    )
    tax = sum((share(line.tax, kept(line), line.quantity) for line in order.lines), Decimal(0))
    shipping = Decimal(order.shipping)
    total = gross - discount + shipping + (0 if order.taxes_included else tax)
    return {
        "subtotal": gross - discount,
        "discount": discount,
        "tax": tax,
        "shipping": shipping,
        "total": total,
    }


def original_total(order: Order) -> Decimal:
    """What an order came to before anybody edited it."""
    lines = [line.model_copy(update={"removed": 0}) for line in order.lines if not line.added]
    return totals(order.model_copy(update={"lines": lines}))["total"]


def refunded_total(refund: Refund, taxes_included: bool) -> Decimal:
    """The money of a refund."""
    amounts = [line.subtotal for line in refund.lines] + [refund.shipping or "0"]
    taxes = [line.tax for line in refund.lines] + [refund.shipping_tax, refund.adjustment_tax]
    total = sum(map(Decimal, amounts), Decimal(0)) - Decimal(refund.adjustment or "0")
    return total if taxes_included else total + sum(map(Decimal, taxes), Decimal(0))


def moved(order: Order, *kinds: str) -> Decimal:
    """The sum of an order's successful transactions of some kinds."""
    return sum(
        (
            Decimal(transaction.amount)
            for transaction in order.transactions
            if transaction.kind in kinds and transaction.status == "SUCCESS"
        ),
        Decimal(0),
    )


def financial_status(order: Order) -> str:
    """What the transactions make of an order."""
    if order.financial_status:
        return order.financial_status
    received = moved(order, "SALE", "CAPTURE")
    refunded = moved(order, "REFUND")
    if refunded:
        return "REFUNDED" if refunded >= received else "PARTIALLY_REFUNDED"
    if received:
        return "PAID" if received >= totals(order)["total"] else "PARTIALLY_PAID"
    if moved(order, "VOID"):
        return "VOIDED"
    return "AUTHORIZED" if moved(order, "AUTHORIZATION", "EMV_AUTHORIZATION") else "PENDING"


def order_resource(order: Order, updated_at: str, shop_currency: str) -> dict[str, Any]:
    """An order."""
    currency = order.currency or shop_currency
    sums = totals(order)
    refunds = [refund_resource(order, refund, currency) for refund in order.refunds]
    transactions = {item.id: transaction_resource(item, currency) for item in order.transactions}
    for item in order.transactions:
        if item.parent_id is not None:
            transactions[item.id]["parentTransaction"] = transactions.get(item.parent_id)
    back = sum((refunded_total(refund, order.taxes_included) for refund in order.refunds), CENT * 0)
    return {
        "__typename": "Order",
        "id": gid("Order", order.id),
        "legacyResourceId": str(order.id),
        "name": f"#{order.id}",
        "number": order.id % 2**31,
        "createdAt": order.created_at,
        "processedAt": order.processed_at or order.created_at,
        "updatedAt": updated_at,
        "cancelledAt": order.cancelled_at,
        "cancelReason": order.cancel_reason,
        "test": order.test,
        "email": order.email,
        "phone": order.phone,
        "currencyCode": currency,
        "presentmentCurrencyCode": currency,
        "displayFinancialStatus": financial_status(order),
        "taxesIncluded": order.taxes_included,
        "edited": any(line.removed or line.added for line in order.lines),
        "customer": order.customer_id,
        "displayAddress": address(order.id, order),
        "customerJourneySummary": journey(order),
        "discountCodes": order.discount_codes,
        "lineItems": [line_resource(order, line, currency) for line in order.lines],
        "refunds": refunds,
        "transactions": list(transactions.values()),
        "fulfillments": [parcel_resource(parcel) for parcel in order.parcels],
        "originalTotalPriceSet": bag(original_total(order), currency),
        "totalPriceSet": bag(sums["total"], currency),
        "currentTotalPriceSet": bag(sums["total"] - back, currency),
        "subtotalPriceSet": bag(sums["subtotal"], currency),
        "totalTaxSet": bag(sums["tax"], currency),
        "totalDiscountsSet": bag(sums["discount"], currency),
        "totalShippingPriceSet": bag(sums["shipping"], currency),
        "totalRefundedSet": bag(back, currency),
        "totalReceivedSet": bag(moved(order, "SALE", "CAPTURE"), currency),
    }


def address(number: int, person: Order | Customer) -> dict[str, Any] | None:
    """An address, if anything of it is known."""
    if not (person.country or person.first_name or person.last_name):
        return None
    return {
        "id": gid("MailingAddress", number),
        "firstName": person.first_name,
        "lastName": person.last_name,
        "countryCodeV2": person.country,
        "address1": person.address1,
        "zip": person.zip,
    }


def parcel_resource(parcel: Parcel) -> dict[str, Any]:
    """A shipment of an order."""
    return {
        "id": gid("Fulfillment", parcel.id),
        "createdAt": parcel.created_at,
        "updatedAt": parcel.delivered_at or parcel.created_at,
        "status": parcel.status,
        "deliveredAt": parcel.delivered_at,
    }


def journey(order: Order) -> dict[str, Any] | None:
    """Where an order's customer came from first."""
    if order.visit_source is None and order.utm_source is None:
        return None
    visit = {
        "id": gid("CustomerVisit", order.id),
        "occurredAt": order.created_at,
        "source": order.visit_source or "unknown",
        "utmParameters": {"source": order.utm_source} if order.utm_source else None,
    }
    return {"ready": True, "firstVisit": visit, "lastVisit": visit}


def line_resource(order: Order, line: Line, currency: str) -> dict[str, Any]:
    """A line of an order."""
    refunded = sum(
        back.quantity
        for refund in order.refunds
        for back in refund.lines
        if back.line_id == line.id
    )
    allocations = [{"allocatedAmountSet": bag(line.discount, currency)}]
    taxes = [{"title": "VAT", "rate": None, "priceSet": bag(line.tax, currency)}]
    return {
        "__typename": "LineItem",
        "id": gid("LineItem", line.id),
        "sku": line.sku,
        "title": line.title,
        "name": line.title,
        "variantTitle": None,
        "vendor": None,
        "isGiftCard": False,
        "quantity": line.quantity,
        "currentQuantity": max(0, kept(line) - refunded),
        "product": line.product_id,
        "variant": line.variant_id,
        "originalUnitPriceSet": bag(line.price, currency),
        "originalTotalSet": bag(Decimal(line.price) * line.quantity, currency),
        "discountAllocations": allocations if Decimal(line.discount) else [],
        "taxLines": taxes if Decimal(line.tax) else [],
    }


def refund_resource(order: Order, refund: Refund, currency: str) -> dict[str, Any]:
    """A refund of an order."""
    lines = {line.id: line for line in order.lines}
    shipping = refund.shipping and {
        "id": gid("RefundShippingLine", refund.id),
        "shippingLine": {
            "id": gid("ShippingLine", order.id),
            "title": "Standard",
            "originalPriceSet": bag(order.shipping, currency),
        },
        "subtotalAmountSet": bag(refund.shipping, currency),
        "taxAmountSet": bag(refund.shipping_tax, currency),
    }
    adjustment = refund.adjustment and {
        "id": gid("OrderAdjustment", refund.id),
        "reason": "REFUND_DISCREPANCY",
        "amountSet": bag(refund.adjustment, currency),
        "taxAmountSet": bag(refund.adjustment_tax, currency),
    }
    return {
        "__typename": "Refund",
        "id": gid("Refund", refund.id),
        "createdAt": refund.processed_at,
        "processedAt": refund.processed_at,
        "updatedAt": refund.processed_at,
        "note": None,
        "totalRefundedSet": bag(refunded_total(refund, order.taxes_included), currency),
        "refundLineItems": [
            {
                "id": gid("RefundLineItem", refund.id * 1000 + number),
                "lineItem": line_resource(order, lines[back.line_id], currency),
                "quantity": back.quantity,
                "restockType": "NO_RESTOCK",
                "restocked": False,
                "priceSet": bag(lines[back.line_id].price, currency),
                "subtotalSet": bag(back.subtotal, currency),
                "totalTaxSet": bag(back.tax, currency),
            }
            for number, back in enumerate(refund.lines)
        ],
        "refundShippingLines": [shipping] if shipping else [],
        "orderAdjustments": [adjustment] if adjustment else [],
        "transactions": [
            transaction_resource(item, currency)
            for item in order.transactions
            if item.kind == "REFUND" and item.processed_at == refund.processed_at
        ],
    }


def transaction_resource(item: Transaction, currency: str) -> dict[str, Any]:
    """A transaction, its parent left out."""
    return {
        "__typename": "OrderTransaction",
        "id": gid("OrderTransaction", item.id),
        "kind": item.kind,
        "status": item.status,
        "test": False,
        "gateway": "bogus",
        "createdAt": item.processed_at,
        "processedAt": item.processed_at,
        "amountSet": bag(item.amount, currency),
        "parentTransaction": None,
    }


def customer_resource(customer: Customer, updated_at: str) -> dict[str, Any]:
    """A customer."""
    email = customer.email and {
        "emailAddress": customer.email,
        "marketingState": customer.email_state,
        "marketingOptInLevel": customer.email_level,
        "marketingUpdatedAt": customer.email_changed_at,
        "validFormat": "@" in customer.email,
    }
    consent = {
        "state": customer.sms_state,
        "collectedFrom": customer.sms_collected_from,
        "optInLevel": customer.sms_level,
        "updatedAt": customer.sms_changed_at,
    }
    never = customer.sms_state == "NEVER_SUBSCRIBED"
    phone = customer.phone and {
        "phoneNumber": customer.phone,
        "smsMarketingConsent": consent,
        "marketingState": "NOT_SUBSCRIBED" if never else customer.sms_state,
        "marketingUpdatedAt": customer.sms_changed_at,
        "marketingCollectedFrom": customer.sms_collected_from,
        "marketingOptInLevel": customer.sms_level,
    }
    names = [name for name in (customer.first_name, customer.last_name) if name]
    return {
        "__typename": "Customer",
        "id": gid("Customer", customer.id),
        "legacyResourceId": str(customer.id),
        "createdAt": customer.created_at,
        "updatedAt": updated_at,
        "firstName": customer.first_name,
        "lastName": customer.last_name,
        "displayName": " ".join(names) or customer.email or "",
        "locale": customer.locale,
        "dataSaleOptOut": customer.data_sale_opt_out,
        "defaultEmailAddress": email or None,
        "defaultPhoneNumber": phone or None,
        "defaultAddress": address(customer.id, customer),
    }


def product_resource(product: Product, updated_at: str, currency: str) -> dict[str, Any]:
    """A product with its variants."""
    names = (product.category or "").split(" > ")
    category = product.category and {
        "id": gid("TaxonomyCategory", crc32(product.category.encode())),
        "name": names[-1],
        "fullName": product.category,
        "level": len(names),
        "isLeaf": True,
    }
    resource: dict[str, Any] = {
        "__typename": "Product",
        "id": gid("Product", product.id),
        "legacyResourceId": str(product.id),
        "title": product.title,
        "handle": f"product-{product.id}",
        "vendor": product.vendor,
        "productType": product.product_type,
        "status": product.status,
        "category": category or None,
        "createdAt": product.created_at,
        "updatedAt": updated_at,
        "variantsCount": {"count": len(product.variants), "precision": "EXACT"},
    }
    resource["variants"] = [
        {
            "__typename": "ProductVariant",
            "id": gid("ProductVariant", variant.id),
            "legacyResourceId": str(variant.id),
            "title": variant.title,
            "displayName": f"{product.title} - {variant.title}",
            "sku": variant.sku,
            "price": variant.price,
            "inventoryQuantity": variant.stock,
            "inventoryItem": {
                "id": gid("InventoryItem", variant.id),
                "sku": variant.sku,
                "unitCost": variant.cost and {"amount": variant.cost, "currencyCode": currency},
                "tracked": variant.stock is not None,
            },
            "createdAt": product.created_at,
            "updatedAt": updated_at,
            "product": product.id,
        }
        for variant in product.variants
    ]
    return resource
