"""Landed pages of a Shopify shop into canonical rows.

There are three kinds of page. A reply is one JSON object under `data`: a page of `records`, orders
`found` by their ids, or `deletions`. Of a bulk operation there are records as JSON Lines, each with
what belongs to it inside, as in a reply; or, where these came apart, each object on its own line,
with its record's id in `__parentId`. The view `shopify_records` is the same for all of them: a
record with the list of what belongs to it. One statement then reads it record by record, so that a
page of any size takes little memory.
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

from include.sources.addresses import ADDRESS_KEY
from include.sources.base import BadPage
from include.sources.documents import MONEY
from include.sources.shopify_bulk import BULK_SUFFIX, RECORDS_SUFFIX

Kind = Literal["orders", "customers", "products"]
# A DuckDB type, an object's fields, or the shape of a list's items.
Shape = str | Mapping[str, "Shape"] | list["Shape"]

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
    "displayAddress": {
        "firstName": "VARCHAR",
        "lastName": "VARCHAR",
        "address1": "VARCHAR",
        "zip": "VARCHAR",
        "countryCodeV2": "VARCHAR",
    },
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
_RECORDS_OF_REPLY = """
create or replace temp view shopify_records as
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
"""
_RECORDS_OF_LINES = """
create or replace temp view shopify_records as
with

children as (
    select
        __parentId as parent_gid,
        list({fields}) as nodes
    from shopify_lines
    where __parentId is not null
    group by __parentId
),

records as (
    select *
    from shopify_lines
    where __parentId is null
)

select
    records.* exclude (id, {connection}),
    coalesce(records.id, error(children.parent_gid || ' __parentId')) as id,
    {{'nodes': list_concat(records.{connection}.nodes, children.nodes)}} as {connection},
    false as is_found
from records
full join children
    on records.id = children.parent_gid
"""

ORDERS = """
with

-- Units that an edit took off were never sold; units that came back were.
counted as (
    select
        *,
        case
            when is_found then list_transform(
                flatten(list_transform(refunds, lambda refund: refund.refundLineItems.nodes)),
                lambda back: {
                    'line_gid': back.lineItem.id,
                    'quantity': coalesce(
                        back.quantity, error(id || ' refunds[].refundLineItems.quantity')
                    )
                }
            )
        end as returned
    from shopify_records
),

measured as (
    select
        *,
        list_transform(lineItems.nodes, lambda line: {
            'line': line,
            'units': least(
                coalesce(line.quantity, error(id || ' lineItems[].quantity')),
                coalesce(line.currentQuantity, error(id || ' lineItems[].currentQuantity'))
                + coalesce(
                    list_sum(list_transform(
                        list_filter(returned, lambda back: back.line_gid = line.id),
                        lambda back: back.quantity
                    )),
                    0
                )
            )::bigint,
            'discount': coalesce(
                list_sum(list_transform(
                    line.discountAllocations,
                    lambda part: part.allocatedAmountSet.shopMoney.amount
                )),
                0
            ),
            'tax': coalesce(
                list_sum(list_transform(
                    line.taxLines, lambda part: part.priceSet.shopMoney.amount
                )),
                0
            )
        }) as sold
    from counted
)

