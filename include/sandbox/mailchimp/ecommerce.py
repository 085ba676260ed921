"""Stores, what was sold in them, promotions, and the steps of customer journeys."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from include.sandbox.answers import Json, Refusal, dump
from include.sandbox.mailchimp.contacts import Lists, RowRefused, check_address, subscriber_hash
from include.sandbox.mailchimp.problems import problem
from include.sandbox.mailchimp.requests import page, read_json
from include.sandbox.mailchimp.resources import shown
from include.sandbox.truth import Truth

MOST_ID = 50
REQUIRED = {
    "products": ("id", "title", "variants"),
    "customers": ("id", "email_address", "opt_in_status"),
    "orders": ("id", "customer", "currency_code", "order_total", "lines"),
    "promo-rules": ("id", "description", "amount", "type", "target"),
    "promo-codes": ("id", "code", "redemption_url"),
}
NAMES = {
    "products": "product",
    "customers": "customer",
    "orders": "order",
    "promo-rules": "promo rule",
    "promo-codes": "promo code",
}


def invalid(field: str, message: str) -> Refusal:
    """A document that is refused for one field."""
    return Refusal(problem("InvalidResource", errors=[(field, message)]))


class Stores:
    """The stores' records in the truth store."""

    def __init__(self, truth: Truth, lists: Lists) -> None:
        self.truth = truth
        self.lists = lists

    def require(self, store_id: str) -> sqlite3.Row:
        """A store; raises 404."""
        row = self.truth.one("SELECT * FROM mailchimp_stores WHERE store_id = ?", (store_id,))
        if row is None:
            raise Refusal(problem("ResourceNotFound"))
        return row

    def find(self, store_id: str, kind: str, record_id: str) -> sqlite3.Row | None:
        """A record, or None."""
        return self.truth.one(
            "SELECT * FROM mailchimp_store_records WHERE store_id = ? AND kind = ? AND id = ?",
            (store_id, kind, record_id),
        )

    def orders(self, store_id: str, customer_id: str | None) -> list[dict[str, Any]]:
        """All orders of a store, or those of one customer."""
        rows = self.truth.all(
            """
            SELECT document FROM mailchimp_store_records
            WHERE
                store_id = :store_id
                AND kind = 'orders'
                AND (:customer_id IS NULL OR document ->> '$.customer.id' = :customer_id)
            ORDER BY id
            """,
            {"store_id": store_id, "customer_id": customer_id},
        )
        return [json.loads(row["document"]) for row in rows]

    def check(self, store_id: str, kind: str, document: dict[str, Any]) -> None:
        """Refuse what Mailchimp refuses."""
        for field in REQUIRED[kind]:
            if document.get(field) in (None, ""):
                raise invalid(field, "This value should not be blank.")
        if len(str(document["id"])) > MOST_ID:
            raise invalid("id", f"This value is too long. It should have {MOST_ID} characters.")
        if kind == "customers":
            self._check_address(document["email_address"])
        if kind == "promo-rules" and document["type"] == "percentage":
            amount = document["amount"]
            if not 0 < amount <= 1:
                raise invalid("amount", "A percentage must be between 0 and 1.")
        if kind == "orders":
            self._check_order(store_id, document)

    def _check_address(self, email: Any) -> None:
        try:
            check_address(email)
        except RowRefused as refused:
            raise Refusal(refused.problem()) from None

    def _check_order(self, store_id: str, document: dict[str, Any]) -> None:
        customer = document["customer"]
        if not self.find(store_id, "customers", str(customer.get("id"))):
            self._check_address(customer.get("email_address"))
        for number, line in enumerate(document["lines"]):
            product = self.find(store_id, "products", str(line.get("product_id")))
            variants = json.loads(product["document"])["variants"] if product else []
            if line.get("product_variant_id") not in [variant["id"] for variant in variants]:
                raise Refusal(
                    problem(
                        "BadRequest",
                        "A product variant with the provided ID does not exist in the account.",
                        errors=[(f"lines.item:{number}.product_variant_id", "Does not exist")],
                    )
                )

    def save(self, store_id: str, kind: str, document: dict[str, Any], parent_id: str = "") -> Json:
        """Write a record and answer with it. A buyer who is no contact becomes a transactional
        one; one who is keeps the status, unless opting in.
        """
        self.check(store_id, kind, document)
        with self.truth.connection:
            self.truth.connection.execute(
                """
                INSERT INTO mailchimp_store_records (store_id, kind, id, parent_id, document)
                VALUES (?, ?, ?, ?, ?)
                ON CONFLICT (store_id, kind, id) DO UPDATE SET
                    document = excluded.document, updated = updated + 1
                """,
                (store_id, kind, str(document["id"]), parent_id, dump(document).decode()),
            )
            if kind == "customers":
                self._become_contact(store_id, document)
            elif kind == "orders":
                self._save_buyer(store_id, document["customer"])
        return Json({**document, "_links": []})

    def _save_buyer(self, store_id: str, customer: dict[str, Any]) -> None:
        if "email_address" in customer and not self.find(store_id, "customers", customer["id"]):
            self.truth.connection.execute(
                """
                INSERT INTO mailchimp_store_records (store_id, kind, id, document)
                VALUES (?, 'customers', ?, ?)
                """,
                (store_id, customer["id"], dump(customer).decode()),
            )
            self._become_contact(store_id, customer)

    def _become_contact(self, store_id: str, customer: dict[str, Any]) -> None:
        list_id = self.require(store_id)["list_id"]
        email = customer["email_address"]
        member_id = subscriber_hash(email)
        row = self.lists.find(list_id, [member_id]).get(member_id)
        if row is not None and not customer.get("opt_in_status"):
            return
        status = "subscribed" if customer.get("opt_in_status") else "transactional"
        fields = self.lists.fields(list_id)
        try:
            contact = self.lists.prepare(row, member_id, email, {}, status, fields, True)
        except RowRefused as refused:
            raise Refusal(refused.problem()) from None
        self.lists.write(list_id, [contact])


