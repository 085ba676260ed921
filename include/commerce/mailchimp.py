"""Mailchimp's side of a store: single calls, and batches of calls that it works on in its own time.

https://mailchimp.com/developer/marketing/guides/run-async-requests-batch-endpoint/
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

import requests
from mailchimp_marketing.api.batches_api import BatchesApi
from mailchimp_marketing.api.ecommerce_api import EcommerceApi
from mailchimp_marketing.api_client import ApiClient

from include.activation.turns import Turns
from include.connections import Credentials, checked_url
from include.destinations.base import BatchRefused
from include.destinations.mailchimp import (
    PAGE,
    TIMEOUT_SECONDS,
    Mailchimp,
    Missing,
    call,
    open_client,
)
from include.errors import Reauthorise, Retry, Stop

PLACES = {
    "product": "products",
    "customer": "customers",
    "order": "orders",
    "promo_rule": "promo-rules",
}
# A link to results is good for ten minutes; each look at the batch gives a new one.
LINKS_TRIED = 3
MOST_RESULT_BYTES = 1 << 30

Outcome = Literal["done", "present", "absent", "refused", "later"]


@dataclass(frozen=True, slots=True)
class Change:
    """One record to create, change or delete; `document` is JSON text, None to delete.

    `is_doubtful`: Mailchimp would not create it, either because it has it or for what is in it.
    """

    kind: str
    record_id: str
    parent_id: str
    operation: str
    document: str | None
    fingerprint: str | None
    is_doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """What Mailchimp said to one change; `refusal` is its status and title, nothing else."""

    outcome: Outcome
    refusal: str | None = None


class MailchimpStore:
    """The store of one list, made when it is first needed.

    Every call takes its turn, except for fetching the results of a batch: they lie at another host.
    """

    def __init__(self, credentials: Credentials, turns: Turns, list_id: str) -> None:
        connection = Mailchimp.connection()
        self.list_id = list_id
        self.store_id = f"regulars-{self.list_id}"[:50]
        self._connection = connection
        self._client: ApiClient = open_client(credentials, connection, turns.take)
        self._batches = BatchesApi(self._client)
        self._ecommerce = EcommerceApi(self._client)

    def ensure(self, name: str, currency: str) -> bool:
        """Make sure that the store exists; True if it was made, still closed to automations."""
        try:
            call(self._ecommerce.get_store, self.store_id, fields=["id"])
        except Missing:
            store = {
                "id": self.store_id,
                "list_id": self.list_id,
                "name": name,
                "currency_code": currency,
                "is_syncing": True,
            }
            call(self._ecommerce.add_store, store)
            return True
        return False

    def open_to_automations(self) -> None:
        """Say that the first push is over: from here on, a purchase may start an automation."""
        call(self._ecommerce.update_store, self.store_id, {"is_syncing": False})

    def send(self, change: Change) -> Answered:
        """One change in one call. Raises `Retry` or `Reauthorise` as any call does."""
        method, path, body = self._request(change)
        content = json.loads(body) if body else None
        try:
            call(self._client.call_api, path, method, body=content)
        except Missing:
            return judged(change, 404, "Resource Not Found")
        except BatchRefused as refusal:
            return judged(change, 400, refusal.code)
        except Reauthorise:
            raise
        except Stop as error:
            return Answered("refused", str(error))
        return Answered("done")

    def start(self, changes: Sequence[Change]) -> str:
        """Hand in a batch; its id. Its operations are named by their places, from 0."""
        operations = []
        for place, change in enumerate(changes):
            method, path, body = self._request(change)
            operation = {"method": method, "path": path, "operation_id": str(place)}
            operations.append(operation | ({"body": body} if body else {}))
        answer = call(self._batches.start, {"operations": operations})
        if not answer.get("id"):
            raise Retry("Mailchimp's answer names no batch")
        return str(answer["id"])

    def results(self, batch_id: str, changes: Sequence[Change]) -> list[Answered] | None:
        """What became of a batch, change by change; None while Mailchimp works on it.

        Raises `Missing` if Mailchimp knows it no longer.
        """
        for _ in range(LINKS_TRIED):
            batch = call(self._batches.status, batch_id)
            if batch.get("status") != "finished":
                return None
            archive = self._download(str(batch.get("response_body_url") or ""))
            if archive is not None:
                return _read_archive(archive, changes)
        raise Retry("Mailchimp's links to the results of a batch do not work")

    def is_working(self) -> bool:
        """Whether Mailchimp works on any batch of the account, ours or not."""
        return any(one != "finished" for one in _listed(self._batches.list, "batches", "status"))

    def orders(self, customer_id: str) -> list[str]:
        """The ids of a customer's orders; none where there is no such customer, or no store."""
        listing = self._ecommerce.get_store_orders
        try:
            found = _listed(listing, "orders", "id", self.store_id, customer_id=customer_id)
            return [str(order_id) for order_id in found]
        except Missing:
            return []

    def _download(self, url: str) -> bytes | None:
        """The archive, from another host and without the key; None if the link has expired."""
        checked_url(url, self._connection)
        try:
            answer = requests.get(url, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            kind = type(error).__name__
            raise Retry(f"the results of a batch could not be fetched ({kind})") from None
        if answer.status_code in (403, 404, 410):
            return None
        if answer.status_code != 200:
            raise Retry(f"the results of a batch could not be fetched ({answer.status_code})")
        return answer.content

    def _request(self, change: Change) -> tuple[str, str, str | None]:
        """Method, path and body by which a change is made."""
        store = f"/ecommerce/stores/{quote(self.store_id, safe='')}"
        place = f"{store}/{PLACES.get(change.kind, '')}"
        if change.kind == "promo_code":
            place = f"{store}/promo-rules/{quote(change.parent_id, safe='')}/promo-codes"
        one = f"{place}/{quote(change.record_id, safe='')}"
        if change.operation == "delete":
            return "DELETE", one, None
        if change.kind == "customer":
            return "PUT", one, change.document
        if change.operation == "change":
            return "PATCH", one, change.document
        return "POST", place, change.document


def judged(change: Change, status: int, title: str) -> Answered:
    """What an answer means for the record."""
    if 200 <= status < 300:
        return Answered("done")
    if status == 404 and change.is_doubtful and change.operation == "change":
        return Answered("refused", f"{status} {title}")
    if status == 404:
        return Answered("absent")
    if status == 429 or status >= 500:
        return Answered("later")
    # Mailchimp says "Bad Request" or "Invalid Resource" to an id that it has.
    if status == 400 and change.operation == "create":
        return Answered("present", f"{status} {title}")
    return Answered("refused", f"{status} {title}")


def _listed(
    listing: Callable[..., Any], records: str, name: str, *arguments: str, **options: str
) -> Iterator[Any]:
    """One value of each record that a call lists page by page."""
    found, total = 0, 1
    fields = [f"{records}.{name}", "total_items"]
    while found < total:
        answer = call(listing, *arguments, fields=fields, count=PAGE, offset=found, **options)
        page = answer[records]
        if not page:
            return
        yield from (record[name] for record in page)
        found, total = found + len(page), answer["total_items"]


def _read_archive(archive: bytes, changes: Sequence[Change]) -> list[Answered]:
    """The answers by place; a change that the archive does not tell of is left for later."""
    told: dict[int, Answered] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as files:
            for result in _results(files):
                place = int(result["operation_id"])
                status = int(result["status_code"])
                response = _object(result.get("response"))
                told[place] = judged(changes[place], status, str(response.get("title") or ""))
    except (tarfile.TarError, OSError, EOFError, ValueError, KeyError, TypeError, IndexError):
        raise Retry("the results of a batch cannot be read") from None
    return [told.get(place, Answered("later")) for place in range(len(changes))]


def _results(files: tarfile.TarFile) -> Iterable[Mapping[str, Any]]:
    left = MOST_RESULT_BYTES
    for member in files:
        if not member.isfile() or not member.name.endswith(".json"):
            continue
        left -= member.size
        if left < 0:
            raise ValueError("an archive that is larger than any of ours")
        content = files.extractfile(member)
        yield from json.loads(content.read()) if content else ()


def _object(text: object) -> Mapping[str, Any]:
    try:
        content = json.loads(str(text))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
