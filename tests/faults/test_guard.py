"""Cases 21 and 32: what must not be sent, or not before a person has looked at it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.context import OutletEventAccessors
from typer.testing import CliRunner

from include.activation.audiences import Guard
from include.cli import app
from include.errors import GuardBreached, Stop
from regulars_airflow import building
from regulars_airflow.assets import AUDIENCES
from tests.include.activation.shop import Person, Shop, audience, people
from tests.plugins.conftest import connect
from tests.sandbox_server import Sandbox, start_sandbox

EVERYBODY = people(range(10))
both = pytest.mark.parametrize("destination", ["mailchimp", "meta"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def shop(server: Sandbox, tmp_path: Path) -> Shop:
    server.reset()
    return Shop(tmp_path, server)


def writes(shop: Shop) -> int:
    return sum(call["method"] != "GET" for call in shop.sandbox.calls())


def there(shop: Shop, destination: str) -> int:
    return len(shop.there(destination))


@both
def test_case_21_an_older_snapshot_never_overwrites_a_newer_one(shop: Shop, destination: str):
    now = datetime.now(UTC)
    shop.publish(EVERYBODY, published_at=now)
    shop.sync(destination)
    before = writes(shop)
    for days in (3, 2, 1):
        shop.publish(EVERYBODY[:days], published_at=now - timedelta(days=days))
        with pytest.raises(Stop, match="older than the one"):
            shop.sync(destination)
    assert writes(shop) == before
    assert there(shop, destination) == 10


def test_case_21_a_backfill_of_three_days_publishes_nothing_and_starts_no_sync(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    shop.publish(EVERYBODY)
    monkeypatch.setenv("REGULARS_HOME", str(shop.settings.home))
    current = shop.store.read("published/current.json")
    for day in ("2026-01-28", "2026-01-29", "2026-02-01"):
        events = OutletEventAccessors()
        with pytest.raises(AirflowSkipException):
            building.publish(day, SimpleNamespace(run_type="backfill"), events)
        assert events[AUDIENCES].partition_keys == set()
    assert shop.store.read("published/current.json") == current


@both
@pytest.mark.parametrize(
    ("guard", "held", "wanted", "reason"),
    [
        (Guard(), 10, 0, "would remove 10 of 10 held (100 %, limit 30 %)"),
        (Guard(), 10, 0, "the audience is empty (minimum 1)"),
        (Guard(), 10, 4, "would remove 6 of 10 held (60 %, limit 30 %)"),
        (Guard(max_removed=2), 10, 7, "would remove 3 members (limit 2)"),
        (Guard(max_added_percent=100), 3, 10, "would add 7 of 3 held (233.3 %, limit 100 %)"),
        (Guard(max_added=4), 5, 10, "would add 5 members (limit 4)"),
        (Guard(max_first_sync=9), 0, 10, "would add 10 members where nobody is held yet (limit 9)"),
        (Guard(max_members=9), 5, 10, "the audience has 10 members (maximum 9)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("on_breach", ["block", "approval"])
def test_case_32_a_plan_beyond_a_limit_is_stopped_before_its_first_call(
    shop: Shop,
    destination: str,
    guard: Guard,
    held: int,
    wanted: int,
    reason: str,
    on_breach: str,
):
    declared = audience(guard=guard.model_copy(update={"on_breach": on_breach}))
    if held:
        shop.publish(EVERYBODY[:held])
        shop.sync(destination)
    before = writes(shop)
    shop.publish(EVERYBODY[:wanted], others=EVERYBODY[wanted:])
    for _ in range(2):
        with pytest.raises(GuardBreached) as error:
            shop.sync(destination, declared)
        assert reason in str(error.value)
    assert writes(shop) == before
    assert held == 0 or there(shop, destination) == held


@both
def test_case_32_a_snapshot_that_is_stale_waits(shop: Shop, destination: str):
    shop.publish(EVERYBODY, published_at=datetime.now(UTC) - timedelta(hours=30))
    hasty = audience(guard=Guard(max_snapshot_age_days=1))
    with pytest.raises(GuardBreached, match=r"the snapshot is 1\.[23] days old"):
        shop.sync(destination, hasty)
    assert writes(shop) == 0
    assert shop.sync(destination, audience(guard=Guard())).adds == 10


@both
def test_case_32_only_the_hash_of_the_plan_that_was_looked_at_lets_it_through(
    shop: Shop, destination: str
):
    declared = audience(guard=Guard())
    shop.publish(EVERYBODY)
    shop.sync(destination, declared)
    looked_at = held_up(shop, destination, EVERYBODY[:4])
    now_waiting = held_up(shop, destination, EVERYBODY[:3])
    assert now_waiting != looked_at
    for other in (looked_at, "", now_waiting[:-1], now_waiting[:-1] + "!"):
        with pytest.raises(GuardBreached):
            shop.sync(destination, declared, approve=other)
    assert there(shop, destination) == 10
    assert shop.sync(destination, declared, approve=now_waiting).removes == 7
    assert there(shop, destination) == 3


def held_up(shop: Shop, destination: str, wanted: list[Person]) -> str:
    """Publish a snapshot whose plan waits for an approval; its hash."""
    shop.publish(wanted, others=[person for person in EVERYBODY if person not in wanted])
    with pytest.raises(GuardBreached) as error:
        shop.sync(destination, audience(guard=Guard()))
    return str(error.value).rpartition("--approve ")[2]


def test_case_32_the_command_line_shows_what_a_person_is_asked_and_sends_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    shop.publish(EVERYBODY)
    shop.sync("mailchimp")
    shop.publish(EVERYBODY[:2], others=EVERYBODY[2:])
    before = writes(shop)
    monkeypatch.setenv("REGULARS_HOME", str(shop.settings.home))
    connect(monkeypatch, "mailchimp", shop.credentials["mailchimp"])
    asked = ["plan", "--audience", "lapsed_vips", "--destination", "mailchimp"]
    machine = CliRunner().invoke(app, [*asked, "--json"])
    assert machine.exit_code == 0, machine.output
    [plan] = json.loads(machine.stdout)
    assert (plan["removes"], plan["decision"]) == (8, "approval")
    assert [change["operation"] for change in plan["examples"]] == ["remove"] * 8
    person = CliRunner().invoke(app, asked)
    assert f"--approve {plan['plan_hash']}" in person.stdout.replace("\n", "")
    assert "held up: would remove 8 of 10 held" in person.stdout
    assert "shop:" not in machine.stdout + person.stdout
    assert "@" not in machine.stdout + person.stdout
    assert writes(shop) == before
    sent = CliRunner().invoke(app, ["sync", *asked[1:], "--approve", plan["plan_hash"], "--json"])
    assert json.loads(sent.stdout)[0]["removes"] == 8