select
    case
        when starts_with(id, 'gid://shopify/Order/') then substr(id, 21)
        else error('- id')
    end as order_key,
    substr(customer.id, 24) as customer_key,
    email,
    phone,
    displayAddress.firstName as first_name,
    displayAddress.lastName as last_name,
    displayAddress.countryCodeV2 as country,
    displayAddress.zip as postcode,
    displayAddress.address1 as street,
    coalesce(processedAt, error(id || ' processedAt')) as ordered_at,
    coalesce(currencyCode, error(id || ' currencyCode')) as currency,
    lower(displayFinancialStatus) as payment_status,
    coalesce(test, error(id || ' test')) as is_test,
    cancelledAt as cancelled_at,
    -- An order of several parcels is delivered with the last one, once none is on its way.
    case
        when len(list_filter(
            coalesce(fulfillments, error(id || ' fulfillments')),
            lambda item: item.status in ('OPEN', 'PENDING', 'SUCCESS') and item.deliveredAt is null
        )) = 0
            then list_max(list_transform(fulfillments, lambda item: item.deliveredAt))
    end as delivered_at,
    null::timestamp as deleted_at,
    totalShippingPriceSet.shopMoney.amount as shipping_amount,
    totalTaxSet.shopMoney.amount as tax_amount,
    totalDiscountsSet.shopMoney.amount as discount_amount,
    coalesce(totalPriceSet.shopMoney.amount, error(id || ' totalPriceSet')) as total_amount,
    coalesce(taxesIncluded, error(id || ' taxesIncluded')) as is_tax_included,
    coalesce(discountCodes, []) as discount_codes,
    coalesce(
        customerJourneySummary.firstVisit.utmParameters.source,
        customerJourneySummary.firstVisit.source
    ) as acquisition_source,
    coalesce(
        list_sort(list_transform(
            list_filter(sold, lambda item: item.units > 0),
            lambda item: {
                'line_id': substr(coalesce(item.line.id, error(id || ' lineItems[].id')), 24),
                'sku': coalesce(
                    nullif(trim(item.line.sku), ''), 'variant:' || substr(item.line.variant.id, 30)
                ),
                'product_id': substr(item.line.product.id, 23),
                'product_name': item.line.title,
                'category': null::varchar,
                'quantity': item.units::decimal(18, 4),
                'unit_price': coalesce(
                    item.line.originalUnitPriceSet.shopMoney.amount,
                    error(id || ' lineItems[].originalUnitPriceSet')
                ),
                'gross_amount': (
                    item.units * item.line.originalUnitPriceSet.shopMoney.amount
                )::decimal(18, 4),
                'discount_amount': case
                    when item.units = item.line.quantity then item.discount::decimal(18, 4)
                    else (
                        (
                            (item.discount * 10000)::hugeint
                            * item.units::hugeint
                            // item.line.quantity
                        )::decimal(18, 0)
                        * 0.0001::decimal(4, 4)
                    )::decimal(18, 4)
                end,
                'tax_amount': case
                    when item.units = item.line.quantity then item.tax::decimal(18, 4)
                    else (
                        (
                            (item.tax * 10000)::hugeint
                            * item.units::hugeint
                            // item.line.quantity
                        )::decimal(18, 0)
                        * 0.0001::decimal(4, 4)
                    )::decimal(18, 4)
                end
            }
        )),
        []
    ) as lines,
    case
        when is_found then list_sort(flatten(list_transform(
            coalesce(refunds, []),
            lambda refund: list_concat(
                list_transform(refund.refundLineItems.nodes, lambda back: {
                    'refund_id': substr(refund.id, 22),
                    'line_id': substr(
                        coalesce(
                            back.lineItem.id, error(id || ' refunds[].refundLineItems.lineItem.id')
                        ),
                        24
                    ),
                    'kind': 'line',
                    'quantity': back.quantity::decimal(18, 4),
                    'amount': coalesce(
                        back.subtotalSet.shopMoney.amount,
                        error(id || ' refunds[].refundLineItems.subtotalSet')
                    ),
                    'tax_amount': back.totalTaxSet.shopMoney.amount,
                    'refunded_at': refund.processedAt
                }),
                list_transform(refund.refundShippingLines.nodes, lambda shipping: {
                    'refund_id': substr(refund.id, 22),
                    'line_id': null::varchar,
                    'kind': 'shipping',
                    'quantity': null::decimal(18, 4),
                    'amount': coalesce(
                        shipping.subtotalAmountSet.shopMoney.amount,
                        error(id || ' refunds[].refundShippingLines.subtotalAmountSet')
                    ),
                    'tax_amount': shipping.taxAmountSet.shopMoney.amount,
                    'refunded_at': refund.processedAt
                }),
                -- Counts from the shop's side: what was given back beyond the lines is negative.
                list_transform(refund.orderAdjustments.nodes, lambda adjustment: {
                    'refund_id': substr(refund.id, 22),
                    'line_id': null::varchar,
                    'kind': 'adjustment',
                    'quantity': null::decimal(18, 4),
                    'amount': -coalesce(
                        adjustment.amountSet.shopMoney.amount,
                        error(id || ' refunds[].orderAdjustments.amountSet')
                    ),
                    'tax_amount': -adjustment.taxAmountSet.shopMoney.amount,
                    'refunded_at': refund.processedAt
                })
            )
        )))
        else []
    end as refunds,
    list_transform(
        list_filter(
            coalesce(transactions, error(id || ' transactions')),
            lambda item: item.kind is distinct from 'SUGGESTED_REFUND'
        ),
        lambda item: {
            'payment_id': substr(coalesce(item.id, error(id || ' transactions[].id')), 32),
            'parent_payment_id': substr(item.parentTransaction.id, 32),
            'kind': case item.kind
                when 'SALE' then 'sale'
                when 'CAPTURE' then 'capture'
                when 'AUTHORIZATION' then 'authorization'
                when 'EMV_AUTHORIZATION' then 'authorization'
                when 'VOID' then 'void'
                when 'REFUND' then 'refund'
                when 'CHANGE' then 'refund'
                else error(id || ' transactions[].kind')
            end,
            'status': case item.status
                when 'SUCCESS' then 'success'
                when 'PENDING' then 'pending'
                when 'AWAITING_RESPONSE' then 'pending'
                when 'FAILURE' then 'failure'
                when 'ERROR' then 'error'
                when 'UNKNOWN' then 'error'
                else error(id || ' transactions[].status')
            end,
            'amount': coalesce(
                item.amountSet.shopMoney.amount, error(id || ' transactions[].amountSet')
            ),
            'currency': item.amountSet.shopMoney.currencyCode,
            'paid_at': coalesce(item.processedAt, item.createdAt)
        }
    ) as payments,
    coalesce(updatedAt, error(id || ' updatedAt')) as updated_at
