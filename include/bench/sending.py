"""A million members sent to the sandbox, which takes 200 ms for every call.

`calls` is the floor: as many calls, over as many connections and as often as the vendor allows, and
next to nothing in them. What the engine needs beyond it is its own work, and the sandbox's, which
runs on the same machine. `plan` makes the plan that `send` carries out; `send_tenth` sends a tenth
of the members.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import duckdb
import httpx

from include.activation import sync as activation
from include.activation.audiences import Audience, Guard, Target
from include.activation.turns import Turns
from include.bench.measure import Case, Figures, Limit, timed
from include.connections import Credentials
from include.destinations import DESTINATIONS
from include.instants import IDENTIFIER
from include.publishing import CURRENT, Published, Snapshot
from include.settings import Settings, load_settings


@dataclass(frozen=True, slots=True)
class Vendor:
    """What of a destination the bench has to know.

    calls: those that a batch of additions needs. `ping` is a call that asks for next to nothing.
    """

    title: str
    calls: int
    ping: str


MEMBERS = 1_000_000
LATENCY_MS = 200
# Of the calls that the vendor's limits allow in the time.
SHARE_OF_RATE = 0.9
MEMORY_LIMIT = "512MB"
LONGEST_WAIT = 60
# Stands for a secret: Mailchimp's key, the others' token.
KEY = "0123456789abcdef0123456789abcdef-us1"
HEADERS = {"Authorization": f"Bearer {KEY}", "Access-Token": KEY}
VENDORS = {
    # A batch is upserted, then put into the static segment.
    "mailchimp": Vendor("Mailchimp (10 connections)", 2, "mailchimp/3.0/ping"),
    "meta": Vendor("Meta (one connection)", 1, "meta/v26.0/me"),
    "google": Vendor(
        "Google (300 calls a minute)", 1, "google/v1/accountTypes/GOOGLE_ADS/accounts/1/userLists"
    ),
    # A file of addresses, a file of numbers, and the call that appends both.
    "tiktok": Vendor(
        "TikTok (one connection)", 3, "tiktok/open_api/v1.3/dmp/custom_audience/list/"
    ),
}
OPTIONS = {
    "list_id": "regulars",
    "ad_account_id": "act_1000",
    "customer_id": "123-456-7890",
    "customer_match_terms": "accepted",
    "advertiser_id": "7000",
}
CONTACTS = """
select
    'bench:' || i as customer_id, 'customer-' || i || '@shop.example' as email,
    '+447' || lpad(i::varchar, 9, '0') as phone_key, 'Ann' as first_name,
    'Smith' as last_name, 'GB' as country, 'en' as language, true as has_email_consent,
    true as has_ads_consent, null::timestamp as consent_at, null::varchar as consent_source,
    null::varchar as suppressed_reason
from range(0, $members) as numbers (i)
order by customer_id
"""
MEMBERSHIPS = """
select
    channel, 'everybody' as audience, 'bench:' || i as customer_id,
    md5_number_lower('bench:' || i) as member_key,
    md5_number_lower('fingerprint' || i) as fingerprint,
    '{"vip_tier":"gold"}' as payload
