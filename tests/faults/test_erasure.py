"""Case 42: a person is erased everywhere, also while a sync runs, and nothing brings them back."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from hashlib import md5, sha256
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pytest

from include.activation import turns
from include.activation.ledger import lease_folder, ledgers
from include.commerce.journeys import trigger_journeys
from include.commerce.push import Waiting, push_purchases
from include.connections import Credentials
from include.destinations import DESTINATIONS
from include.erasure import erase as erasing
from include.erasure.erase import Certificate, certificates, erase
from include.erasure.export import export_person
from include.erasure.person import Request
from include.erasure.tombstones import Identifier, Tombstones
from include.errors import BadInput, Retry
from include.landing import ingest, rebuild
from include.lease import hold_lease
from include.publishing import ANALYTICS, current, publish
from include.settings import Settings
from include.store import Store, copies
from tests.faults.killing import doom
from tests.faults.processes import PROCESSES
from tests.include.activation.shop import QUICK, Person, Shop
from tests.include.commerce.test_push import line, order, table
from tests.include.sources.shops import LINES, REQUESTS, declare, raw, write_csv
from tests.sandbox_server import Sandbox, start_sandbox

EMAIL = "Canary.In.A.Mine@shop.test"
PHONE = "+4915123456789"
NAMES = ("Kanarienvogel", "Grubenlicht")
CANARY = Person("shop:1", EMAIL, PHONE, *NAMES, country="DE")
OTHERS = [Person(f"shop:{n}", f"person{n}@shop.test") for n in range(2, 8)]
KEY = EMAIL.lower()
TRACES = (
    KEY,
    PHONE.lstrip("+"),
    *(name.lower() for name in NAMES),
    # Whoever has the address can compute these.
    md5(KEY.encode()).hexdigest(),
    sha256(KEY.encode()).hexdigest(),
    sha256(PHONE.lstrip("+").encode()).hexdigest(),
    md5(f"email:{KEY}".encode()).hexdigest(),
)
HEADER = ["order", "at", "customer", "sku", "quantity", "price", "email"]
ORDERS = LINES | {"columns": LINES["columns"] | {"email": "email"}, "max_bad_pages": 1}
CONTACTS = {
    "name": "crm",
    "type": "files",
    "path": "contacts.csv.gz",
    "grain": "contact",
    "customers_of": "shop",
    "columns": {
        "customer_key": "key",
        "email": "email",
        "phone": "phone",
        "first_name": "first",
        "last_name": "last",
        "country": "country",
    },
}
PUSHED = "commerce/mailchimp/regulars/pushed.parquet"
JOURNEY = "commerce/mailchimp/regulars/journeys/lapsed_vips-1-2"
FEWEST_INSTANTS = 30
OPEN = "import sys, duckdb; duckdb.connect(sys.argv[1])"
ASKED = [["r-1", "2026-03-01 10:00:00", EMAIL]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(server: Sandbox) -> Sandbox:
    server.reset()
    return server


@dataclass
class Trade:
    """A shop whose orders landed, whose audience was published and synced."""

    shop: Shop
    folder: Path

    def load(self) -> None:
        ingest(self.shop.settings)

    def ask(self) -> None:
        write_csv(self.folder / "requests.csv", ASKED, ["id", "at", "email"])

    def publish(self, persons: list[Person]) -> None:
        """A snapshot as `publish` leaves it, its analytics file among the rest."""
        bought = {
            "orders": table("orders", [order(_number(p), _number(p)) for p in persons]),
            "order_lines": table("order_lines", [line(_number(p)) for p in persons]),
            "offer_codes": table("offer_codes", []),
        }
        self.shop.publish(persons, more=bought)
        store = self.shop.store
        with store.workspace() as folder:
            file = Path(folder) / "analytics.duckdb"
            with duckdb.connect(str(file)) as analytics:
                analytics.execute("create table snapshot (snapshot_id varchar)")
                analytics.execute("create table customers (customer_id varchar, reason varchar)")
                analytics.execute("comment on column customers.customer_id is 'The key.'")
                analytics.executemany(
                    "insert into customers values (?, ?)",
                    [[person.customer_id, person.first_name] for person in persons],
                )
            store.take(file, ANALYTICS)

    def build(self) -> None:
        """Models as dbt would leave them."""
        with duckdb.connect(str(self.shop.settings.warehouse_path)) as warehouse:
            warehouse.execute(
                """
                create schema if not exists marts;
                create schema if not exists marts_private;
                create or replace table marts_private.contacts as from raw.contacts;
                create or replace table marts.orders as
                select distinct order_id, customer_id from raw.order_lines;
                """
            )

    def sync(self) -> None:
        for destination in ("mailchimp", "meta"):
            self.shop.sync(destination)

    def tell(self) -> None:
        """Mailchimp of purchases, and of newcomers who travel."""
        push_purchases(self.shop.settings, self.connection, Waiting(longest=20, between=0))
        trigger_journeys(self.shop.settings, self.connection)

    def connection(self, name: str) -> Credentials:
        return self.shop.credentials[name.removesuffix("_default")]

    def pushed(self, kind: str) -> set[str]:
        """The records of Mailchimp's store by our account."""
        rows = duckdb.read_parquet(str(self.shop.local(PUSHED)))
        return {row[0] for row in rows.filter(f"kind = '{kind}'").select("record_id").fetchall()}

    @property
    def told(self) -> dict[str, Any]:
        """Mailchimp's store."""
        return self.shop.sandbox.truth()["mailchimp"]["stores"]["regulars-regulars"]

    def erase(self, requests: list[Request] | None = None) -> list[Certificate]:
        return erase(
            self.shop.settings,
            self.connection,
            requests,
            patience=QUICK,
        )

    def traces(self) -> list[str]:
        """Where anything of the canary is left: files of ours, and what the vendors hold."""
        kept = self.shop.store
        remote = [] if kept.is_local else kept.filesystem.find(kept.root)
        fetched = [self.shop.local(str(path).removeprefix(f"{kept.root}/")) for path in remote]
        ours = [*files(self.shop.settings.home), *fetched, *files(copies())]
        found = [str(path) for path in ours if is_in(path)]
        truth = self.shop.sandbox.truth()
        for known in truth["mailchimp"]["lists"].values():
            # By this hash Mailchimp itself refuses who was deleted permanently.
            known.pop("forgotten")
        vendors = json.dumps(truth).lower()
        return found + [f"vendor: {trace}" for trace in TRACES if trace in vendors]


