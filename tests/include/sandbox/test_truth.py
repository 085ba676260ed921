"""What the sandbox holds outlives it, and its summary agrees with it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from include.sandbox.google import tables
from include.sandbox.tiktok import tables as tiktok
from tests.sandbox_server import start_sandbox

AUTH = ("any", "key-us1")
MEMBERS = {
    "members": [
        {"email_address": "ann@shop.test", "status": "subscribed", "tags": ["vip"]},
        {"email_address": "ben@shop.test", "status": "unsubscribed"},
    ]
}


def test_a_restart_finds_everything_again(tmp_path):
    with start_sandbox(tmp_path) as sandbox:
        url = f"{sandbox.mailchimp_url}/lists/regulars"
        sandbox.http.post(url, json=MEMBERS, auth=AUTH).raise_for_status()
        before, calls = sandbox.truth(), sandbox.calls()
    with start_sandbox(tmp_path) as sandbox:
        assert sandbox.truth() == before
        assert sandbox.calls() == calls


def test_google_keeps_whom_a_file_of_an_earlier_release_holds(tmp_path):
    people = '[["emailAddress","0a"]]'
    with closing(sqlite3.connect(tmp_path / "sandbox.sqlite")) as earlier, earlier:
        earlier.executescript(tables.SCHEMA)
        earlier.execute("CREATE TABLE google_members (list_id INTEGER, identifiers TEXT)")
        earlier.execute("INSERT INTO google_members VALUES (7, ?)", (people,))
        earlier.execute("INSERT INTO google_lists VALUES (7, '1', 'vips', '{}', 1, 1, 0)")
    for _ in range(2):
        with start_sandbox(tmp_path) as sandbox:
            held = sandbox.truth()["google"]["lists"]["7"]["members"]
            assert held == [[["emailAddress", "0a"]]]


def test_tiktok_keeps_whom_a_file_of_an_earlier_release_holds(tmp_path):
    with closing(sqlite3.connect(tmp_path / "sandbox.sqlite")) as earlier, earlier:
        earlier.executescript(tiktok.SCHEMA)
        earlier.execute(
            "CREATE TABLE tiktok_members (audience_id INTEGER, calculate_type TEXT, hash TEXT)"
        )
        earlier.execute("INSERT INTO tiktok_members VALUES (7, 'EMAIL_SHA256', '0a')")
        earlier.execute(
            "INSERT INTO tiktok_audiences VALUES (7, '1', 'vips', 'EMAIL_SHA256', 1, 1, 0, 0)"
        )
    for _ in range(2):
        with start_sandbox(tmp_path) as sandbox:
            held = sandbox.truth()["tiktok"]["audiences"]["7"]["members"]
            assert held == {"EMAIL_SHA256": ["0a"]}


def test_the_summary_counts_what_the_truth_lists(sandbox):
    sandbox.http.post(f"{sandbox.mailchimp_url}/lists/regulars", json=MEMBERS, auth=AUTH)
    counts = sandbox.truth(summary=True)["mailchimp"]["lists"]["regulars"]
    assert counts["members"]["subscribed"] == counts["members"]["unsubscribed"] == 1
    assert counts["effects"]["created"] == 2
    assert counts["segments"]["vip"]["member_count"] == 1


def test_a_reset_leaves_one_empty_list_and_account(sandbox):
    sandbox.http.post(f"{sandbox.mailchimp_url}/lists/regulars", json=MEMBERS, auth=AUTH)
    sandbox.reset()
    truth = sandbox.truth()
    assert list(truth["mailchimp"]["lists"]) == ["regulars"]
    assert truth["mailchimp"]["lists"]["regulars"]["members"] == {}
    assert truth["meta"] == {
        "accounts": {"act_1000": {"tos_accepted": True}},
        "audiences": {},
        "batches": {},
    }
    assert sandbox.calls() == []
