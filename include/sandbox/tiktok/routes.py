"""The paths of the Business API."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import UploadFile
from starlette.responses import Response

from include.sandbox.answers import Json, Refusal, answer_refusal, dump
from include.sandbox.truth import Truth

KINDS = ("EMAIL_SHA256", "PHONE_SHA256", "IDFA_SHA256", "GAID_SHA256")
MOST_BYTES = 50 * 1024 * 1024
MOST_AUDIENCES = 400
MOST_NAME = 128
# Fewer than so many matched people cannot be targeted.
FEWEST_TARGETED = 1000
FIRST_AUDIENCE = 7_300_000_000_000_001
DIGITS = b"0123456789abcdef"
HASH_LENGTH = 64


class Options(BaseModel):
    """TikTok's side of things: how long it takes to match what was uploaded."""

    model_config = ConfigDict(extra="forbid")

    matching_seconds: float = Field(0, ge=0)


def create_router(truth: Truth) -> APIRouter:
    """The route that changes TikTok's side."""
    router = APIRouter()

    @router.post("/_tiktok")
    async def change(options: Options) -> Json:
        with truth.connection:
            truth.connection.execute(
                "UPDATE tiktok_settings SET matching_seconds = ?", (options.matching_seconds,)
            )
        return Json(options.model_dump())

    return router


def answer(data: dict[str, Any], code: int = 0, message: str = "OK", status: int = 200) -> Json:
    """An answer as TikTok gives it: errors too come with HTTP status 200."""
    request_id = datetime.now(UTC).strftime("%Y%m%d%H%M%S") + secrets.token_hex(9).upper()
    content = {"code": code, "message": message, "request_id": request_id, "data": data}
    return Json(content, status)


def refuse(code: int, message: str) -> Refusal:
    """A refused call."""
    return Refusal(answer({}, code, message))


def error_with_status(status: int) -> Response:
    """A plain error with this status, for a fault that brings no body of its own."""
    if status == 429:
        return answer({}, 40100, "Too many requests. Please retry in some time.", status)
    return answer({}, 50000, "System error. Please try again later.", status)


async def authorise(request: Request) -> None:
    """Let nobody in without a token."""
    token = request.headers.get("access-token", "")
    if not token:
        raise refuse(40104, "Access token is empty.")
    if token.startswith("revoked"):
        raise refuse(40105, "Access token is incorrect or has been revoked.")


