"""Rows that a destination refuses, counts differently, or does not let go."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import yaml
from typer.testing import CliRunner

from include.activation import sizes
from include.activation import sync as activation
from include.activation.ledger import Ledger
from include.activation.plan import MOST_TRIES
from include.activation.rejects import rejects
from include.activation.workbench import NUMBERS
from include.cli import app
from include.destinations.mailchimp import Mailchimp
from include.destinations.meta import Meta
from include.errors import Retry
from include.settings import PROJECT
from tests.faults.invariants import AUDIENCE, CANARY, FaultCase
from tests.include.activation.shop import Person, people

SOURCES = PROJECT / "dbt_project/models/activation/_activation__sources.yml"
UPSERT = {"method": "POST", "path": "lists/regulars$"}


@pytest.mark.parametrize("place", [0, 1, 63, 250, 499])
def test_case_09_one_poison_row_is_found_with_at_most_2_log2_n_further_calls(
    mailchimp: FaultCase, place: int
):
    poison = Person("shop:poison", "poison@shop.test")
    everybody = people(range(Mailchimp.batch_size - 2))
    everybody.insert(place, poison)
    mailchimp.refused.add(poison.mailchimp_id)
    mailchimp.publish(extra=everybody)
    mailchimp.sandbox.fault(
        **UPSERT,
        when_body_contains="poison@",
        times=None,
        action="status",
        status=400,
        body={"title": "Invalid Resource"},
    )

    summary = mailchimp.sync()

    assert (summary.adds, summary.rejected) == (Mailchimp.batch_size - 1, 1)
    sent = len(mailchimp.batches())
    assert sent - 1 <= 2 * math.log2(Mailchimp.batch_size)
    [refused] = rejects(mailchimp.shop.settings)
    assert (refused.customer_id, refused.code) == ("shop:poison", "Invalid Resource")
    assert (refused.kind, refused.attempts, refused.next_attempt_at) == ("fix_data", 1, None)
    assert "poison" not in refused.reason
    mailchimp.check()


def test_case_09_a_row_that_is_mended_is_sent_again(mailchimp: FaultCase):
    fake, good = Person("shop:1", "fake@example.com"), Person("shop:1", "real@shop.test")
    mailchimp.publish(extra=[fake])
    assert mailchimp.sync().rejected == 1
    mailchimp.publish(extra=[good])
    assert mailchimp.sync().adds == 1
    assert rejects(mailchimp.shop.settings) == []
    mailchimp.check()


def test_case_07_a_row_of_the_class_retry_is_tried_by_so_many_runs_and_then_parked(
    mailchimp: FaultCase,
):
    mailchimp.publish()
    body = {"members_added": [], "errors": [{"email_addresses": [CANARY.email], "error": "busy"}]}
    mailchimp.sandbox.fault(
        path="segments/[0-9]+$", times=None, action="status", status=200, body=body
    )
    for attempt in range(1, MOST_TRIES + 1):
        assert mailchimp.sync().rejected == 1
        [waiting] = rejects(mailchimp.shop.settings, audience=AUDIENCE, destination="mailchimp")
        assert (waiting.kind, waiting.attempts) == ("retry", attempt)
        assert (waiting.next_attempt_at is None) == (attempt == MOST_TRIES)
    assert mailchimp.sync().plan_id is None
    assert rejects(mailchimp.shop.settings, destination="meta") == []

    mailchimp.sandbox.clear_faults()
    changed = Person(CANARY.customer_id, CANARY.email, first_name="Canaria II")
    mailchimp.shop.publish([changed])
    assert mailchimp.sync().adds == 1


def test_case_12_a_removal_that_would_leave_too_few_stays_pending_and_is_told(meta: FaultCase):
    meta.publish(range(5))
    meta.sync()
    [audience_id] = meta.sandbox.truth()["meta"]["audiences"]
    meta.sandbox.post(f"/_meta/audiences/{audience_id}", {"minimum_size": 5})
    meta.publish(range(3))

    for attempt in (1, 2):
        before = len(meta.writes())
        assert meta.sync().rejected == 2
        assert len(meta.writes()) == before + 1
        pending = rejects(meta.shop.settings)
        assert {row.operation for row in pending} == {"remove"}
        assert {row.attempts for row in pending} == {attempt}
        assert all(row.next_attempt_at for row in pending)
    [standing] = activation.status(meta.shop.settings)
    assert standing.removals_pending == 2

    meta.sandbox.post(f"/_meta/audiences/{audience_id}", {"minimum_size": 0})
    meta.check()
    assert rejects(meta.shop.settings) == []


def test_case_13_a_removal_whose_connection_is_dropped_goes_in_smaller_calls_and_is_remembered(
    meta: FaultCase, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sizes, "SMALLEST", 8)
    monkeypatch.setattr(Meta, "batch_size", 64)
    meta.publish(range(200))
    meta.sync()
    meta.publish(range(100))
    meta.sandbox.fault(method="DELETE", when_bytes_over=2000, times=None, action="reset")

    assert meta.sync().removes == 100

    dropped = [call for call in meta.writes() if call["fault"]]
    assert len(dropped) == 2
    assert meta.there() == meta.expected()
    meta.publish(range(50))
    before = len(meta.writes())
    assert meta.sync().removes == 50
    assert [call for call in meta.writes()[before:] if call["fault"]] == []
    meta.check()


def test_case_13_a_connection_dropped_over_few_rows_makes_no_later_call_smaller(meta: FaultCase):
    meta.publish(range(5))
    meta.sandbox.fault(method="POST", path="users", action="reset")
    assert meta.sync().adds == 6
    assert not meta.shop.store.exists(f"{meta.folder}/sizes.json")
    meta.check()


def test_case_13_a_network_that_is_down_makes_no_later_call_smaller(
    meta: FaultCase,
):
    meta.publish(range(5))
    meta.sync()
    meta.publish(range(300))
    there = meta.shop.credentials["meta"]
    nowhere = {**there.extra, "base_url": "http://127.0.0.1:9/meta"}
    meta.shop.credentials["meta"] = replace(there, extra=nowhere)

    with pytest.raises(Retry, match="could not be reached"):
        meta.sync()

    assert not meta.shop.store.exists(f"{meta.folder}/sizes.json")
    meta.shop.credentials["meta"] = there
    meta.check()


def test_case_29_a_state_of_an_earlier_release_is_read_and_brought_up_to_date(case: FaultCase):
    twin = replace(*people([0]), customer_id="shop:twin")
    case.publish(range(4), extra=[twin])
    case.sync()
    path = Path(case.shop.store.locate(f"{case.folder}/state.parquet"))
    new = ["refused_operation", "reason", "next_attempt_at", "identity_key"]
    _take_off(path, new)
    _write_whole_md5s(path)
    for told in path.parents[1].glob("statuses-*.parquet"):
        _take_off(told, ["identity_key"])
    # It knew its state by no fingerprint either.
    ledger = Ledger(case.shop.store, case.destination, AUDIENCE)
    note = ledger.path(ledger.last_finished(), "finished.json")
    ledger.record(note, {"finished_at": ledger.recall(note)["finished_at"]})

    case.publish(range(2, 7), extra=[twin])
    synced = case.sync()
    assert (synced.adds, synced.updates, len(rejects(case.shop.settings))) == (3, 0, 0)
    assert case.there() == case.expected()
    case.check()
    assert set(new) <= set(duckdb.read_parquet(str(path)).columns)


def _write_whole_md5s(path: Path) -> None:
    older = path.with_name("older.parquet")
    rows = duckdb.read_parquet(str(path)).to_arrow_table().to_pylist()
    for row in rows:
        for name in NUMBERS:
            row[name] = f"{'f' * 16}{row[name].to_bytes(8, 'little').hex()}"
    casts = ", ".join(f"{name}::uuid as {name}" for name in NUMBERS)
    table = duckdb.from_arrow(pa.Table.from_pylist(rows)).project(f"* replace ({casts})")
    table.write_parquet(str(older))
    older.replace(path)


def _take_off(path: Path, columns: list[str]) -> None:
    older = path.with_name("older.parquet")
    without = f"* exclude ({', '.join(columns)})"
    duckdb.read_parquet(str(path)).project(without).write_parquet(str(older))
    older.replace(path)


def test_case_07_what_was_refused_is_a_table_that_dbt_knows_and_a_list_on_the_command_line(
    mailchimp: FaultCase, monkeypatch: pytest.MonkeyPatch
):
    fake = Person("shop:fake", "coal.mine.fake@example.com")
    mailchimp.refused.add(fake.mailchimp_id)
    mailchimp.publish(extra=[fake])
    mailchimp.sync()

    [source] = yaml.safe_load(SOURCES.read_text())["sources"]
    location = source["config"]["meta"]["external_location"].replace("{name}", "rejected_members")
    files = re.sub(r"{{.*}}", mailchimp.shop.settings.store, location)
    table = duckdb.read_parquet(files)
    described = {c["name"]: c["data_type"] for c in source["tables"][0]["columns"]}
    assert dict(zip(table.columns, map(str.lower, map(str, table.types)), strict=True)) == described
    row = table.project("customer_id, operation, code, class, attempts").fetchall()
    assert row == [("shop:fake", "add", "invalid_address", "fix_data", 1)]

    monkeypatch.setenv("REGULARS_HOME", str(mailchimp.shop.settings.home))
    command = ["rejects", "--audience", AUDIENCE, "--destination", "mailchimp", "--json"]
    told = CliRunner().invoke(app, command)
    mailchimp.hear(told.output)
    [shown] = json.loads(told.output)
    assert (shown["customer_id"], shown["reason"]) == (
        "shop:fake",
        "the address looks fake or invalid",
    )
    told = CliRunner().invoke(app, ["rejects", "--destination", "meta", "--json"])
    assert json.loads(told.output) == []
    mailchimp.check()
