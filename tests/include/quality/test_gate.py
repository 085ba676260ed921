from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine

from include.errors import GateFailed, Stop
from include.publishing import current, publish
from include.quality.gate import audience_gate, raw_gate
from include.quality.report import history
from include.store import Store
from include.warehouse import visit
from tests.include.built_shop import AS_OF, AUDIENCES, SHOP, change, settings_for

LINES = """
    insert into raw.order_lines by name
    select 'shop' as source, 'shop:' || i as order_id, '1' as line_id, 'shop:1' as customer_id,
        date '2026-01-31' - (i % 60)::integer as ordered_date,
        timestamp '2026-01-31' - to_days((i % 60)::integer) as ordered_at,
        'sku' as sku, 1 as quantity, 10 as gross_amount, 0 as discount_amount, 'GBP' as currency
    from range(600) as lines(i);
"""


DOCUMENTS = """
    insert into raw.orders by name
    select 'web' as source, 'web:' || i as order_id, 'web:1' as customer_id,
        date '2026-01-31' - (i % 60)::integer as ordered_date,
        timestamp '2026-01-31' - to_days((i % 60)::integer) as ordered_at, 'EUR' as currency,
        case when i % 10 = 0 then 'refunded' else 'paid' end as payment_status,
        10 as total_amount, timestamp '2026-01-31' as updated_at
    from range(600) as orders(i);
"""


@pytest.fixture(scope="module")
def built_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("built") / "home"
    with visit(settings_for(home)) as warehouse:
        warehouse.run("raw_tables")
    change(settings_for(home), LINES + DOCUMENTS + SHOP)
    return home


@pytest.fixture(scope="module")
def published_home(built_home, tmp_path_factory):
    home = tmp_path_factory.mktemp("published") / "home"
    shutil.copytree(built_home, home)
    raw_gate(settings_for(home), AS_OF, ["shop", "web"])
    audience_gate(settings_for(home), AS_OF, AUDIENCES)
    publish(settings_for(home), AS_OF)
    return home


@pytest.fixture
def settings(built_home, tmp_path):
    return settings_for(shutil.copytree(built_home, tmp_path / "home"))


@pytest.fixture
def published(published_home, tmp_path):
    return settings_for(shutil.copytree(published_home, tmp_path / "home"))


def broken_by(settings, statements):
    """What the audience gate says when the warehouse was changed so."""
    change(settings, statements)
    return audience_gate(settings, AS_OF, AUDIENCES)


def figures(report):
    return {(failure.severity, failure.figure) for failure in report.failures}


def test_sound_data_pass_both_gates(settings):
    assert raw_gate(settings, AS_OF, ["shop"]).verdict == "pass"
    assert audience_gate(settings, AS_OF, AUDIENCES).verdict == "pass"


def test_a_source_without_rows_is_refused_though_another_has_some(settings):
    with pytest.raises(GateFailed, match=r"Every declared source has rows.*newsletter: 0\)"):
        raw_gate(settings, AS_OF, ["shop", "newsletter"])


def test_a_catalogue_that_speaks_for_another_source_counts_as_there(settings):
    change(
        settings,
        "insert into raw.landed_files by name select 'catalogue' as source, 5 as row_count",
    )
    assert raw_gate(settings, AS_OF, ["shop", "catalogue"]).verdict == "pass"


def test_no_declared_source_is_refused(settings):
    with pytest.raises(GateFailed, match="no source is declared"):
        raw_gate(settings, AS_OF, [])


def test_a_gate_before_any_load_says_what_to_run(tmp_path):
    with pytest.raises(Stop, match="regulars ingest"):
        raw_gate(settings_for(tmp_path), AS_OF, ["shop"])
    change(settings_for(tmp_path), "create schema marts")
    with pytest.raises(GateFailed, match="regulars ingest"):
        audience_gate(settings_for(tmp_path), AS_OF, AUDIENCES)


def test_landed_rows_that_are_unsound_are_refused_by_name(settings):
    change(settings, LINES)
    change(settings, "update raw.order_lines set currency = null where order_id = 'shop:3'")
    with pytest.raises(GateFailed) as refusal:
        raw_gate(settings, date(2026, 5, 20), ["shop"])
    for figure in ("duplicate_key_count", "incomplete_line_share", "newest_order_age_days"):
        assert figure in str(refusal.value)


def test_prices_in_another_unit_wait_for_approval(settings):
    change(
        settings,
        "update raw.order_lines set gross_amount = 1000 where ordered_date > '2026-01-24'",
    )
    report = raw_gate(settings, AS_OF, ["shop"])
    assert report.verdict == "approve"
    assert ("warning", "week_amount_ratio") in figures(report)