from measured
where is_found or len(coalesce(refunds, error(id || ' refunds'))) = 0
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
from shopify_records
"""

PRODUCTS = """
select
    coalesce(
        nullif(trim(variant.sku), ''),
        'variant:' || substr(coalesce(variant.id, error(id || ' variants[].id')), 30)
    ) as sku,
    substr(id, 23) as product_id,
    title as product_name,
    coalesce(category.fullName, nullif(productType, '')) as category,
    variant.inventoryItem.unitCost.amount as unit_cost,
    variant.inventoryItem.unitCost.currencyCode as currency,
    coalesce(status, error(id || ' status')) = 'ACTIVE' as is_active,
    variant.inventoryQuantity as stock_quantity,
    createdAt as created_at,
    coalesce(updatedAt, error(id || ' updatedAt')) as updated_at
from (
    select
        *,
        unnest(variants.nodes) as variant
    from shopify_records
)
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
            self._make_records_of_bulk()
            return _canonical(self.connection.sql(_STATEMENTS[self.kind]), owner, time_zone)
        self._reply().create_view("shopify_reply", replace=True)
        if self._is_of_deletions():
            self.connection.execute(_DELETIONS_IN_PAGE)
            rows = self.connection.sql(_DELETED[self.kind])
        else:
            self.connection.execute(_RECORDS_OF_REPLY)
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

    def _make_records_of_bulk(self) -> None:
        """Make the view on the records of the result of a bulk operation."""
        if self.children is None or self.name.endswith(RECORDS_SUFFIX):
            records = self._bulk(self._whole_record())
            is_found = ConstantExpression(False).alias("is_found")
            records.select(StarExpression(), is_found).create_view("shopify_records", replace=True)
            return
        shape = {"__parentId": "VARCHAR", **self._whole_record(), **self.child}
        self._bulk(shape).create_view("shopify_lines", replace=True)
        fields = ", ".join(f"'{name}': {name}" for name in self.child)
        self.connection.execute(
            _RECORDS_OF_LINES.format(connection=self.children, fields=f"{{{fields}}}")
        )

    def _bulk(self, shape: Mapping[str, Shape]) -> duckdb.DuckDBPyRelation:
        return self.connection.read_json(
            str(self.file),
            columns={name: duckdb_type(inner) for name, inner in shape.items()},
            format="newline_delimited",
            compression="gzip",
        )

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
        record = self._whole_record()
        with gzip.open(self.file, "rt", encoding="utf-8") as text:
            if self.is_bulk:
                for line in text:
                    item = json.loads(line)
                    is_child = isinstance(item, dict) and item.get("__parentId") is not None
                    yield (self.child if is_child else record), item
                return
            answer = json.load(text)
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, dict):
            yield {"data": {}}, answer
            return
        for item in (data.get("records") or {}).get("nodes") or []:
            yield record, item
        for item in data.get("found") or []:
            yield record, item or {}
        for item in (data.get("deletions") or {}).get("nodes") or []:
            yield _DELETION, item


def _canonical(
    rows: duckdb.DuckDBPyRelation, owner: str, time_zone: str
) -> duckdb.DuckDBPyRelation:
    """Keys with their owner, the shop's own day of an order, and a key for its address."""
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
    if "street" in rows.columns:
        keys += ["postcode", "street"]
        added.append(ADDRESS_KEY.alias("address_key"))
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
