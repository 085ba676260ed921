"""A list that was switched off keeps its members, until a person has them all taken out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from include.activation import sync as activation
from include.activation.audiences import Guard, get_audience
from include.cli import app
from include.errors import BadInput, GuardBreached, Reauthorise
from tests.include.activation.shop import Person, Shop, audience, people
from tests.plugins.conftest import connect

# Declared without destinations; in these tests it once had some.
OFF = "birthday"
ON = "lapsed_vips"
EVERYBODY = people(range(6))
both = pytest.mark.parametrize("destination", ["mailchimp", "meta"])


def fill(shop: Shop, destination: str, name: str = OFF) -> None:
    """The snapshot still wants everybody, as it does until the next build."""
    shop.publish(EVERYBODY, audience=name)
    shop.sync(destination, audience(name))


def empty(shop: Shop, destination: str, name: str = OFF, **options: Any) -> activation.SyncSummary:
    declared = activation.leaving(shop.settings, name, destination)
    return shop.sync(destination, declared, empty=True, **options)


def asked_for(shop: Shop, destination: str) -> str:
    """The hash that lets everybody out."""
    with pytest.raises(GuardBreached) as error:
        empty(shop, destination)
    assert "would take out everybody: remove 6 of 6 held" in str(error.value)
    way_out, _, plan_hash = str(error.value).rpartition(" --approve ")
    assert way_out.endswith(f"--audience {OFF} --destination {destination} --empty")
    return plan_hash


@both
def test_everybody_leaves_once_a_person_has_approved_and_nobody_before(
    shop: Shop, destination: str
):
    fill(shop, destination)
    plan_hash = asked_for(shop, destination)
    assert asked_for(shop, destination) == plan_hash
    with pytest.raises(GuardBreached, match="look at it again"):
        empty(shop, destination, approve="0" * 12)
    assert len(shop.there(destination, OFF)) == 6

    emptied = empty(shop, destination, approve=plan_hash)

    assert (emptied.adds, emptied.updates, emptied.removes) == (0, 0, 6)
    assert shop.there(destination, OFF) == shop.held(destination, OFF) == set()
    assert empty(shop, destination).plan_id is None


def test_who_leaves_mailchimp_stays_subscribed_and_in_other_audiences(shop: Shop):
    fill(shop, "mailchimp")
    fill(shop, "mailchimp", ON)
    empty(shop, "mailchimp", approve=asked_for(shop, "mailchimp"))
    assert {member["status"] for member in shop.sandbox.members().values()} == {"subscribed"}
    assert len(shop.there("mailchimp", ON)) == 6


@pytest.mark.parametrize("on_breach", ["block", "approval"])
def test_a_guard_that_allows_or_blocks_all_changes_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, on_breach: str
):
    fill(shop, "meta")
    guard = Guard(max_removed_percent=100, min_members=0, on_breach=on_breach)
    off = get_audience(OFF).model_copy(update={"guard": guard})
    monkeypatch.setattr(activation, "load_audiences", lambda: {OFF: off})
    empty(shop, "meta", approve=asked_for(shop, "meta"))
    assert shop.there("meta", OFF) == set()


def test_an_emptying_that_broke_off_is_finished_without_another_approval(shop: Shop):
    fill(shop, "meta")
    plan_hash = asked_for(shop, "meta")
    shop.revoked("meta")
    with pytest.raises(Reauthorise):
        empty(shop, "meta", approve=plan_hash)
    shop.restored("meta")
    assert empty(shop, "meta", approve=plan_hash).removes == 6
    assert shop.there("meta", OFF) == set()


def test_a_list_that_was_switched_on_again_is_filled_again(shop: Shop):
    fill(shop, "mailchimp")
    empty(shop, "mailchimp", approve=asked_for(shop, "mailchimp"))
    fill(shop, "mailchimp")
    assert len(shop.there("mailchimp", OFF)) == 6


def test_who_is_wanted_by_nobody_any_more_leaves_although_the_contact_is_gone(shop: Shop):
    fill(shop, "meta")
    shop.publish([Person("shop:99", "other@shop.test")], audience=ON)
    empty(shop, "meta", approve=asked_for(shop, "meta"))
    assert shop.there("meta", OFF) == set()


def test_only_what_was_switched_off_can_be_emptied(shop: Shop):
    fill(shop, "meta", ON)
    with pytest.raises(BadInput, match=f"audience {ON} goes to meta"):
        activation.leaving(shop.settings, ON, "meta")
    for name, destination in ((OFF, "meta"), (ON, "webhook"), ("../../x", "meta")):
        with pytest.raises(BadInput, match="nobody was ever sent"):
            activation.leaving(shop.settings, name, destination)


def test_an_audience_that_is_declared_no_longer_can_be_emptied_too(shop: Shop):
    fill(shop, "meta", "forgotten_friends")
    with pytest.raises(GuardBreached) as error:
        empty(shop, "meta", "forgotten_friends")
    empty(shop, "meta", "forgotten_friends", approve=str(error.value).rpartition(" ")[2])
    assert shop.there("meta", "forgotten_friends") == set()


def test_the_command_line_names_the_list_the_counts_and_the_hash(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    fill(shop, "mailchimp")
    fill(shop, "mailchimp", ON)
    monkeypatch.setenv("REGULARS_HOME", str(shop.settings.home))
    connect(monkeypatch, "mailchimp", shop.credentials["mailchimp"])
    one = ("--audience", OFF, "--destination", "mailchimp", "--empty")

    standings = {row["audience"]: row for row in json.loads(call("status", "--json").stdout)}
    assert {name: row["switched_off"] for name, row in standings.items()} == {OFF: True, ON: False}
    assert "--empty" in call("status").stdout
    assert "name its --audience" in str(call("sync", "--empty").exception)
    [plan] = json.loads(call("plan", *one, "--json").stdout)
    assert (plan["removes"], plan["decision"], len(plan["examples"])) == (6, "approval", 6)
    refused = call("sync", *one)
    assert refused.exit_code == 1
    assert f"--empty --approve {plan['plan_hash']}" in " ".join(refused.stderr.split())
    assert len(shop.there("mailchimp", OFF)) == 6

    [sent] = json.loads(call("sync", *one, "--approve", plan["plan_hash"], "--json").stdout)

    assert sent["removes"] == 6
    assert shop.there("mailchimp", OFF) == set()
    assert "--empty" not in call("status").stdout


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)