@pytest.fixture
def trade(tmp_path: Path, sandbox: Sandbox, request: pytest.FixtureRequest) -> Trade:
    is_remote = getattr(request, "param", "folder") == "object store"
    store_url = f"memory://{uuid.uuid4()}" if is_remote else None
    shop = Shop(tmp_path / "home", sandbox, store_url)
    settings = declare(tmp_path, ORDERS, CONTACTS, REQUESTS)
    shop.settings = shop.settings.model_copy(update={"sources": settings.sources})
    everybody = [CANARY, *OTHERS]
    orders = [
        [str(n), "2026-01-05 10:00:00", person.customer_id[5:], "mug", "2", "4.50", person.email]
        for n, person in enumerate(everybody * 2, start=1)
    ]
    write_csv(tmp_path / "export" / "a.csv", orders, HEADER)
    # A page that cannot be read goes to quarantine with the canary in it.
    write_csv(tmp_path / "export" / "b.csv", [["x", EMAIL]], HEADER)
    contacts = tmp_path / "contacts.csv"
    columns = ["key", "email", "phone", "first", "last", "country"]
    rows = [
        [p.customer_id[5:], p.email, p.phone_key or "", p.first_name, p.last_name, p.country]
        for p in everybody
    ]
    write_csv(contacts, rows, columns)
    (tmp_path / "contacts.csv.gz").write_bytes(gzip.compress(contacts.read_bytes()))
    contacts.unlink()
    write_csv(tmp_path / "requests.csv", [], ["id", "at", "email"])
    trade = Trade(shop, tmp_path)
    trade.load()
    trade.build()
    trade.publish(everybody)
    found = shop.credentials["mailchimp"]
    shop.credentials["mailchimp"] = replace(
        found, extra={**found.extra, "shop_name": "Mugs", "journeys": "lapsed_vips=1/2"}
    )
    # Everybody has come in since.
    shop.store.write(f"{JOURNEY}/since.json", b'{"since": "2026-01-01T00:00:00"}')
    trade.sync()
    # By now the list has contacts, of which Mailchimp tells.
    trade.sync()
    trade.tell()
    shop.store.write("inbox/hooks/20260301T100000000000-x.json", f'{{"body": "{EMAIL}"}}'.encode())
    return trade


