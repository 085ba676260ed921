"""WooCommerce, by its REST API v3: orders with their refunds, customers, products.

Orders are read by what was changed since; customers and products whole, because a change of their
meta data or stock moves no date there, and what is the same as last time is not landed again.

An order in the trash is seen as deleted. One that is deleted for good leaves no trace, and a refund
that is deleted moves no date of its order: `check_deletions_days` compares the ids of the orders
and of the refunds of the last so many days with those that were there before. Shops before
WooCommerce 9.0 cannot list their refunds; there, a deleted one is seen when its order changes next.
A customer or a product that is gone is always seen.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

import duckdb
import httpx
from pydantic import Field
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from include.connections import Credentials, checked_url
from include.errors import BadInput, Reauthorise, RegularsError, Retry, Stop
from include.sources import polls, woocommerce_rows
from include.sources.addresses import Address, address_keys
from include.sources.base import (
    BadPage,
    Page,
    Place,
    Source,
    SourceOptions,
    Table,
    Window,
    is_about_this_machine,
)
from include.sources.woocommerce_rows import ATTRIBUTION, COLUMNS, Owners, Record

API = "/wp-json/wc/v3"
PER_PAGE = 100
TIMEOUT_SECONDS = 120
TRIES = 5
# A wait longer than this is the scheduler's to sit out.
LONGEST_WAIT_SECONDS = 60.0
PASSES = 5
_SECOND = timedelta(seconds=1)
_BUSY = (408, 429, 500, 502, 503, 504)

# What is asked for; of an address and of meta data only a part is kept, see `_kept`.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "orders": (
        "id",
        "status",
        "currency",
        "date_created_gmt",
        "date_modified_gmt",
        "date_paid_gmt",
        "date_completed_gmt",
        "discount_total",
        "shipping_total",
        "total",
        "total_tax",
        "customer_id",
        "billing",
        "line_items",
        "fee_lines",
        "coupon_lines",
        "refunds",
        "meta_data",
    ),
    "customers": (
        "id",
        "email",
        "first_name",
        "last_name",
        "date_created_gmt",
        "date_modified_gmt",
        "billing",
        "meta_data",
    ),
    "products": (
        "id",
        "name",
        "sku",
        "type",
        "status",
        "date_created_gmt",
        "date_modified_gmt",
        "categories",
        "stock_quantity",
        "cost_of_goods_sold",
    ),
}
# What this release makes otherwise of pages that an earlier one has read.
_READING: Mapping[str, str] = {
    "order": " fees below zero are on the lines, refunds are of the goods",
    "product": " what is gone keeps what is known of it",
}
_BILLING = ("email", "phone", "first_name", "last_name", "country")
_LISTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "contact": ("customers", {"role": "all"}),
    "product": ("products", {}),
}

Records = list[dict[str, Any]]

log = logging.getLogger(__name__)


class WooCommerceOptions(SourceOptions):
    """What to read of a shop.

    overlap_minutes: how far back of the newest change known the next run looks again.
    check_deletions_days: of the orders and refunds of how many days to look whether they are still
    there.
    consent_meta_key, ads_consent_meta_key, sms_consent_meta_key: what key of a customer's meta data
    says that they agree, as WooCommerce itself asks nobody. currency: of the costs of goods.
    """

    grain: Literal["order", "contact", "product"]
    connection: str = "woocommerce_default"
    overlap_minutes: int = Field(10, ge=0)
    check_deletions_days: int = Field(0, ge=0)
    consent_meta_key: str | None = None
    ads_consent_meta_key: str | None = None
    sms_consent_meta_key: str | None = None
    currency: str | None = None

    def consent(self) -> dict[str, str]:
        """The meta data's keys by channel."""
        keys = {
            "email": self.consent_meta_key,
            "ads": self.ads_consent_meta_key,
            "sms": self.sms_consent_meta_key,
        }
        return {channel: key for channel, key in keys.items() if key}


