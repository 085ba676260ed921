"""The paths of the Admin API, of bulk results, and those that change the shop's world."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, FastAPI, HTTPException, Request
from pydantic import ValidationError
from starlette.responses import Response

from include.sandbox.answers import Json
from include.sandbox.shopify.bulk import BulkOperations
from include.sandbox.shopify.discounts import Discounts
from include.sandbox.shopify.errors import error_with_status
from include.sandbox.shopify.execution import Executor
from include.sandbox.shopify.shop import Shop, edited
from include.sandbox.shopify.world import (
    DOCUMENTS,
    Edit,
    Instant,
    Order,
    Parcel,
    Refund,
    Transaction,
)
from include.sandbox.truth import Truth

GRAPHQL = "/admin/api/2026-10/graphql.json"


def create_app(truth: Truth) -> FastAPI:
    """Shopify on its own; the paths begin below `/shopify`."""
    app = FastAPI(openapi_url=None)
    shop = Shop(truth)
    bulk = BulkOperations(shop)
    discounts = Discounts(shop)
    operations: dict[str, Callable[..., Any]] = {
        "bulkOperationRunQuery": bulk.run,
        "bulkOperationCancel": bulk.cancel,
        "bulkOperation": bulk.poll,
        "discountCodeBasicCreate": discounts.create,
        "discountRedeemCodeBulkAdd": discounts.add,
        "discountRedeemCodeBulkCreation": discounts.poll,
        "codeDiscountNodeByCode": discounts.by_code,
    }
    executor = Executor(shop, operations)

    @app.post(GRAPHQL)
    async def graphql(request: Request) -> Response:
        token = request.headers.get("X-Shopify-Access-Token")
        wanted = shop.settings().token
        if not token or (wanted is not None and token != wanted):
            return error_with_status(401)
        try:
            given = json.loads(await request.body())
            text, variables = given["query"], given.get("variables")
        except (ValueError, KeyError, TypeError):
            return Json({"errors": {"query": "Required parameter missing or invalid"}}, 400)
        base_url = str(request.url).removesuffix(GRAPHQL)
        return Json(executor.answer(text, variables, base_url))

    @app.get("/bulk/{number}.jsonl")
    async def result(number: int) -> Response:
        return Response(bulk.result(number), media_type="application/jsonl")

    @app.get("/points")
    async def points() -> Json:
        return Json(executor.account())

    return app


def create_world(truth: Truth) -> APIRouter:
    """What happens in the shop without us: people order, the shop refunds, somebody is deleted."""
    router = APIRouter(prefix="/_shopify")
    shop = Shop(truth)
    kinds = {f"{kind.lower()}s": kind for kind in DOCUMENTS}

    def order_of(number: int) -> Order:
        order = shop.get("Order", number)
        if order is None:
            raise HTTPException(404, "no such order")
        found: Order = order
        return found

    def changed(order: Order, at: str | None, **changes: Any) -> Json:
        shop.put(Order.model_validate(order.model_dump() | changes), at)
        return Json({"id": order.id})

    @router.post("")
    async def change_settings(changes: dict[str, Any]) -> Json:
        try:
            return Json(shop.change_settings(changes).model_dump())
        except ValidationError as error:
            raise HTTPException(422, str(error)) from None

    @router.post("/orders/{number}/edit")
    async def edit(number: int, change: Edit, at: Instant | None = None) -> Json:
        try:
            order = edited(order_of(number), change.remove, change.add)
        except KeyError as error:
            raise HTTPException(422, f"no such line: {error}") from None
        return changed(order, at)

    @router.post("/orders/{number}/refund")
    async def refund(number: int, refund: Refund, at: Instant | None = None) -> Json:
        order = order_of(number)
        known = {line.id for line in order.lines}
        if not {line.line_id for line in refund.lines} <= known:
            raise HTTPException(422, "no such line")
        return changed(order, at, refunds=[*order.refunds, refund])

    @router.post("/orders/{number}/transaction")
    async def transact(number: int, item: Transaction, at: Instant | None = None) -> Json:
        order = order_of(number)
        return changed(order, at, transactions=[*order.transactions, item])

    @router.post("/orders/{number}/ship")
    async def ship(number: int, parcel: Parcel, at: Instant | None = None) -> Json:
        order = order_of(number)
        others = [one for one in order.parcels if one.id != parcel.id]
        return changed(order, at, parcels=[*others, parcel])

    @router.post("/orders/{number}/cancel")
    async def cancel(number: int, at: Instant | None = None) -> Json:
        instant = at or shop.now()
        return changed(order_of(number), at, cancelled_at=instant, cancel_reason="CUSTOMER")

    @router.put("/{kind}/{number}")
    async def put(kind: str, number: int, body: dict[str, Any], at: Instant | None = None) -> Json:
        load(kind, [body | {"id": number}], at)
        return Json({"id": number})

    @router.post("/{kind}")
    async def put_many(kind: str, bodies: list[dict[str, Any]], at: Instant | None = None) -> Json:
        load(kind, bodies, at)
        return Json({kind: len(bodies)})

    @router.delete("/{kind}/{number}")
    async def delete(kind: str, number: int, at: Instant | None = None) -> Json:
        if kind == "customers" and shop.has_orders(number):
            raise HTTPException(409, "a customer who has ordered cannot be deleted")
        if kind not in kinds or not shop.delete(kinds[kind], number, at):
            raise HTTPException(404, "no such record")
        return Json({"id": number})

    def load(kind: str, bodies: list[dict[str, Any]], at: str | None) -> None:
        if kind not in kinds:
            raise HTTPException(404, f"the shop holds {', '.join(kinds)}")
        try:
            documents = [DOCUMENTS[kinds[kind]].model_validate(body) for body in bodies]
        except ValidationError as error:
            raise HTTPException(422, str(error)) from None
        shop.put_many(documents, at)

    return router