def _number(person: Person) -> int:
    return int(person.customer_id.removeprefix("shop:"))


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def is_in(path: Path) -> bool:
    """Whether a file has a trace of the canary, in its bytes or when they are decoded."""
    content = path.read_bytes()
    if path.suffix == ".parquet" or content[:4] == b"PAR1":
        rows = duckdb.read_parquet(str(path)).to_arrow_table().to_pylist()
        content += json.dumps(rows, default=str).encode()
    if content[:2] == b"\x1f\x8b":
        content += gzip.decompress(content)
    text = content.lower()
    dashed = text.replace(b"-", b"")
    return any(trace.encode() in text or trace.encode() in dashed for trace in TRACES)


@pytest.mark.parametrize("trade", ["folder", "object store"], indirect=True)
def test_case_42_after_an_erasure_nothing_of_the_person_is_anywhere_and_figures_stay(trade: Trade):
    before = raw(trade.shop.settings, "order_lines")
    places = {Path(place).suffix for place in trade.traces()}
    # The canary was everywhere, so that looking for it means something.
    assert {".csv", ".gz", ".parquet", ".duckdb", ".json"} <= places
    assert any(place.startswith("vendor") for place in trade.traces())
    assert CANARY.customer_id in trade.told["orders"]
    assert CANARY.mailchimp_id in trade.shop.sandbox.truth()["mailchimp"]["journeys"]["1/2"]
    trade.ask()
    trade.load()

    [certificate] = trade.erase()

    assert trade.traces() == []
    after = raw(trade.shop.settings, "order_lines")
    assert sum(line["gross_amount"] for line in after) == sum(
        line["gross_amount"] for line in before
    )
    assert {line["customer_id"] for line in after} == {None, *(one.customer_id for one in OTHERS)}
    assert len(trade.shop.there("mailchimp")) == len(trade.shop.there("meta")) == len(OTHERS)
    assert certificate.requests == ("requests:r-1",)
    assert certificate.finished_at
    answers = {one.destination: one.answer for one in certificate.destinations}
    assert answers["mailchimp"]["erased"] == 1
    assert answers["meta"]["received"] > 0
    assert answers["mailchimp_store"] == {"orders_deleted": 1, "customers_deleted": 1}
    assert set(trade.told["orders"]) == set(trade.told["customers"])
    assert set(trade.told["orders"]) == {one.customer_id for one in OTHERS}
    assert "shop:1" not in trade.pushed("customer") | trade.pushed("order")
    for place in (
        "purchases told and journeys",
        "landing pages",
        "published snapshots",
        "waiting calls",
        "quarantined pages",
    ):
        assert certificate.places[place] > 0, place
    assert trade.shop.held("mailchimp") == trade.shop.there("mailchimp")
    snapshot = current(trade.shop.store)
    assert snapshot is not None
    snapshot.verify()
    with duckdb.connect(str(trade.shop.local(ANALYTICS)), read_only=True) as analytics:
        [(people,)] = analytics.sql("select count(*) from customers").fetchall()
        comments = analytics.sql("select comment from duckdb_columns() where comment is not null")
        assert (people, comments.fetchall()) == (len(OTHERS), [("The key.",)])


def test_case_42_an_address_that_is_known_no_more_is_erased_again_without_harm(trade: Trade):
    asked = [Request("by hand", (("email", KEY),))]
    trade.erase(asked)

    [certificate] = trade.erase(asked)

    assert certificate.finished_at
    assert len(trade.shop.there("mailchimp")) == len(OTHERS)


def test_case_42_neither_the_export_nor_a_backup_nor_a_rebuild_brings_the_person_back(
    trade: Trade, tmp_path: Path
):
    settings = trade.shop.settings
    backup = tmp_path / "backup"
    shutil.copytree(settings.home, backup)
    trade.erase([Request("by hand", (("email", KEY),))])
    rows = {table: raw(settings, table) for table in ("order_lines", "contacts")}

    os.utime(tmp_path / "export" / "a.csv")
    os.utime(tmp_path / "contacts.csv.gz")
    trade.load()
    rebuild(settings)
    assert {table: raw(settings, table) for table in rows} == rows

    for place in ("store/landing", "warehouse.duckdb"):
        restored = backup / place
        if restored.is_dir():
            shutil.copytree(restored, settings.home / place, dirs_exist_ok=True)
        else:
            shutil.copy(restored, settings.home / place)
            (settings.home / f"{place}.wal").unlink(missing_ok=True)
    trade.load()
    assert {table: raw(settings, table) for table in rows} == rows
    rebuild(settings)
    assert {table: raw(settings, table) for table in rows} == rows

    # Even a snapshot that still has the person sends nobody.
    trade.publish([CANARY, *OTHERS])
    trade.sync()
    trade.tell()
    assert set(trade.told["orders"]) == {one.customer_id for one in OTHERS}
    assert len(trade.shop.there("mailchimp")) == len(trade.shop.there("meta")) == len(OTHERS)
    assert not any(place.startswith("vendor") for place in trade.traces())