class WooCommerce(Source):
    """A shop on WooCommerce."""

    type: ClassVar[str] = "woocommerce"
    Options = WooCommerceOptions
    options: WooCommerceOptions

    def __init__(self, options: WooCommerceOptions, place: Place) -> None:
        super().__init__(options, place)
        self.owners = Owners(
            name=options.name,
            customers=options.customers_of or options.name,
            time_zone=options.time_zone,
            currency=options.currency,
            consent=options.consent(),
        )

    @property
    def table(self) -> Table:
        """Orders are documents."""
        return "orders" if self.options.grain == "order" else super().table

    def fingerprint(self) -> str:
        """See `Source.fingerprint`. A release that reads orders otherwise reads them again."""
        return super().fingerprint() + _READING.get(self.options.grain, "")

    def pages(self, cursor: Mapping[str, Any]) -> Iterator[Page]:
        """What the shop has that is new since the cursor; see `Source.pages`.

        Raises `Reauthorise` when the key is refused, `Retry` when the shop does not answer, `Stop`
        when there is no shop at that address.
        """
        with self._connected() as shop:
            if self.options.grain != "order":
                if self.window:
                    raise BadInput(
                        f"source {self.name} has no days to ask for: WooCommerce's"
                        f" {self.options.grain}s are read whole every time"
                    )
                catalogue = _Catalogue(cursor)
                contents = self._catalogue(shop, catalogue)
                yield from polls.pages(contents, catalogue.state, cursor)
            elif self.window:
                contents = self._placed_within(shop, self.window)
                yield from polls.pages(contents, lambda: cursor, cursor)
            else:
                overlap = polls.Overlap(self.options.overlap_minutes, cursor)
                census = _Census(cursor, self.options.check_deletions_days)
                contents = self._changed(shop, overlap, census)

                def reached() -> dict[str, Any]:
                    return overlap.state() | census.state()

                yield from polls.pages(contents, reached, cursor)

    @contextmanager
    def rows(
        self, connection: duckdb.DuckDBPyConnection, name: str, file: Path, workspace: Path
    ) -> Iterator[duckdb.DuckDBPyRelation]:
        """See `Source.rows`. The records are put into our words before the block begins."""
        written = workspace / f"{file.name}.rows"
        with written.open("w", encoding="utf-8") as target:
            for row in self._rows(name, file):
                target.write(json.dumps(row, default=str) + "\n")
        try:
            yield connection.read_json(
                str(written),
                columns={**COLUMNS[self.options.grain]},
                format="newline_delimited",
                records="true",
            )
        except duckdb.Error as error:
            if is_about_this_machine(error):
                raise
            raise BadPage(name, "it holds a value that does not fit") from None
        finally:
            written.unlink()

    def test_connection(self) -> tuple[bool, str]:
        """Ask for one order, which needs the permission to read."""
        try:
            with self._connected() as shop:
                answer = shop.get("orders", per_page=1, _fields="id")
        except RegularsError as error:
            return False, str(error)
        return True, f"Connected to {shop.host}, which has {answer.total} orders."

    @contextmanager
    def _connected(self) -> Iterator[_Shop]:
        name = self.options.connection
        with _Shop(self.place.credentials(name), name) as shop:
            yield shop

    def _changed(
        self, shop: _Shop, overlap: polls.Overlap, census: _Census
    ) -> Iterator[polls.Content]:
        """The orders that were changed since, each with its refunds; then those that are gone."""

        def listed() -> Iterator[Records]:
            # `any` leaves out the trash, and no list of statuses names those that plugins add.
            for status in ("any", "trash"):
                for orders in _changes(shop, {"status": status}, overlap.since):
                    kept = self._kept(orders)
                    for order in kept:
                        overlap.add(polls.minute_of(_modified_at(order)), _digest(order))
                    census.add(kept)
                    yield kept

        for orders in polls.unless_idle(listed(), overlap):
            yield _content(records=orders, refunds=_refunds(shop, orders))
        gone = census.gone(shop)
        if gone:
            yield _content(gone=gone)
        keys = census.refunded_otherwise(shop)
        for first in range(0, len(keys), PER_PAGE):
            named = {"include": ",".join(keys[first : first + PER_PAGE])}
            yield from self._read_again(shop, named)

    def _placed_within(self, shop: _Shop, window: Window) -> Iterator[polls.Content]:
        zone = ZoneInfo(self.options.time_zone)
        first, after = (
            datetime.combine(day, time(), zone).astimezone(UTC)
            for day in (window.first, window.last + timedelta(days=1))
        )
        days = {"after": _written(first - _SECOND), "before": _written(after)}
        yield from self._read_again(shop, days)

    def _read_again(self, shop: _Shop, query: Mapping[str, Any]) -> Iterator[polls.Content]:
        for status in ("any", "trash"):
            for orders in _whole(shop, "orders", {"status": status, **query}):
                kept = self._kept(orders)
                yield _content(records=kept, refunds=_refunds(shop, kept))

    def _catalogue(self, shop: _Shop, catalogue: _Catalogue) -> Iterator[polls.Content]:
        """The pages of a whole list that are not as they were, and the records that are gone."""
        path, query = _LISTS[self.options.grain]
        for records in _whole(shop, path, query):
            kept = self._kept(records)
            for record in kept:
                if record.get("type") == "variable":
                    found = _whole(shop, f"products/{record['id']}/variations", {})
                    record["variation_records"] = [one for some in found for one in some]
            if catalogue.is_news(kept):
                yield _content(records=kept)
        gone = catalogue.gone()
        if gone:
            yield _content(gone=gone)

    def _kept(self, records: Records) -> Records:
        """Records without what nobody needs; of an order's address a key is kept."""
        kept = [self._reduced(record) for record in records]
        if self.options.grain == "order":
            keys = address_keys([_address(record) for record in records])
            for record, key in zip(kept, keys, strict=True):
                if key:
                    record["billing"]["address_key"] = key
        return kept

    def _reduced(self, record: dict[str, Any]) -> dict[str, Any]:
        """A record without postal addresses, and without meta data of all kinds."""
        kept = dict(record)
        if isinstance(kept.get("billing"), dict):
            kept["billing"] = {name: kept["billing"].get(name) for name in _BILLING}
        if isinstance(kept.get("meta_data"), list):
            wanted = {ATTRIBUTION, *self.owners.consent.values()}
            kept["meta_data"] = [
                {"key": entry["key"], "value": entry.get("value")}
                for entry in kept["meta_data"]
                if isinstance(entry, dict) and entry.get("key") in wanted
            ]
        return kept

    def _rows(self, name: str, file: Path) -> Iterator[dict[str, Any]]:
        try:
            page = json.loads(file.read_bytes())
        except ValueError:
            raise BadPage(name, "the page is not JSON") from None
        refunds = page.get("refunds", {})
        for number, content in enumerate(page.get("records", ()), start=1):
            key = content.get("id") if isinstance(content, dict) else None
            record = Record(name, f"{self.options.grain} {key or f'number {number}'}", content)
            if self.options.grain == "order":
                parts = [
                    Record(name, f"refund {part.get('id')} of {record.name}", part)
                    for part in refunds.get(str(key), ())
                ]
                yield woocommerce_rows.order_row(record, parts, self.owners)
            elif self.options.grain == "contact":
                yield woocommerce_rows.contact_row(record, self.owners)
            else:
                yield from woocommerce_rows.product_rows(record, self.owners)
        yield from self._gone_rows(page.get("gone") or {})

    def _gone_rows(self, gone: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """What is no longer there: nothing but the key, and since when that is known."""
        owners = {"order": ("order_id", self.owners.name)}
        owners["contact"] = ("customer_id", self.owners.customers)
        for key in gone.get("keys", ()):
            since = {"deleted_at": gone["at"], "updated_at": gone["at"]}
            if self.options.grain == "product":
                # `mark_deleted_products.sql` marks what is known of it, which stays.
                yield {"sku": f"deleted:{key}", "is_active": False, **since}
            else:
                column, owner = owners[self.options.grain]
                yield {column: f"{owner}:{key}", **since}


def _address(order: Mapping[str, Any]) -> Address:
    """Where an order is billed to; nothing where that is no text."""
    billing = order.get("billing")
    told = billing if isinstance(billing, dict) else {}
    country, postcode, street = (
        value if isinstance(value := told.get(name), str) else None
        for name in ("country", "postcode", "address_1")
    )
    return country, postcode, street


@dataclass(frozen=True)
class _Answer:
    """A list's page: its records, and how many records and pages the whole list has."""

    records: Records
    total: int
    pages: int


class _Shop:
    """The API of one shop. It is asked again a few times where that may help."""

    def __init__(self, credentials: Credentials, name: str) -> None:
        self.name = name
        if not credentials.login:
            raise Reauthorise(f"connection {name} has no login: put the consumer key there")
        secret = credentials.require_password(name)
        base = credentials.extra.get("base_url")
        if not base and not credentials.host:
            raise BadInput(f"connection {name} has no host: put the shop's address there")
        address = credentials.host or ""
        url = checked_url(base or (address if "://" in address else f"https://{address}"), name)
        self.host = httpx.URL(url).host
        self._client = httpx.Client(
            base_url=f"{url.removesuffix(API)}{API}",
            auth=(credentials.login, secret),
            timeout=TIMEOUT_SECONDS,
            headers={"Accept": "application/json", "User-Agent": "regulars"},
        )

    def __enter__(self) -> _Shop:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, **query: Any) -> _Answer:
        """One page of a list. Raises `Refused` where the shop does not know a parameter."""
        retrying = Retrying(
            stop=stop_after_attempt(TRIES),
            retry=retry_if_exception_type(_Busy),
            wait=_wait,
            reraise=True,
        )
        answer = retrying(self._get, path, query)
        try:
            records = answer.json()
            totals = [int(answer.headers[f"x-wp-{name}"]) for name in ("total", "totalpages")]
        except (ValueError, KeyError):
            raise Retry(f"{self.host} answered with something else than a list") from None
        if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
            raise Retry(f"{self.host} answered with something else than a list")
        return _Answer(records, *totals)

    def _get(self, path: str, query: Mapping[str, Any]) -> httpx.Response:
        try:
            answer = self._client.get(path, params=query)
        except httpx.TransportError as error:
            raise _Busy(f"{self.host} does not answer ({type(error).__name__})") from None
        status = answer.status_code
        if status == 200:
            return answer
        told = f"{self.host} answered {status} {_code(answer)}".rstrip()
        if status in _BUSY:
            raise _Busy(told, _retry_after(answer))
        if status in (401, 403):
            raise Reauthorise(f"{told}: connection {self.name} needs a key that may read")
        if answer.is_redirect:
            raise Stop(f"{told}: it moved; put the new address into connection {self.name}")
        if status == 404 and _code(answer) in ("", "rest_no_route"):
            raise _NoRoute(f"{told}: there is no WooCommerce REST API (are permalinks plain?)")
        raise _Refused(f"{told} to {path}")


