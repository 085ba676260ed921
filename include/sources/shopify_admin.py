"""Calls to a shop's Admin API: paced by its bucket of points, retried, and run in bulk."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any

import httpx

from include.connections import Credentials, checked_url, is_loopback
from include.errors import BadInput, Reauthorise, Retry, Stop
from include.sources.shopify_bulk import BulkParts
from include.sources.shopify_queries import POLL_BULK, RUN_BULK, VERSION

ATTEMPTS = 6
LONGEST_WAIT = 120.0
BULK_DEADLINE = 6 * 3600.0
SHOP_HOST = re.compile(r"[a-z0-9][a-z0-9-]*\.myshopify\.com")
TIMEOUT = httpx.Timeout(60, connect=10)
# Objects of a first try; later pages follow from what Shopify says that they cost.
FIRST_PAGE = 5
# Points of one object of a query that was never asked: an order with all that hangs on it.
UNKNOWN_COST = 60.0
LARGEST_PAGE = 250
# As many objects `shopify_queries.REST` asks for.
REST_SIZE = 100
# What a single query may cost, and the part of it that is aimed at; but no more than this part of
# the bucket, so that what is restored while a query runs has room in it.
LARGEST_COST = 1000
AIM = 0.95
SHARE_OF_BUCKET = 0.5


class TooDear(Stop):
    """A query would cost more than any query may."""

    def __init__(self, cost: float) -> None:
        super().__init__(f"Shopify refuses a query that costs {cost:.0f} points")
        self.cost = cost


class BulkFailed(Retry):
    """A bulk operation came to nothing; the same can be read page by page."""


@dataclass
class _Bucket:
    """What may be spent, by Shopify's last account of it."""

    available: float = float("inf")
    rate: float = 50.0
    at: float = 0.0
    maximum: float = float("inf")

    def seconds_until(self, points: float) -> float:
        """How long it takes until so many points are there."""
        now = self.available + (time.monotonic() - self.at) * self.rate
        return max(0.0, (points - now) / self.rate)

    def tell(self, status: Mapping[str, float]) -> None:
        """Take over Shopify's account."""
        self.available = float(status["currentlyAvailable"])
        self.rate = float(status["restoreRate"]) or self.rate
        self.maximum = float(status["maximumAvailable"])
        self.at = time.monotonic()


@dataclass(frozen=True)
class Reply:
    """One answer: its data, its bytes as they came, and what asking cost at most."""

    data: dict[str, Any]
    body: bytes
    requested_cost: float


@dataclass(frozen=True)
class BulkResult:
    """A finished bulk operation. started_at: whatever changed later may not be in it. parts: what
    it found, compressed by gzip and read from the start; none if it found nothing. suffix: how the
    parts are to be read.
    """

    started_at: str
    parts: list[IO[bytes]]
    suffix: str


