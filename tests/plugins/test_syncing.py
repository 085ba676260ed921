"""What the tasks of `sync_audiences` do, against a running sandbox."""

from __future__ import annotations

import json
import re
from hashlib import md5
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from include.errors import GuardBreached, Reauthorise
from regulars_airflow import syncing
from tests.include.activation.shop import people

AUDIENCE = "lapsed_vips"


def run(destination: str, *, dry_run: bool = False) -> dict:
    """The three tasks in a row; the plan."""
    plan = syncing.plan(AUDIENCE, destination)
    if syncing.has_work(plan, dry_run=dry_run) and not syncing.needs_a_person(plan):
        syncing.send(plan)
    return plan


def test_a_run_brings_the_destination_in_line_and_a_second_one_sends_nothing(shop):
    wanted = people(range(5))
    shop.publish(wanted)
    assert run("mailchimp")["adds"] == 5
    assert shop.sandbox.tagged(AUDIENCE) == {person.mailchimp_id for person in wanted}
    assert run("mailchimp")["plan_id"] is None


def test_a_dry_run_sends_nothing(shop):
    shop.publish(people(range(5)))
    assert run("mailchimp", dry_run=True)["adds"] == 5
    assert shop.sandbox.members() == {}


def test_an_audience_skips_a_destination_it_does_not_go_to(shop):
    shop.publish(people(range(5)), audience="mailable_customers")
    with pytest.raises(AirflowSkipException, match="does not go to meta"):
        syncing.plan("mailable_customers", "meta")


@pytest.fixture
def held_up(shop) -> dict:
    """A plan that would remove most of those who are held."""
    everybody = people(range(20))
    shop.publish(everybody)
    run("mailchimp")
    shop.publish(everybody[:5], others=everybody[5:])
    return syncing.plan(AUDIENCE, "mailchimp")


def test_a_plan_that_changes_too_much_is_not_sent_before_a_person_approves_it(shop, held_up):
    assert syncing.needs_a_person(held_up)
    with pytest.raises(GuardBreached, match="would remove 15 of 20"):
        syncing.send(held_up)
    assert len(shop.sandbox.tagged(AUDIENCE)) == 20
    with pytest.raises(GuardBreached, match="look at it again"):
        syncing.approve(held_up, "0123456789ab", by="ann")
    syncing.approve(held_up, held_up["plan_hash"], by="ann")
    assert not syncing.needs_a_person(held_up)
    syncing.send(held_up)
    assert len(shop.sandbox.tagged(AUDIENCE)) == 5
    [approval] = shop.store.filesystem.glob(shop.store.locate("activation/**/approval.json"))
    assert json.loads(Path(approval).read_text())["approved_by"] == "ann"


def test_a_person_is_shown_counts_reasons_and_twenty_examples_but_nobody(shop, held_up):
    shown = syncing.question(held_up)
    assert "would remove 15 of 20 held (75 %" in shown
    assert "| 5 | 20 | 0 | 0 | 15 |" in shown
    assert shown.count("| remove | no consent (ads), no consent (email) |") == 15
    assert f"--approve {held_up['plan_hash']}" in shown
    assert md5(b"shop:19").hexdigest()[:12] in shown
    assert not re.search(r"@|shop:\d|person\d|[0-9a-f]{32}", shown)


def test_whoever_is_added_is_shown_with_the_reason_but_without_its_figures(shop):
    shop.publish(people(range(30)))
    assert (
        syncing.question(syncing.plan(AUDIENCE, "meta")).count("| add | silent for # days |") == 20
    )


def test_who_looks_at_a_plan_does_not_replace_it(shop, held_up):
    assert syncing.plan(AUDIENCE, "mailchimp") == held_up
    syncing.approve(held_up, held_up["plan_hash"], by=None)
    assert syncing.plan(AUDIENCE, "mailchimp")["approved"]


def test_an_approval_of_a_plan_that_another_run_has_replaced_is_left_to_that_run(shop, held_up):
    shop.publish(people(range(4)))
    newer = syncing.plan(AUDIENCE, "mailchimp")
    with pytest.raises(AirflowSkipException, match="replaced"):
        syncing.approve(held_up, held_up["plan_hash"], by=None)
    assert syncing.needs_a_person(newer)


def test_a_plan_that_was_approved_by_hand_meanwhile_is_done(shop, held_up):
    syncing.approve(held_up, held_up["plan_hash"], by=None)
    syncing.send(held_up)
    syncing.approve(held_up, held_up["plan_hash"], by="ann")
    before = len(shop.sandbox.calls())
    syncing.send(held_up)
    assert len(shop.sandbox.calls()) == before


def test_a_plan_that_another_run_has_replaced_is_left_to_that_run(shop):
    shop.publish(people(range(5)))
    replaced = syncing.plan(AUDIENCE, "mailchimp")
    shop.publish(people(range(6)))
    assert run("mailchimp")["adds"] == 6
    with pytest.raises(AirflowSkipException, match="replaced"):
        syncing.send(replaced)


def test_a_task_that_is_run_again_sends_nothing_again(shop):
    shop.publish(people(range(5)))
    plan = syncing.plan(AUDIENCE, "mailchimp")
    syncing.send(plan)
    before = len(shop.sandbox.calls())
    syncing.send(plan)
    assert len(shop.sandbox.calls()) == before


def test_tasks_exchange_counts_and_ids_only(shop):
    shop.publish(people(range(5)))
    plan = syncing.plan(AUDIENCE, "meta")
    exchanged = json.dumps([plan, syncing.send(plan)])
    assert "person" not in exchanged
    assert "@" not in exchanged


def test_a_run_that_finishes_an_older_plan_goes_on_to_the_newest_snapshot(shop):
    shop.publish(people(range(5)))
    begun = syncing.plan(AUDIENCE, "mailchimp")
    shop.sandbox.fault(action="status", status=401, path="segments/", method="POST", times=None)
    with pytest.raises(Reauthorise):
        syncing.send(begun)
    shop.sandbox.clear_faults()
    wanted = people(range(2, 7))
    shop.publish(wanted)
    assert run("mailchimp")["resumed"]
    assert shop.sandbox.tagged(AUDIENCE) == {person.mailchimp_id for person in wanted}
