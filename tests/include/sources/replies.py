"""A shop behind an interface, as small as one can be: what landing promises is tested with it."""

from __future__ import annotations

import io
import itertools
import json
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb

from include.connections import Credentials
from include.sources.base import BadPage, Page, Source, SourceOptions
from include.sources.documents import ORDER

SIZE = 2


class RepliesOptions(SourceOptions):
    connection: str = "replies_default"


class Replies(Source):
    """Orders as documents, two to a reply; the cursor is the number of the last change seen."""

    type = "replies"
    Options = RepliesOptions
    table = "orders"

    def pages(self, cursor: Mapping[str, Any]) -> Iterator[Page]:
        host = self.place.credentials(self.options.connection).host
        after = 0 if self.window else cursor.get("after", 0)
        began = datetime.now(UTC)
        for count in itertools.count():
            address = f"{host}/orders?after={after}"
            if self.window:
                address += f"&first={self.window.first}&last={self.window.last}"
            with urllib.request.urlopen(address, timeout=60) as reply:
                body, after = reply.read(), int(reply.headers["X-After"])
            if not body:
                return
            yield Page(
                name=f"{began:%Y%m%dT%H%M%S.%f}-{count:04}.jsonl",
                modified_at=began.replace(tzinfo=None),
                version=str,
                open=lambda body=body: io.BytesIO(body),
                cursor={"after": after},
            )

    @contextmanager
    def rows(
        self, connection: duckdb.DuckDBPyConnection, name: str, file: Path, workspace: Path
    ) -> Iterator[duckdb.DuckDBPyRelation]:
        orders = [json.loads(line) for line in file.read_text().splitlines()]
        for order in orders:
            if "@" in order["updated_at"]:
                path, reason = "updated_at", "is no point in time"
                raise BadPage(name, reason, record=order["order_id"], path=path)
        yield connection.read_json(str(file), columns=ORDER, format="newline_delimited")


class Shop:
    """A server that tells its orders as they were last changed, in the order of the changes."""

    def __init__(self) -> None:
        self.orders: dict[str, tuple[int, dict[str, Any]]] = {}
        self.changes = itertools.count(1)
        self.address = ""

    def tell(self, number: int, **said: Any) -> None:
        """An order is new, or says something else."""
        change = next(self.changes)
        order = {
            "order_id": f"shop:{number}",
            "customer_id": f"shop:{number % 3}",
            "ordered_at": f"2026-01-{number:02} 10:00:00",
            "ordered_date": f"2026-01-{number:02}",
            "currency": "EUR",
            "total_amount": 9,
            "lines": [{"line_id": "1", "sku": "mug", "quantity": 2, "gross_amount": 9}],
            "updated_at": f"2026-02-01 10:00:{change:02}",
        }
        self.orders[order["order_id"]] = (change, order | said)

    def reply(self, after: int, first: str, last: str) -> tuple[bytes, int]:
        """The next orders, and the number of the last change among them."""
        found = sorted(
            (change, order["order_id"])
            for change, order in self.orders.values()
            if change > after and first <= order["ordered_date"] <= last
        )[:SIZE]
        lines = (json.dumps(self.orders[key][1]) + "\n" for _, key in found)
        return "".join(lines).encode(), found[-1][0] if found else after


@contextmanager
def open_shop() -> Iterator[Shop]:
    """A shop of five orders on a free port of loopback."""
    shop = Shop()
    for number in range(1, 6):
        shop.tell(number)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = {name: value for name, [value] in parse_qs(urlsplit(self.path).query).items()}
            body, after = shop.reply(
                int(asked["after"]), asked.get("first", ""), asked.get("last", "9")
            )
            self.send_response(200)
            self.send_header("X-After", str(after))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Tests are quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        shop.address = f"http://127.0.0.1:{server.server_port}"
        yield shop
        server.shutdown()


def credentials(shop: Shop) -> Credentials:
    return Credentials(host=shop.address)


DECLARATION = {"name": "shop", "type": "replies", "grain": "order"}
