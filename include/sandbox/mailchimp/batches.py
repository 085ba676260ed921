"""Batches: operations that are handed in together and worked on while somebody asks again.

A batch moves on by one state with every look at it, so that a client sees them all.
"""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import sqlite3
import tarfile
import time
from typing import Any
from urllib.parse import unquote, urlencode

from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message

from include.sandbox.answers import Json, Refusal, dump
from include.sandbox.mailchimp.problems import problem
from include.sandbox.mailchimp.requests import page, read_json
from include.sandbox.mailchimp.resources import shown
from include.sandbox.truth import Truth, now

STATES = ("pending", "preprocessing", "started", "finalizing", "finished")
MOST_PENDING = 500
FILE_SIZE = 500
SECRET = secrets.token_bytes(16)


class Options(BaseModel):
    """Whether batches get stuck, and how long a link to results is good."""

    model_config = ConfigDict(extra="forbid")

    stays_pending: bool = False
    link_seconds: float = Field(600, ge=0)


def create_router(truth: Truth) -> APIRouter:
    """The route that changes how batches fare, and the results, which lie on another host."""
    router = APIRouter()

    @router.post("/_mailchimp_batches")
    async def change(options: Options) -> Json:
        with truth.connection:
            truth.connection.execute(
                "UPDATE mailchimp_batch_settings SET stays_pending = ?, link_seconds = ?",
                (options.stays_pending, options.link_seconds),
            )
        return Json(options.model_dump())

    @router.get("/mailchimp/results/{batch_id}-response.tar.gz")
    async def results(request: Request, batch_id: str) -> Response:
        expires = request.query_params.get("Expires", "")
        expected = signature(batch_id, expires)
        row = truth.one("SELECT * FROM mailchimp_batches WHERE id = ?", (batch_id,))
        if request.query_params.get("Signature") != expected or row is None:
            return PlainTextResponse("<Error><Code>AccessDenied</Code></Error>", 403)
        if float(expires) < time.time():
            return PlainTextResponse("<Error><Message>Request has expired</Message></Error>", 403)
        return Response(archive(json.loads(row["answers"])), media_type="application/gzip")

    return router


def signature(batch_id: str, expires: str) -> str:
    """What makes a link to results good."""
    return hashlib.blake2b(f"{batch_id} {expires}".encode(), key=SECRET, digest_size=16).hexdigest()


def archive(answers: list[dict[str, Any]]) -> bytes:
    """The answers as Mailchimp packs them: several JSON files in a tar.gz, in no order."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as files:
        for first in range(0, len(answers), FILE_SIZE):
            content = dump(answers[first : first + FILE_SIZE][::-1])
            info = tarfile.TarInfo(f"./{secrets.token_hex(5)}.json")
            info.size = len(content)
            files.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def add_batch_routes(app: FastAPI, truth: Truth) -> None:
    """Hand in, look at, list."""

    def resource(request: Request, row: sqlite3.Row) -> dict[str, Any]:
        answers = json.loads(row["answers"])
        link = ""
        if row["status"] == "finished":
            [settings] = truth.all("SELECT link_seconds FROM mailchimp_batch_settings")
            expires = str(time.time() + settings["link_seconds"])
            query = urlencode({"Expires": expires, "Signature": signature(row["id"], expires)})
            host = f"{request.url.scheme}://{request.url.netloc}"
            link = f"{host}/mailchimp/results/{row['id']}-response.tar.gz?{query}"
        return {
            "id": row["id"],
            "status": row["status"],
            "total_operations": len(json.loads(row["operations"])),
            "finished_operations": len(answers),
            "errored_operations": sum(answer["status_code"] >= 400 for answer in answers),
            "submitted_at": row["submitted_at"],
            "completed_at": row["completed_at"],
            "response_body_url": link,
            "_links": [],
        }

    def require(batch_id: str) -> sqlite3.Row:
        row = truth.one("SELECT * FROM mailchimp_batches WHERE id = ?", (batch_id,))
        if row is None:
            raise Refusal(problem("ResourceNotFound"))
        return row

    @app.post("/batches")
    async def start(request: Request) -> Json:
        operations = (await read_json(request)).get("operations")
        if not isinstance(operations, list) or not operations:
            raise Refusal(problem("InvalidResource", errors=[("operations", "Not an array")]))
        for operation in operations:
            if not isinstance(operation.get("body", ""), str):
                raise Refusal(problem("InvalidResource", errors=[("body", "Not a string")]))
        pending = truth.count("SELECT count(*) FROM mailchimp_batches WHERE status = 'pending'")
        if pending >= MOST_PENDING:
            text = "You have more than 500 pending batches."
            raise Refusal(problem("TooManyRequests", text))
        batch_id = secrets.token_hex(5)
        with truth.connection:
            truth.connection.execute(
                """
                INSERT INTO mailchimp_batches (id, status, operations, submitted_at)
                VALUES (?, 'pending', ?, ?)
                """,
                (batch_id, dump(operations).decode(), now()),
            )
        return Json(resource(request, require(batch_id)))

    @app.get("/batches")
    async def batches(request: Request) -> Json:
        count, offset = page(request)
        rows = truth.all("SELECT * FROM mailchimp_batches ORDER BY submitted_at, id")
        shown_rows = [resource(request, row) for row in rows[offset : offset + count]]
        content = {"batches": shown_rows, "total_items": len(rows), "_links": []}
        return shown(request, content)

    @app.get("/batches/{batch_id}")
    async def status(request: Request, batch_id: str) -> Json:
        row = require(batch_id)
        [settings] = truth.all("SELECT stays_pending FROM mailchimp_batch_settings")
        if row["status"] != "finished" and not settings["stays_pending"]:
            following = STATES[STATES.index(row["status"]) + 1]
            answers = row["answers"]
            if following == "finalizing":
                authorization = request.headers.get("authorization", "")
                done = [
                    await perform(app, operation, authorization)
                    for operation in json.loads(row["operations"])
                ]
                answers = dump(done).decode()
            with truth.connection:
                truth.connection.execute(
                    "UPDATE mailchimp_batches SET status = ?, answers = ?, completed_at = ? "
                    "WHERE id = ?",
                    (following, answers, now() if following == "finished" else "", batch_id),
                )
        return shown(request, resource(request, require(batch_id)))


async def perform(app: FastAPI, operation: dict[str, Any], authorization: str) -> dict[str, Any]:
    """One operation, through the same routes that a call of its own would take."""
    body = operation.get("body", "").encode()
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def keep(message: Message) -> None:
        messages.append(message)

    scope = {
        "type": "http",
        "method": operation["method"],
        "path": unquote(operation["path"]),
        "raw_path": operation["path"].encode(),
        "query_string": urlencode(operation.get("params", {})).encode(),
        "headers": [(b"authorization", authorization.encode()), (b"host", b"127.0.0.1")],
        "root_path": "",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
        "state": {},
    }
    await app(scope, receive, keep)
    content = b"".join(message.get("body", b"") for message in messages)
    return {
        "status_code": messages[0]["status"],
        "operation_id": operation.get("operation_id", ""),
        "response": content.decode(),
    }
