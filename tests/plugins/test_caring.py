"""The tasks of `erase_customers` and `reconcile_destinations`, against a running sandbox."""

from __future__ import annotations

import json

import pytest

from include.activation.ledger import Ledger, lease_folder
from include.errors import Retry, Stop
from include.landing import ingest
from include.lease import hold_lease
from include.settings import load_settings
from regulars_airflow import caring, syncing
from tests.include.activation.shop import people
from tests.include.erasure.test_pages import CONTACTS, HEADER, PEOPLE
from tests.include.sources.shops import ANN, LINES, REQUESTS, declare, write_csv

AUDIENCE = "lapsed_vips"


@pytest.fixture
def synced(shop, monkeypatch):
    """A shop with an audience that Mailchimp holds."""
    monkeypatch.setenv("REGULARS_LOCK_WAIT_SECONDS", "0")
    shop.publish(people(range(5)))
    syncing.send(syncing.plan(AUDIENCE, "mailchimp"))
    return shop


def lose_state(shop) -> None:
    shop.store.remove(Ledger(shop.store, "mailchimp", AUDIENCE).state)


def held_by_another_run(shop, audience: str):
    return hold_lease(shop.store, lease_folder("mailchimp", audience), 0)


def agreed(caplog) -> set[str]:
    """The audiences that were found to agree."""
    said = [record.getMessage() for record in caplog.records]
    return {line.split()[0] for line in said if line.endswith("to mailchimp: agrees")}


def test_a_lost_state_is_named_and_keeps_no_other_audience_from_being_compared(synced, caplog):
    caplog.set_level("INFO")
    lose_state(synced)
    with pytest.raises(Stop, match="lapsed_vips: the state cannot be trusted") as raised:
        caring.reconcile_destination("mailchimp")
    assert not isinstance(raised.value, Retry)
    assert {"vips", "at_risk", "mailable_customers"} <= agreed(caplog)
    assert AUDIENCE not in agreed(caplog)


def test_an_audience_that_another_run_works_on_is_tried_again_and_the_others_are_compared(
    synced, caplog
):
    caplog.set_level("INFO")
    with held_by_another_run(synced, "vips"), pytest.raises(Retry, match="mailchimp/vips is"):
        caring.reconcile_destination("mailchimp")
    assert {AUDIENCE, "at_risk", "mailable_customers"} <= agreed(caplog)


def test_it_is_not_tried_again_if_a_person_is_needed_for_one_of_them(synced):
    lose_state(synced)
    with (
        held_by_another_run(synced, "vips"),
        pytest.raises(Stop, match="mailchimp/vips is") as raised,
    ):
        caring.reconcile_destination("mailchimp")
    assert "lapsed_vips: the state" in str(raised.value)


def test_who_was_taken_out_behind_our_back_is_put_back_by_the_next_sync(synced):
    gone, *_ = synced.held("mailchimp")
    inactive = {"tags": [{"name": AUDIENCE, "status": "inactive"}]}
    synced.sandbox.http.post(
        f"{synced.sandbox.mailchimp_url}/lists/regulars/members/{gone}/tags",
        json=inactive,
        auth=("any", synced.credentials["mailchimp"].password),
    ).raise_for_status()

    rows = caring.reconcile_destination("mailchimp")

    [row] = [row for row in rows if row["audience"] == AUDIENCE]
    assert (row["missing"], row["unexpected"], row["plan"]) == (1, 0, "+1 ~0 -0: pass")
    assert "person" not in json.dumps(rows)
    syncing.send(syncing.plan(AUDIENCE, "mailchimp"))
    assert gone in synced.sandbox.tagged(AUDIENCE)


def test_an_erasure_hands_on_counts_and_ids(shop, tmp_path, monkeypatch):
    settings = declare(tmp_path, LINES, CONTACTS, REQUESTS)
    monkeypatch.setenv("REGULARS_SOURCES", str(settings.sources))
    write_csv(tmp_path / "export" / "a.csv", [ANN])
    write_csv(tmp_path / "contacts.csv", PEOPLE, HEADER)
    asked = [[f"r-{n}", "2026-03-01 10:00:00", person[1]] for n, person in enumerate(PEOPLE)]
    write_csv(tmp_path / "requests.csv", asked, ["id", "at", "email"])
    ingest(load_settings())

    [row] = caring.erase_customers(["requests:r-0"])

    assert row["finished_at"]
    assert row["requests"] == 1
    assert row["places"]["warehouse raw.contacts"] == 1
    answers = {one["destination"]: one["answer"] for one in row["destinations"]}
    assert answers["mailchimp"] == {"erased": 0, "not_there": 1}
    told = json.dumps(row).lower()
    for name in ("ann", "shop.test", "23456789"):
        assert name not in told
    # The other one is still open.
    [row] = caring.erase_customers(None)
    assert row["requests"] == 1
