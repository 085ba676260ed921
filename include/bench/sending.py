"""A million members sent to the sandbox, which takes 200 ms for every call.

`calls` is the floor: as many calls over as many connections, with next to nothing in them. What the
engine needs beyond it is its own work, and the sandbox's, which runs on the same machine. `plan`
makes the plan that `send` carries out; `send_tenth` sends a tenth of the members.
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
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import httpx

from include.activation import sync as activation
from include.activation.audiences import Audience, Guard, Target
from include.bench.measure import Case, Contender, Limit
from include.connections import Credentials
from include.destinations import DESTINATIONS
from include.publishing import CURRENT, IDENTIFIER, Published, Snapshot
from include.settings import Settings, load_settings

MEMBERS = 1_000_000
LATENCY_MS = 200
MEMORY_LIMIT = "512MB"
# A batch is upserted, then put into the static segment.
CALLS_PER_BATCH = {"mailchimp": 2, "meta": 1}
CONTACTS = """
select
    'bench:' || i as customer_id, 'customer-' || i || '@shop.example' as email,
    '+447700' || lpad((900000 + i % 1000)::varchar, 6, '0') as phone_key, 'Ann' as first_name,
    'Smith' as last_name, 'GB' as country, 'en' as language, true as has_email_consent,
    true as has_ads_consent, null::timestamp as consent_at, null::varchar as consent_source,
    null::varchar as suppressed_reason
from range(0, $members) as numbers (i)
"""
MEMBERSHIPS = """
select
    channel, 'everybody' as audience, 'bench:' || i as customer_id,
    md5('bench:' || i)::uuid as member_key, md5('fingerprint' || i)::uuid as fingerprint,
    '{"vip_tier":"gold"}' as payload
from range(0, $members) as numbers (i), unnest(['mailchimp', 'meta']) as channels (channel)
order by channel, customer_id
"""
AUDIENCE = Audience(
    name="everybody",
    description="A million people.",
    owner="bench",
    destinations=(Target(to="mailchimp", fields=("vip_tier",)), Target(to="meta")),
    guard=Guard(min_members=0, max_first_sync=None),
)


def prepare(folder: Path) -> None:
    """Two published snapshots: a million members, and a tenth of them."""
    for name, members in (("all", MEMBERS), ("tenth", MEMBERS // 10)):
        now = datetime.now(UTC)
        snapshot = Snapshot(
            snapshot_id=now.strftime(IDENTIFIER),
            as_of=date(2026, 1, 1),
            published_at=now,
            build="bench",
            previous_snapshot_id=None,
            kept=(),
            versions={},
            tables={
                table: Published(rows=0, sha256="") for table in ("contacts", "desired_memberships")
            },
        )
        home = folder / name
        published = home / "store" / snapshot.folder
        published.mkdir(parents=True)
        with duckdb.connect() as connection:
            for table, drawn in (("contacts", CONTACTS), ("desired_memberships", MEMBERSHIPS)):
                rows = connection.sql(drawn, params={"members": members})
                rows.write_parquet(str(published / f"{table}.parquet"))
        (home / "store" / CURRENT).write_text(snapshot.model_dump_json())
    for destination in CALLS_PER_BATCH:
        _plan(folder, destination, "tenth")


def mailchimp_plan(folder: Path) -> None:
    """The plan of a first sync of everybody to Mailchimp."""
    _plan(folder, "mailchimp", "all")


def mailchimp_send(folder: Path) -> None:
    """Send that plan."""
    _send(folder, "mailchimp", "all")


def mailchimp_send_tenth(folder: Path) -> None:
    """Send the plan of a first sync of a tenth to Mailchimp."""
    _send(folder, "mailchimp", "tenth")


def mailchimp_calls(folder: Path) -> None:
    """The calls that a first sync to Mailchimp cannot do without, empty."""
    _calls(folder, "mailchimp", "/mailchimp/3.0/ping")


def meta_plan(folder: Path) -> None:
    """The plan of a first sync of everybody to Meta."""
    _plan(folder, "meta", "all")


def meta_send(folder: Path) -> None:
    """Send that plan."""
    _send(folder, "meta", "all")


def meta_send_tenth(folder: Path) -> None:
    """Send the plan of a first sync of a tenth to Meta."""
    _send(folder, "meta", "tenth")


def meta_calls(folder: Path) -> None:
    """The calls that a first sync to Meta cannot do without, empty."""
    _calls(folder, "meta", "/meta/v26.0/me?access_token=bench")


def _plan(folder: Path, destination: str, size: str) -> None:
    home = folder / size
    shutil.rmtree(home / "store/activation" / destination, ignore_errors=True)
    with _sandbox(folder) as url:
        activation.plan_audience(
            _settings(home), AUDIENCE, destination, _credentials(url, destination)
        )


def _send(folder: Path, destination: str, size: str) -> None:
    """Every run has the same plan, of which nothing has been sent."""
    home = folder / size
    [plan] = (home / "store/activation" / destination / AUDIENCE.name / "plans").iterdir()
    with _sandbox(folder) as url:
        sent = activation.send_plan(
            _settings(home), AUDIENCE, destination, _credentials(url, destination), plan.name
        )
    if sent.rejected or not sent.adds:
        raise RuntimeError(f"the sandbox took {sent.adds} and refused {sent.rejected}")


def _settings(home: Path) -> Settings:
    return load_settings(home=home, memory_limit=MEMORY_LIMIT)


def _credentials(url: str, destination: str) -> Credentials:
    return Credentials(
        password="0123456789abcdef0123456789abcdef-us1",
        extra={
            "list_id": "regulars",
            "ad_account_id": "act_1000",
            "base_url": f"{url}/{destination}",
        },
    )


def _calls(folder: Path, name: str, path: str) -> None:
    destination = DESTINATIONS[name]
    calls = MEMBERS // destination.batch_size * CALLS_PER_BATCH[name]
    connections = destination.connections
    with (
        _sandbox(folder) as url,
        httpx.Client(base_url=url, auth=("bench", "key")) as client,
        ThreadPoolExecutor(connections) as threads,
    ):
        for answer in threads.map(client.get, [path] * calls):
            answer.raise_for_status()


@contextmanager
def _sandbox(folder: Path) -> Iterator[str]:
    """A new sandbox on a free port, for as long as the block lasts."""
    database = folder / "sandbox.sqlite"
    for file in folder.glob("sandbox.sqlite*"):
        file.unlink()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "include.sandbox", "--port", str(port)]
    command += ["--database", str(database), "--latency-ms", str(LATENCY_MS)]
    server = subprocess.Popen(command)
    try:
        url = f"http://127.0.0.1:{port}"
        while not _answers(url):
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/_health").is_success
    except httpx.TransportError:
        return False


def _case(name: str, contenders: dict[str, Contender]) -> Case:
    return Case(
        name,
        prepare,
        contenders,
        (
            Limit("send", "wall_seconds", 1.25, "calls"),
            Limit("send", "peak_mib", 400),
        ),
        runs=1,
    )


CASES = (
    _case(
        "Send 1 M members to Mailchimp (10 connections, 200 ms a call)",
        {
            "calls": mailchimp_calls,
            "plan": mailchimp_plan,
            "send": mailchimp_send,
            "send_tenth": mailchimp_send_tenth,
        },
    ),
    _case(
        "Send 1 M members to Meta (one connection, 200 ms a call)",
        {
            "calls": meta_calls,
            "plan": meta_plan,
            "send": meta_send,
            "send_tenth": meta_send_tenth,
        },
    ),
)
