"""Single people in what Mailchimp's stores were told and in who was let into journeys.

Each list has a store of its own there, and a folder here:

    commerce/mailchimp/<list>/pushed.parquet           customers and orders, by their ids
    commerce/mailchimp/<list>/batches/<n>.parquet      the same, of a batch that was handed in
    commerce/mailchimp/<list>/journeys/*/claims/*.json contacts, by the hash of their address
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import md5
from typing import Any

import pyarrow as pa

from include.activation.calls import open_turns
from include.activation.workbench import Workbench, open_workbench
from include.commerce.mailchimp import Change, MailchimpStore
from include.commerce.push import Push, Waiting
from include.connections import Credentials
from include.destinations.mailchimp import Mailchimp
from include.erasure.person import People
from include.errors import Retry, Stop
from include.lease import Lease, hold_lease
from include.settings import Settings
from include.store import Store

FOLDER = "commerce/mailchimp"
# What `store_sales.sql` keeps to, too.
MOST_ID_BYTES = 50
LOOK_AGAIN_SECONDS = 60
THEIRS = pa.schema([("kind", pa.string()), ("record_id", pa.string())])
Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What became of people in one list's store: rows of ours, and what Mailchimp answered.

    customers: how many ids were asked for there.
    """

    store_id: str
    customers: int
    rows: int
    answer: dict[str, str | int]


def lists(store: Store) -> list[str]:
    """The lists whose store was ever told anything, or whose contacts travelled."""
    return store.list(FOLDER)


def forget_travellers(settings: Settings, list_id: str, people: People) -> int:
    """Take people out of the claims of all journeys of a list; how many claims were theirs.

    Raises `Retry` while newcomers are being sent.
    """
    store = Store(settings.store)
    if not _claims(store, list_id):
        return 0
    count = 0
    identities = set(people.values("identity"))
    folder = f"{FOLDER}/{list_id}/journeys/lease"
    with hold_lease(store, folder, settings.lock_wait_seconds):
        for path in _claims(store, list_id):
            claims: Rows = json.loads(store.read(path))
            kept = [claim for claim in claims if claim["identity"] not in identities]
            if not kept:
                store.remove(path)
            elif len(kept) < len(claims):
                store.write(path, json.dumps(kept).encode())
            count += len(claims) - len(kept)
    return count


def forget_buyers(
    settings: Settings,
    list_id: str,
    credentials: Credentials,
    people: People,
    waiting: Waiting,
) -> Forgotten:
    """Take people out of what we keep of a list's store, and delete them and their orders there.

    Batches that were handed in are finished before, because one may make somebody anew. Raises
    `Retry` while Mailchimp works on one, or a push is under way; and what a call raises. Called
    again it finds whatever is left, by the customers' ids.
    """
    store = Store(settings.store)
    folder = f"{FOLDER}/{list_id}"
    with hold_lease(store, f"{folder}/lease", settings.lock_wait_seconds) as lease:
        # At home also where Mailchimp cannot be reached; a batch that is finished brings rows back.
        rows = _purge(settings, store, lease, list_id, people, ())
        turns = open_turns(settings, Mailchimp, credentials, lease.check)
        remote = MailchimpStore(credentials, turns, list_id)
        with open_workbench(settings, store) as bench:
            _finish(remote, Push(bench, remote, lease, waiting), store, list_id)
        customers = _record_ids(people.values("platform_id"))
        orders = [order for one in customers for order in remote.orders(one)]
        rows += _purge(settings, store, lease, list_id, people, orders)
        answer: dict[str, str | int] = {
            "orders_deleted": _delete(remote, "order", orders),
            # By the customers their orders are found, if this is called again.
            "customers_deleted": _delete(remote, "customer", customers),
        }
    return Forgotten(remote.store_id, len(customers), rows, answer)


def told_of(
    settings: Settings, list_id: str, people: People, orders: Collection[str]
) -> dict[str, Rows]:
    """What we keep of people and their orders (by our ids), by file of the list's folder."""
    store = Store(settings.store)
    found: dict[str, Rows] = {}
    identities = set(people.values("identity"))
    for path in _told(store, list_id):
        with _records(settings, store, path, people, _record_ids(orders)) as bench:
            found[path] = bench.statement("told_of_people").to_arrow_table().to_pylist()
    for path in _claims(store, list_id):
        claims: Rows = json.loads(store.read(path))
        found[path] = [claim for claim in claims if claim["identity"] in identities]
    return {path: rows for path, rows in found.items() if rows}


def _purge(
    settings: Settings,
    store: Store,
    lease: Lease,
    list_id: str,
    people: People,
    orders: Collection[str],
) -> int:
    """Take people and orders out of what the store was told; how many records were theirs."""
    path = f"{FOLDER}/{list_id}/pushed.parquet"
    if not store.exists(path):
        return 0
    with _records(settings, store, path, people, orders) as bench:
        count = len(bench.statement("told_of_people"))
        if count:
            file = bench.keep(bench.statement("told_of_others"), path)
            lease.check()
            store.take(file, path)
    return count


@contextmanager
def _records(
    settings: Settings, store: Store, path: str, people: People, orders: Iterable[str]
) -> Iterator[Workbench]:
    """A file of what a store was told as the view `told`, and the table `theirs` of records."""
    theirs = [("customer", one) for one in _record_ids(people.values("platform_id"))]
    theirs += [("order", one) for one in orders]
    with open_workbench(settings, store) as bench:
        bench.show("told", path)
        rows = [{"kind": kind, "record_id": one} for kind, one in theirs]
        bench.connection.register("theirs", pa.Table.from_pylist(rows, schema=THEIRS))
        yield bench


def _finish(remote: MailchimpStore, push: Push, store: Store, list_id: str) -> None:
    """Let no batch make somebody anew after all."""
    folder = f"{FOLDER}/{list_id}/batches"
    names = store.list(folder)
    kept = {name.removesuffix(".parquet") for name in names if name.endswith(".parquet")}
    unheard = kept - {name.removesuffix(".json") for name in names}
    if unheard and remote.is_working():
        raise Retry(
            "Mailchimp works on a batch, which may be the one whose answer to us was lost",
            LOOK_AGAIN_SECONDS,
        )
    push.take_up()


def _delete(remote: MailchimpStore, kind: str, record_ids: Iterable[str]) -> int:
    """Delete records; how many were there. Raises `Retry` or `Stop` if one was not deleted."""
    count = 0
    for one in record_ids:
        answered = remote.send(Change(kind, one, "", "delete", None, None))
        if answered.outcome == "refused":
            raise Stop(f"Mailchimp refuses to delete a record of its store ({answered.refusal})")
        count += answered.outcome == "done"
    return count


def _record_ids(keys: Iterable[str]) -> list[str]:
    """Records' ids in a store, by ours: Mailchimp takes short ones only (`store_sales.sql`)."""
    return [
        key if len(key.encode()) <= MOST_ID_BYTES else md5(key.encode()).hexdigest() for key in keys
    ]


def _told(store: Store, list_id: str) -> list[str]:
    folder = f"{FOLDER}/{list_id}"
    names = ["pushed.parquet", *(f"batches/{name}" for name in store.list(f"{folder}/batches"))]
    paths = [f"{folder}/{name}" for name in names if name.endswith(".parquet")]
    return [path for path in paths if store.exists(path)]


def _claims(store: Store, list_id: str) -> list[str]:
    folder = f"{FOLDER}/{list_id}/journeys"
    return [
        f"{folder}/{journey}/claims/{name}"
        for journey in store.list(folder)
        for name in store.list(f"{folder}/{journey}/claims")
    ]
