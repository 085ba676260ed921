"""Cases 27 and 28: a warehouse or a state that is lost, damaged, or older than what was sent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from include.activation import reconcile as reconciling
from include.activation.audiences import Guard
from include.activation.ledger import Ledger, StateLost
from include.activation.reconcile import Comparison, reconcile
from include.commerce.journeys import trigger_journeys
from include.errors import BadInput, GuardBreached, Reauthorise, Stop
from include.landing import ingest, rebuild
from include.publishing import publish
from include.settings import Settings
from tests.include.activation.shop import FREE, QUICK, Person, Shop, audience, people
from tests.include.sources.shops import ANN, BEN, LINES, declare, raw, write_csv
from tests.sandbox_server import Sandbox, start_sandbox

both = pytest.mark.parametrize("destination", ["mailchimp", "meta"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(server: Sandbox) -> Sandbox:
    server.reset()
    return server


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox) -> Shop:
    return Shop(tmp_path / "home", sandbox)


def compare(
    shop: Shop,
    destination: str,
    way: reconciling.Way = "compare",
    guard: Guard = FREE,
) -> Comparison:
    return reconcile(
        shop.settings,
        audience(guard=guard),
        destination,
        shop.credentials[destination],
        way,
        QUICK,
    )


def travelling(shop: Shop) -> None:
    """Whoever comes into the audience is sent into a journey."""
    known = shop.credentials["mailchimp"]
    extra = {**known.extra, "journeys": "lapsed_vips=1/2"}
    shop.credentials["mailchimp"] = replace(known, extra=extra)


def newcomers(shop: Shop, wanted: list[Person]) -> int:
    """After a sync of these people, and one that hears of them: how many were sent on."""
    shop.publish(wanted)
    shop.sync("mailchimp")
    shop.sync("mailchimp")
    [done] = trigger_journeys(shop.settings, lambda _: shop.credentials["mailchimp"])
    return done.sent


def state_of(shop: Shop, destination: str) -> Path:
    return Path(shop.store.locate(Ledger(shop.store, destination, "lapsed_vips").state))


def writes(shop: Shop) -> int:
    return sum(call["method"] != "GET" for call in shop.sandbox.calls())


@both
def test_case_28_a_state_that_is_gone_stops_the_sync_and_removes_nobody(
    shop: Shop, destination: str
):
    shop.publish(people(range(6)))
    shop.sync(destination)
    there = shop.there(destination)
    state_of(shop, destination).unlink()
    shop.publish(people(range(3)))
    sent = writes(shop)

    with pytest.raises(StateLost, match=r"is gone.*--repair.*--adopt.*--adds-only"):
        shop.sync(destination)

    assert writes(shop) == sent
    assert shop.there(destination) == there
    assert compare(shop, destination).state == "lost"


@both
def test_case_28_a_state_from_an_older_backup_stops_the_sync(shop: Shop, destination: str):
    shop.publish(people(range(4)))
    shop.sync(destination)
    backup = state_of(shop, destination).read_bytes()
    shop.publish(people(range(8)))
    shop.sync(destination)
    state_of(shop, destination).write_bytes(backup)
    shop.publish(people(range(2)))
    sent = writes(shop)

    with pytest.raises(StateLost, match="not the one that the last sync left"):
        shop.sync(destination)

    assert writes(shop) == sent
    assert compare(shop, destination).state == "older"


@pytest.mark.parametrize(
    ("destination", "way"),
    [
        ("mailchimp", "repair"),
        ("mailchimp", "adopt"),
        ("mailchimp", "adds_only"),
        ("meta", "adopt"),
        ("meta", "adds_only"),
    ],
)
@pytest.mark.parametrize("is_gone", [True, False], ids=["gone", "older"])
def test_case_28_a_state_that_is_lost_while_a_plan_is_half_sent_is_made_good(
    shop: Shop, destination: str, way: reconciling.Way, is_gone: bool
):
    shop.publish(people(range(4)))
    shop.sync(destination)
    backup = state_of(shop, destination).read_bytes()
    shop.publish(people(range(8)))
    shop.sync(destination)
    shop.publish(people(range(12)))
    path = "lists/regulars$" if destination == "mailchimp" else "users"
    shop.sandbox.fault(action="status", status=401, path=path, method="POST")
    with pytest.raises(Reauthorise):
        shop.sync(destination)
    if is_gone:
        state_of(shop, destination).unlink()
    else:
        state_of(shop, destination).write_bytes(backup)
    with pytest.raises(StateLost):
        shop.sync(destination)

    compare(shop, destination, way)

    shop.sync(destination)
    assert shop.held(destination) == shop.there(destination)
    assert len(shop.there(destination)) == 12


@both
def test_case_28_a_state_is_adopted_from_our_own_plans_and_receipts(shop: Shop, destination: str):
    shop.publish(people(range(4)))
    shop.sync(destination)
    shop.publish(people(range(2, 8)))
    shop.sync(destination)
    before = shop.state(destination)
    state_of(shop, destination).unlink()

    found = compare(shop, destination, "adopt")

    assert found.state == "known"
    assert sorted(shop.state(destination), key=str) == sorted(before, key=str)
    sent = writes(shop)
    assert shop.sync(destination).plan_id is None
    assert writes(shop) == sent


@pytest.mark.parametrize("instant", range(1, 7))
def test_case_28_an_adoption_that_is_killed_is_made_good_by_the_next(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, instant: int
):
    for step in range(3):
        shop.publish(people(range(step, step + 3)), others=people(range(step)))
        shop.sync("meta")
    state_of(shop, "meta").unlink()
    fold, steps = reconciling.fold_plan, iter(range(1, 7))

    def stopping(*arguments: Any) -> None:
        if next(steps) == instant:
            raise KeyboardInterrupt
        fold(*arguments)
        if next(steps) == instant:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(reconciling, "fold_plan", stopping)
        with pytest.raises(KeyboardInterrupt):
            compare(shop, "meta", "adopt")
    # Where only the last plan is left to be folded, a sync does that, and there is no choice.
    with suppress(Stop):
        compare(shop, "meta", "adopt")
    # Those whom only the plan that was struck has brought leave.
    shop.publish(people(range(5, 8)), others=people(range(5)))
    shop.sync("meta")

    assert shop.held("meta") == shop.there("meta")
    assert len(shop.there("meta")) == 3


def test_case_28_a_state_is_rebuilt_by_reading_and_a_mass_removal_is_held_up(shop: Shop):
    shop.publish(people(range(10)))
    shop.sync("mailchimp")
    there = shop.there("mailchimp")
    shutil.rmtree(state_of(shop, "mailchimp").parent)
    shop.publish(people(range(2)))
    strict = Guard(max_removed_percent=30, max_added_percent=100, min_members=0)

    found = compare(shop, "mailchimp", "repair", guard=strict)

    assert (found.there, found.unexpected, found.missing) == (10, 10, 0)
    assert found.plan
    assert (found.plan.removes, found.plan.adds) == (8, 0)
    assert found.plan.decision != "pass"
    with pytest.raises(GuardBreached):
        shop.sync("mailchimp", audience(guard=strict))
    assert shop.there("mailchimp") == there
    shop.sync("mailchimp")
    assert shop.there("mailchimp") == {one.mailchimp_id for one in people(range(2))}
    assert compare(shop, "mailchimp").agrees


@both
def test_case_28_a_state_begun_anew_adds_and_removes_nobody(shop: Shop, destination: str):
    shop.publish(people(range(4)))
    shop.sync(destination)
    there = shop.there(destination)
    state_of(shop, destination).unlink()
    shop.publish(people(range(2, 6)))

    compare(shop, destination, "adds_only")
    summary = shop.sync(destination)

    assert summary.removes == 0
    assert shop.there(destination) > there


def test_case_28_what_a_person_changed_at_the_destination_is_found_and_put_right(shop: Shop):
    shop.publish(people(range(6)))
    shop.sync("mailchimp")
    lost, kept = sorted(shop.there("mailchimp"))[:2], sorted(shop.there("mailchimp"))[2:]
    mailchimp = shop.sandbox.mailchimp_url
    for one in lost:
        shop.sandbox.http.post(
            f"{mailchimp}/lists/regulars/members/{one}/tags",
            json={"tags": [{"name": "lapsed_vips", "status": "inactive"}]},
            auth=("user", "0" * 32 + "-us1"),
        ).raise_for_status()
    shop.sandbox.http.post(
        f"{mailchimp}/lists/regulars/members",
        json={"email_address": "x@shop.test", "status": "subscribed", "tags": ["lapsed_vips"]},
        auth=("user", "0" * 32 + "-us1"),
    ).raise_for_status()
    sent = writes(shop)

    found = compare(shop, "mailchimp")
    assert (found.held, found.there, found.missing, found.unexpected) == (6, 5, 2, 1)
    assert not found.agrees
    assert writes(shop) == sent

    repaired = compare(shop, "mailchimp", "repair")
    assert repaired.plan
    assert (repaired.plan.adds, repaired.plan.removes) == (2, 1)
    assert writes(shop) == sent
    shop.sync("mailchimp")
    assert shop.there("mailchimp") == {*lost, *kept}
    assert compare(shop, "mailchimp").agrees


@pytest.mark.parametrize("way", ["repair", "adopt", "adds_only"])
def test_case_28_whoever_was_in_is_not_sent_into_a_journey_again_once_the_state_is_made_good(
    shop: Shop, way: reconciling.Way
):
    travelling(shop)
    assert newcomers(shop, people(range(3))) == 0
    assert newcomers(shop, people(range(6))) == 3
    state_of(shop, "mailchimp").unlink()

    compare(shop, "mailchimp", way)

    assert newcomers(shop, people(range(6))) == 0
    assert newcomers(shop, people(range(7))) == 1


def test_who_moves_or_takes_over_an_address_is_no_newcomer_of_a_journey(shop: Shop):
    travelling(shop)
    ann, ben = people(range(2))
    assert newcomers(shop, [ann, ben]) == 0

    assert newcomers(shop, [replace(ann, email="ann@shop.test"), ben]) == 0
    assert newcomers(shop, [replace(ben, customer_id="shop:account")]) == 0
    assert newcomers(shop, [replace(ben, customer_id="shop:account"), ann]) == 1


def test_an_address_that_customers_write_in_two_ways_goes_into_a_journey_once(shop: Shop):
    travelling(shop)
    newcomers(shop, people([0]))
    [ann] = people([1])
    spelled = replace(ann, customer_id="shop:2", email=str(ann.email).title())
    assert newcomers(shop, [ann, spelled]) == 1


def test_case_28_a_list_that_cannot_be_read_to_its_end_changes_no_state(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("include.destinations.mailchimp.PAGE", 2)
    shop.publish(people(range(6)))
    shop.sync("mailchimp")
    before = state_of(shop, "mailchimp").read_bytes()
    shop.sandbox.fault(action="status", status=404, path="segments/.*/members", nth=2, times=None)

    with pytest.raises(Stop):
        compare(shop, "mailchimp", "repair")

    assert state_of(shop, "mailchimp").read_bytes() == before
    shop.sandbox.clear_faults()
    assert compare(shop, "mailchimp").agrees


def test_case_28_where_members_cannot_be_listed_sizes_are_compared(shop: Shop):
    shop.publish(people(range(6)))
    shop.sync("meta")

    found = compare(shop, "meta")

    assert (found.held, found.at_least, found.at_most) == (6, 0, 1000)
    assert found.match_percent == 100
    assert found.agrees
    with pytest.raises(BadInput, match="does not list"):
        compare(shop, "meta", "repair")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = declare(tmp_path, LINES)
    write_csv(tmp_path / "export" / "a.csv", [ANN, BEN])
    ingest(settings)
    return settings


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0:8192] = bytes(byte ^ 0x5A for byte in content[0:8192])
    path.write_bytes(content)


def gone(path: Path) -> None:
    path.unlink()
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)


@pytest.mark.parametrize("fault", [damaged, gone], ids=["damaged", "gone"])
def test_case_27_a_warehouse_that_is_damaged_or_gone_is_refused_and_made_anew_from_landing(
    settings: Settings, tmp_path: Path, fault
):
    rows = raw(settings, "order_lines")
    # The shop has moved its export away: only landing still has it.
    (tmp_path / "export" / "a.csv").unlink()
    write_csv(tmp_path / "export" / "b.csv", [["3", *ANN[1:]]])
    fault(settings.warehouse_path)

    with pytest.raises(Stop, match="ingest --rebuild"):
        ingest(settings)
    with pytest.raises(Stop, match="regulars ingest"):
        publish(settings, settings.day())

    rebuild(settings)
    assert raw(settings, "order_lines") == rows
    ingest(settings)
    assert len(raw(settings, "order_lines")) == len(rows) + 1
