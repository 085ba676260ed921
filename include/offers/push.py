"""Push the codes of the published offers, and those of advocates, to the shops, each once.

    offers/<source>/discounts/<key>.json   which discount of the shop holds the codes of an offer
    offers/<source>/pushed/<key>/<id>.json the offers that one answered call has put there

A code is recorded once the shop has answered for it. A crash in between sends it again, which
changes nothing: the shop says that it has it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import duckdb

from include.connections import Credentials, read_connection
from include.errors import BadInput
from include.offers.base import Discount, OfferShop
from include.offers.shopify import Shopify
from include.offers.woocommerce import WooCommerce
from include.publishing import Snapshot, newest
from include.settings import Settings
from include.sources.base import Source
from include.sources.declarations import load_sources
from include.store import Store
from include.warehouse import Warehouse

SHOPS: tuple[type[OfferShop], ...] = (Shopify, WooCommerce)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Push:
    """What a push did at one shop: codes it has now, codes that it refused, and why."""

    source: str
    offer: str
    pushed: int
    refused: int
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class _Code:
    offer_id: str
    code: str


def push_offers(
    settings: Settings,
    only: str | None = None,
    credentials: Callable[[str], Credentials] = read_connection,
    *,
    standing_only: bool = False,
) -> list[Push]:
    """Push all codes that are still good to every shop among the sources, or to one.

    `standing_only`: advocates' codes, and not those of the audiences' offers.
    Raises `BadInput` if there are codes and no such shop, `Stop` before the first snapshot, and
    what a shop raises; what was answered until then is recorded.
    """
    store = Store(settings.store)
    issued = [
        (discount, codes)
        for discount, codes in _issued(newest(store))
        if discount.is_standing or not standing_only
    ]
    if not issued and only is None:
        return []
    pushes: list[Push] = []
    for source in _shops(settings, only, credentials):
        connection = str(source.options.connection)
        shop = OfferShop.registry[source.type](
            credentials(connection), connection, str(source.options.time_zone)
        )
        try:
            for discount, codes in issued:
                pushes += _push(store, source.name, shop, discount, codes)
        finally:
            shop.close()
    return pushes


def _shops(
    settings: Settings, only: str | None, credentials: Callable[[str], Credentials]
) -> list[Source]:
    shops = [
        source
        for source in load_sources(settings, credentials).values()
        if source.type in OfferShop.registry and source.options.grain == "order"
    ]
    chosen = [source for source in shops if only in (None, source.name)]
    if not chosen:
        known = ", ".join(source.name for source in shops) or "none"
        raise BadInput(
            f"no shop to push offers to{f' named {only}' if only else ''}; known: {known}"
        )
    return chosen


def _issued(snapshot: Snapshot) -> list[tuple[Discount, list[_Code]]]:
    """The codes that can still be used, by the discount that they are for."""
    with duckdb.connect() as connection:
        for table in ("offers", "offer_codes", "advocate_codes"):
            connection.read_parquet(snapshot.path(table)).create_view(table)
        rows = Warehouse(connection).run("open_offers").to_pylist()

    def discount(row: dict[str, Any]) -> Discount:
        return Discount(
            offer_name=row["offer_name"],
            first_day=row["issued_date"],
            last_day=row["ends_on"],
            percent=row["percent"],
            amount=row["amount"],
            currency=row["currency"],
            minimum_spend=row["minimum_spend"],
        )

    return [
        (key, [_Code(row["offer_id"], row["code"]) for row in group])
        for key, group in groupby(rows, key=discount)
    ]


def _push(
    store: Store, source: str, shop: OfferShop, discount: Discount, codes: list[_Code]
) -> list[Push]:
    key = f"{discount.offer_name}-{discount.first_day}-{_digest(repr(discount))}"
    folder = f"offers/{source}/pushed/{key}"
    done = {
        offer_id
        for name in store.list(folder)
        for offer_id in json.loads(store.read(f"{folder}/{name}"))["offer_ids"]
    }
    left = [code for code in codes if code.offer_id not in done]
    if not left:
        return []
    discount_id = _discount_id(store, source, shop, discount, key, left[0].code)
    refused: list[str] = []
    for first in range(0, len(left), shop.batch_size):
        batch = left[first : first + shop.batch_size]
        added = shop.add_codes(discount, discount_id, [one.code for one in batch])
        present = [one.offer_id for one in batch if one.code in added.present]
        refused += added.refused.values()
        record = {"offer_ids": present, "pushed_at": datetime.now(UTC).isoformat()}
        store.write(f"{folder}/{_digest(*present)}.json", json.dumps(record).encode())
        log.info("%s: %d codes of the offer %s", source, len(present), discount.offer_name)
    pushed = len(left) - len(refused)
    return [Push(source, discount.title, pushed, len(refused), tuple(sorted({*refused})))]


def _discount_id(
    store: Store, source: str, shop: OfferShop, discount: Discount, key: str, code: str
) -> str:
    path = f"offers/{source}/discounts/{key}.json"
    if store.exists(path):
        return str(json.loads(store.read(path))["discount_id"])
    discount_id = shop.ensure_discount(discount, code)
    store.write(path, json.dumps({"discount_id": discount_id}).encode())
    return discount_id


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
