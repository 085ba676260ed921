"""Shopify: a shop's orders, customers or products over its Admin GraphQL API.

Each load asks for what was updated since the last one, over an overlap, because what Shopify writes
in one instant need not be seen in the same; what came before is recognised and left alone. The
first load, and any large one, runs as a bulk operation. Deletions come from the shop's events.
https://shopify.dev/docs/api/admin-graphql
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal, cast
from zoneinfo import ZoneInfo

import duckdb
from pydantic import Field

from include.errors import RegularsError
from include.sources import polls
from include.sources import shopify_queries as queries
from include.sources.base import (
    TABLES,
    Grain,
    Page,
    Source,
    SourceOptions,
    Table,
    is_about_this_machine,
)
from include.sources.shopify_admin import (
    FIRST_PAGE,
    LARGEST_PAGE,
    REST_SIZE,
    Admin,
    BulkFailed,
    Reply,
    TooDear,
    as_string,
)
from include.sources.shopify_rows import SHAPES, Kind, PageRows

log = logging.getLogger(__name__)

ALL_ORDERS = "read_all_orders"
VISIBLE_DAYS = 60
# From so many records on, a bulk operation is quicker than pages.
BULK_FROM = 1000
KINDS: dict[Grain, Kind] = {"order": "orders", "contact": "customers", "product": "products"}
SUBJECTS: dict[Kind, str] = {"orders": "ORDER", "customers": "CUSTOMER", "products": "PRODUCT"}
PAGES: dict[Kind, str] = {
    "orders": queries.ORDERS,
    "customers": queries.CUSTOMERS,
    "products": queries.PRODUCTS,
}
SCOPES: dict[Kind, tuple[str, ...]] = {
    "orders": ("read_orders", ALL_ORDERS, "read_customers", "read_products"),
    "customers": ("read_customers",),
    "products": ("read_products", "read_inventory"),
}
DIGEST_BYTES = 8
# What DuckDB says of data; what it says of our own statements is not a page's fault.
UNREADABLE = (
    duckdb.DataError,
    duckdb.IntegrityError,
    duckdb.InvalidInputException,
    duckdb.IOException,
)


class ShopifyOptions(SourceOptions):
    """One kind of record of one shop.

    connection: whose password is the Admin API access token, and whose host the shop's. overlap:
    minutes before the last load's end that are asked for again. page_size: the most records of one
    reply. bulk: whether loads run as bulk operations; `auto` lets the number of records decide.
    """

    grain: Literal["order", "contact", "product"]
    connection: str = "shopify_default"
    overlap: int = Field(10, ge=0, description="minutes")
    page_size: int = Field(250, ge=1, le=250)
    bulk: Literal["auto", "always", "never"] = "auto"


@dataclass
class _Position:
    """How far a kind of record is read: the newest instant, and what was read close to it.

    seen: by record, what it held, of the time that the next load asks for again.
    """

    overlap: timedelta
    newest: str | None = None
    seen: dict[str, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, overlap: timedelta, told: Mapping[str, Any]) -> _Position:
        """The position in a cursor; the beginning if it has none."""
        seen = {key: (value[0], value[1]) for key, value in told.get("seen", {}).items()}
        return cls(overlap, told.get("newest"), seen)

    def told(self) -> dict[str, Any]:
        """For a cursor; of what was seen, only what the next load asks for again."""
        since = self.since or ""
        seen = {key: value for key, value in self.seen.items() if value[0] >= since}
        return {"newest": self.newest, "seen": seen}

    @property
    def since(self) -> str | None:
        """From when on the next load asks."""
        if self.newest is None:
            return None
        return _written(datetime.fromisoformat(self.newest) - self.overlap)

    def take(self, records: Iterable[Mapping[str, Any]], instant: str) -> list[str]:
        """Note records; returns the ids of those that are new or have changed."""
        since = self._asked_since
        new = []
        for record in records:
            at = _instant(record.get(instant))
            content = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
            digest = hashlib.blake2b(content, digest_size=DIGEST_BYTES).hexdigest()
            known = str(record.get("id"))
            # What has no instant is for `rows` to refuse. A search by whole days also finds what
            # lies before the overlap.
            is_old = at is not None and since is not None and at < since
            if is_old or (at is not None and self.seen.get(known) == (at, digest)):
                continue
            new.append(known)
            if at is not None:
                self.seen[known] = (at, digest)
                self.newest = max(at, self.newest or at)
        return new

    def jump(self, instant: str) -> None:
        """Go on to an instant without having looked at the records before it."""
        self.newest = max(instant, self.newest or instant)
        self.seen.clear()

    @cached_property
    def _asked_since(self) -> str | None:
        """Where this load began to ask, before it moved the position on."""
        return self.since


class Shopify(Source):
    """One kind of record of a shop."""

    type: ClassVar[str] = "shopify"
    has_whole_products: ClassVar[bool] = True
    Options = ShopifyOptions
    options: ShopifyOptions

    @property
    def kind(self) -> Kind:
        """What Shopify calls the records."""
        return KINDS[self.options.grain]

    @property
    def table(self) -> Table:
        """Orders are documents."""
        return "orders" if self.kind == "orders" else TABLES[self.options.grain]

    def fingerprint(self) -> str:
        """See `Source.fingerprint`; how pages are asked for does not change what they mean."""
        meaning = self.options.model_dump_json(
            include={"name", "grain", "time_zone", "customers_of", "products_of", "phone_country"}
        )
        return hashlib.sha256(meaning.encode()).hexdigest()

    def test_connection(self) -> tuple[bool, str]:
        """Whether the token reaches the shop and may read the records, in one sentence."""
        try:
            with self._connected() as admin:
                shop, scopes = self.access(admin)
        except RegularsError as error:
            return False, str(error)
        missing = [scope for scope in SCOPES[self.kind] if scope not in scopes]
        told = f"Connected to {shop} with {', '.join(sorted(scopes)) or 'no access scope'}."
        if missing:
            told += f" Missing: {', '.join(missing)}."
        if ALL_ORDERS in missing:
            told += f" Only orders of the last {VISIBLE_DAYS} days can be read."
        return not set(missing) - {ALL_ORDERS, "read_inventory"}, told

    def pages(self, cursor: Mapping[str, Any]) -> Iterator[Page]:
        """What was updated since the cursor, then what was deleted; see `Source.pages`."""
        with self._connected() as admin:
            yield from _Load(self, admin, cursor).pages()

    @contextmanager
    def rows(
        self, connection: duckdb.DuckDBPyConnection, name: str, file: Path, workspace: Path
    ) -> Iterator[duckdb.DuckDBPyRelation]:
        """See `Source.rows`."""
        page = PageRows(connection, self.kind, name, file)
        try:
            yield page.relation(self.options.customers_of or self.name, self.options.time_zone)
        except UNREADABLE as error:
            if is_about_this_machine(error):
                raise
            raise page.explain(error) from None

    def access(self, admin: Admin) -> tuple[str, set[str]]:
        """The shop's name, and what the app may read."""
        data = admin.ask(queries.ACCESS).data
        scopes = {scope["handle"] for scope in data["installation"]["accessScopes"]}
        return str(data["shop"]["name"]), scopes

    @contextmanager
    def _connected(self) -> Iterator[Admin]:
        credentials = self.place.credentials(self.options.connection)
        admin = Admin(credentials, self.options.connection)
        try:
            yield admin
        finally:
            admin.close()


