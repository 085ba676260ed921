"""The shop: its records, how they change, and the documents WooCommerce shows of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from include.sandbox.truth import Truth

CENT = Decimal("0.01")
ADDRESS = (
    "first_name",
    "last_name",
    "company",
    "address_1",
    "address_2",
    "city",
    "state",
    "postcode",
    "country",
)
ORDER = {
    "parent_id": 0,
    "status": "processing",
    "currency": "EUR",
    "version": "10.4.0",
    "prices_include_tax": False,
    "customer_id": 0,
    "customer_note": "",
    "created_via": "checkout",
    "payment_method": "bacs",
    "transaction_id": "",
    "date_paid_gmt": None,
    "date_completed_gmt": None,
    "shipping_total": "0.00",
    "shipping_tax": "0.00",
    "meta_data": [],
    "line_items": [],
    "tax_lines": [],
    "shipping_lines": [],
    "fee_lines": [],
    "coupon_lines": [],
}
CUSTOMER = {
    "email": "",
    "first_name": "",
    "last_name": "",
    "role": "customer",
    "username": "",
    "is_paying_customer": False,
    "avatar_url": "",
    "meta_data": [],
}
PRODUCT = {
    "name": "",
    "type": "simple",
    "status": "publish",
    "sku": "",
    "price": "",
    "manage_stock": False,
    "stock_quantity": None,
    "stock_status": "instock",
    "categories": [],
    "variations": [],
    "meta_data": [],
}
COUPON = {
    "status": "publish",
    "amount": "0.00",
    "discount_type": "fixed_cart",
    "description": "",
    "date_expires": None,
    "usage_count": 0,
    "individual_use": False,
    "usage_limit": None,
    "usage_limit_per_user": None,
    "minimum_amount": "0.00",
}
LINE = {"name": "", "product_id": 0, "variation_id": 0, "quantity": 1, "tax_class": "", "sku": ""}


class Missing(Exception):
    """There is no such record."""


class Refused(Exception):
    """A record that the shop does not take, with WooCommerce's code for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Shop:
    """One shop in the truth store. Every change is one transaction."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth

    @property
    def offset(self) -> timedelta:
        """How far the site's clock is ahead of GMT."""
        return timedelta(hours=self._setting("gmt_offset"))

    @property
    def sorts_by_modified(self) -> bool:
        """Whether lists can be ordered by the time of the last change; old versions cannot."""
        return bool(self._setting("sorts_by_modified"))

    @property
    def lists_refunds(self) -> bool:
        """Whether the refunds of all orders can be listed; versions before 9.0 cannot."""
        return bool(self._setting("lists_refunds"))

    def configure(self, gmt_offset: int, sorts_by_modified: bool, lists_refunds: bool) -> None:
        """Change the site's settings."""
        with self.truth.connection:
            self.truth.connection.execute(
                """
                UPDATE woocommerce_shop
                SET gmt_offset = ?, sorts_by_modified = ?, lists_refunds = ?
                """,
                (gmt_offset, sorts_by_modified, lists_refunds),
            )

    def put_order(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Create an order, or change the one whose `id` is given; totals follow from the lines."""
        with self.truth.connection:
            document = self._merged("order", ORDER, given)
            billing = dict.fromkeys((*ADDRESS, "email", "phone"), "")
            document["billing"] = billing | document.get("billing", {})
            document["shipping"] = dict.fromkeys((*ADDRESS, "phone"), "")
            document["line_items"] = [self._line(line) for line in document["line_items"]]
            for key in ("fee_lines", "shipping_lines", "coupon_lines"):
                for line in document[key]:
                    line.setdefault("id", self._next_id())
            if "date_paid_gmt" not in given and document["status"] in ("processing", "completed"):
                document["date_paid_gmt"] = document["date_paid_gmt"] or document["created"]
            self._keep("order", totalled(document))
        return self.order(document["id"])

    def refund(self, order_id: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Refund lines ({id, quantity, total, total_tax}), shipping, fees, or just an `amount`.

        The order is refunded once nothing of its total is left, and counts as modified. A refund of
        a part `moves_no_date` in WooCommerce of before March 2023 and with some payment plug-ins;
        another status always does.
        """
        order = self._document("order", order_id)
        at = given.get("date_created_gmt") or present()
        with self.truth.connection:
            lines = []
            for line in given.get("line_items", ()):
                [held] = [held for held in order["line_items"] if held["id"] == line["id"]]
                lines.append(self._refunded(held, line))
            shipping, fees = (
                [
                    {"id": self._next_id(), "total": negative(line["total"]), "total_tax": "0.00"}
                    for line in given.get(name, ())
                ]
                for name in ("shipping_lines", "fee_lines")
            )
            told = lines + shipping + fees
            parts = -sum(Decimal(part[key]) for part in told for key in ("total", "total_tax"))
            document = {
                "id": self._next_id(),
                "parent_id": order_id,
                "created": at,
                "modified": at,
                "status": "completed",
                "amount": money(given.get("amount", parts)),
                "reason": given.get("reason", ""),
                "refunded_by": 1,
                "refunded_payment": bool(given.get("refunded_payment", False)),
                "meta_data": [],
                "line_items": lines,
                "shipping_lines": shipping,
                "tax_lines": [],
                "fee_lines": fees,
            }
            self._keep("refund", document)
            returned = sum(Decimal(part["amount"]) for part in self.refunds(order_id))
            if returned >= Decimal(order["total"]):
                order |= {"status": "refunded", "modified": at}
            moved = {} if given.get("moves_no_date") else {"modified": at}
            self._keep("order", order | moved)
        return document

    def put_customer(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Create a customer, or change the one whose `id` is given."""
        with self.truth.connection:
            document = self._merged("customer", CUSTOMER, given)
            billing = dict.fromkeys((*ADDRESS, "email", "phone"), "")
            document["billing"] = billing | document.get("billing", {})
            document["shipping"] = dict.fromkeys((*ADDRESS, "phone"), "")
            self._keep("customer", document | {"status": document["role"]})
        return self.shown("customer", document)

    def put_product(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Create or change a product; with a `parent_id` it is a variation of that product."""
        kind = "variation" if given.get("parent_id") else "product"
        with self.truth.connection:
            document = self._merged(kind, PRODUCT, given)
            self._keep(kind, document)
            if kind == "variation":
                parent = self._document("product", document["parent_id"])
                variations = sorted({*parent["variations"], document["id"]})
                self._keep("product", parent | {"type": "variable", "variations": variations})
        return self.shown(kind, document)

    def put_coupon(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Create a coupon; its code is kept in small letters. Raises `Refused`."""
        code = str(given.get("code", "")).lower()
        if not code:
            raise Refused("woocommerce_rest_empty_coupon_code", "The coupon code cannot be empty.")
        held = self.truth.one(
            """
            SELECT 1 FROM woocommerce_records
            WHERE kind = 'coupon' AND document ->> 'code' = ?
            """,
            (code,),
        )
        if held:
            raise Refused(
                "woocommerce_rest_coupon_code_already_exists", "The coupon code already exists"
            )
        if given.get("discount_type") == "percent" and Decimal(given["amount"]) > 100:
            raise Refused("woocommerce_rest_invalid_coupon", "Invalid discount amount")
        with self.truth.connection:
            document = self._merged("coupon", COUPON, {**given, "code": code})
            self._keep("coupon", document)
        return self.shown("coupon", document)

    def delete(self, kind: str, record_id: int, *, force: bool, at: str | None = None) -> None:
        """Move to the trash, which counts as a change; or delete for good, with what hangs on."""
        document = self._document(kind, record_id)
        with self.truth.connection:
            if not force:
                trashed = {"status": "trash", "modified": at or present()}
                self._keep(kind, document | trashed)
                return
            self.truth.connection.execute(
                "DELETE FROM woocommerce_records WHERE kind = ? AND id = ?", (kind, record_id)
            )
            self.truth.connection.execute(
                "DELETE FROM woocommerce_records WHERE kind = ? AND parent_id = ?",
                ({"order": "refund", "product": "variation"}.get(kind), record_id),
            )

    def order(self, order_id: int) -> dict[str, Any]:
        """An order as the API shows it. Raises `Missing`."""
        return self.shown("order", self._document("order", order_id))

    def refunds(self, order_id: int) -> list[dict[str, Any]]:
        """An order's refunds, newest first."""
        rows = self.truth.all(
            """
            SELECT document FROM woocommerce_records WHERE kind = 'refund' AND parent_id = ?
            ORDER BY created DESC, id DESC
            """,
            (order_id,),
        )
        return [json.loads(row["document"]) for row in rows]

    def shown(self, kind: str, document: dict[str, Any]) -> dict[str, Any]:
        """A record as the API shows it: dates in the site's zone too, an order with its refunds."""
        content = dict(document)
        dates = {"date_created": content.pop("created"), "date_modified": content.pop("modified")}
        if kind in ("refund", "customer"):
            content.pop("status", None)
        if kind == "order":
            dates |= {name: content[f"{name}_gmt"] for name in ("date_paid", "date_completed")}
            content["number"] = str(content["id"])
            content["refunds"] = [
                {"id": part["id"], "reason": part["reason"], "total": f"-{part['amount']}"}
                for part in self.refunds(content["id"])
            ]
        for name, instant in dates.items():
            local = None if instant is None else shifted(instant, self.offset)
            content |= {name: local, f"{name}_gmt": instant}
        return content

    def listed(self, kind: str, query: Mapping[str, Any]) -> tuple[list[dict[str, Any]], int]:
        """A page of a list, and how many records the whole list has. `query`: see `LISTING`."""
        rows = self.truth.all(LISTING, {"kind": kind, **query})
        documents = [row["document"] for row in rows if row["document"]]
        return [self.shown(kind, json.loads(text)) for text in documents], rows[0]["total"]

    def _setting(self, name: str) -> int:
        row = self.truth.one("SELECT * FROM woocommerce_shop")
        value: int = row[name] if row else 0
        return value

    def _next_id(self) -> int:
        """Orders, lines, refunds and products share one sequence, as in WordPress."""
        self.truth.connection.execute("UPDATE woocommerce_shop SET next_id = next_id + 1")
        return self._setting("next_id") - 1

    def _row(self, kind: str, record_id: int) -> sqlite3.Row | None:
        return self.truth.one(
            "SELECT document FROM woocommerce_records WHERE kind = ? AND id = ?", (kind, record_id)
        )

    def _document(self, kind: str, record_id: int) -> dict[str, Any]:
        row = self._row(kind, record_id)
        if row is None:
            raise Missing
        document: dict[str, Any] = json.loads(row["document"])
        return document

    def _merged(
        self, kind: str, defaults: Mapping[str, Any], given: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What is held with what is given on top; a new record gets an id and its dates."""
        changes = dict(given)
        at = changes.pop("date_modified_gmt", None) or present()
        created = changes.pop("date_created_gmt", None)
        row = self._row(kind, changes["id"]) if "id" in changes else None
        held = json.loads(row["document"]) if row else {**defaults, "created": created or at}
        if "id" not in changes:
            held["id"] = self._next_id()
        return held | ({"created": created} if created else {}) | changes | {"modified": at}

    def _line(self, given: Mapping[str, Any]) -> dict[str, Any]:
        line = {**LINE, "meta_data": [], **given}
        line.setdefault("id", self._next_id())
        quantity = max(1, line["quantity"])
        line["subtotal"] = money(
            line.get("subtotal", Decimal(str(line.get("price", 0))) * quantity)
        )
        line["total"] = money(line.get("total", line["subtotal"]))
        line["subtotal_tax"] = money(line.get("subtotal_tax", line.get("total_tax", 0)))
        line["total_tax"] = money(line.get("total_tax", 0))
        line["price"] = float(Decimal(line["total"]) / quantity)
        return line

    def _refunded(self, held: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        origin = {"id": self._next_id(), "key": "_refunded_item_id", "value": str(held["id"])}
        return {
            **held,
            "id": self._next_id(),
            "quantity": -given.get("quantity", 0),
            "subtotal": negative(given["total"]),
            "total": negative(given["total"]),
            "total_tax": negative(given.get("total_tax", 0)),
            "meta_data": [origin],
        }

    def _keep(self, kind: str, document: Mapping[str, Any]) -> None:
        self.truth.connection.execute(
            "INSERT OR REPLACE INTO woocommerce_records VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                kind,
                document["id"],
                document.get("parent_id", 0),
                document["status"],
                document["created"],
                document["modified"],
                json.dumps(document),
            ),
        )


def totalled(order: dict[str, Any]) -> dict[str, Any]:
    """An order with its totals worked out anew."""
    lines, fees = order["line_items"], order["fee_lines"]
    taxes = sum(Decimal(line["total_tax"]) for line in lines)
    goods = sum(Decimal(line["total"]) for line in lines)
    discount = sum(Decimal(line["subtotal"]) - Decimal(line["total"]) for line in lines)
    charges = sum(Decimal(fee["total"]) for fee in fees)
    tax = taxes + Decimal(order["shipping_tax"])
    total = goods + charges + Decimal(order["shipping_total"]) + tax
    return order | {
        "discount_total": money(discount),
        "discount_tax": "0.00",
        "cart_tax": money(taxes),
        "total_tax": money(tax),
        "total": money(order.get("forced_total", total)),
    }


def money(amount: Any) -> str:
    """An amount as WooCommerce writes it: text with two decimals."""
    return str(Decimal(str(amount)).quantize(CENT))


def negative(amount: Any) -> str:
    """An amount given back, as refunds write it."""
    return money(-Decimal(str(amount)))


def present() -> str:
    """The present instant in GMT, as WordPress writes it: whole seconds, no zone."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def shifted(instant: str, by: timedelta) -> str:
    """An instant by another clock."""
    return (datetime.fromisoformat(instant) + by).isoformat()


# Filters: parent (NULL for any), statuses and ids as JSON lists ('[]' for any), dates in GMT (''
# for none). The direction is 1 or -1. One row at least comes back: an empty page has a total, too.
LISTING = """
WITH found AS (
    SELECT
        document,
        row_number() OVER (
            ORDER BY
                :direction * CASE :orderby
                    WHEN 'modified' THEN unixepoch(modified)
                    WHEN 'id' THEN 0
                    ELSE unixepoch(created)
                END,
                :direction * id
        ) AS place
    FROM woocommerce_records
    WHERE kind = :kind
        AND (:parent IS NULL OR parent_id = :parent)
        AND (:status = '[]' OR status IN (SELECT value FROM json_each(:status)))
        AND status NOT IN (SELECT value FROM json_each(:hidden))
        AND (:after = '' OR created > :after)
        AND (:before = '' OR created < :before)
        AND (:modified_after = '' OR modified > :modified_after)
        AND (:modified_before = '' OR modified < :modified_before)
        AND (:include = '[]' OR id IN (SELECT value FROM json_each(:include)))
        AND id NOT IN (SELECT value FROM json_each(:exclude))
)

SELECT counted.total, found.document
FROM (SELECT count(*) AS total FROM found) AS counted
LEFT JOIN found ON found.place > :offset AND found.place <= :offset + :limit
ORDER BY found.place
"""
