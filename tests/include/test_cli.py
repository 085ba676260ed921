"""The whole job by hand: the commands of the README in their order, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from include.cli import app
from include.local.environment import sandbox_connections
from tests.sandbox_server import start_sandbox

REGULARS = Path(sys.executable).with_name("regulars")
SOURCES = """
sources:
  - name: shop
    type: files
    path: orders.csv
    grain: order
    time_zone: Europe/Berlin
    currency: EUR
    columns: {order_id: order, ordered_at: at, customer_key: customer, gross_amount: amount}
  - name: people
    type: files
    path: people.csv
    grain: contact
    customers_of: shop
    columns: {customer_key: customer, email: email, has_email_consent: mail, has_ads_consent: ads}
"""
CUSTOMERS = 60


class Shop:
    """A small shop in a folder: customer 0 orders most, the last one least and longest ago."""

    def __init__(self, folder: Path, sandbox: str) -> None:
        self.folder = folder
        self.write_sources(SOURCES)
        rows = [
            f"{customer}-{n},2025-{12 - n:02d}-{28 - customer % 20:02d} 12:00:00,"
            f"{customer},{100 - customer}.50"
            for customer in range(CUSTOMERS)
            for n in range(1 + (CUSTOMERS - customer) // 8)
        ]
        (folder / "orders.csv").write_text("\n".join(["order,at,customer,amount", *rows]) + "\n")
        self.write_people(consent={customer: True for customer in range(CUSTOMERS)})
        self.environment = {
            **os.environ,
            **sandbox_connections(sandbox),
            "REGULARS_HOME": str(folder / "home"),
            "REGULARS_SOURCES": str(folder / "sources.yml"),
            "REGULARS_AS_OF": "2026-01-01",
        }

    def write_sources(self, text: str) -> None:
        (self.folder / "sources.yml").write_text(text)

    def write_people(self, consent: dict[int, bool]) -> None:
        rows = [f"{c},person{c}@shop.test,{mail},true" for c, mail in consent.items()]
        text = "\n".join(["customer,email,mail,ads", *rows]).lower()
        (self.folder / "people.csv").write_text(text + "\n")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(REGULARS), *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
        )

    def does(self, *arguments: str) -> Any:
        finished = self.run(*arguments)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return json.loads(finished.stdout) if "--json" in arguments else []


@pytest.fixture
def shop(tmp_path):
    with start_sandbox(tmp_path) as sandbox:
        yield Shop(tmp_path, sandbox.url), sandbox


def test_ingest_build_publish_and_sync_in_that_order_do_the_whole_job_once(shop):
    shop, sandbox = shop
    orders = shop.does("ingest", "--json")[0]["rows"]
    shop.does("build")
    published = {row["table"]: row["rows"] for row in shop.does("publish", "--json")}
    assert published["orders"] == orders
    assert published["customers"] == CUSTOMERS

    listed = {row["audience"]: row for row in shop.does("audiences", "--json")}
    assert listed["mailable_customers"]["members"] == CUSTOMERS
    assert listed["mailable_customers"]["state"] == "on"
    shown = shop.does("audiences", "preview", "mailable_customers", "--json")
    assert [change["adds"] for change in shown["destinations"]] == [CUSTOMERS]
    assert {row["audience"] for row in shop.does("audiences", "overlap", "--json")} <= {*listed}

    planned = shop.does("plan", "--audience", "mailable_customers", "--json")
    assert [(row["adds"], row["decision"]) for row in planned] == [(CUSTOMERS, "pass")]
    assert sandbox.truth()["mailchimp"]["lists"]["regulars"]["members"] == {}

    synced = shop.does("sync", "--json")
    assert {row["destination"] for row in synced} == {"mailchimp", "meta"}
    assert len(sandbox.truth()["mailchimp"]["lists"]["regulars"]["members"]) == CUSTOMERS

    again = shop.does("sync", "--json")
    assert sum(row["adds"] + row["updates"] + row["removes"] for row in again) == 0

    shop.write_people(consent={customer: customer != 7 for customer in range(CUSTOMERS)})
    shop.does("ingest")
    shop.does("build")
    shop.does("publish")
    withdrawn = shop.does("sync", "--audience", "mailable_customers", "--json")
    assert [(row["adds"], row["removes"]) for row in withdrawn] == [(0, 1)]


def test_an_error_is_one_line_that_says_what_to_do_and_exit_status_1(shop):
    shop, _ = shop
    finished = shop.run("sync", "--audience", "vipz")
    assert finished.returncode == 1
    assert "unknown audience 'vipz'; known are: advocates" in " ".join(finished.stderr.split())
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("command", ["plan", "sync", "reconcile", "rejects"])
def test_a_destination_that_nobody_knows_is_an_error_and_not_nothing_to_do(alone, command):
    finished = _call(alone, command, "--destination", "mailchip")
    assert "unknown destination mailchip; known are: file_drop" in str(finished.exception)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["erase", "--from", "nowhere.txt"], "No such file or directory: 'nowhere.txt'"),
        (["ingest"], "Is a directory:"),
        (["bench", "nothing"], "unknown benchmark nothing; known are:"),
    ],
)
def test_what_the_machine_refuses_is_one_line_and_exit_status_1(alone, arguments, told):
    (alone.folder / "sources.yml").unlink()
    (alone.folder / "sources.yml").mkdir()
    finished = alone.run(*arguments)
    assert finished.returncode == 1
    assert finished.stderr.startswith("error:")
    assert told in " ".join(finished.stderr.split())
    assert "Traceback" not in finished.stderr


def test_a_full_disk_is_one_line(alone):
    with open("/dev/full", "w") as full:
        finished = subprocess.run(
            [str(REGULARS), "audiences"],
            env=alone.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert finished.returncode == 1
    assert finished.stderr.startswith("error: [Errno 28] No space left on device")
    assert "Traceback" not in finished.stderr


@pytest.fixture
def alone(tmp_path):
    """A shop that nothing is sent from."""
    return Shop(tmp_path, sandbox="http://127.0.0.1:1")


def _call(shop: Shop, *arguments: str) -> Result:
    """A command in this process."""
    return CliRunner().invoke(app, arguments, env=shop.environment)


def test_a_bad_page_is_listed_tried_again_and_forgotten_by_name(alone):
    (alone.folder / "people.csv").write_text("customer,email,mail,ads\nann,ann@shop.test,ja,true\n")
    refused = _call(alone, "ingest")
    assert "people.csv, row 1, column 'mail'" in str(refused.exception)
    [page] = json.loads(_call(alone, "quarantine", "--json").stdout)
    assert (page["name"], page["place"]) == ("people/people.csv", "row 1, column mail")
    assert "ann@" not in f"{refused.exception} {refused.output} {page}"

    still = _call(alone, "quarantine", "--replay", "all", "--json")
    assert still.exit_code == 1
    assert [row["quarantined"] for row in json.loads(still.stdout)] == [1]

    alone.write_sources(SOURCES.replace("has_email_consent: mail, ", ""))
    mended = _call(alone, "quarantine", "--replay", page["name"], "--json")
    assert [row["rows"] for row in json.loads(mended.stdout)] == [1]
    assert json.loads(_call(alone, "quarantine", "--json").stdout) == []

    (alone.folder / "people.csv").write_text("customer,email\n")
    _call(alone, "ingest")
    assert json.loads(_call(alone, "quarantine", "--drop", page["name"], "--json").stdout) == []
    missing = _call(alone, "quarantine", "--drop", page["name"])
    assert "no page 'people/people.csv' in quarantine; there are: none" in str(missing.exception)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--from", "2026-01-01", "--to", "2026-01-31"], "need a --source"),
        (["--source", "shop", "--from", "2026-01-01"], "go together"),
        (["--source", "shop", "--from", "2026-02-01", "--to", "2026-01-01"], "lies before"),
        (["--source", "shop", "--from", "2026-01-01", "--to", "2026-01-02"], "no days to ask for"),
    ],
)
def test_past_days_are_asked_for_by_source_from_and_to(arguments, told, alone):
    assert told in str(_call(alone, "ingest", *arguments).exception)