def test_the_last_word_counts_though_the_clock_was_put_back(settings):
    raw_gate(settings, AS_OF, ["shop"])
    assert audience_gate(settings, AS_OF, AUDIENCES).verdict == "pass"
    change(
        settings,
        "update raw.order_lines set gross_amount = 1000 where ordered_date > '2026-01-24'",
    )
    with time_machine.travel(datetime.now(UTC) - timedelta(hours=1)):
        raw_gate(settings, AS_OF, ["shop"])
        assert audience_gate(settings, AS_OF, AUDIENCES).verdict == "approve"
        with pytest.raises(GateFailed, match="--accept"):
            publish(settings, AS_OF)


UNSOUND = {
    "is_built": "drop view audiences.vips",
    "customer_order_sum_difference": "update marts.customers set net_spend = net_spend + 1"
    " where customer_id = 'shop:1'",
    "order_after_as_of_count": "update marts.orders set ordered_date = '2026-02-01'"
    " where order_id = 'shop:5'",
    "customer_from_the_future_count": "update marts.customers set recency_days = -1"
    " where customer_id = 'shop:5'",
    "duplicate_key_count": "insert into marts.retention_cohorts from marts.retention_cohorts",
    "missing_key_count": "update marts.order_lines set line_number = null"
    " where order_id = 'shop:1'",
    "stranger_count": "insert into marts.audience_members"
    " values ('vips', 'shop:999', '2026-01-31')",
    "duplicate_member_count": "insert into marts.audience_members"
    " values ('vips', 'shop:3', '2026-01-31')",
    "undeclared_membership_count": "insert into marts.desired_memberships"
    " values ('mailchimp', 'summer', 'shop:3')",
    "duplicate_membership_count": "insert into marts.desired_memberships"
    " values ('mailchimp', 'vips', 'shop:3')",
    "held_out_membership_count": "insert into marts.desired_memberships"
    " values ('mailchimp', 'vips', 'shop:1')",
    "unconsented_count": "update marts_private.contacts set has_email_consent = null"
    " where customer_id = 'shop:4'",
    "suppressed_count": "update marts_private.contacts set suppressed_reason = 'erased'"
    " where customer_id = 'shop:4'",
    "membership_without_member_count": "delete from marts.audience_members"
    " where customer_id = 'shop:6'",
}


def test_a_build_that_is_unsound_is_refused_and_each_reason_is_named(settings):
    with pytest.raises(GateFailed) as refusal:
        broken_by(settings, ";".join(UNSOUND.values()))
    report = next(history(Store(settings.store), "audience"))
    named = {figure for severity, figure in figures(report) if severity == "critical"}
    assert named == UNSOUND.keys()
    assert all(figure in str(refusal.value) for figure in UNSOUND)


def test_a_build_without_customers_is_refused(settings):
    with pytest.raises(GateFailed, match="There are customers"):
        broken_by(settings, "delete from marts.customers")


def test_a_fall_against_the_last_snapshot_is_refused(published):
    with pytest.raises(GateFailed) as refusal:
        broken_by(
            published,
            "delete from marts.orders where customer_id is null or customer_id > 'shop:5';"
            "update marts.customers set has_email_consent = false where customer_id > 'shop:5'",
        )
    assert "order_count_change" in str(refusal.value)
    assert "email_consent_share_change" in str(refusal.value)


def test_a_move_beyond_the_limits_waits_for_approval(published):
    report = broken_by(
        published,
        """
        delete from marts.audience_members where audience = 'vips';
        delete from marts.desired_memberships where audience = 'vips';
        update marts.customers set has_ads_consent = false where customer_id > 'shop:5';
        insert into marts.orders by name
        select orders.* replace (null as customer_id, order_id || '-' || i as order_id)
        from marts.orders cross join range(3) as again(i)
        """,
    )
    assert report.verdict == "approve"
    assert figures(report) >= {
        ("warning", "member_count_change"),
        ("warning", "ads_consent_share_change"),
        ("warning", "order_count_change"),
    }


def test_going_back_in_time_waits_for_approval(published):
    change(
        published,
        "update marts.orders set ordered_date = ordered_date - 3;"
        "update marts.customers set recency_days = recency_days + 1",
    )
    report = audience_gate(published, date(2026, 1, 30), AUDIENCES)
    assert ("warning", "days_since_previous_as_of") in figures(report)


def test_a_source_that_loses_landed_orders_is_refused(published):
    change(published, "delete from raw.order_lines where hash(order_id) % 2 = 0")
    with pytest.raises(GateFailed, match="order_line_count_change"):
        raw_gate(published, AS_OF, ["shop"])