def add_store_routes(app: FastAPI, truth: Truth, lists: Lists) -> None:
    """Stores and their records."""
    stores = Stores(truth, lists)

    def resource(row: sqlite3.Row) -> dict[str, Any]:
        return {
            "id": row["store_id"],
            "list_id": row["list_id"],
            "name": row["name"],
            "currency_code": row["currency_code"],
            "is_syncing": bool(row["is_syncing"]),
            "_links": [],
        }

    @app.post("/ecommerce/stores")
    async def create_store(request: Request) -> Json:
        body = await read_json(request)
        for field in ("id", "list_id", "name", "currency_code"):
            if not body.get(field):
                raise invalid(field, "This value should not be blank.")
        lists.require(body["list_id"])
        if truth.one("SELECT 1 FROM mailchimp_stores WHERE store_id = ?", (body["id"],)):
            text = "A store with the provided ID already exists in the account."
            raise Refusal(problem("BadRequest", text))
        with truth.connection:
            truth.connection.execute(
                "INSERT INTO mailchimp_stores VALUES (?, ?, ?, ?, ?)",
                (
                    body["id"],
                    body["list_id"],
                    body["name"],
                    body["currency_code"],
                    bool(body.get("is_syncing")),
                ),
            )
        return Json(resource(stores.require(body["id"])))

    @app.get("/ecommerce/stores/{store_id}")
    async def store(request: Request, store_id: str) -> Json:
        return shown(request, resource(stores.require(store_id)))

    @app.patch("/ecommerce/stores/{store_id}")
    async def change_store(request: Request, store_id: str) -> Json:
        body = await read_json(request)
        row = stores.require(store_id)
        with truth.connection:
            truth.connection.execute(
                "UPDATE mailchimp_stores SET is_syncing = ? WHERE store_id = ?",
                (bool(body.get("is_syncing", row["is_syncing"])), store_id),
            )
        return Json(resource(stores.require(store_id)))

    def create(store_id: str, kind: str, body: dict[str, Any], parent_id: str = "") -> Json:
        if stores.find(store_id, kind, str(body.get("id"))):
            text = f"A {NAMES[kind]} with the provided ID already exists in the account."
            raise Refusal(problem("BadRequest", text))
        return stores.save(store_id, kind, body, parent_id)

    @app.post("/ecommerce/stores/{store_id}/promo-rules/{rule_id}/promo-codes")
    async def create_code(request: Request, store_id: str, rule_id: str) -> Json:
        stores.require(store_id)
        if not stores.find(store_id, "promo-rules", rule_id):
            raise Refusal(problem("ResourceNotFound"))
        return create(store_id, "promo-codes", await read_json(request), rule_id)

    @app.post("/ecommerce/stores/{store_id}/{kind}")
    async def create_record(request: Request, store_id: str, kind: str) -> Json:
        stores.require(store_id)
        if kind not in REQUIRED or kind == "promo-codes":
            raise Refusal(problem("ResourceNotFound"))
        return create(store_id, kind, await read_json(request))

    @app.get("/ecommerce/stores/{store_id}/orders")
    async def orders(request: Request, store_id: str) -> Json:
        stores.require(store_id)
        count, offset = page(request)
        customer = request.query_params.get("customer_id")
        found = stores.orders(store_id, customer)
        content = {
            "store_id": store_id,
            "orders": [order | {"_links": []} for order in found[offset : offset + count]],
            "total_items": len(found),
            "_links": [],
        }
        return shown(request, content)

    def write(store_id: str, kind: str, record_id: str, method: str, body: dict[str, Any]) -> Any:
        stores.require(store_id)
        row = stores.find(store_id, kind, record_id)
        if kind not in REQUIRED or (row is None and method != "PUT"):
            raise Refusal(problem("ResourceNotFound"))
        if method == "PUT" and kind != "customers":
            raise Refusal(problem("MethodNotAllowed"))
        if method == "DELETE":
            with truth.connection:
                truth.connection.execute(
                    """
                    DELETE FROM mailchimp_store_records
                    WHERE store_id = ? AND kind = ? AND id = ?
                    """,
                    (store_id, kind, record_id),
                )
            return Response(status_code=204)
        held = json.loads(row["document"]) if row else {}
        return stores.save(store_id, kind, held | body | {"id": record_id})

    @app.api_route(
        "/ecommerce/stores/{store_id}/promo-rules/{rule_id}/promo-codes/{record_id}",
        methods=["PATCH", "DELETE"],
    )
    async def write_code(request: Request, store_id: str, rule_id: str, record_id: str) -> Any:
        body = await read_json(request)
        return write(store_id, "promo-codes", record_id, request.method, body)

    @app.api_route(
        "/ecommerce/stores/{store_id}/{kind}/{record_id}", methods=["PUT", "PATCH", "DELETE"]
    )
    async def write_record(request: Request, store_id: str, kind: str, record_id: str) -> Any:
        return write(store_id, kind, record_id, request.method, await read_json(request))

    @app.post("/customer-journeys/journeys/{journey_id}/steps/{step_id}/actions/trigger")
    async def trigger(request: Request, journey_id: str, step_id: str) -> Response:
        body = await read_json(request)
        member_id = subscriber_hash(str(body.get("email_address", "")).strip())
        held = truth.one(
            "SELECT 1 FROM mailchimp_members WHERE id = ? AND status = 'subscribed'", (member_id,)
        )
        if held is None:
            text = "The contact is not subscribed to the audience of this journey."
            raise Refusal(problem("BadRequest", text))
        with truth.connection:
            truth.connection.execute(
                """
                INSERT INTO mailchimp_journey_triggers (journey_id, step_id, member_id)
                VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET times = times + 1
                """,
                (journey_id, step_id, member_id),
            )
        return Response(status_code=204)
