"""What stands in front of the vendors: the call log, faults on demand, latency, the limit of
simultaneous connections.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from include.sandbox.answers import dump
from include.sandbox.google.errors import error_with_status as google_error
from include.sandbox.mailchimp.problems import CONNECTIONS, problem, problem_with_status
from include.sandbox.mailchimp.requests import credential
from include.sandbox.meta.errors import error_with_status
from include.sandbox.receiver.routes import error_with_status as receiver_error
from include.sandbox.shopify.errors import error_with_status as shopify_error
from include.sandbox.tiktok.routes import error_with_status as tiktok_error
from include.sandbox.truth import Truth
from include.sandbox.woocommerce import requests as woocommerce

VENDORS = (
    "/mailchimp/",
    "/meta/",
    "/shopify/",
    "/woocommerce/",
    "/receiver/",
    "/google/",
    "/tiktok/",
)
DRIPS = 20
GATEWAY_PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"


class Fault(BaseModel):
    """One rule: which calls go wrong, and how.

    `nth` and `times` count the calls that match the other conditions: from the nth on (1 is the
    next), so many of them, or all if `times` is null. An action's name may end in
    `_after_apply`, which is the same as `after_apply: true`: the vendor does the work and then the
    answer goes wrong. `half_body`, `slow` and `hold` always apply. `hold` keeps the answer back
    until all rules are removed, which also ends a `timeout`.
    """

    model_config = ConfigDict(extra="forbid")

    action: str = Field(pattern=r"^(status|reset|timeout|half_body|slow|hold|html)(_after_apply)?$")
    method: str | None = None
    path: str = Field("", description="A regular expression to be found in the path.")
    when_body_contains: str | None = None
    when_bytes_over: int | None = None
    nth: int = Field(1, ge=1)
    times: int | None = Field(1, ge=1)
    after_apply: bool = False
    status: int | None = Field(None, ge=100, le=599)
    headers: dict[str, str] = {}
    body: Any = None
    seconds: float = Field(1.0, ge=0)
    seen: int = 0

    @field_validator("path")
    @classmethod
    def _is_an_expression(cls, path: str) -> str:
        try:
            re.compile(path)
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        return path

    def matches(self, method: str, path: str, body: bytes) -> bool:
        """Whether a call is one this rule speaks of."""
        return (
            (self.method is None or self.method.upper() == method)
            and re.search(self.path, path) is not None
            and (self.when_body_contains is None or self.when_body_contains.encode() in body)
            and (self.when_bytes_over is None or len(body) > self.when_bytes_over)
        )

    def strikes(self) -> bool:
        """Count one more matching call; whether this is one to fail."""
        self.seen += 1
        return self.seen >= self.nth and not self.is_spent(self.seen - 1)

    def is_spent(self, seen: int | None = None) -> bool:
        """Whether the rule has failed all the calls it was to fail."""
        calls = self.seen if seen is None else seen
        return self.times is not None and calls >= self.nth + self.times - 1

    @property
    def kind(self) -> str:
        """The action without its suffix."""
        return self.action.removesuffix("_after_apply")

    @property
    def applies(self) -> bool:
        """Whether the vendor does the work before the call goes wrong."""
        always = ("half_body", "slow", "hold")
        return self.after_apply or self.action != self.kind or self.kind in always


@dataclass
class Answer:
    """A whole answer, as it goes over the wire."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @classmethod
    def of(cls, response: Response) -> Answer:
        """The answer a Starlette response stands for."""
        return cls(response.status_code, response.raw_headers, bytes(response.body))

    async def send(self, send: Send) -> None:
        """Send it whole."""
        await self.start(send)
        await send({"type": "http.response.body", "body": self.body})

    async def drip(self, send: Send, seconds: float) -> None:
        """Send it bit by bit, over so many seconds; what has no body comes whole after them."""
        if not self.body:
            await asyncio.sleep(seconds)
        await self.start(send)
        size = max(1, -(-len(self.body) // DRIPS))
        for start in range(0, len(self.body), size):
            await asyncio.sleep(seconds / DRIPS)
            bit = self.body[start : start + size]
            await send({"type": "http.response.body", "body": bit, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def start(self, send: Send) -> None:
        """Send status and headers only."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})


OPEN: dict[tuple[str, int], asyncio.Transport] = {}


class Wire(HttpToolsProtocol):
    """Uvicorn's protocol, which also notes the connection of each client, so that it can be cut."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the client."""
        self.peer = transport.get_extra_info("peername")
        OPEN[self.peer] = cast(asyncio.Transport, transport)
        super().connection_made(OPEN[self.peer])

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        OPEN.pop(self.peer, None)
        super().connection_lost(exc)


def cut(client: tuple[str, int]) -> None:
    """Close a client's connection with a TCP reset."""
    transport = OPEN.get(client)
    if transport is not None:
        no_linger = struct.pack("ii", 1, 0)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
        transport.abort()


@dataclass
class Gate:
    """The ASGI application that stands in front of another."""

    app: ASGIApp
    truth: Truth
    latency: float = 0
    faults: list[Fault] = field(default_factory=list)
    open_calls: Counter[str] = field(default_factory=Counter)
    held_calls: int = 0
    release: asyncio.Event = field(default_factory=asyncio.Event)

    def clear_faults(self) -> None:
        """Remove all rules, and let the calls go on that one of them holds."""
        self.faults.clear()
        self.release.set()
        self.release = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let control and page through; log, delay and fail calls to the vendors."""
        if scope["type"] != "http" or not scope["path"].startswith(VENDORS):
            await self.app(scope, receive, send)
            return
        body = await read_body(receive)
        caller = self._caller(scope)
        self.open_calls[caller] += 1
        simultaneous = self.open_calls[caller]
        begun = time.time()
        method = effective_method(scope, body)
        fault = self._strike(method, scope["path"], body)
        status: int | None = None
        try:
            if scope["path"].startswith("/mailchimp/") and simultaneous > CONNECTIONS:
                answer = Answer.of(problem("TooManyRequests"))
                status = answer.status
                await answer.send(send)
                return
            applied = await self._answer(scope, body) if fault is None or fault.applies else None
            # The vendor's work is part of its latency: a quick vendor and a slow one take as long.
            await asyncio.sleep(begun + self.latency - time.time())
            if fault is None and applied:
                status = applied.status
                await applied.send(send)
            elif fault:
                status = await self._fail(fault, applied, scope, receive, send)
        finally:
            self.open_calls[caller] -= 1
            self.truth.record_call(
                (
                    begun,
                    method,
                    scope["path"],
                    status,
                    len(body),
                    round((time.time() - begun) * 1000, 1),
                    simultaneous,
                    fault.action if fault else None,
                )
            )

    def _caller(self, scope: Scope) -> str:
        """Whose connections are counted together: the API key's."""
        headers = dict(scope["headers"])
        return credential(headers.get(b"authorization", b"").decode("latin-1")) or ""

    def _strike(self, method: str, path: str, body: bytes) -> Fault | None:
        """The first rule that fails this call; every rule that matches counts it."""
        struck = None
        for fault in self.faults:
            if fault.matches(method, path, body) and fault.strikes() and struck is None:
                struck = fault
        self.faults = [fault for fault in self.faults if not fault.is_spent()]
        return struck

    async def _answer(self, scope: Scope, body: bytes) -> Answer:
        """What the vendor answers."""
        messages: list[Message] = []

        async def replay() -> Message:
            return {"type": "http.request", "body": body}

        async def keep(message: Message) -> None:
            messages.append(message)

        await self.app(scope, replay, keep)
        parts = b"".join(message.get("body", b"") for message in messages)
        return Answer(messages[0]["status"], list(messages[0]["headers"]), parts)

    async def _fail(
        self, fault: Fault, answer: Answer | None, scope: Scope, receive: Receive, send: Send
    ) -> int | None:
        """Let the call go wrong as the rule says; returns the status the client sees, if any.

        `answer` is the vendor's if it has done the work.
        """
        if fault.kind == "timeout":
            with suppress(TimeoutError):
                await asyncio.wait_for(self.release.wait(), fault.seconds)
            answer = gateway_page(fault.status or 504)
        elif fault.kind == "html":
            answer = gateway_page(fault.status or 502)
        elif fault.kind == "status":
            answer = canned(fault, scope["path"])
        if fault.kind == "reset" or answer is None:
            await self._cut(scope, receive)
            return None
        if fault.kind == "half_body":
            await answer.start(send)
            half = answer.body[: len(answer.body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
            await asyncio.sleep(0.05)
            await self._cut(scope, receive)
        elif fault.kind == "slow":
            await answer.drip(send, fault.seconds)
        elif fault.kind == "hold":
            self.held_calls += 1
            await self.release.wait()
            self.held_calls -= 1
            await answer.send(send)
        else:
            await answer.send(send)
        return answer.status

    @staticmethod
    async def _cut(scope: Scope, receive: Receive) -> None:
        cut(tuple(scope["client"]))
        while (await receive())["type"] != "http.disconnect":
            pass


async def read_body(receive: Receive) -> bytes:
    """The whole body of a request."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def effective_method(scope: Scope, body: bytes) -> str:
    """The method that takes effect: Graph lets a POST say `method=DELETE`."""
    method: str = scope["method"]
    if method == "POST" and scope["path"].startswith("/meta/"):
        query: bytes = scope["query_string"]
        for fields in (query, body):
            if fields.startswith(b"method=DELETE") or b"&method=DELETE" in fields:
                return "DELETE"
    return method


def gateway_page(status: int) -> Answer:
    """What a front-end server answers when the vendor behind it does not."""
    return Answer.of(HTMLResponse(GATEWAY_PAGE.format(f"{status} Gateway"), status))


def canned(fault: Fault, path: str) -> Answer:
    """The answer of a `status` rule: its own body, else the vendor's usual one."""
    status = fault.status or 500
    if fault.body is None:
        vendors = {
            "meta": error_with_status,
            "receiver": receiver_error,
            "google": google_error,
            "tiktok": tiktok_error,
            "shopify": shopify_error,
            "woocommerce": woocommerce.error_with_status,
        }
        vendor = vendors.get(path.split("/")[1], problem_with_status)
        response: Response = vendor(status)
    elif isinstance(fault.body, str):
        response = Response(fault.body, status, media_type="text/plain")
    else:
        response = Response(dump(fault.body), status, media_type="application/json")
    response.headers.update(fault.headers)
    return Answer.of(response)