class _Busy(Retry):
    """The shop may answer in a moment."""


class _Refused(Stop):
    """The shop does not take a request."""


class _NoRoute(Stop):
    """The shop does not know a path."""


class _Unsorted(Exception):
    """A list does not come in the order that was asked for."""


class _Catalogue:
    """What a list that is read whole looked like last time: its pages' digests, its records."""

    def __init__(self, cursor: Mapping[str, Any]) -> None:
        self._before: frozenset[str] = frozenset(cursor.get("pages", ()))
        self._known: Mapping[str, list[str]] = cursor.get("known", {})
        self._pages: list[str] = []
        self._seen: dict[str, list[str]] = {}

    def is_news(self, records: Records) -> bool:
        """Whether this page was not there last time."""
        digest = f"{_digest(records):016x}"
        self._pages.append(digest)
        for record in records:
            key = str(record.get("id"))
            sold = record.get("variation_records") or [record]
            # Only a product is known by something else than its id.
            skus = [woocommerce_rows.sku_of(one.get("sku"), str(one.get("id"))) for one in sold]
            self._seen[key] = skus if "type" in record else []
        return digest not in self._before

    def gone(self) -> dict[str, Any] | None:
        """The keys of the records that were there last time, and are not now."""
        now = {sku for skus in self._seen.values() for sku in skus}
        keys: list[str] = []
        for key, skus in self._known.items():
            keys += [sku for sku in skus if sku not in now]
            if not skus and key not in self._seen:
                keys.append(key)
        return {"keys": keys, "at": _written(datetime.now(UTC))} if keys else None

    def state(self) -> dict[str, Any]:
        """What the next run has to know, ready for JSON."""
        return {"pages": self._pages, "known": self._seen}


