"""Landed pages of a Shopify shop into canonical rows.

There are two kinds of page. A reply is one JSON object under `data`: a page of `records`, orders
`found` by their ids, or `deletions`. The result of a bulk operation is JSON Lines, each object on a
line, what belongs to a connection of another one with that one's id in `__parentId`. Both are
brought into the second form (view `shopify_page`), which the same statements then read.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal

import duckdb
from duckdb import (
    ColumnExpression,
    ConstantExpression,
    Expression,
    FunctionExpression,
    StarExpression,
)

from include.sources.base import BadPage
from include.sources.documents import MONEY

Kind = Literal["orders", "customers", "products"]
# A DuckDB type, an object's fields, or the shape of a list's items.
Shape = str | Mapping[str, "Shape"] | list["Shape"]

BULK_SUFFIX = ".jsonl.gz"
LARGEST_OBJECT = 256 << 20

_ID: Shape = {"id": "VARCHAR"}
_BAG: Shape = {"shopMoney": {"amount": MONEY}}
_LINE: dict[str, Shape] = {
    "id": "VARCHAR",
    "sku": "VARCHAR",
    "title": "VARCHAR",
    "quantity": "BIGINT",
    "currentQuantity": "BIGINT",
    "product": _ID,
    "variant": _ID,
    "originalUnitPriceSet": _BAG,
    "discountAllocations": [{"allocatedAmountSet": _BAG}],
    "taxLines": [{"priceSet": _BAG}],
}
_REFUND: Shape = {
    "id": "VARCHAR",
    "processedAt": "TIMESTAMP",
    "refundLineItems": {
        "nodes": [{"lineItem": _ID, "quantity": "BIGINT", "subtotalSet": _BAG, "totalTaxSet": _BAG}]
    },
    "refundShippingLines": {
        "nodes": [{"id": "VARCHAR", "subtotalAmountSet": _BAG, "taxAmountSet": _BAG}]
    },
    "orderAdjustments": {"nodes": [{"id": "VARCHAR", "amountSet": _BAG, "taxAmountSet": _BAG}]},
}
_ORDER: dict[str, Shape] = {
    "id": "VARCHAR",
    "updatedAt": "TIMESTAMP",
    "processedAt": "TIMESTAMP",
    "cancelledAt": "TIMESTAMP",
    "test": "BOOLEAN",
    "currencyCode": "VARCHAR",
    "displayFinancialStatus": "VARCHAR",
    "email": "VARCHAR",
    "phone": "VARCHAR",
    "taxesIncluded": "BOOLEAN",
    "discountCodes": ["VARCHAR"],
    "customer": _ID,
    "displayAddress": {"firstName": "VARCHAR", "lastName": "VARCHAR", "countryCodeV2": "VARCHAR"},
    "customerJourneySummary": {
        "firstVisit": {"source": "VARCHAR", "utmParameters": {"source": "VARCHAR"}}
    },
    "totalPriceSet": _BAG,
    "totalTaxSet": _BAG,
    "totalDiscountsSet": _BAG,
    "totalShippingPriceSet": _BAG,
    "transactions": [
        {
            "id": "VARCHAR",
            "kind": "VARCHAR",
            "status": "VARCHAR",
            "createdAt": "TIMESTAMP",
            "processedAt": "TIMESTAMP",
            "amountSet": {"shopMoney": {"amount": MONEY, "currencyCode": "VARCHAR"}},
            "parentTransaction": _ID,
        }
    ],
    "fulfillments": [{"status": "VARCHAR", "deliveredAt": "TIMESTAMP"}],
    "refunds": [_REFUND],
}
_CUSTOMER: dict[str, Shape] = {
    "id": "VARCHAR",
    "createdAt": "TIMESTAMP",
    "updatedAt": "TIMESTAMP",
    "firstName": "VARCHAR",
    "lastName": "VARCHAR",
    "locale": "VARCHAR",
    "dataSaleOptOut": "BOOLEAN",
    "defaultEmailAddress": {
        "emailAddress": "VARCHAR",
        "marketingState": "VARCHAR",
        "marketingOptInLevel": "VARCHAR",
        "marketingUpdatedAt": "TIMESTAMP",
    },
    "defaultPhoneNumber": {
        "phoneNumber": "VARCHAR",
        "smsMarketingConsent": {
            "state": "VARCHAR",
            "optInLevel": "VARCHAR",
            "updatedAt": "TIMESTAMP",
            "collectedFrom": "VARCHAR",
        },
    },
    "defaultAddress": {"countryCodeV2": "VARCHAR"},
}
_VARIANT: dict[str, Shape] = {
    "id": "VARCHAR",
    "title": "VARCHAR",
    "sku": "VARCHAR",
    "inventoryQuantity": "BIGINT",
    "inventoryItem": {"unitCost": {"amount": MONEY, "currencyCode": "VARCHAR"}},
}
_PRODUCT: dict[str, Shape] = {
    "id": "VARCHAR",
    "title": "VARCHAR",
    "productType": "VARCHAR",
    "status": "VARCHAR",
    "createdAt": "TIMESTAMP",
    "updatedAt": "TIMESTAMP",
    "category": {"fullName": "VARCHAR"},
}
# Per kind: a record, the connection inside it and an object of that.
SHAPES: dict[Kind, tuple[dict[str, Shape], str | None, dict[str, Shape]]] = {
    "orders": (_ORDER, "lineItems", _LINE),
    "customers": (_CUSTOMER, None, {}),
    "products": (_PRODUCT, "variants", _VARIANT),
}
_DELETION: Shape = {"id": "VARCHAR", "createdAt": "TIMESTAMP", "subjectId": "VARCHAR"}

# `is_found`: asked for by its id, therefore whole; other records of orders hold their refunds'
# numbers only. A record deleted meanwhile is found as null.
_REPLY_OF_PARENTS = """
create or replace temp view shopify_page as
with

