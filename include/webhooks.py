"""Receive webhooks: check who calls, keep the call in the store's inbox, say that there is news.

A call is only answered with 200 once it is on the disk. Nothing of it is read here but its topic;
`include/sources/webhooks.py` does that, with the rest of the ingest.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

from fastapi import FastAPI, Request, Response

from include.connections import Credentials
from include.errors import BadInput
from include.settings import Settings
from include.sources.declarations import load_sources
from include.sources.webhooks import STAMP, Webhooks, inbox
from include.store import Store

MOST_BYTES = 1 << 20
# Mailchimp's own tolerance for its signed time.
SIGNED_TIME_TOLERANCE = timedelta(minutes=5)
# Shopify repeats a call for four hours; one that was sent long before is played again.
OLDEST_CALL = timedelta(hours=6)

log = logging.getLogger(__name__)


class Refused(Exception):
    """A call that is not let in: the HTTP status, and why in words that tell a stranger nothing."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Call:
    """A call whose signature is good."""

    id: str
    topic: str
    sent_at: datetime
    body: str

    def as_json(self) -> bytes:
        """One line, as the inbox keeps it."""
        content = {"id": self.id, "topic": self.topic, "sent_at": self.sent_at.isoformat()}
        return json.dumps(content | {"body": self.body}).encode()


def create_app(
    settings: Settings,
    credentials: Callable[[str], Credentials],
    announce: Callable[[str], None],
) -> FastAPI:
    """A receiver with one address per `webhooks` source: `POST /<source>`.

    `announce` is told the source's name once a call is kept. GET answers 200, by which Mailchimp
    checks an address.
    """
    app = FastAPI(title="Regulars webhooks", openapi_url=None)

    @app.get("/{source}")
    def exists(source: str) -> Response:
        return Response(status_code=200)

    @app.post("/{source}")
    async def call(source: str, request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                return Response(status_code=413)
        try:
            is_new = receive(settings, source, request.headers, body, credentials)
        except Refused as refused:
            log.warning(
                "refused a call for %s: %s", source if source.isidentifier() else "?", refused
            )
            return Response(status_code=refused.status)
        if is_new:
            announce(source)
        return Response(status_code=200)

    return app


def receive(
    settings: Settings,
    source_name: str,
    headers: Mapping[str, str],
    body: bytes,
    credentials: Callable[[str], Credentials],
    now: datetime | None = None,
) -> bool:
    """Check a call and keep it; False if the same one waits already. Raises `Refused`.

    `headers` are asked for by names in lower case.
    """
    now = now or datetime.now(UTC)
    source = load_sources(settings, credentials).get(source_name)
    if not isinstance(source, Webhooks):
        raise Refused(404, "no such source of webhooks")
    try:
        connection = credentials(source.options.connection_id)
        secret = connection.require_option("webhook_secret", source.options.connection_id)
    except BadInput as error:
        raise Refused(503, str(error)) from None
    call = _CHECKS[source.options.vendor](headers, body, secret, connection, now)
    store = Store(settings.store)
    folder = inbox(source_name)
    key = hashlib.sha256(call.id.encode()).hexdigest()[:32]
    if any(name.endswith(f"-{key}.json") for name in store.list(folder)):
        return False
    store.write(f"{folder}/{now:{STAMP}}-{key}.json", call.as_json())
    return True


def _shopify_call(
    headers: Mapping[str, str], body: bytes, secret: str, connection: Credentials, now: datetime
) -> Call:
    """https://shopify.dev/docs/apps/build/webhooks/subscribe/https"""
    signature = base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()
    if not _is_same(signature, headers.get("x-shopify-hmac-sha256", "")):
        raise Refused(401, "the signature is not right")
    if connection.host and headers.get("x-shopify-shop-domain") != connection.host:
        raise Refused(401, "another shop calls")
    try:
        sent_at = datetime.fromisoformat(headers["x-shopify-triggered-at"])
        call_id, topic = headers["x-shopify-webhook-id"], headers["x-shopify-topic"]
    except (KeyError, ValueError):
        raise Refused(400, "a header is missing or not readable") from None
    if not -SIGNED_TIME_TOLERANCE < now - sent_at < OLDEST_CALL:
        raise Refused(401, "the call is too old, or from the future")
    return Call(call_id, topic, sent_at, body.decode(errors="replace"))


def _mailchimp_call(
    headers: Mapping[str, str], body: bytes, secret: str, connection: Credentials, now: datetime
) -> Call:
    """`X-Mailchimp-Signature: t=<unix>,v1=<hex HMAC-SHA256 of "{t}.{body}">`"""
    given = dict(
        part.strip().partition("=")[::2]
        for part in headers.get("x-mailchimp-signature", "").split(",")
    )
    signed = f"{given.get('t')}.".encode() + body
    signature = hmac.digest(secret.encode(), signed, hashlib.sha256).hex()
    if not _is_same(signature, given.get("v1", "")):
        raise Refused(401, "the signature is not right")
    sent_at = datetime.fromtimestamp(int(given["t"]), UTC)
    if abs(now - sent_at) > SIGNED_TIME_TOLERANCE:
        raise Refused(401, "the call is too old, or from the future")
    fields = parse_qs(body.decode(errors="replace"))
    if connection.extra.get("list_id") not in (None, *fields.get("data[list_id]", [])):
        raise Refused(401, "another list calls")
    topic = fields.get("type", ["unknown"])[0]
    return Call(hashlib.sha256(body).hexdigest(), topic, sent_at, body.decode(errors="replace"))


def _is_same(signature: str, given: str) -> bool:
    return hmac.compare_digest(signature.encode(), given.encode())


_CHECKS: dict[str, Callable[[Mapping[str, str], bytes, str, Credentials, datetime], Call]] = {
    "shopify": _shopify_call,
    "mailchimp": _mailchimp_call,
}
