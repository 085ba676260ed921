from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
import time_machine

from include.activation import sync as activation
from include.activation.audiences import Guard
from include.activation.calls import Patience
from include.activation.ledger import Ledger
from include.activation.rejects import rejects
from include.connections import Credentials
from include.destinations.mailchimp import Mailchimp
from include.destinations.meta import Meta
from include.errors import GuardBreached, Reauthorise, Retry, Stop
from tests.include.activation.shop import FREE, QUICK, Person, Shop, audience, long_ago, people

both = pytest.mark.parametrize("destination", ["mailchimp", "meta"])
CANARY = "canary.in.a.coal.mine"


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mailchimp, "batch_size", 2)
    monkeypatch.setattr(Meta, "batch_size", 2)


def writes(shop: Shop) -> list[str]:
    """Calls that may change something, as 'METHOD path'."""
    calls = shop.sandbox.calls()
    return [f"{call['method']} {call['path']}" for call in calls if call["method"] != "GET"]


@both
def test_a_sync_brings_the_destination_in_line_and_a_second_one_sends_nothing(
    shop: Shop, destination: str
):
    shop.publish(people(range(3)))

    first = shop.sync(destination)
    sent = writes(shop)
    second = shop.sync(destination)

    assert (first.adds, first.removes, first.rejected) == (3, 0, 0)
    assert len(shop.there(destination)) == 3
    assert shop.there(destination) == shop.held(destination)
    assert (second.adds, second.updates, second.removes, second.batches) == (0, 0, 0, 0)
    assert (second.plan_id, second.unchanged) == (None, 3)
    assert writes(shop) == sent


def test_a_clock_that_is_put_back_changes_nothing_in_the_order_of_plans(shop: Shop):
    for step, wanted in enumerate((range(3), range(1, 4), range(2, 5))):
        shop.publish(people(wanted), others=people(range(wanted.start)))
        with time_machine.travel(datetime.now(UTC) - step * timedelta(hours=1)):
            summary = shop.sync("mailchimp")
        assert (summary.adds, summary.removes) == ((1, 1) if step else (3, 0))
        ledger = Ledger(shop.store, "mailchimp", audience().name)
        assert ledger.last_finished() == summary.plan_id
    assert len(shop.there("mailchimp")) == 3


@both
def test_who_is_no_longer_wanted_is_removed_and_who_is_new_is_added(shop: Shop, destination: str):
    shop.publish(people(range(4)))
    shop.sync(destination)
    shop.publish(people(range(2, 6)), others=people(range(2)))

    summary = shop.sync(destination)

    assert (summary.adds, summary.removes, summary.unchanged) == (2, 2, 2)
    assert shop.there(destination) == shop.held(destination)
    assert len(shop.there(destination)) == 4


@both
def test_who_is_gone_from_our_data_is_still_removed(shop: Shop, destination: str):
    shop.publish(people(range(3)))
    shop.sync(destination)
    shop.publish(people(range(1)))

    assert shop.sync(destination).removes == 2
    assert len(shop.there(destination)) == 1


def test_leaving_every_audience_never_unsubscribes(shop: Shop):
    shop.publish(people(range(3)))
    shop.sync("mailchimp")
    shop.publish([], others=people(range(2)))
    shop.sync("mailchimp")

    members = shop.sandbox.members().values()
    assert shop.there("mailchimp") == set()
    assert [member["status"] for member in members] == ["subscribed"] * 3
    assert sum(member["unsubscribed"] for member in members) == 0


@both
def test_a_new_address_moves_the_membership_in_one_plan(shop: Shop, destination: str):
    [ann] = people([1])
    shop.publish([ann])
    shop.sync(destination)
    before = shop.there(destination)
    shop.publish([replace(ann, email="ann@elsewhere.test")])

    summary = shop.sync(destination)

    assert (summary.adds, summary.removes) == (1, 1)
    assert len(shop.there(destination)) == 1
    assert shop.there(destination).isdisjoint(before)
    assert shop.held(destination) == shop.there(destination)
    assert shop.sync(destination).plan_id is None