class _Load:
    """One load: replies are fetched while the caller takes pages."""

    def __init__(self, source: Shopify, admin: Admin, cursor: Mapping[str, Any]) -> None:
        self.source = source
        self.admin = admin
        self.kind = source.kind
        self.cursor = cursor
        overlap = timedelta(minutes=source.options.overlap)
        self.is_backfill = source.window is not None
        told = {} if self.is_backfill else cursor
        self.updates = _Position.read(overlap, told.get("updates", {}))
        self.deletions = _Position.read(overlap, told.get("deletions", {}))

    def pages(self) -> Iterator[Page]:
        """The pages; worth nothing without the last one: refunds of orders before it, deletions."""
        if not self.cursor and self.kind == "orders":
            self._warn_of_old_orders()
        return polls.pages(self._replies(), self._reached, self.cursor)

    def _reached(self) -> Mapping[str, Any]:
        if self.is_backfill:
            return self.cursor
        return {"updates": self.updates.told(), "deletions": self.deletions.told()}

    def _replies(self) -> Iterator[polls.Content]:
        if self.is_backfill:
            yield from self._updated(self._window())
            return
        since = self.updates.since
        yield from self._updated(f"updated_at:>='{since}'" if since else None)
        yield from self._deleted()

    def _window(self) -> str:
        """A backfill's days: of orders when they were placed, of others when they changed."""
        window = self.source.window
        assert window is not None
        zone = ZoneInfo(self.source.options.time_zone)
        first = datetime.combine(window.first, time(), zone)
        end = datetime.combine(window.last + timedelta(days=1), time(), zone)
        name = "processed_at" if self.kind == "orders" else "updated_at"
        return f"{name}:>='{_written(first)}' AND {name}:<'{_written(end)}'"

    def _updated(self, search: str | None) -> Iterator[polls.Content]:
        if self._is_large(search):
            try:
                bulk, refunded = self._bulk(search)
            except BulkFailed as error:
                if self.source.options.bulk == "always":
                    raise
                log.warning("%s: %s; going on page by page", self.source.name, error)
            else:
                yield from bulk
                yield from self._whole(refunded)
                return
        size = self.source.options.page_size
        for reply in self.admin.pages(PAGES[self.kind], "records", size, query=search):
            records = reply.data["records"]["nodes"]
            is_completed = self._complete(records)
            new = set(self.updates.take(records, "updatedAt"))
            if new:
                yield self._reply(reply, is_completed)
            yield from self._whole(
                [record["id"] for record in records if record.get("id") in new and _is_part(record)]
            )

    def _is_large(self, search: str | None) -> bool:
        wish = self.source.options.bulk
        if wish != "auto":
            return wish == "always"
        counted = self.admin.ask(queries.COUNTS[self.kind], query=search).data["counted"]
        return int(counted["count"]) >= BULK_FROM

    def _bulk(self, search: str | None) -> tuple[list[polls.Content], list[str]]:
        """The result of a bulk operation, and the orders in it that have refunds."""
        refunded: list[str] = []

        def see(line: bytes) -> None:
            if b'"refunds"' in line and b'"refunds":[]' not in line:
                record = json.loads(line)
                if _is_part(record):
                    refunded.append(record["id"])

        query = queries.BULK[self.kind] % {"filter": as_string(search or "")}
        _, connection, _ = SHAPES[self.kind]
        result = self.admin.in_bulk(query, connection, see)
        self.updates.jump(_written(datetime.fromisoformat(result.started_at)))
        return [(result.suffix, cast(BinaryIO, part)) for part in result.parts], refunded

    def _whole(self, ids: list[str]) -> Iterator[polls.Content]:
        """Orders with all that their refunds hold."""
        size = FIRST_PAGE
        while ids:
            batch = ids[:size]
            try:
                reply = self.admin.ask(queries.REFUNDED_ORDERS, len(batch), ids=batch)
            except TooDear as error:
                if size == 1:
                    raise
                size = self.admin.affordable(len(batch), error.cost, len(batch) - 1)
                continue
            yield self._reply(reply, self._complete(reply.data["found"]))
            ids = ids[size:]
            most = self.source.options.page_size
            size = self.admin.affordable(len(batch), reply.requested_cost, most)

    def _deleted(self) -> Iterator[polls.Content]:
        search = f"action:destroy AND subject_type:{SUBJECTS[self.kind]}"
        if self.deletions.since:
            search += f" AND created_at:>='{self.deletions.since}'"
        for reply in self.admin.pages(queries.DELETIONS, "deletions", LARGEST_PAGE, query=search):
            events = [event for event in reply.data["deletions"]["nodes"] if event]
            if self.deletions.take(events, "createdAt"):
                yield self._reply(reply, is_completed=False)

    def _complete(self, value: Any) -> bool:
        """Fetch the rest of every connection inside records; whether there was any."""
        if isinstance(value, list):
            return any([self._complete(item) for item in value])
        if not isinstance(value, dict):
            return False
        was_cut = False
        for name, inner in value.items():
            while isinstance(inner, dict) and inner.get("pageInfo", {}).get("hasNextPage"):
                after = inner["pageInfo"]["endCursor"]
                reply = self.admin.ask(queries.REST[name], REST_SIZE, id=value["id"], after=after)
                owner = reply.data["owner"]
                if owner is None:
                    # Deleted meanwhile: the event that says so comes after this page.
                    break
                inner["nodes"] += owner["rest"]["nodes"]
                inner["pageInfo"] = owner["rest"]["pageInfo"]
                was_cut = True
            was_cut = self._complete(inner) or was_cut
        return was_cut

    def _warn_of_old_orders(self) -> None:
        _, scopes = self.source.access(self.admin)
        if ALL_ORDERS not in scopes:
            log.warning(
                "%s: the app lacks the access scope %s, so Shopify shows only orders of the last"
                " %d days",
                self.source.name,
                ALL_ORDERS,
                VISIBLE_DAYS,
            )

    def _reply(self, reply: Reply, is_completed: bool) -> polls.Content:
        """An answer as it came, or with what was fetched to complete it."""
        body = json.dumps({"data": reply.data}).encode() if is_completed else reply.body
        return ".json.gz", io.BytesIO(gzip.compress(body, 3, mtime=0))


def _is_part(record: Mapping[str, Any]) -> bool:
    """Whether a record is not whole: of refunds, only the numbers came."""
    return bool(record.get("refunds"))


def _instant(text: Any) -> str | None:
    """An instant in one way of writing, so that it can be compared; None if it is none."""
    try:
        return _written(datetime.fromisoformat(text))
    except (TypeError, ValueError):
        return None


def _written(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