CHANGED_MEANINGS = {
    "median_order_sum_change": "update raw.orders set total_amount = 100 * total_amount",
    "unknown_status_share": "update raw.orders set payment_status = upper(payment_status)",
    "order_count_change": "delete from raw.orders where order_id < 'web:4'",
    "incomplete_order_share": "update raw.orders set currency = null",
}


@pytest.mark.parametrize("figure", CHANGED_MEANINGS)
def test_a_field_of_order_documents_that_changes_its_meaning_is_refused(published, figure):
    change(published, CHANGED_MEANINGS[figure])
    with pytest.raises(GateFailed, match=figure):
        raw_gate(published, AS_OF, ["web"])


RECENT_MEANINGS = {
    "week_amount_ratio": "update raw.orders set total_amount = 1000",
    "week_status_ratio": "update raw.orders set payment_status = 'pending'",
}


@pytest.mark.parametrize("figure", RECENT_MEANINGS)
def test_a_field_that_means_something_else_since_this_week_waits_for_approval(settings, figure):
    change(settings, f"{RECENT_MEANINGS[figure]} where ordered_date > '2026-01-24'")
    report = raw_gate(settings, AS_OF, ["web"])
    assert report.verdict == "approve"
    assert figures(report) == {("warning", figure)}


def test_a_handful_is_not_compared_with_a_handful(settings):
    few = "delete from marts.audience_members where audience = 'vips' and customer_id > 'shop:2';"
    few += "delete from marts.desired_memberships where audience = 'vips';"
    broken_by(settings, few)
    publish(settings, AS_OF)
    assert (
        broken_by(settings, "delete from marts.audience_members where audience = 'vips'").verdict
        == "pass"
    )


def test_what_the_raw_gate_warns_of_stands_in_the_audience_report(settings):
    change(
        settings, "update raw.order_lines set gross_amount = 1000 where ordered_date > '2026-01-24'"
    )
    raw_gate(settings, AS_OF, ["shop"])
    report = audience_gate(settings, AS_OF, AUDIENCES)
    assert report.verdict == "approve"
    assert set(report.profile) == {"sources", "shop", "tables", "segments", "audiences"}


def test_the_first_report_has_no_changes_to_judge_and_every_expectation_finds_its_figure(settings):
    report = audience_gate(settings, AS_OF, AUDIENCES)
    raw = raw_gate(settings, AS_OF, ["shop"])
    for outcome in (*report.outcomes, *raw.outcomes):
        profile = (report.profile | raw.profile)[outcome.suite]
        assert all(outcome.figure in record for record in profile), outcome.figure
        assert outcome.advice
    descriptions = [outcome.expectation for outcome in report.outcomes + raw.outcomes]
    suites = [outcome.suite for outcome in report.outcomes + raw.outcomes]
    assert len(set(zip(suites, descriptions, strict=True))) == len(descriptions)


def test_a_refusal_leaves_a_report_for_machines_and_a_page_that_needs_nothing_else(settings):
    with pytest.raises(GateFailed) as refusal:
        broken_by(settings, "drop view audiences.vips")
    store = Store(settings.store)
    [name, page] = reversed(store.list("quality/audience"))
    assert f"quality/audience/{page}" in str(refusal.value)
    report = json.loads(store.read(f"quality/audience/{name}"))
    [failure] = [outcome for outcome in report["outcomes"] if not outcome["is_met"]]
    assert failure["severity"] == "critical"
    assert failure["observed"] == "vips: 0"
    html = store.read(f"quality/audience/{page}").decode()
    assert "Every declared audience has its model." in html
    assert not re.search(r"(src|href)=|https?://|@import|url\(", html)


def test_no_report_holds_an_address(settings):
    raw_gate(settings, AS_OF, ["shop"])
    with pytest.raises(GateFailed) as refusal:
        broken_by(settings, "update marts_private.contacts set has_email_consent = false")
    assert "canary" not in str(refusal.value)
    store = Store(settings.store)
    for gate in ("raw", "audience"):
        for name in store.list(f"quality/{gate}"):
            assert b"canary" not in store.read(f"quality/{gate}/{name}")


def test_whoever_runs_no_gate_does_not_wait_for_great_expectations():
    loaded = "import include.quality.gate, sys; sys.exit('great_expectations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded], check=False).returncode == 0


def test_nothing_is_published_when_a_gate_refuses(settings):
    with pytest.raises(GateFailed):
        broken_by(settings, "delete from marts.customers")
    with pytest.raises(GateFailed):
        publish(settings, AS_OF)
    assert current(Store(settings.store)) is None