@both
def test_an_address_that_two_customers_share_stays_until_the_last_of_them_leaves(
    shop: Shop, destination: str
):
    [ann] = people([1])
    twin = replace(ann, customer_id="shop:twin")
    shop.publish([ann, twin])
    first = shop.sync(destination)
    shop.publish([twin], others=[ann])
    second = shop.sync(destination)
    there = shop.there(destination)
    shop.publish([], others=[ann, twin])
    third = shop.sync(destination)

    assert (first.adds, second.removes, third.removes) == (1, 0, 1)
    assert len(there) == 1
    assert shop.there(destination) == set()
    assert shop.state(destination) == []


def test_changed_data_update_the_contact_and_nothing_else(shop: Shop):
    declared = audience(fields=["vip_tier"])
    ann, ben = people([1, 2])
    shop.publish([replace(ann, payload={"vip_tier": "gold"}), ben])
    shop.sync("mailchimp", declared)
    shop.publish([replace(ann, payload={"vip_tier": "silver"}, first_name="Anna"), ben])

    summary = shop.sync("mailchimp", declared)

    assert (summary.adds, summary.updates, summary.removes) == (0, 1, 0)
    fields = shop.sandbox.members()[ann.mailchimp_id]["merge_fields"]
    assert (fields["FNAME"], fields["VIPTIER"]) == ("Anna", "silver")
    assert shop.sandbox.members()[ben.mailchimp_id]["writes"] == 1


def test_meta_is_not_told_of_data_it_does_not_keep(shop: Shop):
    [ann] = people([1])
    shop.publish([ann])
    shop.sync("meta")
    sent = writes(shop)
    shop.publish([replace(ann, first_name="Anna")])

    assert shop.sync("meta").updates == 0
    assert writes(shop) == sent
    assert shop.sync("meta").plan_id is None


def test_who_unsubscribed_at_mailchimp_is_left_alone(shop: Shop):
    ann, ben, cid = people(range(3))
    shop.publish([ann, ben, cid])
    shop.sync("mailchimp")
    for person in (ann, ben):
        path = f"/_mailchimp/regulars/members/{person.mailchimp_id}/status"
        shop.sandbox.post(path, {"status": "unsubscribed"})
    shop.publish([replace(ann, first_name="Anna"), cid], others=[ben])

    summary = shop.sync("mailchimp")

    assert (summary.updates, summary.removes, summary.suppressed) == (0, 1, 1)
    members = shop.sandbox.members()
    assert members[ann.mailchimp_id]["merge_fields"]["FNAME"] == "Ann"
    assert members[ann.mailchimp_id]["status"] == "unsubscribed"
    assert "lapsed_vips" not in members[ben.mailchimp_id]["tags"]
    assert shop.sync("mailchimp").plan_id is None


def test_statuses_are_written_only_if_something_new_was_told(shop: Shop):
    ann, ben = people(range(2))
    path = "activation/mailchimp/statuses-regulars.parquet"
    shop.publish([ann, ben])
    shop.sync("mailchimp")
    shop.sync("mailchimp")
    written = shop.store.version(path)

    shop.sync("mailchimp")

    assert written == shop.store.version(path) != ""

    status = f"/_mailchimp/regulars/members/{ann.mailchimp_id}/status"
    shop.sandbox.post(status, {"status": "unsubscribed"})
    shop.sync("mailchimp")

    assert written != shop.store.version(path)


def test_who_subscribes_again_by_themselves_comes_back(shop: Shop):
    [ann] = people([1])
    shop.publish(people(range(2)), audience="others")
    shop.sync("mailchimp", audience("others"))
    path = f"/_mailchimp/regulars/members/{ann.mailchimp_id}/status"
    shop.sandbox.post(path, {"status": "unsubscribed"})
    shop.publish([ann])
    assert shop.sync("mailchimp").suppressed == 1

    shop.sandbox.post(path, {"status": "subscribed"})

    assert shop.sync("mailchimp").adds == 1
    assert shop.there("mailchimp") == {ann.mailchimp_id}