class _Census:
    """The orders and refunds of the last days by id, to notice those that are deleted for good."""

    def __init__(self, cursor: Mapping[str, Any], days: int) -> None:
        self._days = days
        self._first = _written(datetime.now(UTC) - timedelta(days=days))
        self._known: dict[str, str] = dict(cursor.get("placed", {}))
        # A refund's order, and when the refund was made, or at the earliest.
        self._refunds: dict[str, list[str]] = dict(cursor.get("refunded", {}))

    def add(self, orders: Records) -> None:
        """Orders that are there."""
        if self._days:
            for order in orders:
                key, placed_at = str(order["id"]), order.get("date_created_gmt") or ""
                self._known[key] = placed_at
                for refund in order.get("refunds") or ():
                    self._refunds.setdefault(str(refund["id"]), [key, placed_at])

    def gone(self, shop: _Shop) -> dict[str, Any] | None:
        """The ids of the orders that were there, and are not now."""
        if not self._days:
            return None
        recent = {"after": self._first, "_fields": "id,date_created_gmt"}
        found = {
            str(order["id"]): order["date_created_gmt"]
            for status in ("any", "trash")
            for orders in _whole(shop, "orders", {"status": status, **recent})
            for order in orders
        }
        keys = [key for key, at in self._known.items() if at > self._first and key not in found]
        self._known = found
        return {"keys": keys, "at": _written(datetime.now(UTC))} if keys else None

    def refunded_otherwise(self, shop: _Shop) -> list[str]:
        """The ids of the orders whose refunds are not those that are known: some went or came."""
        if not self._days:
            return []
        recent = {"after": self._first, "_fields": "id,parent_id,date_created_gmt"}
        try:
            found = {
                str(refund["id"]): [str(refund["parent_id"]), refund["date_created_gmt"]]
                for refunds in _whole(shop, "refunds", recent)
                for refund in refunds
            }
        except _NoRoute:
            log.warning("%s cannot list its refunds: its WooCommerce is older than 9.0", shop.host)
            return []
        went = {
            order
            for key, (order, at) in self._refunds.items()
            if at > self._first and key not in found
        }
        came = {order for key, (order, _) in found.items() if key not in self._refunds}
        self._refunds = found
        return sorted(went | came)

    def state(self) -> dict[str, Any]:
        """What the next run has to know, ready for JSON."""
        return {"placed": self._known, "refunded": self._refunds} if self._days else {}


