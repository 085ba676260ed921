"""The page: what a marketer would see at the vendors, and what has been asked of them."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from jinja2 import Environment, FileSystemLoader
from starlette.responses import HTMLResponse

from include.sandbox.faults import Gate
from include.sandbox.mailchimp.contacts import Lists
from include.sandbox.meta.audiences import Audiences
from include.sandbox.shopify.resources import order_resource
from include.sandbox.shopify.shop import Shop
from include.sandbox.tiktok import routes as tiktok
from include.sandbox.truth import STATUSES, Truth

MEMBERS_A_PAGE = 15
SEARCHED = 100_000
TAGS_SHOWN = 50
CALLS_SHOWN = 15
UPLOADS_SHOWN = 10
ORDERS_SHOWN = 10

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)


def thousands(number: float) -> str:
    """1234567 as 1 234 567, with spaces that do not break."""
    return f"{number:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def clock(seconds: float) -> str:
    """The time of day of an instant, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")


TEMPLATES.filters["thousands"] = thousands
TEMPLATES.filters["clock"] = clock


def create_router(truth: Truth, gate: Gate) -> APIRouter:
    """The page's one route."""
    router = APIRouter()
    lists = Lists(truth)
    audiences = Audiences(truth)

    @router.get("/")
    async def page(
        request: Request,
        list: str = "",
        tag: str = "",
        status: str = "",
        search: str = "",
        page: int = 1,
    ) -> HTMLResponse:
        all_lists = truth.all("SELECT list_id, name, double_optin FROM mailchimp_lists")
        chosen = next((row for row in all_lists if row["list_id"] == list), all_lists[0])
        tags = truth.all(
            """
            SELECT * FROM mailchimp_segments WHERE list_id = ? AND type = 'static'
            ORDER BY member_count DESC, name LIMIT ?
            """,
            (chosen["list_id"], TAGS_SHOWN),
        )
        tag_id = next((str(row["segment_id"]) for row in tags if row["name"] == tag), "")
        query = {
            "list": chosen["list_id"],
            "tag": tag if tag_id else "",
            "status": status if status in STATUSES else "",
            "search": search.strip(),
        }
        content = {
            "lists": all_lists,
            "chosen": chosen,
            "statuses": truth.statuses(chosen["list_id"]),
            "tags": tags,
            "fields": lists.fields(chosen["list_id"]).types,
            "query": query,
            "members": members_table(lists, query, tag_id, max(1, page)),
            "audiences": audience_table(truth, audiences),
            "uploads": truth.all(
                """
                SELECT sessions.*, audiences.name
                FROM meta_sessions AS sessions
                INNER JOIN meta_audiences AS audiences USING (audience_id)
                ORDER BY sessions.started_at DESC LIMIT ?
                """,
                (UPLOADS_SHOWN,),
            ),
            "google_lists": truth.all("SELECT * FROM google_lists ORDER BY size DESC"),
            "tiktok_audiences": tiktok_table(truth),
            "receiver_audiences": truth.all(
                "SELECT * FROM receiver_audiences ORDER BY size DESC, audience"
            ),
            "shop": Shop(truth).settings(),
            "shop_counts": truth.shopify_counts(),
            "shop_orders": shop_orders(truth),
            "calls": truth.all("SELECT * FROM calls ORDER BY seq DESC LIMIT ?", (CALLS_SHOWN,)),
            "call_count": truth.all("SELECT coalesce(max(seq), 0) FROM calls")[0][0],
            "faults": gate.faults,
            "latency": gate.latency * 1000,
        }
        return HTMLResponse(TEMPLATES.get_template("page.html").render(content))

    return router


def members_table(lists: Lists, query: dict[str, str], tag_id: str, page: int) -> dict[str, Any]:
    """One page of the contacts a query finds; `total` is None where counting would be slow."""
    offset = (page - 1) * MEMBERS_A_PAGE
    statuses = [query["status"]] if query["status"] else list(STATUSES)
    total: int | None = None
    if query["search"]:
        rows = find_by_address(lists, query, tag_id, statuses, offset)
    elif tag_id:
        rows, total = lists.tagged(tag_id, statuses, MEMBERS_A_PAGE + 1, offset)
    else:
        rows, total = lists.listing(
            query["list"], query["status"] or None, "", MEMBERS_A_PAGE + 1, offset
        )
    tags = lists.tags(row["member_number"] for row in rows[:MEMBERS_A_PAGE])
    return {
        "rows": [
            shown_member(row, [tag["name"] for tag in tags.get(row["member_number"], [])])
            for row in rows[:MEMBERS_A_PAGE]
        ],
        "total": total,
        "page": page,
        "has_next": len(rows) > MEMBERS_A_PAGE,
        "first": offset + 1,
    }


def shown_member(row: sqlite3.Row, tags: list[str]) -> dict[str, Any]:
    """One line of the table of contacts; the name stands apart from the other merge fields."""
    merge_fields = json.loads(row["merge_fields"])
    names = [merge_fields.pop(tag, "") for tag in ("FNAME", "LNAME")]
    return {
        "email_address": row["email_address"],
        "name": " ".join(filter(None, names)),
        "status": row["status"],
        "merge_fields": merge_fields,
        "tags": tags,
        "last_changed": row["last_changed"][:16].replace("T", " "),
    }


def find_by_address(
    lists: Lists, query: dict[str, str], tag_id: str, statuses: list[str], offset: int
) -> list[sqlite3.Row]:
    """Contacts whose address contains a text, among the newest; a whole address among all."""
    exact = lists.member(query["list"], query["search"]) if "@" in query["search"] else None
    if exact is not None:
        return [] if offset else [exact]
    return lists.truth.all(
        """
        SELECT * FROM (
            SELECT * FROM mailchimp_members ORDER BY member_number DESC LIMIT :newest
        ) AS members
        WHERE list_id = :list_id
            AND instr(email_address, :search) > 0
            AND status IN (SELECT value FROM json_each(:statuses))
            AND (:tag_id = '' OR EXISTS (
                SELECT 1 FROM mailchimp_segment_members AS tags
                WHERE tags.segment_id = :tag_id AND tags.member_number = members.member_number
            ))
        LIMIT :count OFFSET :offset
        """,
        {
            "newest": SEARCHED,
            "list_id": query["list"],
            "search": query["search"],
            "statuses": json.dumps(statuses),
            "tag_id": tag_id,
            "count": MEMBERS_A_PAGE + 1,
            "offset": offset,
        },
    )


def shop_orders(truth: Truth) -> list[dict[str, Any]]:
    """The orders that changed last, as the shop's admin lists them."""
    rows = truth.all(
        """
        SELECT * FROM shopify_records WHERE kind = 'Order'
        ORDER BY updated_at DESC, id DESC LIMIT ?
        """,
        (ORDERS_SHOWN,),
    )
    shop = Shop(truth)
    currency = shop.settings().currency
    return [order_resource(shop.parse(row), row["updated_at"], currency) for row in rows]


def tiktok_table(truth: Truth) -> list[dict[str, Any]]:
    """TikTok's audiences, each as TikTok shows it and with what was really uploaded."""
    return [
        {**row, **tiktok.details(truth, row), "uploaded": row["size"]}
        for row in truth.all("SELECT * FROM tiktok_audiences ORDER BY size DESC")
    ]


def audience_table(truth: Truth, audiences: Audiences) -> list[dict[str, Any]]:
    """The ad audiences, each as Meta shows it and with what was really uploaded."""
    return [
        {**audiences.resource(row), "uploaded": row["size"]}
        for row in truth.all("SELECT * FROM meta_audiences ORDER BY size DESC")
    ]
