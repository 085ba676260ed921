"""What a request to Mailchimp says: who sends it, its body, its query."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Any

import msgspec
from fastapi import Request

from include.sandbox.answers import Refusal
from include.sandbox.mailchimp.problems import GLOSSARY, problem


def credential(authorization: str) -> str | None:
    """The API key in an Authorization header, Basic (any user) or Bearer."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value or None
    try:
        _, _, key = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return key if scheme.lower() == "basic" and key else None


async def authorise(request: Request) -> None:
    """Let nobody in without a key; `X-Trigger-Error` fails the request as Mailchimp's own does."""
    trigger = request.headers.get("x-trigger-error")
    if trigger is not None:
        raise Refusal(problem(trigger if trigger in GLOSSARY else "InvalidAction"))
    key = credential(request.headers.get("authorization", ""))
    if key is None:
        raise Refusal(problem("APIKeyMissing"))
    if key.startswith("revoked"):
        raise Refusal(problem("APIKeyInvalid"))


async def read_json(request: Request) -> dict[str, Any]:
    """The request's body, which must be a JSON object."""
    try:
        body = msgspec.json.decode(await request.body() or b"{}")
    except msgspec.DecodeError:
        raise Refusal(problem("JSONParseError")) from None
    if not isinstance(body, dict):
        raise Refusal(problem("InvalidResource", errors=[("", "Schema describes object")]))
    return body


def flag(request: Request, name: str) -> bool:
    """A boolean of the query; the SDK writes True, others true or 1."""
    return request.query_params.get(name, "").lower() in ("true", "1")


def page(request: Request) -> tuple[int, int]:
    """`count` (10 unless given, at most 1000) and `offset` of the query."""
    try:
        count = int(request.query_params.get("count", 10))
        offset = int(request.query_params.get("offset", 0))
    except ValueError:
        raise Refusal(problem("InvalidResource", errors=[("count", "Not an integer")])) from None
    if not (0 <= count <= 1000 and offset >= 0):
        raise Refusal(problem("InvalidResource", errors=[("count", "Must be 0 to 1000")]))
    return count, offset


def instant(text: str | None) -> str:
    """An ISO instant of a query in the form the store compares; '' if none was given."""
    if not text:
        return ""
    try:
        # A plus that was not escaped arrives as a space.
        parsed = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise Refusal(problem("InvalidResource", errors=[("", "Not an ISO 8601 time")])) from None
    return parsed.replace(tzinfo=parsed.tzinfo or UTC).astimezone(UTC).isoformat(timespec="seconds")
