"""The paths of the Graph API."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from include.sandbox.answers import Json, Refusal, answer_refusal
from include.sandbox.meta.audiences import Audiences, delete_audience, edit_audience
from include.sandbox.meta.errors import graph_error
from include.sandbox.meta.payload import Payload
from include.sandbox.meta.requests import authorise, decoded, integer
from include.sandbox.truth import Truth

FILE_SOURCES = frozenset(
    {"USER_PROVIDED_ONLY", "PARTNER_PROVIDED_ONLY", "BOTH_USER_AND_PARTNER_PROVIDED"}
)


async def unknown_path(request: Request, _: Exception) -> Response:
    """Graph's answer to a path it does not have."""
    return graph_error(2500, "Unknown path components: " + request.url.path.rpartition("/")[2])


def create_app(truth: Truth) -> FastAPI:
    """Meta on its own; the paths begin below `/v26.0`."""
    app = FastAPI(openapi_url=None, dependencies=[Depends(authorise)])
    app.add_exception_handler(Refusal, answer_refusal)
    app.add_exception_handler(HTTPException, unknown_path)
    audiences = Audiences(truth)

    @app.get("/me")
    async def me() -> Json:
        return Json({"name": "Regulars sandbox", "id": "1"})

    @app.get("/act_{account_id}")
    async def account(request: Request, account_id: str) -> Json:
        row = audiences.account(f"act_{account_id}")
        terms = {"custom_audience_tos": 1, "web_custom_audience_tos": 1}
        resource = {
            "id": f"act_{row['account_id']}",
            "account_id": row["account_id"],
            "account_status": 1,
            "currency": "EUR",
            "name": row["name"],
            "timezone_name": "Europe/London",
            "tos_accepted": terms if row["tos_accepted"] else {},
        }
        fields = str(request.state.given.get("fields", ""))
        names = [name for name in fields.split(",") if name in resource]
        content = {name: resource[name] for name in (*names, "id")}
        return Json(content, headers=audiences.usage(account_id))

    @app.get("/act_{account_id}/customaudiences")
    async def listing(request: Request, account_id: str) -> Json:
        audiences.account(f"act_{account_id}")
        given = request.state.given
        limit = min(integer(given.get("limit")) or 25, 1000)
        rows = truth.all(
            """
            SELECT * FROM meta_audiences WHERE account_id = ? AND audience_id > ?
            ORDER BY audience_id LIMIT ?
            """,
            (account_id, integer(given.get("after")) or 0, limit + 1),
        )
        shown = rows[:limit]
        fields = str(given.get("fields", ""))
        content: dict[str, Any] = {"data": [audiences.shown(row, fields) for row in shown]}
        if shown:
            after = str(shown[-1]["audience_id"])
            paging: dict[str, Any] = {
                "cursors": {"before": str(shown[0]["audience_id"]), "after": after}
            }
            if len(rows) > limit:
                paging["next"] = str(request.url.include_query_params(after=after))
            content["paging"] = paging
        if str(given.get("summary", "")).lower() in ("true", "1"):
            total = truth.count(
                "SELECT count(*) FROM meta_audiences WHERE account_id = ?", (account_id,)
            )
            content["summary"] = {"total_count": total}
        return Json(content, headers=audiences.usage(account_id))

    @app.post("/act_{account_id}/customaudiences")
    async def create(request: Request, account_id: str) -> Json:
        audiences.require_terms(account_id)
        given = request.state.given
        if given.get("subtype") == "LOOKALIKE":
            audiences.check_lookalike(account_id, given)
            with truth.connection:
                lookalike_id = audiences.create(account_id, given)
            return Json({"id": lookalike_id}, headers=audiences.usage(account_id))
        for name in ("name", "customer_file_source"):
            if not given.get(name):
                raise Refusal(graph_error(100, f"(#100) Missing parameter(s): {name}"))
        if given["customer_file_source"] not in FILE_SOURCES:
            raise Refusal(
                graph_error(
                    100,
                    "(#100) Param customer_file_source must be one of "
                    f"{{{', '.join(sorted(FILE_SOURCES))}}}",
                )
            )
        if given.get("subtype", "CUSTOM") != "CUSTOM":
            raise Refusal(
                graph_error(100, "(#100) This sandbox only has the subtypes CUSTOM and LOOKALIKE")
            )
        with truth.connection:
            audience_id = audiences.create(account_id, given)
        return Json({"id": audience_id}, headers=audiences.usage(account_id))

    @app.api_route("/act_{account_id}/usersofanyaudience", methods=["POST", "DELETE"])
    async def users_of_any_audience(request: Request, account_id: str) -> Json:
        audiences.account(f"act_{account_id}")
        if request.state.method != "DELETE":
            raise Refusal(graph_error(100, "(#100) Unsupported post request.", 33))
        payload = Payload(decoded(request.state.given, "payload"))
        with truth.connection:
            audiences.remove_everywhere(account_id, payload)
        content = {
            "num_received": payload.received,
            "num_invalid_entries": len(payload.invalid),
            "invalid_entry_samples": payload.samples(),
        }
        return Json(content, headers=audiences.usage(account_id))

    @app.get("/{audience_id}")
    async def read(request: Request, audience_id: str) -> Json:
        row = audiences.audience(audience_id)
        content = audiences.shown(row, str(request.state.given.get("fields", "")))
        return Json(content, headers=audiences.usage(row["account_id"]))

    @app.api_route("/{audience_id}", methods=["POST", "DELETE"])
    async def change(request: Request, audience_id: str) -> Json:
        row = audiences.audience(audience_id)
        with truth.connection:
            if request.state.method == "DELETE":
                delete_audience(truth, row)
            else:
                edit_audience(truth, row, request.state.given)
        return Json({"success": True}, headers=audiences.usage(row["account_id"]))

    @app.get("/{audience_id}/sessions")
    async def sessions(request: Request, audience_id: str) -> Json:
        row = audiences.audience(audience_id)
        content = {
            "data": [
                {
                    "session_id": str(session["session_id"]),
                    "start_time": str(int(session["started_at"])),
                    "end_time": str(int(session["ended_at"] or 0)),
                    "num_received": str(session["num_received"]),
                    "num_invalid_entries": str(session["num_invalid_entries"]),
                    "num_matched": str(session["num_received"] - session["num_invalid_entries"]),
                    "progress": "100" if session["ended_at"] else "0",
                    "stage": "completed" if session["ended_at"] else "uploading",
                }
                for session in truth.all(
                    "SELECT * FROM meta_sessions WHERE audience_id = ? ORDER BY started_at",
                    (row["audience_id"],),
                )
            ]
        }
        return Json(content, headers=audiences.usage(row["account_id"]))

    @app.api_route("/{audience_id}/users", methods=["POST", "DELETE"])
    async def users(request: Request, audience_id: str) -> Json:
        row = audiences.audience(audience_id)
        remove = request.state.method == "DELETE"
        content = audiences.upload(row, request.state.given, remove)
        return Json(content, headers=audiences.usage(row["account_id"]))

    return app
