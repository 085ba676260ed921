"""The page a person looks at."""

from __future__ import annotations

from hashlib import md5

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
    sandbox.http.post(url, json={"members": members}, auth=AUTH).raise_for_status()

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
    sandbox.http.post(url, data=data).raise_for_status()
    sandbox.fault(action="reset", path="/segments")
    text = page()
    assert "regulars: champions" in text
    assert "POST /meta/v26.0/act_1000/customaudiences" in text
    assert "any /segments" in text


def test_needs_nothing_from_elsewhere(page):
    assert "http://" not in page()
    assert "https://" not in page()


def test_shows_what_the_other_destinations_hold(sandbox, page):
    assert "No Customer Match lists yet" in page()
    url = f"{sandbox.google_url}/v1/accountTypes/GOOGLE_ADS/accounts/1/userLists"
    contacts = {"uploadKeyTypes": ["CONTACT_ID"]}
    body = {"displayName": "google_list", "ingestedUserListInfo": contacts}
    token = {"Authorization": "Bearer t", "Access-Token": "t"}
    sandbox.http.post(url, json=body, headers=token).raise_for_status()
    tiktok = f"{sandbox.tiktok_url}/open_api/v1.3/dmp/custom_audience"
    line = b"0" * 64
    form = {"advertiser_id": "1", "calculate_type": "EMAIL_SHA256"}
    form["file_signature"] = md5(line).hexdigest()
    told = sandbox.http.post(
        f"{tiktok}/file/upload/", data=form, files={"file": line}, headers=token
    )
    body = {"advertiser_id": "1", "custom_audience_name": "tiktok_audience"}
    body |= {"calculate_type": "EMAIL_SHA256", "file_paths": [told.json()["data"]["file_path"]]}
    sandbox.http.post(f"{tiktok}/create/", json=body, headers=token).raise_for_status()
    text = page()
    assert "google_list" in text
    assert "tiktok_audience" in text
    assert "Nobody has signed a call yet" in text