def test_who_unsubscribed_during_an_update_and_came_back_is_updated_and_no_longer_refused(
    shop: Shop,
):
    person = Person("shop:1", "person1@shop.test")
    member = f"/_mailchimp/regulars/members/{person.mailchimp_id}/status"
    shop.publish([person])
    shop.sync("mailchimp")
    shop.publish([replace(person, first_name="Anna")])
    signed_in = shop.credentials["mailchimp"]
    plan = activation.plan_audience(shop.settings, audience(), "mailchimp", signed_in)
    shop.sandbox.post(member, {"status": "unsubscribed"})
    assert plan.plan_id
    activation.send_plan(shop.settings, audience(), "mailchimp", signed_in, plan.plan_id)
    activation.fold(shop.settings, audience(), "mailchimp", plan.plan_id)
    assert [row.code for row in rejects(shop.settings)] == ["unsubscribed"]

    shop.sandbox.post(member, {"status": "subscribed"})
    shop.sync("mailchimp")

    assert rejects(shop.settings) == []


def test_on_a_double_opt_in_list_who_confirms_comes_in(shop: Shop):
    shop.sandbox.post("/_mailchimp/regulars", {"double_optin": True})
    [ann] = people([1])
    shop.publish([ann])
    first, second = shop.sync("mailchimp"), shop.sync("mailchimp")
    assert (first.rejected, second.plan_id) == (1, None)

    path = f"/_mailchimp/regulars/members/{ann.mailchimp_id}/status"
    shop.sandbox.post(path, {"status": "subscribed"})

    assert shop.sync("mailchimp").adds == 1
    assert shop.there("mailchimp") == {ann.mailchimp_id}


def test_a_rejected_row_is_recorded_with_its_reason_and_not_sent_again(shop: Shop):
    good, fake = people([1])[0], Person("shop:9", f"{CANARY}@example.com")
    shop.publish([good, fake])

    first = shop.sync("mailchimp")
    second = shop.sync("mailchimp")

    assert (first.adds, first.rejected, second.plan_id) == (1, 1, None)
    [receipt] = shop.receipts("mailchimp")
    [row] = receipt["not_accepted"]
    assert (row["customer_id"], row["kind"]) == ("shop:9", "fix_data")
    assert "looks fake" in row["reason"]
    [state] = [row for row in shop.state("mailchimp") if row["customer_id"] == "shop:9"]
    assert (state["status"], state["code"]) == ("rejected", "invalid_address")

    shop.publish([good, replace(fake, email="real@shop.test")])
    assert shop.sync("mailchimp").adds == 1
    assert shop.held("mailchimp") == shop.there("mailchimp")


def test_a_removal_meta_refuses_stays_pending_until_it_goes_through(shop: Shop):
    shop.publish(people(range(3)))
    shop.sync("meta")
    [audience_id] = shop.sandbox.truth()["meta"]["audiences"]
    shop.sandbox.post(f"/_meta/audiences/{audience_id}", {"minimum_size": 3})
    shop.publish(people(range(2)))

    refused = shop.sync("meta")
    assert (refused.removes, refused.rejected) == (0, 1)
    assert len(shop.held("meta")) == 3

    shop.sandbox.post(f"/_meta/audiences/{audience_id}", {"minimum_size": 0})
    assert shop.sync("meta").removes == 1
    assert shop.held("meta") == shop.there("meta")


@both
def test_a_dry_run_shows_the_plan_and_sends_nothing(shop: Shop, destination: str):
    shop.publish(people(range(3)))
    summary = shop.sync(destination, dry_run=True)
    assert (summary.adds, summary.dry_run) == (3, True)
    assert writes(shop) == []


