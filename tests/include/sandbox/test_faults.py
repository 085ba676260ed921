"""Faults on demand, seen from the client's side of the wire."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.waiting import until

AUTH = ("any", "0123456789abcdef-us1")
ANN = {"members": [{"email_address": "ann@shop.test", "status": "subscribed"}]}


@pytest.fixture
def upsert(sandbox):
    def call(timeout=60.0, **options):
        url = f"{sandbox.mailchimp_url}/lists/regulars"
        return httpx.post(url, json=ANN, auth=AUTH, timeout=timeout, **options)

    return call


def test_the_vendors_work_is_part_of_its_latency(sandbox, upsert):
    sandbox.post("/_latency", {"milliseconds": 2000})
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(upsert, timeout=30)
        until(lambda: sandbox.members() or answer.done())
        assert (len(sandbox.members()), answer.done()) == (1, False)
        assert answer.result().elapsed.total_seconds() >= 2


class TestActions:
    @pytest.mark.parametrize(("after_apply", "held"), [(False, 0), (True, 1)])
    def test_a_reset_closes_the_connection_before_or_after_the_work(
        self, sandbox, upsert, after_apply, held
    ):
        sandbox.fault(action="reset", after_apply=after_apply)
        with pytest.raises(httpx.ReadError, match="reset"):
            upsert()
        assert len(sandbox.members()) == held

    def test_a_timeout_after_apply_has_done_the_work(self, sandbox, upsert):
        sandbox.fault(action="timeout_after_apply", seconds=600)
        with pytest.raises(httpx.ReadTimeout):
            upsert(timeout=1)
        assert len(until(sandbox.members)) == 1

    def test_a_held_answer_comes_when_the_rules_are_removed(self, sandbox, upsert):
        sandbox.fault(action="hold", path="lists")
        with ThreadPoolExecutor(1) as threads:
            held = threads.submit(upsert)
            sandbox.wait_for_held()
            assert len(sandbox.members()) == 1
            assert upsert().status_code == 200
            assert not held.done()
            sandbox.clear_faults()
            assert held.result().json()["total_created"] == 1
        sandbox.wait_for_held(0)

    def test_a_timeout_that_is_waited_for_ends_at_the_gateway(self, sandbox, upsert):
        sandbox.fault(action="timeout", seconds=0.1)
        answer = upsert()
        assert (answer.status_code, answer.headers["content-type"][:9]) == (504, "text/html")
        assert sandbox.members() == {}

    def test_half_a_body_breaks_off(self, sandbox, upsert):
        sandbox.fault(action="half_body")
        with pytest.raises(httpx.TransportError):
            upsert()
        assert len(sandbox.members()) == 1

    def test_a_slow_answer_drips(self, sandbox, upsert):
        sandbox.fault(action="slow", seconds=0.4)
        begun = time.monotonic()
        assert upsert().json()["total_created"] == 1
        assert time.monotonic() - begun > 0.3

    def test_a_slow_answer_without_a_body_takes_as_long(self, sandbox, upsert):
        member = upsert().json()["new_members"][0]["id"]
        sandbox.fault(action="slow", seconds=0.4)
        begun = time.monotonic()
        url = f"{sandbox.mailchimp_url}/lists/regulars/members/{member}"
        assert httpx.delete(url, auth=AUTH, timeout=60).status_code == 204
        assert time.monotonic() - begun > 0.3

    def test_an_html_page_stands_for_a_gateway(self, sandbox, upsert):
        sandbox.fault(action="html")
        answer = upsert()
        assert (answer.status_code, answer.text[:6]) == (502, "<html>")

    def test_a_status_speaks_as_the_vendor_does(self, sandbox, upsert):
        sandbox.fault(action="status", status=500)
        assert upsert().json()["title"] == "Internal Server Error"
        sandbox.fault(action="status", status=429, path="/meta/")
        answer = httpx.get(f"{sandbox.meta_url}/v26.0/me?access_token=a-token")
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, 80003)

    def test_a_status_can_bring_its_own_headers_and_body(self, sandbox, upsert):
        sandbox.fault(
            action="status_after_apply", status=429, headers={"Retry-After": "3"}, body=""
        )
        answer = upsert()
        assert (answer.headers["Retry-After"], answer.content) == ("3", b"")
        assert len(sandbox.members()) == 1


class TestRules:
    def test_strike_the_nth_call_and_so_many_after_it(self, sandbox, upsert):
        sandbox.fault(action="status", status=503, path="lists", nth=2, times=2)
        assert [upsert().status_code for _ in range(5)] == [200, 503, 503, 200, 200]
        assert sandbox.http.get("/_faults").json() == []

    def test_can_strike_for_ever_until_removed(self, sandbox, upsert):
        sandbox.fault(action="status", status=503, times=None)
        assert [upsert().status_code for _ in range(3)] == [503, 503, 503]
        sandbox.clear_faults()
        assert upsert().status_code == 200

    def test_choose_by_method_path_body_and_size(self, sandbox, upsert):
        for miss in (
            {"method": "GET"},
            {"path": "/segments"},
            {"when_body_contains": "ben@shop.test"},
            {"when_bytes_over": 10_000},
        ):
            sandbox.fault(action="status", status=503, **miss)
        assert upsert().status_code == 200
        sandbox.fault(action="status", status=400, when_body_contains="ann@shop.test")
        assert upsert().status_code == 400

    def test_know_a_post_that_means_delete(self, sandbox):
        sandbox.fault(action="status", status=500, method="DELETE", path="/users$")
        url = f"{sandbox.meta_url}/v26.0/1/users?access_token=a-token"
        assert httpx.post(url, data={"payload": "{}"}).status_code == 400
        assert httpx.post(url, data={"payload": "{}", "method": "DELETE"}).status_code == 500

    def test_an_unknown_key_or_action_is_refused(self, sandbox):
        for rule in ({"action": "explode"}, {"action": "reset", "nht": 2}):
            assert sandbox.http.post("/_faults", json=[rule]).status_code == 422


def test_calls_are_logged_without_bodies_or_queries(sandbox, upsert):
    sandbox.fault(action="reset", path="/ping")
    upsert()
    with pytest.raises(httpx.ReadError):
        httpx.get(f"{sandbox.mailchimp_url}/ping", auth=AUTH)
    httpx.get(f"{sandbox.meta_url}/v26.0/me?access_token=a-token")
    calls = sandbox.calls()
    seen = [(call["method"], call["path"], call["status"]) for call in calls]
    assert seen == [
        ("POST", "/mailchimp/3.0/lists/regulars", 200),
        ("GET", "/mailchimp/3.0/ping", None),
        ("GET", "/meta/v26.0/me", 200),
    ]
    assert calls[0]["bytes"] == len(json.dumps(ANN, separators=(",", ":")))
    assert "a-token" not in json.dumps(calls)
    assert sandbox.calls(since=calls[1]["seq"]) == calls[2:]
