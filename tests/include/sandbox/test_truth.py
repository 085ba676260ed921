"""What the sandbox holds outlives it, and its summary agrees with it."""

from __future__ import annotations

import httpx

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
        httpx.post(url, json=MEMBERS, auth=AUTH).raise_for_status()
        before, calls = sandbox.truth(), sandbox.calls()
    with start_sandbox(tmp_path) as sandbox:
        assert sandbox.truth() == before
        assert sandbox.calls() == calls


def test_the_summary_counts_what_the_truth_lists(sandbox):
    httpx.post(f"{sandbox.mailchimp_url}/lists/regulars", json=MEMBERS, auth=AUTH)
    counts = sandbox.truth(summary=True)["mailchimp"]["lists"]["regulars"]
    assert counts["members"]["subscribed"] == counts["members"]["unsubscribed"] == 1
    assert counts["effects"]["created"] == 2
    assert counts["segments"]["vip"]["member_count"] == 1


def test_a_reset_leaves_one_empty_list_and_account(sandbox):
    httpx.post(f"{sandbox.mailchimp_url}/lists/regulars", json=MEMBERS, auth=AUTH)
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
