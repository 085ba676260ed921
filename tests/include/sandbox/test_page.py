"""The page a person looks at."""

from __future__ import annotations

import httpx
import pytest

AUTH = ("any", "key-us1")


def contact(number, **more):
    return {"email_address": f"c{number}@shop.test", "status": "subscribed"} | more


@pytest.fixture
def page(sandbox):
    members = [contact(number, merge_fields={"FNAME": f"Ann {number}"}) for number in range(20)]
    members += [contact("x", status="unsubscribed", tags=["lapsed_vips"])]
    members += [contact("y", merge_fields={"LNAME": "<script>alert(1)</script>"})]
    url = f"{sandbox.mailchimp_url}/lists/regulars"
    httpx.post(url, json={"members": members}, auth=AUTH).raise_for_status()

    def read(**query):
        answer = sandbox.http.get("/", params=query)
        answer.raise_for_status()
        return answer.text

    return read


def test_shows_lists_tags_and_contacts_and_says_it_is_a_sandbox(page):
    text = page()
    assert ">Sandbox<" in text
    assert "lapsed_vips" in text
    assert "1 to 15 of 22" in " ".join(text.split())


def test_pages_and_filters(page):
    assert "16 to 22 of 22" in " ".join(page(page=2).split())
    assert "cx@shop.test" in page(tag="lapsed_vips")
    assert "c1@shop.test" not in page(tag="lapsed_vips")
    assert "cx@shop.test" not in page(status="subscribed", search="c")
    assert "No contacts here" in page(search="nobody")
    assert "Ann 7" in page(search="C7@shop.test")


def test_escapes_what_contacts_hold(page):
    assert "<script>" not in page(search="cy@shop.test")


def test_shows_audiences_calls_and_faults(sandbox, page):
    url = f"{sandbox.meta_url}/v26.0/act_1000/customaudiences?access_token=a-token"
    data = {"name": "regulars: champions", "customer_file_source": "USER_PROVIDED_ONLY"}
    httpx.post(url, data=data).raise_for_status()
    sandbox.fault(action="reset", path="/segments")
    text = page()
    assert "regulars: champions" in text
    assert "POST /meta/v26.0/act_1000/customaudiences" in text
    assert "any /segments" in text


def test_needs_nothing_from_elsewhere(page):
    assert "http://" not in page()
    assert "https://" not in page()