records as (
    select
        unnest(
            list_concat(
                list_filter(data.found, lambda record: record is not null),
                data.records.nodes
            ),
            max_depth := 2
        ),
        data.found is not null as is_found
    from shopify_reply
)

select * exclude (children)
from records

union all by name

select
    records.id as __parentId,
    unnest(children.nodes, max_depth := 2)
from records
"""
_REPLY_OF_RECORDS = """
create or replace temp view shopify_page as
select unnest(data.records.nodes, max_depth := 2)
from shopify_reply
"""

ORDERS = """
with

page as materialized (
    select * from shopify_page
),

refunds as (
    select
        id as order_gid,
        unnest(refunds) as refund
    from page
    where is_found
),

refunded_lines as (
    select
        order_gid,
        refund.id as refund_gid,
        refund.processedAt as refunded_at,
        unnest(refund.refundLineItems.nodes) as back
    from refunds
),

returned as (
    select
        back.lineItem.id as line_gid,
        sum(coalesce(back.quantity, error(order_gid || ' refunds[].refundLineItems.quantity')))
            as quantity
    from refunded_lines
    group by back.lineItem.id
),

refund_rows as (
    select
        order_gid,
        refund_gid,
        coalesce(back.lineItem.id, error(order_gid || ' refunds[].refundLineItems.lineItem.id'))
            as line_gid,
        'line' as kind,
        back.quantity,
        coalesce(
            back.subtotalSet.shopMoney.amount,
            error(order_gid || ' refunds[].refundLineItems.subtotalSet')
        ) as amount,
        back.totalTaxSet.shopMoney.amount as tax_amount,
        refunded_at
    from refunded_lines

    union all

    select
        order_gid,
        refund.id,
        null,
        'shipping',
        null,
        coalesce(
            shipping.subtotalAmountSet.shopMoney.amount,
            error(order_gid || ' refunds[].refundShippingLines.subtotalAmountSet')
        ),
        shipping.taxAmountSet.shopMoney.amount,
        refund.processedAt
    from (
        select
            *,
            unnest(refund.refundShippingLines.nodes) as shipping
        from refunds
    )

    union all

    -- An adjustment counts from the shop's side: what was given back beyond the lines is negative.
    select
        order_gid,
        refund.id,
        null,
        'adjustment',
        null,
        -coalesce(
            adjustment.amountSet.shopMoney.amount,
            error(order_gid || ' refunds[].orderAdjustments.amountSet')
        ),
        -adjustment.taxAmountSet.shopMoney.amount,
        refund.processedAt
    from (
        select
            *,
            unnest(refund.orderAdjustments.nodes) as adjustment
        from refunds
    )
),