def _changes(shop: _Shop, query: Mapping[str, Any], since: datetime | None) -> Iterator[Records]:
    """The orders that were changed from an instant on, oldest change first.

    Numbered pages shift while they are read, whenever an order changes or goes. So each page begins
    anew where the one before ended in time, and only within one and the same second are pages
    counted. A version that cannot sort by the change is asked for the whole list instead.
    """
    try:
        yield from _by_change(shop, query, since)
    except (_Refused, _Unsorted):
        after = {"modified_after": _written(since - _SECOND)} if since else {}
        yield from _whole(shop, "orders", {**query, **after})


def _by_change(shop: _Shop, query: Mapping[str, Any], since: datetime | None) -> Iterator[Records]:
    after = since - _SECOND if since else None
    page = 1
    # The orders of the last second seen, which the next page begins with again.
    seen: set[tuple[int, str]] = set()
    is_fresh = False
    while True:
        answer = _page(
            shop,
            "orders",
            {"orderby": "modified", **query},
            page,
            {"modified_after": _written(after)} if after else {},
        )
        times = [_modified_at(order) for order in answer.records]
        if times != sorted(times):
            raise _Unsorted
        fresh = [order for order in answer.records if _version(order) not in seen]
        is_fresh = is_fresh or bool(fresh)
        if fresh:
            yield fresh
        is_last = page >= answer.pages
        next_after = times[-1] - _SECOND if times else None
        is_same_second = next_after is None or (after is not None and next_after <= after)
        if not is_last and is_same_second:
            seen |= {_version(order) for order in answer.records}
            page += 1
        elif page > 1 and is_fresh:
            # Pages that were counted may have shifted: until nothing new turns up among them.
            seen |= {_version(order) for order in answer.records}
            page, is_fresh = 1, False
        elif is_last:
            return
        else:
            newest = times[-1]
            seen = {_version(o) for o in answer.records if _modified_at(o) == newest}
            after, page, is_fresh = next_after, 1, False