def create_app(truth: Truth) -> FastAPI:
    """The Business API on its own; the paths begin below `/open_api/v1.3`."""
    app = FastAPI(openapi_url=None, dependencies=[Depends(authorise)])
    app.add_exception_handler(Refusal, answer_refusal)

    @app.get("/dmp/custom_audience/list/")
    async def listing(request: Request) -> Json:
        query = request.query_params
        size = int(query.get("page_size", 10))
        if not 1 <= size <= 100:
            raise refuse(40002, "page_size: must be between 1 and 100.")
        page = int(query.get("page", 1))
        rows = truth.all(
            """
            SELECT * FROM tiktok_audiences WHERE advertiser_id = ?
            ORDER BY audience_id LIMIT ? OFFSET ?
            """,
            (query.get("advertiser_id", ""), size, (page - 1) * size),
        )
        total = truth.count(
            "SELECT count(*) FROM tiktok_audiences WHERE advertiser_id = ?",
            (query.get("advertiser_id", ""),),
        )
        pages = {
            "page": page,
            "page_size": size,
            "total_number": total,
            "total_page": -(-total // size),
        }
        return answer({"list": [details(truth, row) for row in rows], "page_info": pages})

    @app.get("/dmp/custom_audience/get/")
    async def get(request: Request) -> Json:
        query = request.query_params
        wanted = json.loads(query.get("custom_audience_ids", "[]"))
        rows = [audience(truth, query.get("advertiser_id", ""), number) for number in wanted]
        shown = [{"audience_details": details(truth, row), "audience_history": []} for row in rows]
        return answer({"list": shown})

    @app.post("/dmp/custom_audience/file/upload/")
    async def upload(request: Request) -> Json:
        form = await request.form(max_part_size=MOST_BYTES)
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise refuse(40905, "file: the file does not exist.")
        content = await file.read()
        if not content:
            raise refuse(40906, "file: the file is empty.")
        if len(content) > MOST_BYTES:
            raise refuse(40907, "file: the file is larger than 50 MB.")
        if form.get("calculate_type") not in KINDS:
            raise refuse(40909, "calculate_type: not a valid type.")
        if form.get("file_signature") != hashlib.md5(content, usedforsecurity=False).hexdigest():
            raise refuse(40900, "file_signature: the signature does not match the file.")
        if b"@" in content:
            raise refuse(40062, "file: personal data must be hashed.")
        path = f"{secrets.token_hex(16)}.csv"
        with truth.connection:
            truth.connection.execute(
                "INSERT INTO tiktok_files VALUES (?, ?, ?, ?)",
                (path, form["advertiser_id"], form["calculate_type"], only_hashes(content)),
            )
        return answer({"file_path": path})

    @app.post("/dmp/custom_audience/create/")
    async def create(request: Request) -> Json:
        given = await request.json()
        name = given.get("custom_audience_name", "")
        if not 1 <= len(name) <= MOST_NAME:
            raise refuse(40002, "custom_audience_name: must have 1 to 128 characters.")
        files = uploaded(truth, given)
        if any(file["calculate_type"] != given.get("calculate_type") for file in files):
            raise refuse(40909, "calculate_type: differs from that of the files.")
        existing = truth.all(
            "SELECT name FROM tiktok_audiences WHERE advertiser_id = ?", (given["advertiser_id"],)
        )
        if len(existing) >= MOST_AUDIENCES:
            raise refuse(40011, "The number of audiences exceeds the limit of 400.")
        if name in {row["name"] for row in existing}:
            raise refuse(40002, "custom_audience_name: the name is already used.")
        instant = time.time()
        with truth.connection:
            cursor = truth.connection.execute(
                """
                INSERT INTO tiktok_audiences (
                    audience_id, advertiser_id, name, calculate_type, created_at, changed_at
                )
                SELECT coalesce(max(audience_id) + 1, ?), ?, ?, ?, ?, ? FROM tiktok_audiences
                """,
                (
                    FIRST_AUDIENCE,
                    given["advertiser_id"],
                    name,
                    given["calculate_type"],
                    instant,
                    instant,
                ),
            )
            change_members(truth, int(cursor.lastrowid or 0), "APPEND", files)
        return answer({"custom_audience_id": str(cursor.lastrowid)})

    @app.post("/dmp/custom_audience/update/")
    async def update(request: Request) -> Json:
        given = await request.json()
        row = audience(truth, given["advertiser_id"], given["custom_audience_id"])
        if given.get("action") not in ("APPEND", "REMOVE", "REPLACE"):
            raise refuse(40002, "action: must be one of APPEND, REMOVE, REPLACE.")
        files = uploaded(truth, given)
        with truth.connection:
            change_members(truth, row["audience_id"], given["action"], files)
        return answer({"custom_audience_id": str(row["audience_id"])})

    return app


def audience(truth: Truth, advertiser_id: str, number: str) -> sqlite3.Row:
    """One audience of an advertiser."""
    row = truth.one(
        "SELECT * FROM tiktok_audiences WHERE audience_id = ? AND advertiser_id = ?",
        (number, advertiser_id),
    )
    if row is None:
        raise refuse(40007, "The audience does not exist.")
    return row


def uploaded(truth: Truth, given: dict[str, Any]) -> list[sqlite3.Row]:
    """The files that a call names."""
    paths = given.get("file_paths") or []
    found = [
        truth.one(
            "SELECT * FROM tiktok_files WHERE file_path = ? AND advertiser_id = ?",
            (path, given["advertiser_id"]),
        )
        for path in paths
    ]
    if not paths or None in found:
        raise refuse(40905, "file_paths: the file does not exist.")
    return [row for row in found if row]


def change_members(truth: Truth, number: int, action: str, files: list[sqlite3.Row]) -> None:
    """Do what an update asks."""
    connection = truth.connection
    if action == "REPLACE":
        connection.execute("DELETE FROM tiktok_people WHERE audience_id = ?", (number,))
        truth.forget_places()
    for file in files:
        kind = file["calculate_type"]
        places = truth.places("tiktok", number, kind)
        hashes = file["content"].decode().split()
        if action == "REMOVE":
            gone = [(places.pop(who),) for who in hashes if who in places]
            connection.executemany("DELETE FROM tiktok_people WHERE rowid = ?", gone)
        else:
            [(last,)] = connection.execute("SELECT coalesce(max(rowid), 0) FROM tiktok_people")
            new = []
            for who in hashes:
                if who not in places:
                    new.append(who)
                    places[who] = last + len(new)
            # A call for each of so many rows would take three times as long.
            connection.execute(
                """
                INSERT INTO tiktok_people (rowid, audience_id, calculate_type, hash)
                SELECT ? + key, ?, ?, value FROM json_each(?)
                """,
                (last + 1, number, kind, dump(new)),
            )
        # An uploaded file serves once here; TikTok keeps it for a while.
        connection.execute("DELETE FROM tiktok_files WHERE file_path = ?", (file["file_path"],))
    connection.execute(
        """
        UPDATE tiktok_audiences SET
            size = :size,
            files = files + :files,
            changed_at = :instant
        WHERE audience_id = :number
        """,
        {
            "number": number,
            "size": sum(len(truth.places("tiktok", number, kind)) for kind in KINDS),
            "files": len(files),
            "instant": time.time(),
        },
    )


def only_hashes(content: bytes) -> bytes:
    """A file without the lines that are no hashes, over which TikTok passes in silence."""
    return b"\n".join(
        line
        for line in content.split(b"\n")
        # Thrice as quick as to match it with a pattern.
        if len(line) == HASH_LENGTH and not line.translate(None, DIGITS)
    )


def details(truth: Truth, row: sqlite3.Row) -> dict[str, Any]:
    """An audience as TikTok shows it: without a size until its people have been matched."""
    settings = truth.one("SELECT * FROM tiktok_settings")
    wait = settings["matching_seconds"] if settings else 0
    is_matched = time.time() >= row["changed_at"] + wait
    created = datetime.fromtimestamp(row["created_at"], UTC)
    return {
        "audience_id": str(row["audience_id"]),
        "name": row["name"],
        "audience_type": "Customer File Audience",
        "calculate_type": row["calculate_type"],
        "cover_num": row["size"] if is_matched and row["size"] >= FEWEST_TARGETED else 0,
        "is_valid": is_matched,
        "is_creator": True,
        "is_expiring": False,
        "shared": False,
        "create_time": created.strftime("%Y-%m-%d %H:%M:%S"),
    }
