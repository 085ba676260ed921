"""What Shopify and Mailchimp call about: consents and erasures that should not wait for the night.

`include/webhooks.py` checks each call and puts it into the inbox of the store; this source reads
the inbox. A call about anything else only wakes the ingest, which then asks the shop itself.

https://shopify.dev/docs/apps/build/webhooks, https://mailchimp.com/developer/marketing/guides/sync-audience-data-webhooks/
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import parse_qsl

import duckdb
import pyarrow as pa

from include.sources import polls
from include.sources.base import BadPage, Page, Source, SourceOptions, Table
from include.store import Store

Vendor = Literal["shopify", "mailchimp"]
Rows = list[dict[str, Any]]

STAMP = "%Y%m%dT%H%M%S%f"
CALLS_PER_PAGE = 1000

_INSTANT = pa.timestamp("us")
SCHEMAS: dict[Table, pa.Schema] = {
    "consents": pa.schema(
        [
            ("consent_id", pa.string()),
            ("customer_id", pa.string()),
            ("email", pa.string()),
            ("phone", pa.string()),
            ("channel", pa.string()),
            ("state", pa.string()),
            ("changed_at", _INSTANT),
            ("consent_source", pa.string()),
            ("suppressed_reason", pa.string()),
            ("updated_at", _INSTANT),
        ]
    ),
    "erasure_requests": pa.schema(
        [
            ("request_id", pa.string()),
            ("customer_id", pa.string()),
            ("email", pa.string()),
            ("phone", pa.string()),
            ("requested_at", _INSTANT),
            ("updated_at", _INSTANT),
        ]
    ),
}
SHOPIFY_STATES = {
    "subscribed": "granted",
    "pending": "pending",
    "not_subscribed": "withdrawn",
    "unsubscribed": "withdrawn",
    "redacted": "withdrawn",
    "invalid": "withdrawn",
}


def inbox(source: str) -> str:
    """The folder of the store that calls for a source wait in."""
    return f"inbox/{source}"


class WebhooksOptions(SourceOptions):
    """Whose calls these are.

    connection: the vendor's own (default `<vendor>_default`), whose extra holds the
    `webhook_secret` that calls are signed with.
    """

    grain: Literal["consent", "erasure_request"]
    vendor: Vendor
    connection: str | None = None

    @property
    def connection_id(self) -> str:
        """The Airflow connection that holds the secret."""
        return self.connection or f"{self.vendor}_default"


class Webhooks(Source):
    """Calls that were received, a few to a page; what is merged leaves the inbox."""

    type: ClassVar[str] = "webhooks"
    has_windows: ClassVar[bool] = False
    Options = WebhooksOptions
    options: WebhooksOptions

    def pages(self, cursor: Mapping[str, Any]) -> Iterator[Page]:
        """What was not there at the last load; what that has merged is removed."""
        store = Store(self.place.store)
        folder = inbox(self.name)
        merged = set(cursor.get("merged", ()))
        names = store.list(folder)
        for name in merged.intersection(names):
            store.remove(f"{folder}/{name}")
        waiting = [name for name in names if name not in merged]

        def contents() -> Iterator[polls.Content]:
            for start in range(0, len(waiting), CALLS_PER_PAGE):
                chosen = waiting[start : start + CALLS_PER_PAGE]
                calls = b"\n".join(store.read(f"{folder}/{name}") for name in chosen)
                yield ".jsonl", BytesIO(calls)

        yield from polls.pages(contents(), lambda: {"merged": waiting}, cursor)

    @contextmanager
    def rows(
        self, connection: duckdb.DuckDBPyConnection, name: str, file: Path, workspace: Path
    ) -> Iterator[duckdb.DuckDBPyRelation]:
        """See `Source.rows`."""
        owner = self.options.customers_of or self.name
        read = _READERS[self.options.vendor, self.table]
        found: Rows = []
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                call = json.loads(line)
                found += read(owner, call)
            except (KeyError, TypeError, ValueError, AttributeError):
                # The original error may quote the call, which is about a person.
                raise BadPage(
                    name, "the call does not have the form that its topic has", line=number
                ) from None
        yield connection.from_arrow(pa.Table.from_pylist(found, schema=SCHEMAS[self.table]))


def _utc(text: str) -> datetime:
    """An instant in ISO 8601 as a naive one in UTC; one without an offset is UTC."""
    instant = datetime.fromisoformat(text)
    return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant


def _shopify_consents(owner: str, call: Mapping[str, Any]) -> Rows:
    """Of those of `customers/...` and `customers_.../...` that tell of consents."""
    if not call["topic"].startswith("customers"):
        return []
    body = json.loads(call["body"])
    sent_at = _utc(call["sent_at"])
    rows = []
    for channel, key in (("email", "email_marketing_consent"), ("sms", "sms_marketing_consent")):
        consent = body.get(key)
        if consent is None:
            continue
        changed_at = consent.get("consent_updated_at")
        rows.append(
            {
                "consent_id": f"{call['id']}:{channel}",
                "customer_id": f"{owner}:{body.get('customer_id') or body['id']}",
                "email": body.get("email") or body.get("email_address"),
                "phone": body.get("phone"),
                "channel": channel,
                "state": SHOPIFY_STATES[consent["state"].lower()],
                "changed_at": _utc(changed_at) if changed_at else sent_at,
                "consent_source": "shopify",
                "suppressed_reason": None,
                "updated_at": sent_at,
            }
        )
    return rows


def _shopify_erasures(owner: str, call: Mapping[str, Any]) -> Rows:
    """Of `customers/redact`, which a shop sends on a person's request."""
    if call["topic"] != "customers/redact":
        return []
    customer = json.loads(call["body"])["customer"]
    sent_at = _utc(call["sent_at"])
    return [
        {
            "request_id": call["id"],
            "customer_id": f"{owner}:{customer['id']}" if customer.get("id") else None,
            "email": customer.get("email"),
            "phone": customer.get("phone"),
            "requested_at": sent_at,
            "updated_at": sent_at,
        }
    ]


def _mailchimp_consents(owner: str, call: Mapping[str, Any]) -> Rows:
    """Of subscribe, unsubscribe and cleaned; `fired_at` is in UTC and has whole seconds."""
    fields = dict(parse_qsl(call["body"], strict_parsing=True))
    states = {
        "subscribe": ("granted", None),
        "unsubscribe": (
            "withdrawn",
            "complained" if fields.get("data[reason]") == "abuse" else "unsubscribed",
        ),
        "cleaned": ("withdrawn", "cleaned"),
    }
    if fields["type"] not in states:
        return []
    state, suppressed_reason = states[fields["type"]]
    fired_at = datetime.strptime(fields["fired_at"], "%Y-%m-%d %H:%M:%S")
    return [
        {
            "consent_id": call["id"],
            "customer_id": None,
            "email": fields["data[email]"],
            "phone": None,
            "channel": "email",
            "state": state,
            "changed_at": fired_at,
            "consent_source": "mailchimp",
            "suppressed_reason": suppressed_reason,
            "updated_at": fired_at,
        }
    ]


def _nothing(owner: str, call: Mapping[str, Any]) -> Rows:
    """A vendor that never calls about such a thing."""
    return []


_READERS: dict[tuple[str, str], Callable[[str, Mapping[str, Any]], Rows]] = {
    ("shopify", "consents"): _shopify_consents,
    ("shopify", "erasure_requests"): _shopify_erasures,
    ("mailchimp", "consents"): _mailchimp_consents,
    ("mailchimp", "erasure_requests"): _nothing,
}
