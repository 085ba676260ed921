"""What the tasks of `sync_audiences` do, against a running sandbox."""

from __future__ import annotations

import json

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from include.errors import GuardBreached, Reauthorise
from regulars_airflow import syncing
from tests.include.activation.shop import people

AUDIENCE = "lapsed_vips"


def run(destination: str, *, dry_run: bool = False) -> dict:
    """The three tasks in a row; the plan."""
    plan = syncing.plan(AUDIENCE, destination)
    if syncing.may_be_sent(plan, dry_run=dry_run):
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


def test_a_plan_that_changes_too_much_is_held_up_before_anything_is_sent(shop):
    shop.publish(people(range(20)))
    run("mailchimp")
    shop.publish(people(range(5)))
    plan = syncing.plan(AUDIENCE, "mailchimp")
    with pytest.raises(GuardBreached, match="would remove 15 of 20"):
        syncing.may_be_sent(plan, dry_run=False)
    assert len(shop.sandbox.tagged(AUDIENCE)) == 20


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