class Admin:
    """One shop's Admin API."""

    def __init__(self, credentials: Credentials, connection: str) -> None:
        self.connection = connection
        token = credentials.require_password(connection)
        base_url = credentials.extra.get("base_url")
        if not base_url:
            host = (credentials.host or "").strip().lower()
            if not SHOP_HOST.fullmatch(host):
                raise BadInput(
                    f"connection {connection}: the host must be the shop's own, such as "
                    "example.myshopify.com"
                )
            base_url = f"https://{host}"
        base_url = checked_url(base_url, connection, (".myshopify.com",))
        self.url = f"{base_url}/admin/api/{VERSION}/graphql.json"
        self.http = httpx.Client(
            headers={"X-Shopify-Access-Token": token, "Accept": "application/json"},
            timeout=TIMEOUT,
        )
        self._bucket = _Bucket()
        # What a document cost at most when it was asked last, by object that it asked for.
        self._costs: dict[str, float] = {}

    def ask(self, document: str, size: int = 1, **variables: Any) -> Reply:
        """The answer to a document. size: the number of objects that it asks for.

        Raises `TooDear` when no query may cost that much, `Reauthorise`, `Retry` or `Stop`.
        """
        for attempt in range(ATTEMPTS):
            time.sleep(self._bucket.seconds_until(self._expected(document, size)))
            try:
                return self._ask(document, size, variables)
            except Retry as error:
                wait = error.after_seconds if error.after_seconds is not None else 2.0**attempt / 2
                if attempt == ATTEMPTS - 1 or wait > LONGEST_WAIT:
                    raise
                time.sleep(wait)
        raise AssertionError("the last attempt either returns or raises")

    def pages(self, document: str, name: str, size: int, **variables: Any) -> Iterator[Reply]:
        """All replies of a document that pages through the connection `name` at its root.

        size: the most objects of a page; as many are asked for as one query can pay.
        """
        after: str | None = None
        first = min(size, FIRST_PAGE)
        while True:
            try:
                reply = self.ask(document, first, first=first, after=after, **variables)
            except TooDear as error:
                if first == 1:
                    raise
                first = self.affordable(first, error.cost, first - 1)
                continue
            yield reply
            page = reply.data[name]["pageInfo"]
            if not page["hasNextPage"]:
                return
            after = page["endCursor"]
            first = self.affordable(first, reply.requested_cost, size)

    def in_bulk(
        self, query: str, connection: str | None, see: Callable[[bytes], None]
    ) -> BulkResult:
        """Run a query as a bulk operation; `see` is shown each line of the result.

        connection: the one that the query asks for inside of a record, such as `lineItems`.
        Raises `BulkFailed` when it failed at Shopify's, `Retry` when other operations are in the
        way or the result was cut.
        """
        started = self._start(query)
        operation = self._finished(started["id"])
        kept = BulkParts(connection)
        if operation["url"] is None:
            return BulkResult(started["createdAt"], [], kept.suffix)
        # The address is signed: it needs no token, and must not get it.
        url = checked_url(operation["url"], self.connection)
        if is_loopback(httpx.URL(url).host) and not is_loopback(httpx.URL(self.url).host):
            raise Stop("Shopify names an address on this machine for a result")
        parts = self._download(url, operation["fileSize"], kept, see)
        return BulkResult(started["createdAt"], parts, kept.suffix)

    def affordable(self, size: int, cost: float, most: int) -> int:
        """How many objects to ask for next, when so many would have cost that much."""
        most = min(most, LARGEST_PAGE)
        aim = min(AIM * LARGEST_COST, SHARE_OF_BUCKET * self._bucket.maximum)
        return max(1, min(most, int(size * aim / cost))) if cost else most

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def _expected(self, document: str, size: int) -> float:
        """What a query will cost at most; before it was asked once, a cautious guess."""
        if document in self._costs:
            return self._costs[document] * size
        return min(UNKNOWN_COST * size, SHARE_OF_BUCKET * self._bucket.maximum)

    def _ask(self, document: str, size: int, variables: Mapping[str, Any]) -> Reply:
        body = {"query": document, "variables": variables}
        try:
            response = self.http.post(self.url, json=body)
        except httpx.TransportError as error:
            raise Retry(f"Shopify could not be reached ({type(error).__name__})") from None
        if response.status_code != 200:
            raise _refusal(response)
        try:
            answer = response.json()
        except ValueError:
            raise Retry("Shopify's answer is not JSON") from None
        if not isinstance(answer, dict):
            raise Retry("Shopify's answer is not an object")
        cost = (answer.get("extensions") or {}).get("cost") or {}
        if cost.get("throttleStatus"):
            self._bucket.tell(cost["throttleStatus"])
        requested = float(cost.get("requestedQueryCost") or 0)
        self._costs[document] = requested / size
        if answer.get("errors"):
            raise self._failure(answer["errors"], requested)
        data = answer.get("data")
        if not isinstance(data, dict):
            raise Retry("Shopify's answer has no data")
        return Reply(data, response.content, requested)

    def _failure(self, errors: Any, requested: float) -> Exception:
        """The error for an answer that holds errors; their texts are not repeated."""
        first = errors[0] if isinstance(errors, list) and errors else {}
        extensions = first.get("extensions") if isinstance(first, dict) else None
        told = extensions if isinstance(extensions, dict) else {}
        code = told.get("code")
        if code == "THROTTLED":
            wait = self._bucket.seconds_until(requested)
            return Retry("Shopify limits calls (THROTTLED)", max(wait, 0.05))
        if code == "MAX_COST_EXCEEDED":
            return TooDear(float(told.get("cost") or 2 * LARGEST_COST))
        if code == "ACCESS_DENIED":
            scope = re.search(r"`(\w+)`", str(told.get("requiredAccess", "")))
            missing = f"the access scope {scope[1]}" if scope else "an access scope"
            return Reauthorise(f"Shopify refuses a query: the app lacks {missing}")
        if code in ("INTERNAL_SERVER_ERROR", "TIMEOUT", None) and "locations" not in first:
            return Retry("Shopify failed at a query")
        return Stop(f"Shopify refuses a query ({code or 'not valid'})")

    def _start(self, query: str) -> dict[str, str]:
        for attempt in range(ATTEMPTS):
            started = self.ask(RUN_BULK, query=query).data["started"]
            codes = {problem["code"] for problem in started["userErrors"]}
            if not codes:
                operation: dict[str, str] = started["bulkOperation"]
                return operation
            if not codes <= {"LIMIT_REACHED", "OPERATION_IN_PROGRESS"}:
                raise Stop(f"Shopify refuses a bulk operation ({', '.join(map(str, codes))})")
            time.sleep(2.0**attempt)
        raise Retry("other bulk operations of this app are still running at Shopify", 300)

    def _finished(self, operation_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + BULK_DEADLINE
        wait = 0.1
        while time.monotonic() < deadline:
            operation: dict[str, Any] = self.ask(POLL_BULK, id=operation_id).data["operation"]
            status, code = operation["status"], operation["errorCode"]
            if status == "COMPLETED":
                return operation
            if code == "ACCESS_DENIED":
                raise Reauthorise("Shopify refuses a bulk operation: the app lacks an access scope")
            if status not in ("CREATED", "RUNNING"):
                raise BulkFailed(f"a bulk operation is {status} at Shopify ({code or 'no code'})")
            time.sleep(wait)
            wait = min(30.0, wait * 1.5)
        raise Retry("a bulk operation at Shopify takes too long", 3600)

    def _download(
        self, url: str, size: str | None, parts: BulkParts, see: Callable[[bytes], None]
    ) -> list[IO[bytes]]:
        """The result, compressed, in files of this machine that are gone once they are closed."""
        received, rest = 0, b""
        with ExitStack() as on_failure:
            on_failure.callback(parts.close)
            try:
                with httpx.stream("GET", url, timeout=TIMEOUT) as response:
                    if response.status_code != 200:
                        raise Retry(f"a bulk result cannot be fetched ({response.status_code})")
                    for chunk in response.iter_bytes(1 << 20):
                        received += len(chunk)
                        *lines, rest = (rest + chunk).split(b"\n")
                        parts.add(lines)
                        for line in lines:
                            see(line)
            except httpx.TransportError as error:
                raise Retry(f"a bulk result was cut ({type(error).__name__})") from None
            if rest or (size is not None and received != int(size)):
                raise Retry("a bulk result came cut")
            finished = parts.finish()
            on_failure.pop_all()
        return finished


def _refusal(response: httpx.Response) -> Exception:
    """The error for an answer of another status than 200."""
    status = response.status_code
    if status in (401, 403):
        return Reauthorise(f"Shopify refuses the access token ({status})")
    if status == 404:
        return Stop("Shopify knows no such shop (404): check the connection's host")
    if status == 402:
        return Stop("the shop is frozen at Shopify (402)")
    if status in (408, 423, 429, 430) or status >= 500:
        given = response.headers.get("Retry-After", "")
        seconds = float(given) if re.fullmatch(r"\d+(\.\d+)?", given) else None
        return Retry(f"Shopify is busy ({status})", seconds)
    return Stop(f"Shopify refuses a call ({status})")


def as_string(text: str) -> str:
    """A text as a GraphQL string."""
    return json.dumps(text)
