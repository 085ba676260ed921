from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from fastapi.testclient import TestClient

from include.connections import Credentials
from include.settings import Settings
from include.store import Store
from include.webhooks import MOST_BYTES, create_app
from tests.include.sources.shops import declare

SECRET = "a-shared-secret"
SHOPIFY = {"name": "shop", "type": "webhooks", "grain": "consent", "vendor": "shopify"}
MAILCHIMP = {"name": "list", "type": "webhooks", "grain": "consent", "vendor": "mailchimp"}
CUSTOMER = {
    "id": 7,
    "email": "ann@shop.test",
    "email_marketing_consent": {
        "state": "unsubscribed",
        "consent_updated_at": "2026-11-20T10:00:00Z",
    },
}


def shopify_headers(body: bytes, secret: str = SECRET, **changed: str) -> dict[str, str]:
    signature = base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()
    return {
        "X-Shopify-Hmac-Sha256": signature,
        "X-Shopify-Shop-Domain": "shop.myshopify.com",
        "X-Shopify-Topic": "customers/update",
        "X-Shopify-Webhook-Id": "b54557e4",
        "X-Shopify-Triggered-At": datetime.now(UTC).isoformat(),
    } | changed


def mailchimp_headers(body: bytes, at: datetime | None = None) -> dict[str, str]:
    t = int((at or datetime.now(UTC)).timestamp())
    signature = hmac.digest(SECRET.encode(), f"{t}.".encode() + body, hashlib.sha256).hex()
    return {"X-Mailchimp-Signature": f"t={t},v1={signature}"}


def credentials(connection: str) -> Credentials:
    extra = {"webhook_secret": SECRET} if connection != "empty" else {}
    return Credentials(
        host="shop.myshopify.com" if connection == "shopify_default" else None,
        extra=extra | ({"list_id": "abc"} if connection == "mailchimp_default" else {}),
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return declare(
        tmp_path, SHOPIFY, MAILCHIMP, SHOPIFY | {"name": "no_secret", "connection": "empty"}
    )


@pytest.fixture
def news() -> list[str]:
    return []


@pytest.fixture
def receiver(settings: Settings, news: list[str]) -> TestClient:
    return TestClient(create_app(settings, credentials, news.append))


def waiting(settings: Settings, source: str) -> list[dict[str, Any]]:
    store = Store(settings.store)
    folder = f"inbox/{source}"
    return [json.loads(store.read(f"{folder}/{name}")) for name in store.list(folder)]


BODY = json.dumps(CUSTOMER).encode()


def test_a_signed_call_is_kept_as_it_came_and_announced_once(receiver, settings, news):
    for _ in range(2):
        assert receiver.post("/shop", content=BODY, headers=shopify_headers(BODY)).is_success
    assert news == ["shop"]
    [call] = waiting(settings, "shop")
    assert (call["topic"], call["body"]) == ("customers/update", BODY.decode())


@pytest.mark.parametrize(
    "headers",
    [
        {},
        shopify_headers(BODY, secret="another"),
        shopify_headers(BODY + b" "),
        shopify_headers(BODY) | {"X-Shopify-Hmac-Sha256": b"\xfc"},
        shopify_headers(BODY, **{"X-Shopify-Shop-Domain": "other.myshopify.com"}),
        shopify_headers(
            BODY,
            **{"X-Shopify-Triggered-At": (datetime.now(UTC) - timedelta(hours=7)).isoformat()},
        ),
    ],
    ids=["unsigned", "other secret", "other body", "no ASCII", "other shop", "played again"],
)
def test_a_call_that_is_not_the_shops_is_refused_and_leaves_nothing(
    receiver, settings, news, headers
):
    assert receiver.post("/shop", content=BODY, headers=headers).status_code == 401
    assert (news, waiting(settings, "shop")) == ([], [])


def test_mailchimps_signed_time_is_checked(receiver, settings, news):
    fields = {
        "type": "unsubscribe",
        "fired_at": "2026-11-20 10:00:00",
        "data[email]": "ann@shop.test",
        "data[list_id]": "abc",
    }
    body = urlencode(fields).encode()
    old = mailchimp_headers(body, datetime.now(UTC) - timedelta(minutes=6))
    assert receiver.post("/list", content=body, headers=old).status_code == 401
    other = urlencode(fields | {"data[list_id]": "other"}).encode()
    answer = receiver.post("/list", content=other, headers=mailchimp_headers(other))
    assert answer.status_code == 401
    assert receiver.post("/list", content=body, headers=mailchimp_headers(body)).is_success
    assert news == ["list"]
    assert [call["topic"] for call in waiting(settings, "list")] == ["unsubscribe"]


def test_what_cannot_be_checked_or_held_is_refused(receiver, settings, news):
    assert receiver.post("/nobody", content=BODY).status_code == 404
    assert receiver.post("/no_secret", content=BODY).status_code == 503
    assert receiver.post("/shop", content=b" " * (MOST_BYTES + 1)).status_code == 413
    assert receiver.get("/shop").status_code == 200
    assert news == []
