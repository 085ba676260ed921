"""The paths of WooCommerce's API, and those that change the shop behind it."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Body, Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException as AnyHttpException
from starlette.responses import Response

from include.sandbox.answers import Json, Refusal, answer_refusal
from include.sandbox.truth import Truth
from include.sandbox.woocommerce.requests import (
    PER_PAGE,
    authorise,
    error,
    listing,
    no_route,
    one,
    read_only,
)
from include.sandbox.woocommerce.shop import Missing, Refused, Shop

Given = dict[str, Any]


class SiteOptions(BaseModel):
    """The site: hours ahead of GMT, and what its version can: sort by the last change, and (since
    9.0) list refunds of all orders.
    """

    model_config = ConfigDict(extra="forbid")

    gmt_offset: int = 1
    sorts_by_modified: bool = True
    lists_refunds: bool = True


def create_app(truth: Truth) -> FastAPI:
    """WooCommerce on its own; the paths begin below `/wp-json/wc/v3`."""
    app = FastAPI(openapi_url=None, dependencies=[Depends(authorise)])
    app.add_exception_handler(Refusal, answer_refusal)
    app.add_exception_handler(AnyHttpException, unknown_path)
    shop = Shop(truth)

    @app.get("/orders")
    async def orders(request: Request) -> Json:
        return listing(request, shop, "order")

    @app.get("/orders/{order_id}")
    async def order(request: Request, order_id: int) -> Json:
        return one(request, found_order(order_id))

    @app.get("/orders/{order_id}/refunds")
    async def order_refunds(request: Request, order_id: int) -> Json:
        found_order(order_id)
        return listing(request, shop, "refund", order_id)

    @app.get("/refunds")
    async def refunds(request: Request) -> Json:
        if not shop.lists_refunds:
            return no_route()
        return listing(request, shop, "refund", None)

    @app.get("/customers")
    async def customers(request: Request) -> Json:
        return listing(request, shop, "customer")

    @app.get("/products")
    async def products(request: Request) -> Json:
        return listing(request, shop, "product")

    @app.get("/products/{product_id}/variations")
    async def variations(request: Request, product_id: int) -> Json:
        return listing(request, shop, "variation", product_id)

    @app.get("/coupons")
    async def coupons(request: Request) -> Json:
        return listing(request, shop, "coupon")

    @app.post("/coupons/batch")
    async def change_coupons(request: Request) -> Json:
        if read_only(request):
            code = "woocommerce_rest_cannot_batch"
            raise Refusal(error(401, code, "Sorry, you are not allowed to batch manipulate."))
        given = (await request.json()).get("create", [])
        if len(given) > PER_PAGE:
            code = "woocommerce_rest_request_entity_too_large"
            raise Refusal(error(413, code, f"Unable to accept more than {PER_PAGE} items."))
        return Json({"create": [made(coupon) for coupon in given]})

    def made(coupon: Given) -> Given:
        try:
            return shop.put_coupon(coupon)
        except Refused as refusal:
            told = {"code": refusal.code, "message": str(refusal), "data": {"status": 400}}
            return {"id": 0, "error": told}

    def found_order(order_id: int) -> Given:
        try:
            return shop.order(order_id)
        except Missing:
            code = "woocommerce_rest_shop_order_invalid_id"
            raise Refusal(error(404, code, "Invalid ID.")) from None

    return app


async def unknown_path(_: Request, __: Exception) -> Response:
    """WordPress's answer to a path or method it does not have."""
    return no_route()


def create_router(truth: Truth) -> APIRouter:
    """What happens in the shop without us: people order, the shop refunds, edits and deletes."""
    router = APIRouter(prefix="/_woocommerce")
    shop = Shop(truth)

    @router.post("/site")
    async def configure(options: SiteOptions) -> Json:
        shop.configure(options.gmt_offset, options.sorts_by_modified, options.lists_refunds)
        return Json(options.model_dump())

    @router.post("/orders")
    async def put_orders(given: list[Given] | Given) -> Json:
        orders = given if isinstance(given, list) else [given]
        return Json([shop.put_order(order) for order in orders])

    @router.post("/orders/{order_id}/refunds")
    async def refund(order_id: int, given: Given) -> Json:
        try:
            return Json(shop.refund(order_id, given))
        except Missing:
            raise HTTPException(404, "no such order") from None

    @router.post("/customers")
    async def put_customers(given: list[Given] | Given) -> Json:
        people = given if isinstance(given, list) else [given]
        return Json([shop.put_customer(person) for person in people])

    @router.post("/products")
    async def put_products(given: list[Given] | Given) -> Json:
        goods = given if isinstance(given, list) else [given]
        return Json([shop.put_product(product) for product in goods])

    @router.delete("/{kind}/{record_id}")
    async def delete(
        kind: Literal["orders", "customers", "products", "variations", "refunds"],
        record_id: int,
        force: bool = False,
        at: str | None = Body(None, embed=True),
    ) -> Json:
        try:
            shop.delete(kind.removesuffix("s"), record_id, force=force, at=at)
        except Missing:
            raise HTTPException(404, "no such record") from None
        return Json({"id": record_id, "force": force})

    return router
