"""What a control request may put into the shop: plain documents, from which the API's are made."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Amount = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$")]
Instant = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]


class Document(BaseModel):
    """A document that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid")


class Line(Document):
    """A line of an order. discount: allocated to the whole line; removed: units taken off by edits;
    added: whether an edit put it on.
    """

    id: int
    title: str = "Mug"
    sku: str | None = None
    product_id: int | None = None
    variant_id: int | None = None
    quantity: int = Field(1, ge=1)
    price: Amount = "10.00"
    discount: Amount = "0.00"
    tax: Amount = "0.00"
    removed: int = Field(0, ge=0)
    added: bool = False


class RefundedLine(Document):
    """Units of a line that came back, and what was given for them."""

    line_id: int
    quantity: int = Field(1, ge=0)
    subtotal: Amount
    tax: Amount = "0.00"


class Refund(Document):
    """Money given back. adjustment: as Shopify writes it, negative when more was given back than
    the lines are worth.
    """

    id: int
    processed_at: Instant
    lines: list[RefundedLine] = []
    shipping: Amount | None = None
    shipping_tax: Amount = "0.00"
    adjustment: Amount | None = None
    adjustment_tax: Amount = "0.00"


class Transaction(Document):
    """A movement of money at the payment provider."""

    id: int
    kind: str = "SALE"
    status: str = "SUCCESS"
    amount: Amount
    processed_at: Instant
    parent_id: int | None = None


class Parcel(Document):
    """A shipment of an order's lines; delivered_at once the carrier says so."""

    id: int
    created_at: Instant
    status: str = "SUCCESS"
    delivered_at: Instant | None = None


class Order(Document):
    """An order. financial_status: only to say another one than the transactions give."""

    id: int
    created_at: Instant
    processed_at: Instant | None = None
    customer_id: int | None = None
    email: str | None = None
    phone: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    country: str | None = None
    address1: str | None = None
    zip: str | None = None
    currency: str | None = None
    test: bool = False
    cancelled_at: Instant | None = None
    cancel_reason: str | None = None
    taxes_included: bool = True
    financial_status: str | None = None
    discount_codes: list[str] = []
    shipping: Amount = "0.00"
    visit_source: str | None = None
    utm_source: str | None = None
    lines: list[Line] = []
    refunds: list[Refund] = []
    transactions: list[Transaction] = []
    parcels: list[Parcel] = []


class Customer(Document):
    """A customer with the consent to e-mail and SMS."""

    id: int
    created_at: Instant
    first_name: str | None = None
    last_name: str | None = None
    locale: str = "en"
    country: str | None = None
    address1: str | None = None
    zip: str | None = None
    data_sale_opt_out: bool = False
    email: str | None = None
    email_state: str = "NOT_SUBSCRIBED"
    email_level: str | None = None
    email_changed_at: Instant | None = None
    phone: str | None = None
    sms_state: str = "NEVER_SUBSCRIBED"
    sms_level: str | None = None
    sms_collected_from: str | None = None
    sms_changed_at: Instant | None = None


class Variant(Document):
    """What is sold of a product."""

    id: int
    title: str = "Default Title"
    sku: str | None = None
    price: Amount = "10.00"
    cost: Amount | None = None
    stock: int | None = 0


class Product(Document):
    """A product with its variants. category: the full name in Shopify's taxonomy."""

    id: int
    created_at: Instant
    title: str = "Mug"
    product_type: str = ""
    vendor: str = "Regulars"
    status: Literal["ACTIVE", "ARCHIVED", "DRAFT", "UNLISTED"] = "ACTIVE"
    category: str | None = None
    variants: list[Variant] = []


class Edit(Document):
    """A change to an order's lines: units to take off by line, and lines to put on."""

    remove: dict[int, int] = {}
    add: list[Line] = []


class Settings(Document):
    """How the shop and the app's access to it are. now: the shop's clock, the real one if null.

    bulk_polls: how often a bulk operation is asked for before it is done. bulk_error: how the
    next ones fail. unsorted: whether a page's records come in another order than asked for.
    """

    name: str = "Regulars Test Shop"
    domain: str = "regulars-test.myshopify.com"
    currency: str = "EUR"
    time_zone: str = "Europe/Berlin"
    token: str | None = None
    scopes: list[str] = [
        "read_orders",
        "read_all_orders",
        "read_customers",
        "read_products",
        "read_inventory",
        "write_discounts",
    ]
    bucket: int = Field(2000, ge=1)
    restore_rate: float = Field(100, gt=0)
    now: Instant | None = None
    bulk_polls: int = Field(1, ge=0)
    bulk_error: Literal["ACCESS_DENIED", "INTERNAL_SERVER_ERROR", "TIMEOUT"] | None = None
    unsorted: bool = False


DOCUMENTS: dict[str, type[Document]] = {
    "Order": Order,
    "Customer": Customer,
    "Product": Product,
}
