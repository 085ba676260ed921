"""What a request to WooCommerce says: who sends it, what it lists; and how it is refused."""

from __future__ import annotations

import base64
import binascii
import json
import math
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import Request

from include.sandbox.answers import Json, Refusal
from include.sandbox.woocommerce.shop import Shop, shifted

PER_PAGE = 100
STATUSES = (
    "pending",
    "processing",
    "on-hold",
    "completed",
    "cancelled",
    "refunded",
    "failed",
    "checkout-draft",
)
ORDERINGS = {
    "order": ("date", "id", "include", "title", "slug", "modified"),
    "refund": ("date", "id", "include", "title", "slug", "modified"),
    "product": ("date", "id", "include", "title", "slug", "modified", "price", "popularity"),
    "variation": ("date", "id", "include", "title", "slug", "modified"),
    "customer": ("id", "include", "name", "registered_date"),
    "coupon": ("date", "id", "include", "title", "slug", "modified"),
}
# What `status=any` leaves out: WordPress keeps these statuses from searches.
HIDDEN = ("trash", "checkout-draft")


def error(status: int, code: str, message: str, **data: Any) -> Json:
    """An error as WordPress writes it."""
    return Json({"code": code, "message": message, "data": {"status": status, **data}}, status)


def error_with_status(status: int) -> Json:
    """An error of which only the status matters."""
    return error(status, "internal_server_error", "There has been a critical error.")


def no_route() -> Json:
    """The answer to a path or method there is not."""
    message = "No route was found matching the URL and request method."
    return error(404, "rest_no_route", message)


def invalid(parameter: str, reason: str) -> Refusal:
    """The refusal of one parameter."""
    return Refusal(
        error(
            400,
            "rest_invalid_param",
            f"Invalid parameter(s): {parameter}",
            params={parameter: reason},
        )
    )


async def authorise(request: Request) -> None:
    """Let in whoever has a consumer key and secret by HTTP basic authentication.

    The real one takes it over TLS only, and wants OAuth 1.0a otherwise; on loopback this stands for
    a site behind TLS. A key `ck_revoked...` is gone, a secret `cs_wrong...` is not the key's.
    """
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    try:
        key, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        key = secret = ""
    if scheme.lower() != "basic" or not (key and secret) or key.startswith("ck_revoked"):
        raise Refusal(
            error(401, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources.")
        )
    if secret.startswith("cs_wrong"):
        raise Refusal(
            error(401, "woocommerce_rest_authentication_error", "Consumer secret is invalid.")
        )


def read_only(request: Request) -> bool:
    """Whether the key may not write: a key `ck_reader...`."""
    value = request.headers["authorization"].partition(" ")[2]
    return base64.b64decode(value).startswith(b"ck_reader")


def listing(request: Request, shop: Shop, kind: str, parent: int | None = 0) -> Json:
    """A list's page, with the headers that lead to the others. `parent`: None for any."""
    query = request.query_params
    page = _number(request, "page", 1, None)
    per_page = _number(request, "per_page", 10, PER_PAGE)
    order = query.get("order", "asc" if kind == "customer" else "desc")
    if order not in ("asc", "desc"):
        raise invalid("order", "order is not one of asc and desc.")
    orderby = query.get("orderby", "name" if kind == "customer" else "date")
    known = [name for name in ORDERINGS[kind] if name != "modified" or shop.sorts_by_modified]
    if orderby not in known:
        raise invalid("orderby", f"orderby is not one of {', '.join(known)}.")
    wanted = _statuses(request, kind)
    records, total = shop.listed(
        kind,
        {
            "parent": parent,
            "status": json.dumps(wanted),
            "hidden": json.dumps([] if wanted else HIDDEN),
            "after": _instant(request, shop, "after"),
            "before": _instant(request, shop, "before"),
            "modified_after": _instant(request, shop, "modified_after"),
            "modified_before": _instant(request, shop, "modified_before"),
            "include": json.dumps(_ids(request, "include")),
            "exclude": json.dumps(_ids(request, "exclude")),
            "orderby": orderby,
            "direction": 1 if order == "asc" else -1,
            "limit": per_page,
            "offset": (page - 1) * per_page,
        },
    )
    if kind == "refund" and parent:
        # Only the list of all refunds says whose they are.
        for record in records:
            del record["parent_id"]
    answer = Json([_fields(request, record) for record in records])
    pages = math.ceil(total / per_page)
    answer.headers["X-WP-Total"] = str(total)
    answer.headers["X-WP-TotalPages"] = str(pages)
    links = {}
    if page > 1:
        links["prev"] = min(page - 1, pages)
    if page < pages:
        links["next"] = page + 1
    if links:
        address = request.url.replace(query="")
        answer.headers["Link"] = ", ".join(
            f'<{address}?{urlencode({**query, "page": number})}>; rel="{name}"'
            for name, number in links.items()
        )
    return answer


def one(request: Request, record: dict[str, Any]) -> Json:
    """A record on its own."""
    return Json(_fields(request, record))


def _fields(request: Request, record: dict[str, Any]) -> dict[str, Any]:
    """The record, or those of its fields that `_fields` names."""
    wanted = request.query_params.get("_fields")
    if not wanted:
        return record
    return {name: record[name] for name in wanted.split(",") if name in record}


def _number(request: Request, name: str, default: int, most: int | None) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isdigit() or int(text) < 1 or (most is not None and int(text) > most):
        limit = f"between 1 (inclusive) and {most} (inclusive)" if most else "at least 1"
        raise invalid(name, f"{name} must be {limit}")
    return int(text)


def _ids(request: Request, name: str) -> list[int]:
    text = ",".join(request.query_params.getlist(name) + request.query_params.getlist(f"{name}[]"))
    return [int(part) for part in text.split(",") if part.strip().isdigit()]


def _statuses(request: Request, kind: str) -> list[str]:
    """The statuses asked for; none stands for `any`. Of customers: the role."""
    if kind == "customer":
        role = request.query_params.get("role", "customer")
        return [] if role == "all" else [role]
    given = ",".join(
        request.query_params.getlist("status") + request.query_params.getlist("status[]")
    )
    wanted = [status for status in given.split(",") if status] or ["any"]
    if kind == "order" and not set(wanted) <= {"any", "trash", *STATUSES}:
        raise invalid("status", "status[0] is not one of the statuses.")
    return [] if "any" in wanted else wanted


def _instant(request: Request, shop: Shop, name: str) -> str:
    """A date of the query in GMT. WordPress moves a date with a zone to the site's own clock, and
    compares that with whichever column was asked for.
    """
    text = request.query_params.get(name, "")
    if not text:
        return ""
    try:
        instant = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise invalid(name, "Invalid date.") from None
    if offset := instant.utcoffset():
        instant -= offset
    if instant.tzinfo is not None:
        instant = instant.replace(tzinfo=None) + shop.offset
    is_gmt = request.query_params.get("dates_are_gmt", "false").lower() in ("true", "1")
    written = instant.isoformat(timespec="seconds")
    return written if is_gmt else shifted(written, -shop.offset)