@both
def test_nothing_that_is_kept_names_an_address(shop: Shop, destination: str):
    canary = Person("shop:1", f"{CANARY}@shop.test", "+14155552671", "Canary", "Coalmine")
    fake = Person("shop:2", f"{CANARY}@example.com")
    shop.publish([canary, fake])
    shop.sync(destination)

    root = f"activation/{destination}/lapsed_vips"
    kept = [*shop.store.filesystem.find(shop.store.locate(root))]
    assert any(path.endswith("plan.parquet") for path in kept)
    assert any("receipts" in path for path in kept)
    for path in kept:
        if path.endswith(".parquet"):
            content = json.dumps(
                duckdb.read_parquet(path).to_arrow_table().to_pylist(), default=str
            )
        else:
            content = shop.store.filesystem.cat_file(path).decode()
        assert "anary" not in content
        assert "4155552671" not in content


@both
def test_an_older_snapshot_is_refused(shop: Shop, destination: str):
    shop.publish(people(range(3)))
    shop.sync(destination)
    shop.publish(people(range(2)), published_at=long_ago())
    with pytest.raises(Stop, match="older"):
        shop.sync(destination)


def test_statuses_are_not_waited_for_once_it_is_known_that_there_will_be_no_plan(shop: Shop):
    shop.publish(people(range(3)))
    shop.sync("mailchimp")
    shop.publish(people(range(2)), published_at=long_ago())
    shop.sandbox.fault(method="GET", path="/members", times=None, action="status", status=429)
    patient = Patience(attempts=2, first_wait=20, longest_wait=100, deadline=300)
    began = time.monotonic()

    with pytest.raises(Stop, match="older"):
        shop.sync("mailchimp", patience=patient)

    assert time.monotonic() - began < patient.first_wait


def test_another_list_than_the_one_we_keep_account_of_is_refused(shop: Shop):
    shop.publish(people(range(2)))
    shop.sync("mailchimp")
    key = shop.credentials["mailchimp"]
    shop.sandbox.post("/_mailchimp/second", {})
    shop.credentials["mailchimp"] = Credentials(
        key.password, extra={**key.extra, "list_id": "second"}
    )
    with pytest.raises(Stop, match="regulars"):
        shop.sync("mailchimp")


@both
def test_without_a_snapshot_there_is_nothing_to_sync(shop: Shop, destination: str):
    with pytest.raises(Stop, match="published"):
        shop.sync(destination)


@both
def test_a_breached_guard_sends_nothing_until_a_person_approves_the_plan(
    shop: Shop, destination: str
):
    declared = audience(guard=Guard(max_removed_percent=30))
    shop.publish(people(range(4)))
    shop.sync(destination, declared)
    sent = writes(shop)
    shop.publish(people(range(2)), others=people(range(2, 4)))

    with pytest.raises(GuardBreached, match="would remove 2 of 4") as breached:
        shop.sync(destination, declared)
    assert writes(shop) == sent
    plan_hash = str(breached.value).rpartition("--approve ")[2]

    with pytest.raises(GuardBreached, match="look at it again"):
        shop.sync(destination, declared, approve="0123456789ab")
    assert writes(shop) == sent

    assert shop.sync(destination, declared, approve=plan_hash).removes == 2
    assert shop.there(destination) == shop.held(destination)


def test_a_blocking_guard_cannot_be_approved(shop: Shop):
    declared = audience(guard=Guard(min_members=3, on_breach="block"))
    shop.publish(people(range(2)))
    summary = activation.plan_audience(
        shop.settings, declared, "mailchimp", shop.credentials["mailchimp"], QUICK
    )
    assert summary.plan_hash
    with pytest.raises(GuardBreached, match="change the audience's guard"):
        shop.sync("mailchimp", declared, approve=summary.plan_hash)
    assert writes(shop) == []


