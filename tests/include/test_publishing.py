from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import signal
import stat
import sys
import uuid
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from include.errors import BadInput, GateFailed, Retry, Stop
from include.publishing import ANALYTICS, CURRENT, current, publish
from include.quality.builds import fingerprint
from include.quality.report import GateReport, Outcome, save
from include.store import Store
from include.warehouse import visit
from tests.include.built_shop import AS_OF, SHOP, change, settings_for

TABLES = {
    "consents",
    "customer_identities",
    "customers", "orders", "order_lines", "contacts", "audience_members", "held_out",
    "desired_memberships", "membership_decisions", "retention_cohorts", "monthly_kpis",
}  # fmt: skip


@pytest.fixture(params=["folder", "object store"])
def settings(request, tmp_path):
    url = None if request.param == "folder" else f"memory://{uuid.uuid4()}"
    return built(settings_for(tmp_path / "home", store_url=url))


@pytest.fixture
def local(tmp_path):
    return built(settings_for(tmp_path / "home", keep_snapshots=2))


def built(settings):
    change(settings, SHOP)
    return settings


def judged(settings, severity=None, as_of=AS_OF):
    """The audience gate's word on what is built: it passes, or one expectation is not met."""
    with visit(settings, read_only=True) as warehouse:
        build = fingerprint(warehouse, as_of)
    outcome = Outcome(
        suite="shop",
        expectation="There are customers.",
        figure="customer_count",
        limit="at least 1",
        observed="shop: 0",
        severity=severity or "info",
        is_met=severity is None,
        advice="Look.",
    )
    now = datetime.now(UTC)
    report = GateReport(
        report_id=now.strftime("%Y%m%dT%H%M%S%fZ"),
        gate="audience",
        as_of=as_of,
        created_at=now,
        build=build,
        previous_snapshot_id=None,
        outcomes=(outcome,),
        profile={"shop": [{"subject": "shop", "customer_count": 72}]},
    )
    save(Store(settings.store), report)
    return report.report_id


def published(settings):
    judged(settings)
    return publish(settings, AS_OF)


def another_build(settings):
    change(settings, "insert into marts.held_out values ('vips', gen_random_uuid(), '2026-01-31')")
    return settings


def test_every_mart_appears_with_its_rows_its_checksum_and_nobody_elses_eyes(settings):
    snapshot = published(settings)
    assert snapshot.snapshot_id == current(Store(settings.store)).snapshot_id
    assert snapshot.tables.keys() == TABLES
    assert snapshot.as_of == AS_OF
    assert snapshot.versions.keys() == {"regulars", "dbt", "duckdb", "models"}
    for name, table in snapshot.tables.items():
        rows = duckdb.read_parquet(snapshot.path(name)).shape[0]
        assert rows == table.rows > 0
        assert stat.S_IMODE(os.stat(snapshot.path(name)).st_mode) == 0o600
    snapshot.verify()
    assert snapshot.report().profile["shop"][0]["customer_count"] == 72


def test_types_survive_publishing(local):
    customers = duckdb.read_parquet(published(local).path("customers"))
    assert dict(zip(customers.columns, map(str, customers.types), strict=True)) == {
        "customer_id": "VARCHAR",
        "order_count": "BIGINT",
        "net_spend": "DECIMAL(38,4)",
        "recency_days": "BIGINT",
        "rfm_segment": "VARCHAR",
        "is_vip": "BOOLEAN",
        "is_lapsed": "BOOLEAN",
        "has_email_consent": "BOOLEAN",
        "has_ads_consent": "BOOLEAN",
    }


def test_analysts_get_the_marts_with_their_descriptions_but_no_personal_data(settings, tmp_path):
    snapshot = published(settings)
    file = tmp_path / "analytics.duckdb"
    file.write_bytes(Store(settings.store).read(ANALYTICS))
    with duckdb.connect(str(file), read_only=True) as analytics:
        tables = dict(analytics.sql("select table_name, comment from duckdb_tables()").fetchall())
        comments = analytics.sql(
            "select comment from duckdb_columns() where column_name = 'net_spend'"
        ).fetchall()
        label = analytics.sql("select snapshot_id, as_of from snapshot").fetchone()
    assert tables.keys() == TABLES - {"contacts"} | {"snapshot"}
    assert tables["customers"] == """One row per customer; the shop's "own" view."""
    assert comments == [("What is left after discounts and refunds.",)]
    assert label == (snapshot.snapshot_id, AS_OF)
    assert b"canary" not in file.read_bytes()


def test_publishing_an_unchanged_build_again_changes_nothing(settings):
    first = published(settings)
    before = Store(settings.store).read(CURRENT)
    change(settings, "create table marts.again as from marts.customers order by customer_id desc;"
                     "truncate marts.customers; insert into marts.customers from marts.again;"
                     "drop table marts.again")  # fmt: skip
    assert publish(settings, AS_OF).snapshot_id == first.snapshot_id
    assert Store(settings.store).read(CURRENT) == before


def test_the_same_rows_make_the_same_files(local, tmp_path):
    first = published(local)
    second = published(built(settings_for(tmp_path / "elsewhere")))
    assert second.tables == first.tables


def test_a_new_description_is_a_new_build(local):
    first = published(local)
    change(local, "comment on table marts.orders is 'One row per order.'")
    assert published(local).snapshot_id > first.snapshot_id


def test_what_no_gate_has_judged_is_not_published(settings):
    with pytest.raises(GateFailed, match="never judged"):
        publish(settings, AS_OF)
    judged(settings)
    with pytest.raises(GateFailed, match="never judged"):
        publish(settings, date(2026, 2, 1))
    another_build(settings)
    with pytest.raises(GateFailed, match="never judged"):
        publish(settings, AS_OF)
    assert current(Store(settings.store)) is None


