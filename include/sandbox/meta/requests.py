"""What a request to Meta says: who sends it, and its parameters, wherever they stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from fastapi import Request
from starlette.responses import HTMLResponse

from include.sandbox.answers import Refusal
from include.sandbox.meta.errors import expired_token, graph_error

URL_BYTES = 8192


async def parameters(request: Request) -> dict[str, Any]:
    """The query's, the form's or the JSON body's parameters in one; `method` overrides the verb."""
    given: dict[str, Any] = dict(request.query_params)
    body = await request.body()
    if body and "json" in request.headers.get("content-type", ""):
        try:
            given |= msgspec.json.decode(body)
        except (msgspec.DecodeError, TypeError):
            raise Refusal(graph_error(100, "(#100) The body is not valid JSON")) from None
    elif body:
        # Almost all escapes of a payload are these; undoing them at once makes it thrice as quick,
        # and is safe because none of them can form a new escape, a separator or a plus.
        for escape, character in ((b"%22", b'"'), (b"%2C", b","), (b"%5B", b"["), (b"%5D", b"]")):
            body = body.replace(escape, character)
        given |= parse_qsl(body.decode(), keep_blank_values=True)
    return given


def decoded(given: Mapping[str, Any], name: str) -> Any:
    """A parameter that is an object: JSON text in a form, an object in a JSON body."""
    value = given.get(name)
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        raise Refusal(graph_error(100, f"(#100) Param {name} must be valid JSON")) from None


def integer(value: Any) -> int | None:
    """A whole number, also as text; None for anything else."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


async def authorise(request: Request) -> None:
    """Let nobody in without a token, nor with a URL that is too long for a front-end server."""
    if len(str(request.url)) > URL_BYTES:
        raise Refusal(HTMLResponse("<html><h1>414 Request-URI Too Large</h1></html>", 414))
    given = await parameters(request)
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    token = str(given.get("access_token") or bearer)
    if not token:
        raise Refusal(
            graph_error(104, "An access token is required to request this resource.", status=401)
        )
    if token.startswith("revoked"):
        raise Refusal(expired_token())
    request.state.given = given
    method = str(given.get("method", request.method)).upper()
    if method != request.method:
        # The middleware logs the call under the method that took effect.
        request.scope["state"]["method"] = method
    request.state.method = method
