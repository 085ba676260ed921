from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from include.landing import ingest
from include.settings import Settings
from include.sources import webhooks
from include.sources.webhooks import STAMP, Webhooks
from include.store import Store
from tests.include.sources.contract import SourceContract
from tests.include.sources.shops import declare, raw


class Inbox:
    """Calls that were received, in the stores that are told of."""

    def __init__(self, folder: Path) -> None:
        self.stores = [Store(str(folder / "home/store"))]
        self.calls: dict[str, bytes] = {}
        self.at = datetime(2026, 11, 20, 10, tzinfo=UTC)

    def receive(self, number: int, topic: str, body: str) -> str:
        self.at += timedelta(minutes=1)
        name = f"{self.at:{STAMP}}-{number:032}.json"
        content = {"id": str(number), "topic": topic, "sent_at": self.at.isoformat(), "body": body}
        self.put(name, json.dumps(content).encode())
        return name

    def put(self, name: str, content: bytes) -> None:
        self.calls[name] = content
        for store in self.stores:
            store.write(f"inbox/shop/{name}", content)

    def consent(self, number: int, customer: int, state: str) -> str:
        said = {"state": state, "consent_updated_at": self.at.isoformat()}
        body = {"id": customer, "email": f"p{customer}@shop.test", "email_marketing_consent": said}
        return self.receive(number, "customers/update", json.dumps(body))


