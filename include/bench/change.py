"""One in a hundred of 10 M members changed: how soon that is planned, and in how many calls sent.

Mailchimp holds 10 M by our state. A quarter of the changes are people who have left, a quarter are
new, and half have another value in a field; the sandbox really has those who left or changed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import httpx

from include.activation import sync as activation
from include.activation.audiences import Audience, Guard, Target
from include.activation.ledger import Ledger
from include.activation.receipts import read_receipts
from include.activation.statuses import statuses_path
from include.activation.workbench import CODEC
from include.bench.measure import Case, Figures, Limit, timed
from include.bench.sending import CONTACTS, credentials, publish, sandbox
from include.destinations import DESTINATIONS, open_destination
from include.settings import Settings, load_settings
from include.store import Store

MEMBERS = 10_000_000
DESTINATION = "mailchimp"
# Keys and fingerprints of all are compared within it; with less, DuckDB spills.
MEMORY_LIMIT = "1200MB"
PLAN_SECONDS = 3
# Times those that the change cannot do without.
MOST_CALLS = 1.01
# Of 400 people one has left and one is new; every second hundredth one has changed.
MEMBERSHIPS = """
select
    'mailchimp' as channel, 'everybody' as audience, 'bench:' || i as customer_id,
    md5_number_lower('bench:' || i) as member_key,
    md5_number_lower(case when $changed and i % 200 = 0 then 'new' else 'old' end || i)
        as fingerprint,
    case when $changed and i % 200 = 0 then '{"vip_tier":"gold"}' else '{"vip_tier":"silver"}' end
        as payload
from range(0, $members) as numbers (i)
where case when $changed then i % 400 <> 1 else i % 400 = 1 or i % 200 = 0 end
order by customer_id
"""
HELD = """
select
    'bench:' || i as customer_id, md5_number_lower('bench:' || i) as member_key,
    md5('customer-' || i || '@shop.example') as identity,
    md5_number_lower('old' || i) as fingerprint, timestamp '2026-01-01' as since,
    'held' as status, null::varchar as code,
    null::varchar as class, 0 as tries, $plan_id as plan_id, null::varchar as refused_operation,
    null::varchar as reason, null::timestamp as next_attempt_at,
    md5(md5('customer-' || i || '@shop.example'))::uuid as identity_key
from range(0, $members) as numbers (i) where i % 400 <> 2
"""
# Ahead of the clock: what has been told is all that there is, and nothing new is asked for.
TOLD = """
select
    md5('customer-' || i || '@shop.example') as identity, 'subscribed' as status,
    true as is_reachable, now()::timestamp + interval 1 day as changed_at,
    md5(md5('customer-' || i || '@shop.example'))::uuid as identity_key
from range(0, $members) as numbers (i) where i % 400 <> 2
"""
AUDIENCE = Audience(
    name="everybody",
    description="Ten million people.",
    owner="bench",
    destinations=(Target(to=DESTINATION, fields=("vip_tier",)),),
    guard=Guard(min_members=0, max_first_sync=None),
)


def least_calls() -> int:
    """The calls that the change cannot do without: a new member's batch needs two."""
    size = DESTINATIONS[DESTINATION].batch_size
    left = new = -(-MEMBERS // 400 // size)
    changed = -(-MEMBERS // 200 // size)
    return left + changed + 2 * new


def prepare(folder: Path) -> None:
    """A sync of those whom the vendor must have, a state as if it had been of all, a snapshot."""
    _publish(folder, changed=False)
    with sandbox(folder, latency_ms=0) as url:
        told = credentials(url, DESTINATION)
        activation.sync(settings(folder), AUDIENCE, DESTINATION, told)
        account = open_destination(DESTINATION, told)
    ledger = Ledger(Store(str(folder / "store")), DESTINATION, AUDIENCE.name)
    files = {
        ledger.state: (HELD, {"members": MEMBERS, "plan_id": ledger.last_finished()}),
        statuses_path(account): (TOLD, {"members": MEMBERS}),
    }
    with duckdb.connect() as connection:
        for path, (drawn, parameters) in files.items():
            rows = connection.sql(drawn, params=parameters)
            rows.write_parquet(str(folder / "store" / path), compression=CODEC)
    ledger.acknowledge_state()
    _publish(folder, changed=True)


def plan(folder: Path) -> Figures:
    """Plan the change."""
    # DuckDB imports pandas with the first value that it is given, and imports are not counted.
    duckdb.ConstantExpression(MEMBERS)
    with sandbox(folder, anew=False) as url:
        return timed(
            lambda: activation.plan_audience(
                settings(folder), AUDIENCE, DESTINATION, credentials(url, DESTINATION)
            )
        )


def send(folder: Path) -> Figures:
    """Send the plan, and count the calls."""
    ledger = Ledger(Store(str(folder / "store")), DESTINATION, AUDIENCE.name)
    planned = ledger.plan_ids()[-1]
    with sandbox(folder, anew=False) as url:
        before = _calls(url)
        figures = timed(
            lambda: activation.send_plan(
                settings(folder), AUDIENCE, DESTINATION, credentials(url, DESTINATION), planned
            )
        )
        made = _calls(url) - before
    [refused] = {receipt.rejected for receipt in read_receipts(ledger, planned)}
    if refused:
        raise RuntimeError("the sandbox refused somebody")
    return replace(figures, calls=made)


def fold(folder: Path) -> None:
    """Fold the receipts into the state of all."""
    ledger = Ledger(Store(str(folder / "store")), DESTINATION, AUDIENCE.name)
    activation.fold(settings(folder), AUDIENCE, DESTINATION, ledger.plan_ids()[-1])


def settings(home: Path) -> Settings:
    """Those of every step."""
    return load_settings(home=home, memory_limit=MEMORY_LIMIT)


def _publish(folder: Path, *, changed: bool) -> None:
    with duckdb.connect() as connection:
        contacts = connection.sql(CONTACTS, params={"members": MEMBERS})
        parameters = {"members": MEMBERS, "changed": changed}
        publish(folder, contacts, connection.sql(MEMBERSHIPS, params=parameters))


def _calls(url: str) -> int:
    answer = httpx.get(f"{url}/_calls", timeout=60)
    return len(answer.raise_for_status().json())


CASE = Case(
    "Change 1 in 100 of 10 M members at Mailchimp",
    prepare,
    {"plan": plan, "send": send, "fold": fold},
    (
        Limit("plan", "wall_seconds", PLAN_SECONDS),
        Limit("send", "calls", MOST_CALLS * least_calls()),
        Limit("send", "peak_mib", 400),
    ),
    runs=1,
)