def _whole(shop: _Shop, path: str, query: Mapping[str, Any]) -> Iterator[Records]:
    """A list by numbered pages, again until as many records were seen as it has.

    Raises `Retry` when it does not come to rest.
    """
    seen: set[int] = set()
    for _ in range(PASSES):
        page, pages = 1, 1
        while page <= pages:
            answer = _page(shop, path, {"orderby": "id", **query}, page, {})
            pages = answer.pages
            fresh = [record for record in answer.records if record.get("id") not in seen]
            seen |= {record["id"] for record in fresh}
            if fresh:
                yield fresh
            page += 1
        if len(seen) >= answer.total:
            return
    raise Retry(f"{shop.host} changes its {path} faster than they can be listed", 60)


def _page(
    shop: _Shop, path: str, query: Mapping[str, Any], page: int, more: Mapping[str, Any]
) -> _Answer:
    fields = _FIELDS.get(path)
    return shop.get(
        path,
        **{
            # Times go without a zone: WordPress would move one that has it to the site's clock.
            "dates_are_gmt": "true",
            "order": "asc",
            "per_page": PER_PAGE,
            "page": page,
            **({"_fields": ",".join(fields)} if fields else {}),
            **query,
            **more,
        },
    )


def _refunds(shop: _Shop, orders: Iterable[Mapping[str, Any]]) -> dict[str, Records]:
    """What the refunds of the orders that have some are for."""
    return {
        str(order["id"]): [
            refund for some in _whole(shop, f"orders/{order['id']}/refunds", {}) for refund in some
        ]
        for order in orders
        if order.get("refunds")
    }


def _content(**parts: Any) -> polls.Content:
    return ".json", BytesIO(json.dumps(parts).encode())


def _digest(content: Any) -> int:
    written = json.dumps(content, sort_keys=True).encode()
    return int.from_bytes(blake2b(written, digest_size=8).digest())


def _version(order: Mapping[str, Any]) -> tuple[int, str]:
    return order["id"], order["date_modified_gmt"]


def _modified_at(order: Mapping[str, Any]) -> datetime:
    try:
        return datetime.fromisoformat(order["date_modified_gmt"]).replace(tzinfo=UTC)
    except (KeyError, TypeError, ValueError):
        raise BadInput(
            f"WooCommerce's order {order.get('id')}: date_modified_gmt is no point in time"
        ) from None


def _written(instant: datetime) -> str:
    """A point in time as WooCommerce takes it: in GMT, without saying so, in whole seconds."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _code(answer: httpx.Response) -> str:
    """WooCommerce's name of an error; its text may quote what was sent."""
    try:
        code = answer.json().get("code", "")
    except (ValueError, AttributeError):
        return ""
    return code if isinstance(code, str) else ""


def _retry_after(answer: httpx.Response) -> float | None:
    text = answer.headers.get("retry-after", "")
    if text.isdigit():
        return float(text)
    try:
        at: datetime = parsedate_to_datetime(text)
        return max(0.0, (at - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _wait(state: RetryCallState) -> float:
    """How long to wait before the next try. Raises what went wrong when that is too long."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.after_seconds if isinstance(error, Retry) else None
    if error is not None and asked is not None and asked > LONGEST_WAIT_SECONDS:
        raise error
    return 0.25 * (1 << state.attempt_number) if asked is None else asked
