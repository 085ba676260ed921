"""What is asked of Shopify's Admin GraphQL API, version 2026-10.

An order is asked for with the numbers of its refunds only: what a refund holds are connections
within a list, which makes a page dear and which bulk operations refuse. The few orders that have
refunds are asked for again, whole. Nothing is asked for that belongs to another record and may
change without the order changing (a customer's name, a product's category): two readings of an
unchanged order must be equal.
"""

from __future__ import annotations

VERSION = "2026-10"

_MONEY = "{ shopMoney { amount } }"

_LINE = f"""
id sku title quantity currentQuantity
product {{ id }}
variant {{ id }}
originalUnitPriceSet {_MONEY}
discountAllocations {{ allocatedAmountSet {_MONEY} }}
taxLines {{ priceSet {_MONEY} }}
"""

_ORDER = f"""
id updatedAt processedAt cancelledAt test currencyCode displayFinancialStatus email phone
taxesIncluded discountCodes
customer {{ id }}
displayAddress {{ firstName lastName address1 zip countryCodeV2 }}
customerJourneySummary {{ firstVisit {{ source utmParameters {{ source }} }} }}
totalPriceSet {_MONEY}
totalTaxSet {_MONEY}
totalDiscountsSet {_MONEY}
totalShippingPriceSet {_MONEY}
transactions {{
    id kind status createdAt processedAt
    amountSet {{ shopMoney {{ amount currencyCode }} }}
    parentTransaction {{ id }}
}}
fulfillments {{ status deliveredAt }}
"""

_REFUNDED_LINE = f"lineItem {{ id }} quantity subtotalSet {_MONEY} totalTaxSet {_MONEY}"
_REFUNDED_SHIPPING = f"id subtotalAmountSet {_MONEY} taxAmountSet {_MONEY}"
_ADJUSTMENT = f"id amountSet {_MONEY} taxAmountSet {_MONEY}"

_CUSTOMER = """
id createdAt updatedAt firstName lastName locale dataSaleOptOut
defaultEmailAddress { emailAddress marketingState marketingOptInLevel marketingUpdatedAt }
defaultPhoneNumber {
    phoneNumber
    smsMarketingConsent { state optInLevel updatedAt collectedFrom }
}
defaultAddress { countryCodeV2 }
"""

_VARIANT = "id title sku inventoryQuantity inventoryItem { unitCost { amount currencyCode } }"
_PRODUCT = "id title productType status createdAt updatedAt category { fullName }"

_PAGE = "pageInfo { hasNextPage endCursor }"

ORDERS = f"""
query Orders($first: Int!, $after: String, $query: String) {{
    records: orders(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {{
        nodes {{
            {_ORDER}
            refunds {{ id updatedAt }}
            lineItems(first: 10) {{ nodes {{ {_LINE} }} {_PAGE} }}
        }}
        {_PAGE}
    }}
}}
"""

REFUNDED_ORDERS = f"""
query RefundedOrders($ids: [ID!]!) {{
    found: nodes(ids: $ids) {{
        ... on Order {{
            {_ORDER}
            refunds {{
                id processedAt
                refundLineItems(first: 10) {{ nodes {{ {_REFUNDED_LINE} }} {_PAGE} }}
                refundShippingLines(first: 5) {{ nodes {{ {_REFUNDED_SHIPPING} }} {_PAGE} }}
                orderAdjustments(first: 5) {{ nodes {{ {_ADJUSTMENT} }} {_PAGE} }}
            }}
            lineItems(first: 10) {{ nodes {{ {_LINE} }} {_PAGE} }}
        }}
    }}
}}
"""

CUSTOMERS = f"""
query Customers($first: Int!, $after: String, $query: String) {{
    records: customers(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {{
        nodes {{ {_CUSTOMER} }}
        {_PAGE}
    }}
}}
"""

PRODUCTS = f"""
query Products($first: Int!, $after: String, $query: String) {{
    records: products(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {{
        nodes {{
            {_PRODUCT}
            variants(first: 10) {{ nodes {{ {_VARIANT} }} {_PAGE} }}
        }}
        {_PAGE}
    }}
}}
"""

DELETIONS = f"""
query Deletions($first: Int!, $after: String, $query: String) {{
    deletions: events(first: $first, after: $after, query: $query, sortKey: CREATED_AT) {{
        nodes {{ ... on BasicEvent {{ id createdAt subjectId }} }}
        {_PAGE}
    }}
}}
"""

# How the rest of a connection inside a record is asked for, by the connection's name.
REST: dict[str, str] = {
    name: f"""
query Rest($id: ID!, $after: String) {{
    owner: node(id: $id) {{
        ... on {kind} {{ rest: {name}(first: 100, after: $after) {{ nodes {{ {node} }} {_PAGE} }} }}
    }}
}}
"""
    for name, kind, node in (
        ("lineItems", "Order", _LINE),
        ("refundLineItems", "Refund", _REFUNDED_LINE),
        ("refundShippingLines", "Refund", _REFUNDED_SHIPPING),
        ("orderAdjustments", "Refund", _ADJUSTMENT),
        ("variants", "Product", _VARIANT),
    )
}

COUNTS: dict[str, str] = {
    name: f"query Count($query: String) {{ counted: {name}Count(query: $query) {{ count }} }}"
    for name in ("orders", "customers", "products")
}

# `filter` is put in as a GraphQL string.
BULK: dict[str, str] = {
    "orders": f"""
{{
    orders(query: %(filter)s) {{
        edges {{ node {{
            {_ORDER}
            refunds {{ id }}
            lineItems {{ edges {{ node {{ {_LINE} }} }} }}
        }} }}
    }}
}}
""",
    "customers": f"""
{{
    customers(query: %(filter)s) {{ edges {{ node {{ {_CUSTOMER} }} }} }}
}}
""",
    "products": f"""
{{
    products(query: %(filter)s) {{
        edges {{ node {{
            {_PRODUCT}
            variants {{ edges {{ node {{ {_VARIANT} }} }} }}
        }} }}
    }}
}}
""",
}

RUN_BULK = """
mutation RunBulk($query: String!) {
    started: bulkOperationRunQuery(query: $query, groupObjects: false) {
        bulkOperation { id createdAt }
        userErrors { code }
    }
}
"""

POLL_BULK = """
query PollBulk($id: ID!) {
    operation: bulkOperation(id: $id) { status errorCode objectCount fileSize url createdAt }
}
"""

ACCESS = """
query Access {
    shop { name }
    installation: currentAppInstallation { accessScopes { handle } }
}
"""

DOCUMENTS: dict[str, str] = {
    "ORDERS": ORDERS,
    "REFUNDED_ORDERS": REFUNDED_ORDERS,
    "CUSTOMERS": CUSTOMERS,
    "PRODUCTS": PRODUCTS,
    "DELETIONS": DELETIONS,
    "RUN_BULK": RUN_BULK,
    "POLL_BULK": POLL_BULK,
    "ACCESS": ACCESS,
    **{f"REST {name}": text for name, text in REST.items()},
    **{f"COUNTS {name}": text for name, text in COUNTS.items()},
    **{f"BULK {name}": text % {"filter": '""'} for name, text in BULK.items()},
}
"""Everything that is ever sent, by name."""