refund_lists as (
    select
        order_gid,
        list_sort(list({
            'refund_id': substr(refund_gid, 22),
            'line_id': substr(line_gid, 24),
            'kind': kind,
            'quantity': quantity::decimal(18, 4),
            'amount': amount,
            'tax_amount': tax_amount,
            'refunded_at': refunded_at
        })) as refunds
    from refund_rows
    group by order_gid
),

-- Units that an edit took off were never sold; units that came back were.
ordered as (
    select
        page.* exclude (quantity),
        coalesce(page.quantity, error(__parentId || ' lineItems[].quantity')) as quantity,
        least(
            page.quantity,
            coalesce(page.currentQuantity, error(__parentId || ' lineItems[].currentQuantity'))
            + coalesce(returned.quantity, 0)
        ) as units,
        coalesce(
            originalUnitPriceSet.shopMoney.amount,
            error(__parentId || ' lineItems[].originalUnitPriceSet')
        ) as unit_price,
        coalesce(
            list_sum(
                list_transform(
                    discountAllocations,
                    lambda part: part.allocatedAmountSet.shopMoney.amount
                )
            ),
            0
        ) as discount,
        coalesce(
            list_sum(list_transform(taxLines, lambda part: part.priceSet.shopMoney.amount)), 0
        ) as tax
    from page
    left join returned
        on page.id = returned.line_gid
    where __parentId is not null
),