class TestWebhooks(SourceContract):
    source = Webhooks
    table = "consents"

    @contextmanager
    def place(self, folder: Path) -> Iterator[Inbox]:
        inbox = Inbox(folder)
        inbox.consent(1, 7, "subscribed")
        inbox.consent(2, 8, "subscribed")
        inbox.receive(3, "orders/updated", "{}")
        yield inbox

    @pytest.fixture(autouse=True)
    def two_calls_to_a_page(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(webhooks, "CALLS_PER_PAGE", 2)

    def declaration(self, place: Inbox) -> dict[str, Any]:
        return {"name": "shop", "type": "webhooks", "grain": "consent", "vendor": "shopify"}

    @pytest.fixture(autouse=True)
    def hold(self, opened: Inbox) -> None:
        self.inbox = opened

    def elsewhere(self, settings: Settings, tmp_path: Path) -> Settings:
        """The vendors' calls reach the other store too."""
        other = super().elsewhere(settings, tmp_path)
        store = Store(other.store)
        self.inbox.stores.append(store)
        for name, content in self.inbox.calls.items():
            store.write(f"inbox/shop/{name}", content)
        return other

    def change(self, place: Inbox) -> None:
        place.consent(4, 9, "subscribed")
        place.consent(2, 8, "unsubscribed")

    def break_a_page(self, place: Inbox) -> None:
        place.put(max(place.calls), b'{"id": "3", "topic": "customers/update", "canary@shop')

    def mend_the_page(self, place: Inbox) -> None:
        place.put(max(place.calls), next(iter(place.calls.values())))


def consents(tmp_path: Path, vendor: str, calls: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """What the calls (topic, body) of a vendor become."""
    entry = {"name": "shop", "type": "webhooks", "grain": "consent", "vendor": vendor}
    settings = declare(tmp_path, entry)
    inbox = Inbox(tmp_path)
    for number, (topic, body) in enumerate(calls):
        inbox.receive(number, topic, body)
    ingest(settings)
    keys = ("customer_id", "email", "channel", "state", "changed_at", "suppressed_reason")
    return [{key: row[key] for key in keys} for row in raw(settings, "consents")]


def mailchimp(kind: str, **data: str) -> tuple[str, str]:
    fields = {"type": kind, "fired_at": "2026-11-20 10:00:00"}
    return kind, urlencode(fields | {f"data[{key}]": value for key, value in data.items()})


def test_mailchimp_tells_who_left_complained_or_bounced(tmp_path: Path) -> None:
    calls = [
        mailchimp("unsubscribe", email="a@shop.test", reason="manual"),
        mailchimp("unsubscribe", email="b@shop.test", reason="abuse"),
        mailchimp("cleaned", email="c@shop.test", reason="hard"),
        mailchimp("subscribe", email="d@shop.test"),
        mailchimp("campaign", subject="Hello"),
    ]
    found = {
        row["email"][0]: (row["state"], row["suppressed_reason"])
        for row in consents(tmp_path, "mailchimp", calls)
    }
    assert found == {
        "a": ("withdrawn", "unsubscribed"),
        "b": ("withdrawn", "complained"),
        "c": ("withdrawn", "cleaned"),
        "d": ("granted", None),
    }


def test_shopify_tells_of_each_channel_by_the_customers_own_time(tmp_path: Path) -> None:
    body = {
        "id": 7,
        "email": "ann@shop.test",
        "email_marketing_consent": {
            "state": "unsubscribed",
            "consent_updated_at": "2026-11-20T12:00:00+02:00",
        },
        "sms_marketing_consent": {"state": "subscribed", "consent_updated_at": None},
    }
    [email, sms] = consents(tmp_path, "shopify", [("customers/update", json.dumps(body))])
    assert (email["customer_id"], email["channel"], email["state"]) == (
        "shop:7",
        "email",
        "withdrawn",
    )
    assert email["changed_at"] == datetime(2026, 11, 20, 10)
    assert (sms["channel"], sms["state"]) == ("sms", "granted")
    assert sms["changed_at"] == datetime(2026, 11, 20, 10, 1)


@pytest.mark.parametrize("topic", ["data_request", "merge", "redact", "delete"])
def test_what_shopify_says_of_a_customer_without_consents_holds_up_none(
    topic: str, tmp_path: Path
) -> None:
    bodies = {
        "data_request": {"shop_id": 1, "customer": {"id": 7}, "data_request": {"id": 9}},
        "merge": {"admin_graphql_api_customer_kept_id": "gid://shopify/Customer/7"},
        "redact": {"shop_id": 1, "customer": {"id": 7}},
        "delete": {"id": 7, "email_marketing_consent": None},
    }
    left = {"id": 8, "email_marketing_consent": {"state": "unsubscribed"}}
    calls = [
        (f"customers/{topic}", json.dumps(bodies[topic])),
        ("customers/update", json.dumps(left)),
    ]
    [found] = consents(tmp_path, "shopify", calls)
    assert (found["customer_id"], found["state"]) == ("shop:8", "withdrawn")


def test_a_request_to_forget_somebody_is_one(tmp_path: Path) -> None:
    entry = {"name": "shop", "type": "webhooks", "grain": "erasure_request", "vendor": "shopify"}
    settings = declare(tmp_path, entry)
    inbox = Inbox(tmp_path)
    person = {"id": 7, "email": "ann@shop.test", "phone": None}
    inbox.receive(1, "customers/redact", json.dumps({"shop_id": 1, "customer": person}))
    inbox.consent(2, 7, "subscribed")
    ingest(settings)
    [request] = raw(settings, "erasure_requests")
    assert (request["customer_id"], request["email"]) == ("shop:7", "ann@shop.test")


def test_what_is_merged_leaves_the_inbox_and_nothing_else_whatever_the_clock_says(
    tmp_path: Path,
) -> None:
    settings = declare(tmp_path, TestWebhooks().declaration(Inbox(tmp_path)))
    inbox = Inbox(tmp_path)
    inbox.consent(1, 7, "subscribed")
    ingest(settings)
    inbox.at -= timedelta(days=1)
    second = inbox.consent(2, 8, "subscribed")
    ingest(settings)
    assert inbox.stores[0].list("inbox/shop") == [second]
    ingest(settings)
    assert inbox.stores[0].list("inbox/shop") == []
    assert len(raw(settings, "consents")) == 2