@both
@pytest.mark.usefixtures("small_batches")
def test_refused_credentials_stop_at_once_and_the_sync_goes_on_with_new_ones(
    shop: Shop, destination: str
):
    shop.publish(people(range(8)))
    shop.sandbox.fault(
        method="POST", path="users|segments/", nth=2, times=1, action="status", status=401
    )
    with pytest.raises(Reauthorise):
        shop.sync(destination)
    [pending] = [s.pending for s in activation.status(shop.settings)]
    acknowledged = {receipt["batch_number"] for receipt in shop.receipts(destination)}
    assert pending == f"{len(acknowledged)} of 4 batches sent"
    assert len(acknowledged) < 4

    summary = shop.sync(destination)

    assert summary.adds == 8
    assert shop.there(destination) == shop.held(destination)
    assert len(shop.there(destination)) == 8


@both
@pytest.mark.usefixtures("small_batches")
def test_a_destination_that_stays_busy_leaves_the_plan_to_the_next_run(
    shop: Shop, destination: str
):
    shop.publish(people(range(8)))
    shop.sandbox.fault(
        method="POST", path="users|segments/", nth=3, times=None, action="status", status=429
    )
    with pytest.raises(Retry):
        shop.sync(destination)
    shop.sandbox.clear_faults()
    shop.publish(people(range(4)), others=people(range(4, 8)))

    shop.sync(destination)

    assert len(shop.there(destination)) == 4
    assert shop.there(destination) == shop.held(destination)
    assert shop.sync(destination).plan_id is None


@both
@pytest.mark.usefixtures("small_batches")
def test_a_person_who_withdrew_consent_while_an_answer_was_lost_is_taken_out(
    shop: Shop, destination: str
):
    shop.publish(people(range(2)))
    shop.sandbox.fault(
        method="POST", path="users|segments/", times=None, action="reset_after_apply"
    )
    with pytest.raises(Retry):
        shop.sync(destination)
    shop.sandbox.clear_faults()
    assert len(shop.there(destination)) == 2
    shop.publish([], others=people(range(2)))

    summary = shop.sync(destination)

    assert (summary.superseded, summary.adds) == (2, 0)
    assert shop.there(destination) == set()
    assert shop.state(destination) == []


def test_status_tells_where_each_audience_stands(shop: Shop):
    shop.publish([*people(range(3)), Person("shop:9", "fake@example.com")])
    shop.sync("mailchimp")
    [standing] = activation.status(shop.settings)
    assert (standing.destination, standing.audience) == ("mailchimp", "lapsed_vips")
    assert (standing.held, standing.rejected, standing.pending) == (3, 1, None)
    assert standing.account == "regulars"


def test_status_tells_nothing_of_a_plan_that_was_killed_while_it_was_written(shop: Shop):
    shop.publish(people(range(3)))
    plan_id = shop.sync("mailchimp", dry_run=True).plan_id
    shop.store.remove(f"activation/mailchimp/lapsed_vips/plans/{plan_id}/plan.json")
    [standing] = activation.status(shop.settings)
    assert (standing.pending_plan_id, standing.pending) == (None, None)


def test_an_empty_audience_that_never_was_needs_no_approval(shop: Shop):
    shop.publish([])
    summary = shop.sync("mailchimp", audience(guard=FREE.model_copy(update={"min_members": 1})))
    assert (summary.plan_id, summary.adds) == (None, 0)


def test_the_field_coupon_code_names_an_offer_until_it_is_sent(shop: Shop):
    declared = audience(fields=["coupon_code", "vip_tier"])
    payload = {"coupon_code": "thanks:1", "vip_tier": "gold"}
    person = Person("shop:1", "person1@shop.test", payload=payload)
    shop.publish([person], codes={"thanks:1": "C0DE", "thanks:2": "0THER"})

    shop.sync("mailchimp", declared)

    [member] = shop.sandbox.members().values()
    assert {"C0DE", "gold"} <= set(member["merge_fields"].values())
    kept = [file for file in Path(shop.store.root).rglob("activation/**/*") if file.is_file()]
    assert kept
    assert not any(b"C0DE" in file.read_bytes() for file in kept)