def test_what_a_gate_refused_is_not_published_and_cannot_be_accepted(settings):
    refused = judged(settings, "critical")
    with pytest.raises(GateFailed, match="There are customers"):
        publish(settings, AS_OF)
    with pytest.raises(BadInput, match="mend"):
        publish(settings, AS_OF, accept=refused)


def test_a_later_refusal_of_the_same_build_counts_more_than_an_earlier_pass(local):
    judged(local)
    judged(local, "critical")
    with pytest.raises(GateFailed):
        publish(local, AS_OF)


def test_a_warning_waits_for_a_person_whose_word_is_kept_and_is_about_this_build(settings):
    asked = judged(settings, "warning")
    with pytest.raises(GateFailed, match=f"--accept {asked}"):
        publish(settings, AS_OF)
    with pytest.raises(GateFailed, match="not about this build"):
        publish(settings, AS_OF, accept="20260101T000000000000Z")
    assert publish(settings, AS_OF, accept=asked).build
    assert Store(settings.store).exists(f"quality/audience/{asked}.accepted.json")
    another_build(settings)
    judged(settings, "warning")
    with pytest.raises(GateFailed, match="not about this build"):
        publish(settings, AS_OF, accept=asked)


def test_old_snapshots_go_but_never_one_that_an_unfinished_plan_needs(local):
    store = Store(local.store)
    first, second = published(local), published(another_build(local))
    for snapshot, plan in ((first, "a"), (second, "b")):
        folder = f"activation/mailchimp/vips/plans/{plan}"
        store.write(
            f"{folder}/plan.json", json.dumps({"snapshot_id": snapshot.snapshot_id}).encode()
        )
    store.write("activation/mailchimp/vips/plans/b/finished.json", b"{}")
    for _ in range(2):
        last = published(another_build(local))
    there = {name for name in store.list("published") if name.endswith("Z")}
    assert there == {first.snapshot_id, *last.kept, last.snapshot_id}
    assert second.snapshot_id not in there
    assert len(there) == 3
    store.write("activation/mailchimp/vips/plans/a/finished.json", b"{}")
    published(another_build(local))
    assert not store.exists(first.folder)


def test_what_a_killed_process_was_writing_anywhere_goes_with_the_next_publish(local):
    left = Path(local.store) / "inbox/hooks/.writing-call"
    left.parent.mkdir(parents=True)
    left.touch()
    os.utime(left, (0, 0))
    published(local)
    assert not left.exists()


def test_a_snapshot_after_the_clock_was_put_back_still_sorts_last(local):
    store = Store(local.store)
    first = published(local)
    ahead = first.model_copy(update={"published_at": datetime(2099, 1, 1, tzinfo=UTC)})
    store.write(CURRENT, ahead.model_dump_json().encode())
    assert published(another_build(local)).snapshot_id > "20990101T"


def test_a_file_that_was_changed_or_lost_is_named(settings):
    snapshot = published(settings)
    store = Store(settings.store)
    store.write(f"{snapshot.folder}/orders.parquet", b"something else")
    with pytest.raises(Stop, match=r"orders\.parquet"):
        current(store).verify()
    with pytest.raises(Stop, match="no table nonsense"):
        snapshot.path("nonsense")


def test_a_record_that_is_damaged_is_named_with_what_to_put_in_its_place(local):
    snapshot = published(local)
    store = Store(local.store)
    store.write(CURRENT, store.read(CURRENT)[:100])
    with pytest.raises(Stop, match=r"published/current\.json is damaged.*snapshot\.json"):
        current(store)
    store.write(CURRENT, store.read(f"{snapshot.folder}/snapshot.json"))
    assert current(store).snapshot_id == snapshot.snapshot_id


def test_two_publishers_do_not_meet(local):
    judged(local)
    with visit(local, read_only=True), (local.home / "publishing.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Retry, match="under way"):
            publish(local, AS_OF)


def test_an_analyst_who_holds_the_old_file_open_does_not_stop_a_publish(local):
    first = published(local)
    with duckdb.connect(Store(local.store).locate(ANALYTICS), read_only=True) as analyst:
        published(another_build(local))
        assert analyst.sql("select snapshot_id from snapshot").fetchone() == (first.snapshot_id,)


STEPS = {"os.rename", "shutil.rmtree"}


def publish_and_die(settings, step):
    """Publish in a process that is killed just before its nth change to the store."""
    seen = 0

    def kill(event, _):
        nonlocal seen
        if event in STEPS:
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(kill)
    publish(settings, AS_OF)


def test_killed_at_any_step_the_old_snapshot_stays_or_the_new_one_is_whole(local):
    change(local, "drop table marts.order_lines; drop table marts.audience_members;"
                  "drop table marts.monthly_kpis; drop table marts.retention_cohorts;"
                  "drop table marts.desired_memberships")  # fmt: skip
    published(local)
    published(another_build(local))
    store = Store(local.store)
    step, exit_code = 0, -signal.SIGKILL
    while exit_code == -signal.SIGKILL:
        step += 1
        old = current(store)
        judged(another_build(local))
        process = multiprocessing.get_context("fork").Process(
            target=publish_and_die, args=(local, step)
        )
        process.start()
        process.join()
        exit_code = process.exitcode
        found = current(store)
        found.verify()
        assert old.snapshot_id in (found.snapshot_id, found.previous_snapshot_id)

        clean = publish(local, AS_OF)
        clean.verify()
        folders = {name for name in os.listdir(store.locate("published")) if name[0] != "a"}
        assert folders == {"current.json", clean.snapshot_id, *clean.kept}
    assert exit_code == 0
    assert step > 10
