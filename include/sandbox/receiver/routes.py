"""The receiver's one address."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from include.sandbox.answers import Json, Refusal, answer_refusal, dump
from include.sandbox.truth import Truth

SECRET = b"sandbox-receiver-secret-of-no-value"
OLDEST_SECONDS = 5 * 60
MOST_MEMBERS = 1000
SIGNATURE = re.compile(r"t=(\d+),v1=([0-9a-f]{64})")
IDENTITY = re.compile(r"[0-9a-f]{64}")


def error_with_status(status: int) -> Response:
    """A plain error with this status, for a fault that brings no body of its own."""
    return Json({"error": "the receiver is out of order"}, status)


def create_app(truth: Truth) -> FastAPI:
    """The receiver on its own."""
    app = FastAPI(openapi_url=None)
    app.add_exception_handler(Refusal, answer_refusal)

    @app.post("/calls")
    async def call(request: Request) -> Json:
        body = await request.body()
        check_signature(request.headers.get("regulars-signature", ""), body)
        key = request.headers.get("idempotency-key", "")
        if not key:
            raise Refusal(Json({"error": "an idempotency key is needed"}, 400))
        content = json.loads(body)
        if content["operation"] == "ping":
            return Json({"status": "ok"})
        with truth.connection:
            return Json(take(truth, key, content))

    return app


def check_signature(signature: str, body: bytes) -> None:
    """Let in what was signed with the secret, and not long ago."""
    found = SIGNATURE.fullmatch(signature)
    if found is None:
        raise Refusal(Json({"error": "a signature is needed"}, 401))
    expected = hmac.new(SECRET, found[1].encode() + b"." + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, found[2]):
        raise Refusal(Json({"error": "the signature is wrong"}, 401))
    if abs(time.time() - int(found[1])) > OLDEST_SECONDS:
        raise Refusal(Json({"error": "the signature is too old"}, 401))


def take(truth: Truth, key: str, content: dict[str, Any]) -> dict[str, Any]:
    """Do what a call says, once; a call with a known key gets its first answer again."""
    audience = content["audience"]
    if content["operation"] == "declare":
        truth.connection.execute(
            """
            INSERT INTO receiver_audiences (audience, fields) VALUES (?, ?)
            ON CONFLICT (audience) DO UPDATE SET fields = excluded.fields
            """,
            (audience, dump(content["fields"]).decode()),
        )
        return {"audience": audience}
    if not truth.one("SELECT 1 FROM receiver_audiences WHERE audience = ?", (audience,)):
        raise Refusal(Json({"error": "no such audience"}, 404))
    known = truth.one("SELECT answer FROM receiver_calls WHERE idempotency_key = ?", (key,))
    if known:
        truth.connection.execute(
            "UPDATE receiver_calls SET deliveries = deliveries + 1 WHERE idempotency_key = ?",
            (key,),
        )
        answer: dict[str, Any] = json.loads(known["answer"])
        return answer
    members = content["members"]
    if len(members) > MOST_MEMBERS:
        raise Refusal(Json({"error": f"at most {MOST_MEMBERS} members"}, 413))
    if not all(IDENTITY.fullmatch(member["identity"]) for member in members):
        raise Refusal(Json({"error": "an identity is no SHA-256"}, 422))
    answer = {"rejected": change(truth, audience, content["operation"], members)}
    truth.connection.execute(
        "INSERT INTO receiver_calls (idempotency_key, answer) VALUES (?, ?)",
        (key, dump(answer).decode()),
    )
    return answer


def change(
    truth: Truth, audience: str, operation: str, members: list[dict[str, Any]]
) -> list[dict[str, str]]:
    """Put members in, change them or take them out; whom the receiver does not take, and why."""
    rejected = []
    if operation == "remove":
        truth.connection.executemany(
            "DELETE FROM receiver_members WHERE audience = ? AND identity = ?",
            [(audience, member["identity"]) for member in members],
        )
    else:
        fake = {m["identity"] for m in members if m["email"].endswith("@example.com")}
        rejected = [
            {"identity": identity, "code": "fake_address", "class": "fix_data"} for identity in fake
        ]
        truth.connection.executemany(
            "INSERT OR REPLACE INTO receiver_members VALUES (?, ?, ?)",
            [
                (audience, member["identity"], dump(member).decode())
                for member in members
                if member["identity"] not in fake
            ],
        )
    truth.connection.execute(
        """
        UPDATE receiver_audiences SET
            calls = calls + 1, called_at = :instant,
            size = (SELECT count(*) FROM receiver_members WHERE audience = :audience)
        WHERE audience = :audience
        """,
        {"audience": audience, "instant": time.time()},
    )
    return rejected