from range(0, $members) as numbers (i), unnest($channels) as channels (channel)
order by channel, customer_id
"""
AUDIENCE = Audience(
    name="everybody",
    description="A million people.",
    owner="bench",
    destinations=(
        Target(to="mailchimp", fields=("vip_tier",)),
        *(Target(to=name) for name in VENDORS if name != "mailchimp"),
    ),
    guard=Guard(min_members=0, max_first_sync=None),
)


def prepare(folder: Path) -> None:
    """Two published snapshots: a million members, and a tenth of them."""
    for name, members in (("all", MEMBERS), ("tenth", MEMBERS // 10)):
        with duckdb.connect() as connection:
            contacts = connection.sql(CONTACTS, params={"members": members})
            memberships = connection.sql(
                MEMBERSHIPS, params={"members": members, "channels": list(VENDORS)}
            )
            publish(folder / name, contacts, memberships)
    for destination in VENDORS:
        plan(folder, destination, "tenth")


def publish(
    home: Path, contacts: duckdb.DuckDBPyRelation, memberships: duckdb.DuckDBPyRelation
) -> None:
    """A snapshot of what a sync reads."""
    tables = {"contacts": contacts, "desired_memberships": memberships}
    now = datetime.now(UTC)
    snapshot = Snapshot(
        snapshot_id=now.strftime(IDENTIFIER),
        as_of=date(2026, 1, 1),
        published_at=now,
        build="bench",
        previous_snapshot_id=None,
        kept=(),
        versions={},
        tables={table: Published(rows=0, sha256="") for table in tables},
    )
    published = home / "store" / snapshot.folder
    published.mkdir(parents=True)
    for table, rows in tables.items():
        rows.write_parquet(str(published / f"{table}.parquet"), compression="zstd")
    (home / "store" / CURRENT).write_text(snapshot.model_dump_json())


def plan(folder: Path, destination: str, size: str) -> Figures:
    """The plan of a first sync to a destination."""
    home = folder / size
    shutil.rmtree(home / "store/activation" / destination, ignore_errors=True)
    with sandbox(folder) as url:
        return timed(
            lambda: activation.plan_audience(
                settings(home), AUDIENCE, destination, credentials(url, destination)
            )
        )


def send(folder: Path, destination: str, size: str) -> Figures:
    """Send that plan. Every run has the same one, of which nothing has been sent."""
    home = folder / size
    [planned] = (home / "store/activation" / destination / AUDIENCE.name / "plans").iterdir()
    told: list[activation.SyncSummary] = []
    with sandbox(folder) as url:
        figures = timed(
            lambda: told.append(
                activation.send_plan(
                    settings(home),
                    AUDIENCE,
                    destination,
                    credentials(url, destination),
                    planned.name,
                )
            )
        )
    [sent] = told
    if sent.rejected or not sent.adds:
        raise RuntimeError(f"the sandbox took {sent.adds} and refused {sent.rejected}")
    return figures


def calls(folder: Path, destination: str) -> Figures:
    """The calls that a first sync cannot do without, empty."""
    kind = DESTINATIONS[destination]
    vendor = VENDORS[destination]
    with (
        sandbox(folder) as url,
        httpx.Client(base_url=url, headers=HEADERS) as client,
        ThreadPoolExecutor(kind.connections) as threads,
    ):
        turns = Turns(folder, kind, credentials(url, destination), LONGEST_WAIT, fence=lambda: None)

        def call(_: int) -> None:
            with turns.take():
                client.get(vendor.ping).raise_for_status()

        batches = -(-MEMBERS // kind.batch_size)
        return timed(lambda: list(threads.map(call, range(batches * vendor.calls))))


def settings(home: Path) -> Settings:
    """Those of every sync of the bench."""
    return load_settings(home=home, memory_limit=MEMORY_LIMIT)


def credentials(url: str, destination: str) -> Credentials:
    """A connection to the sandbox."""
    return Credentials(KEY, extra={**OPTIONS, "base_url": f"{url}/{destination}"})


@contextmanager
def sandbox(folder: Path, latency_ms: int | None = None, *, anew: bool = True) -> Iterator[str]:
    """A sandbox on a free port, for as long as the block lasts; the address.

    anew: nobody is at the vendors; else who the last one in this folder left there.
    """
    latency_ms = LATENCY_MS if latency_ms is None else latency_ms
    if anew:
        for file in folder.glob("sandbox.sqlite*"):
            file.unlink()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "include.sandbox", "--port", str(port)]
    command += ["--database", str(folder / "sandbox.sqlite"), "--latency-ms", str(latency_ms)]
    server = subprocess.Popen(command)
    try:
        url = f"http://127.0.0.1:{port}"
        while not _answers(port):
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait()


def _answers(port: int) -> bool:
    # Not by httpx: each call of it reads all certificates, into the memory that is measured.
    connection = HTTPConnection("127.0.0.1", port)
    try:
        connection.request("GET", "/_health")
        return connection.getresponse().status == HTTPStatus.OK
    except ConnectionError:
        return False
    finally:
        connection.close()


def _case(destination: str) -> Case:
    return Case(
        f"Send 1 M members to {VENDORS[destination].title}, 200 ms a call",
        prepare,
        {
            "calls": partial(calls, destination=destination),
            "plan": partial(plan, destination=destination, size="all"),
            "send": partial(send, destination=destination, size="all"),
            "send_tenth": partial(send, destination=destination, size="tenth"),
        },
        (
            Limit("send", "wall_seconds", 1 / SHARE_OF_RATE, "calls"),
            Limit("send", "peak_mib", 400),
        ),
        runs=1,
    )


CASES = tuple(_case(destination) for destination in VENDORS)