line_lists as (
    select
        __parentId as order_gid,
        list_sort(list({
            'line_id': substr(
                coalesce(id, error(__parentId || ' lineItems[].id')), 24
            ),
            'sku': coalesce(nullif(trim(sku), ''), 'variant:' || substr(variant.id, 30)),
            'product_id': substr(product.id, 23),
            'product_name': title,
            'category': null::varchar,
            'quantity': units::decimal(18, 4),
            'unit_price': unit_price,
            'gross_amount': (units * unit_price)::decimal(18, 4),
            'discount_amount': case
                when units = quantity then discount::decimal(18, 4)
                else (
                    ((discount * 10000)::hugeint * units::hugeint // quantity)::decimal(18, 0)
                    * 0.0001::decimal(4, 4)
                )::decimal(18, 4)
            end,
            'tax_amount': case
                when units = quantity then tax::decimal(18, 4)
                else (
                    ((tax * 10000)::hugeint * units::hugeint // quantity)::decimal(18, 0)
                    * 0.0001::decimal(4, 4)
                )::decimal(18, 4)
            end
        }) filter (where units > 0)) as lines
    from ordered
    group by __parentId
),

orders as (
    select *
    from page
    where __parentId is null
)

select
    case
        when orders.id is null and line_lists.order_gid is not null
            then error(line_lists.order_gid || ' __parentId')
        when starts_with(orders.id, 'gid://shopify/Order/') then substr(orders.id, 21)
        else error('- id')
    end as order_key,
    substr(customer.id, 24) as customer_key,
    email,
    phone,
    displayAddress.firstName as first_name,
    displayAddress.lastName as last_name,
    displayAddress.countryCodeV2 as country,
    coalesce(processedAt, error(orders.id || ' processedAt')) as ordered_at,
    coalesce(currencyCode, error(orders.id || ' currencyCode')) as currency,
    lower(displayFinancialStatus) as payment_status,
    coalesce(test, error(orders.id || ' test')) as is_test,
    cancelledAt as cancelled_at,
    -- An order of several parcels is delivered with the last one, once none is on its way.
    case
        when len(list_filter(
            coalesce(fulfillments, error(orders.id || ' fulfillments')),
            lambda item: item.status in ('OPEN', 'PENDING', 'SUCCESS') and item.deliveredAt is null
        )) = 0
            then list_max(list_transform(fulfillments, lambda item: item.deliveredAt))
    end as delivered_at,
    null::timestamp as deleted_at,
    totalShippingPriceSet.shopMoney.amount as shipping_amount,
    totalTaxSet.shopMoney.amount as tax_amount,
    totalDiscountsSet.shopMoney.amount as discount_amount,
    coalesce(totalPriceSet.shopMoney.amount, error(orders.id || ' totalPriceSet')) as total_amount,
    coalesce(taxesIncluded, error(orders.id || ' taxesIncluded')) as is_tax_included,
    coalesce(discountCodes, []) as discount_codes,
    coalesce(
        customerJourneySummary.firstVisit.utmParameters.source,
        customerJourneySummary.firstVisit.source
    ) as acquisition_source,
    coalesce(line_lists.lines, []) as lines,
    coalesce(refund_lists.refunds, []) as refunds,
    list_transform(
        list_filter(
            coalesce(transactions, error(orders.id || ' transactions')),
            lambda item: item.kind is distinct from 'SUGGESTED_REFUND'
        ),
        lambda item: {
            'payment_id': substr(coalesce(item.id, error(orders.id || ' transactions[].id')), 32),
            'parent_payment_id': substr(item.parentTransaction.id, 32),
            'kind': case item.kind
                when 'SALE' then 'sale'
                when 'CAPTURE' then 'capture'
                when 'AUTHORIZATION' then 'authorization'
                when 'EMV_AUTHORIZATION' then 'authorization'
                when 'VOID' then 'void'
                when 'REFUND' then 'refund'
                when 'CHANGE' then 'refund'
                else error(orders.id || ' transactions[].kind')
            end,
            'status': case item.status
                when 'SUCCESS' then 'success'
                when 'PENDING' then 'pending'
                when 'AWAITING_RESPONSE' then 'pending'
                when 'FAILURE' then 'failure'
                when 'ERROR' then 'error'
                when 'UNKNOWN' then 'error'
                else error(orders.id || ' transactions[].status')
            end,
            'amount': coalesce(
                item.amountSet.shopMoney.amount, error(orders.id || ' transactions[].amountSet')
            ),
            'currency': item.amountSet.shopMoney.currencyCode,
            'paid_at': coalesce(item.processedAt, item.createdAt)
        }
    ) as payments,
    coalesce(updatedAt, error(orders.id || ' updatedAt')) as updated_at
from orders
full join line_lists
    on orders.id = line_lists.order_gid
left join refund_lists
    on orders.id = refund_lists.order_gid
where
    orders.id is null
    or is_found
    or len(coalesce(orders.refunds, error(orders.id || ' refunds'))) = 0
"""

CUSTOMERS = """
select
    case
        when starts_with(id, 'gid://shopify/Customer/') then substr(id, 24) else error('- id')
    end as customer_key,
    defaultEmailAddress.emailAddress as email,
    defaultPhoneNumber.phoneNumber as phone,
    firstName as first_name,
    lastName as last_name,
    defaultAddress.countryCodeV2 as country,
    locale as language,
    case
        when defaultEmailAddress is not null
            then coalesce(
                defaultEmailAddress.marketingState,
                error(id || ' defaultEmailAddress.marketingState')
            ) = 'SUBSCRIBED'
    end as has_email_consent,
    defaultEmailAddress.marketingUpdatedAt as email_consent_at,
    'shopify ' || lower(defaultEmailAddress.marketingOptInLevel) as email_consent_source,
    -- Shopify asks nobody about ads; who opted out of the sale of their data has said no.
    case when dataSaleOptOut then false end as has_ads_consent,
    case when dataSaleOptOut then 'shopify data sale opt-out' end as ads_consent_source,
    case
        when defaultPhoneNumber is not null
            then coalesce(
                defaultPhoneNumber.smsMarketingConsent.state,
                error(id || ' defaultPhoneNumber.smsMarketingConsent.state')
            ) = 'SUBSCRIBED'
    end as has_sms_consent,
    defaultPhoneNumber.smsMarketingConsent.updatedAt as sms_consent_at,
    'shopify ' || lower(defaultPhoneNumber.smsMarketingConsent.optInLevel) as sms_consent_source,
    case
        when defaultPhoneNumber.smsMarketingConsent.state = 'REDACTED' then 'erased'
    end as suppressed_reason,
    null::timestamp as deleted_at,
    coalesce(updatedAt, error(id || ' updatedAt')) as updated_at
from shopify_page
"""

PRODUCTS = """
with

page as materialized (
    select * from shopify_page
)

select
    coalesce(
        nullif(trim(variants.sku), ''),
        'variant:' || substr(coalesce(variants.id, error(products.id || ' variants[].id')), 30)
    ) as sku,
    substr(products.id, 23) as product_id,
    products.title as product_name,
    coalesce(products.category.fullName, nullif(products.productType, '')) as category,
    variants.inventoryItem.unitCost.amount as unit_cost,
    variants.inventoryItem.unitCost.currencyCode as currency,
    coalesce(products.status, error(products.id || ' status')) = 'ACTIVE' as is_active,
    variants.inventoryQuantity as stock_quantity,
    products.createdAt as created_at,
    coalesce(products.updatedAt, error(products.id || ' updatedAt')) as updated_at
from page as variants
inner join page as products
    on variants.__parentId = products.id
where products.__parentId is null
"""

_DELETED = {
    "orders": """
        select
            substr(subjectId, 21) as order_key,
            createdAt as deleted_at,
            createdAt as updated_at
        from shopify_deletions
        where starts_with(subjectId, 'gid://shopify/Order/')
    """,
    "customers": """
        select
            substr(subjectId, 24) as customer_key,
            createdAt as deleted_at,
            createdAt as updated_at
        from shopify_deletions
        where starts_with(subjectId, 'gid://shopify/Customer/')
    """,
    # Its SKUs are not told; `mark_deleted_products.sql` finds them.
    "products": """
        select
            'product:' || substr(subjectId, 23) as sku,
            substr(subjectId, 23) as product_id,
            false as is_active,
            createdAt as deleted_at,
            createdAt as updated_at
        from shopify_deletions
        where starts_with(subjectId, 'gid://shopify/Product/')
    """,
}
_DELETIONS_IN_PAGE = """
create or replace temp view shopify_deletions as
select unnest(data.deletions.nodes, max_depth := 2)
from shopify_reply
"""
_STATEMENTS: dict[Kind, str] = {"orders": ORDERS, "customers": CUSTOMERS, "products": PRODUCTS}


def duckdb_type(shape: Shape) -> str:
    """A shape in DuckDB's words."""
    if isinstance(shape, str):
        return shape
    if isinstance(shape, list):
        return f"{duckdb_type(shape[0])}[]"
    fields = ", ".join(f'"{name}" {duckdb_type(inner)}' for name, inner in shape.items())
    return f"STRUCT({fields})"


class PageRows:
    """One landed page of a kind of record."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, kind: Kind, name: str, file: Path
    ) -> None:
        self.connection = connection
        self.kind = kind
        self.name = name
        self.file = file
        self.is_bulk = name.endswith(BULK_SUFFIX)
        self.record, self.children, self.child = SHAPES[kind]

    def relation(self, owner: str, time_zone: str) -> duckdb.DuckDBPyRelation:
        """The page's rows; keys get their owner, days are those of the time zone."""
        if self.is_bulk:
            self._bulk().create_view("shopify_page", replace=True)
            # To read the file again for lines alone is quicker than to hold all that is in it.
            statement = _STATEMENTS[self.kind].replace("as materialized", "as not materialized")
            rows = self.connection.sql(statement)
        else:
            reply = self._reply()
            reply.create_view("shopify_reply", replace=True)
            if self._is_of_deletions():
                self.connection.execute(_DELETIONS_IN_PAGE)
                rows = self.connection.sql(_DELETED[self.kind])
            else:
                self.connection.execute(
                    _REPLY_OF_PARENTS.replace("children", self.children)
                    if self.children
                    else _REPLY_OF_RECORDS
                )
                rows = self.connection.sql(_STATEMENTS[self.kind])
        return _canonical(rows, owner, time_zone)

    def explain(self, error: duckdb.Error) -> BadPage:
        """What is wrong with the page: the record and the path, never a value."""
        told = re.search(r"Invalid Input Error: (gid://shopify/\w+/\d+|-) (\S+)$", str(error), re.M)
        if told:
            record = None if told[1] == "-" else told[1]
            reason = "is missing, or means something that is not known"
            if told[2] == "__parentId":
                reason = "a line of an order that is not there"
            return BadPage(self.name, reason, record=record, path=told[2])
        try:
            for place, item in self._records():
                fault = _fault(item, place, "")
                if fault:
                    identity = item.get("id") if isinstance(item, dict) else None
                    record = str(identity) if _is_gid(identity) else None
                    return BadPage(
                        self.name, "holds something of another kind", record=record, path=fault
                    )
        except (OSError, EOFError, zlib.error, UnicodeDecodeError, json.JSONDecodeError):
            return BadPage(self.name, "it is not JSON: damaged, cut or half-written")
        return BadPage(self.name, "it cannot be read")

    def _bulk(self) -> duckdb.DuckDBPyRelation:
        shape = {"__parentId": "VARCHAR", **self.record, **self.child}
        lines = self.connection.read_json(
            str(self.file),
            columns={name: duckdb_type(inner) for name, inner in shape.items()},
            format="newline_delimited",
            compression="gzip",
        )
        return lines.select(StarExpression(), ConstantExpression(False).alias("is_found"))

    def _reply(self) -> duckdb.DuckDBPyRelation:
        record = self._whole_record()
        data: Shape = {
            "records": {"nodes": [record]},
            "found": [record],
            "deletions": {"nodes": [_DELETION]},
        }
        return self.connection.read_json(
            str(self.file),
            columns={"data": duckdb_type(data)},
            format="unstructured",
            compression="gzip",
            maximum_object_size=LARGEST_OBJECT,
        )

    def _whole_record(self) -> dict[str, Shape]:
        """A record of a reply, in which the connection inside stands as its page."""
        connection: dict[str, Shape] = {}
        if self.children:
            connection[self.children] = {"nodes": [self.child]}
        return {**self.record, **connection}

    def _is_of_deletions(self) -> bool:
        found = self.connection.sql(
            """
            select
                case
                    when data.deletions.nodes is not null then true
                    when data.records.nodes is not null or data.found is not null then false
                    else error('- data')
                end
            from shopify_reply
            """
        ).fetchone()
        return bool(found and found[0])

    def _records(self) -> Iterator[tuple[Shape, Any]]:
        """Every object of the page, with the shape it should have."""
        with gzip.open(self.file, "rt", encoding="utf-8") as text:
            if self.is_bulk:
                for line in text:
                    item = json.loads(line)
                    is_child = isinstance(item, dict) and item.get("__parentId") is not None
                    yield (self.child if is_child else self.record), item
                return
            answer = json.load(text)
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, dict):
            yield {"data": {}}, answer
            return
        record = self._whole_record()
        for item in (data.get("records") or {}).get("nodes") or []:
            yield record, item
        for item in data.get("found") or []:
            yield record, item or {}
        for item in (data.get("deletions") or {}).get("nodes") or []:
            yield _DELETION, item


def _canonical(
    rows: duckdb.DuckDBPyRelation, owner: str, time_zone: str
) -> duckdb.DuckDBPyRelation:
    """Keys with their owner, and the shop's own day of an order."""
    added: list[Expression] = []
    keys = [name for name in ("order_key", "customer_key") if name in rows.columns]
    for name in keys:
        prefix = ConstantExpression(f"{owner}:")
        key = FunctionExpression("||", prefix, ColumnExpression(name))
        added.append(key.alias(name.replace("_key", "_id")))
    if "ordered_at" in rows.columns:
        utc = FunctionExpression(
            "timezone", ConstantExpression("UTC"), ColumnExpression("ordered_at")
        )
        local = FunctionExpression("timezone", ConstantExpression(time_zone), utc)
        added.append(local.cast("DATE").alias("ordered_date"))
    return rows.select(StarExpression(exclude=keys), *added)


def _fault(value: Any, shape: Shape, path: str) -> str | None:
    """The path of the first value that is of another kind than its shape."""
    if value is None:
        return None
    if isinstance(shape, str):
        return None if _fits(value, shape) else path
    if isinstance(shape, list):
        if not isinstance(value, list):
            return path
        faults = (_fault(item, shape[0], f"{path}[]") for item in value)
    else:
        if not isinstance(value, dict):
            return path or "."
        faults = (
            _fault(value.get(name), inner, f"{path}.{name}".lstrip("."))
            for name, inner in shape.items()
        )
    return next((fault for fault in faults if fault), None)


def _fits(value: Any, kind: str) -> bool:
    try:
        if kind == "BOOLEAN":
            return isinstance(value, bool)
        if kind == "BIGINT":
            return isinstance(value, int) and not isinstance(value, bool)
        if kind == "TIMESTAMP":
            return bool(datetime.fromisoformat(value))
        if kind == MONEY:
            return abs(Decimal(str(value))) < Decimal(10) ** 14
    except (ValueError, TypeError, InvalidOperation):
        return False
    return isinstance(value, str)


def _is_gid(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"gid://shopify/\w+/\d+", value))