def test_case_42_who_loads_meanwhile_knows_all_of_whom_are_erased_or_is_waited_for(
    trade: Trade, monkeypatch: pytest.MonkeyPatch
):
    reached = []
    add = erasing.add_tombstones

    def add_and_look(settings: Settings, identifiers: Iterable[Identifier]) -> Tombstones:
        tombstones = add(settings, identifiers)
        if ("platform_id", CANARY.customer_id) in identifiers:
            command = [sys.executable, "-c", OPEN, str(settings.warehouse_path)]
            reached.append(subprocess.run(command, capture_output=True).returncode == 0)
        return tombstones

    monkeypatch.setattr(erasing, "add_tombstones", add_and_look)
    trade.erase([Request("by hand", (("email", KEY),))])
    assert reached[0] is False


def test_case_42_nobody_publishes_between_the_snapshots_and_the_warehouse(trade: Trade):
    settings = trade.shop.settings
    told = []

    def publish_meanwhile(step: str) -> None:
        if step in {"landing pages ...", "warehouse ..."}:
            with pytest.raises(Retry, match="an erasure is under way"):
                publish(settings, date(2026, 3, 1))
            told.append(step)

    erase(
        settings,
        trade.connection,
        [Request("by hand", (("email", KEY),))],
        progress=publish_meanwhile,
        patience=QUICK,
    )
    assert told == ["landing pages ...", "warehouse ..."]


@pytest.mark.parametrize("destination", ["mailchimp", "meta"])
def test_case_42_who_is_erased_while_a_sync_is_between_batches_is_not_sent(
    trade: Trade, destination: str, monkeypatch: pytest.MonkeyPatch
):
    shop = trade.shop
    kind = DESTINATIONS[destination]
    monkeypatch.setattr(kind, "batch_size", 1)
    monkeypatch.setattr(kind, "connections", 1)
    # The erasure does not wait for the connection of the call that is held below.
    monkeypatch.setattr(turns, "LONGEST_CALL_SECONDS", 0.2)
    # Batches go in the order of the members' keys: the canary's turn comes last.
    last = md5(b"shop:1").hexdigest()
    numbers = [n for n in range(20, 200) if md5(f"shop:{n}".encode()).hexdigest() < last][:10]
    newcomers = [Person(f"shop:{n}", f"new{n}@shop.test") for n in numbers]
    changed = Person("shop:1", f"Second.{EMAIL}", None, *NAMES, country="DE")
    trade.publish([*OTHERS, *newcomers, changed])
    shop.sandbox.fault(action="hold", method="POST", nth=3)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(shop.sync, destination)
        shop.sandbox.wait_for_held()
        with pytest.raises(Retry, match="is not finished"):
            trade.erase([Request("by hand", (("email", KEY),))])
        shop.sandbox.clear_faults()
        running.result()
    vendors = json.dumps(shop.sandbox.truth()).lower()
    assert f"second.{KEY}" not in vendors
    assert sha256(f"second.{KEY}".encode()).hexdigest() not in vendors
    [certificate] = trade.erase([Request("by hand", (("email", KEY),))])

    assert certificate.finished_at
    assert len(shop.there(destination)) == len(OTHERS) + len(newcomers)


def test_case_42_what_a_run_works_on_is_left_to_it_and_the_erasure_is_called_again(trade: Trade):
    request = Request("by hand", (("email", KEY),))
    [ledger] = [one for one in ledgers(trade.shop.store) if one.destination == "mailchimp"]
    state = Path(trade.shop.store.locate(ledger.state))
    before = state.read_bytes()
    with hold_lease(trade.shop.store, lease_folder("mailchimp", ledger.audience), 0):
        with pytest.raises(Retry, match=f"sync of {ledger.audience} to mailchimp is not finished"):
            trade.erase([request])
        assert state.read_bytes() == before

    [certificate] = trade.erase([request])

    assert certificate.finished_at
    assert duckdb.read_parquet(str(state)).filter("customer_id = 'shop:1'").fetchall() == []


def test_case_42_what_killed_processes_have_left_of_the_person_goes_too(trade: Trade):
    settings = trade.shop.settings
    warehouse, inbox = settings.warehouse_path, trade.shop.store.locate("inbox/hooks")
    left = [
        Path(inbox) / ".writing-call",
        warehouse.with_name(f"{warehouse.name}.tmp") / "duckdb_temp_storage_DEFAULT-0.tmp",
        warehouse.with_name(f"{warehouse.name}.4711.tmp") / "duckdb_temp_storage_DEFAULT-0.tmp",
        warehouse.with_suffix(".compacting.wal"),
        warehouse.with_suffix(".rebuilding"),
        warehouse.with_suffix(".rebuilding.wal"),
    ]
    for file in left:
        file.parent.mkdir(exist_ok=True)
        file.write_text(EMAIL)
        os.utime(file, (0, 0))
    trade.ask()
    trade.load()

    trade.erase()

    assert trade.traces() == []


def erase_until(settings: Settings, connections: dict[str, Credentials], instant: int) -> None:
    """An erasure of all open requests, in a process that is killed at that instant."""
    fuse = doom(instant)
    for name in ("purge_warehouse", "compact"):
        setattr(erasing, name, fuse.before(getattr(erasing, name)))
    erase(settings, connections.__getitem__)


# Dozens of erasures, one after the other: on a busy machine they outlast the usual limit.
@pytest.mark.timeout(1800)
def test_case_42_an_erasure_that_is_killed_at_any_instant_is_finished_by_the_next_one(
    trade: Trade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # What a killed process leaves of its work is swept that much later.
    monkeypatch.setattr("include.store.ABANDONED_AFTER_SECONDS", 0.1)
    monkeypatch.setattr("include.erasure.places.LOOK_AGAIN_SECONDS", 0.05)
    trade.ask()
    trade.load()
    settings = trade.shop.settings
    begin = tmp_path / "begin"
    shutil.copytree(settings.home, begin)
    connections = {f"{name}_default": known for name, known in trade.shop.credentials.items()}
    for instant in count(1):
        shutil.rmtree(settings.home)
        shutil.copytree(begin, settings.home)
        process = PROCESSES.Process(target=erase_until, args=(settings, connections, instant))
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        trade.erase()
        assert trade.traces() == [], instant
        [certificate] = certificates(settings)
        assert certificate.finished_at
        assert certificate.requests == ("requests:r-1",)
    assert instant > FEWEST_INSTANTS


def test_case_42_a_person_is_told_all_that_is_held_in_a_private_file(trade: Trade, tmp_path: Path):
    target = tmp_path / "held.json"
    asked = Request("export", (("email", KEY),))

    export_person(trade.shop.settings, asked, target)

    assert target.stat().st_mode & 0o777 == 0o600
    held: dict[str, Any] = json.loads(target.read_text())
    assert {"raw.contacts", "raw.order_lines", "published.contacts"} <= held["tables"].keys()
    assert len(held["tables"]["raw.order_lines"]) == 2
    assert held["tables"]["sent.mailchimp.lapsed_vips"]
    told = held["tables"][PUSHED]
    assert {(row["kind"], row["record_id"]) for row in told} == {
        ("customer", "shop:1"),
        ("order", "shop:1"),
    }
    [claim] = [row for path, rows in held["tables"].items() if JOURNEY in path for row in rows]
    assert claim["identity"] == CANARY.mailchimp_id
    assert "person2" not in target.read_text()
    with pytest.raises(BadInput, match="there already"):
        export_person(trade.shop.settings, asked, target)


def test_case_42_certificates_and_tombstones_name_nobody(trade: Trade):
    trade.erase([Request(EMAIL, (("email", KEY), ("platform_id", "shop:1")))])
    store = Store(trade.shop.settings.store)
    kept = b"".join(
        store.read(f"erasure/certificates/{name}") for name in store.list("erasure/certificates")
    ) + store.read("erasure/tombstones.json")
    for trace in (*TRACES, "shop:1"):
        assert trace.encode() not in kept.lower()
    assert (trade.shop.settings.home / "erasure.salt").stat().st_mode & 0o777 == 0o600


def test_case_42_where_a_vendor_cannot_erase_people_are_taken_out_of_our_audiences(
    trade: Trade, monkeypatch: pytest.MonkeyPatch
):
    # Meta as if it had no call for it.
    monkeypatch.delattr(DESTINATIONS["meta"], "erase")

    [certificate] = trade.erase([Request("by hand", (("email", KEY),))])

    answers = {one.destination: one.answer for one in certificate.destinations}
    assert answers["meta"] == {"removed_from_audiences": 1}
    assert len(trade.shop.there("meta")) == len(OTHERS)
    assert trade.traces() == []
