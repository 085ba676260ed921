"""The double of Mailchimp, spoken to through Mailchimp's own SDK."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from hashlib import md5

import pytest
from mailchimp_marketing.api_client import ApiClientError

from tests.waiting import until

LIST = "regulars"


def subscriber_hash(email):
    return md5(email.lower().encode()).hexdigest()


def contact(email="ann@shop.test", status="subscribed", **merge_fields):
    given = {"email_address": email, "merge_fields": merge_fields}
    return given | {"status": status} if status else given


def upsert(mailchimp, *contacts, **options):
    body = {"members": list(contacts), "update_existing": True} | options
    return mailchimp.lists.batch_list_members(LIST, body)


def problem(excinfo):
    return json.loads(excinfo.value.text)


def refusals(answer):
    return [error["error"] for error in answer["errors"]]


class TestBatch:
    def test_creates_and_updates_and_counts_both(self, sandbox, mailchimp):
        upsert(mailchimp, contact("Ann@shop.test", FNAME="Ann"))
        answer = upsert(mailchimp, contact("ann@shop.test", FNAME="Anna"), contact("ben@shop.test"))
        counts = ("total_created", "total_updated", "error_count")
        assert [answer[count] for count in counts] == [1, 1, 0]
        ann = sandbox.members()[subscriber_hash("ann@shop.test")]
        assert ann["merge_fields"] == {"FNAME": "Anna"}
        assert (ann["created"], ann["updated"], ann["subscribed"]) == (1, 1, 1)

    def test_a_replay_has_no_effect(self, sandbox, mailchimp):
        for _ in range(2):
            upsert(mailchimp, contact(FNAME="Ann"))
        (ann,) = sandbox.members().values()
        assert (ann["created"], ann["updated"], ann["writes"]) == (1, 0, 2)

    def test_a_new_contact_without_a_status_is_refused_and_a_known_one_keeps_its_own(
        self, sandbox, mailchimp
    ):
        upsert(mailchimp, contact(status="unsubscribed"))
        answer = upsert(mailchimp, contact(status=None), contact("new@shop.test", status=None))
        assert [error["email_address"] for error in answer["errors"]] == ["new@shop.test"]
        assert [member["status"] for member in sandbox.members().values()] == ["unsubscribed"]

    @pytest.mark.parametrize("address", ["ann@example.com", "ann", "a b@shop.test", "@shop.test"])
    def test_refuses_an_address_that_looks_fake(self, mailchimp, address):
        answer = upsert(mailchimp, contact(address), contact("ben@shop.test"))
        assert refusals(answer) == [
            f"{address} looks fake or invalid, please enter a real email address."
        ]
        assert answer["total_created"] == 1

    def test_refuses_a_value_of_the_wrong_type_and_names_the_field(self, mailchimp):
        mailchimp.lists.add_list_merge_field(
            LIST, {"name": "Spend", "type": "number", "tag": "LTV"}
        )
        (error,) = upsert(mailchimp, contact(LTV="lots"))["errors"]
        assert (error["field"], error["field_message"]) == ("LTV", "Please enter a number")

    def test_an_empty_text_clears_and_an_unknown_key_is_ignored(self, sandbox, mailchimp):
        upsert(mailchimp, contact(FNAME="Ann", LNAME="Lee"))
        upsert(mailchimp, contact(FNAME="", NOSUCH="x"))
        assert sandbox.members().popitem()[1]["merge_fields"] == {"LNAME": "Lee"}

    def test_insists_on_a_required_field_unless_told_not_to(self, mailchimp):
        field = {"name": "Tier", "type": "text", "tag": "TIER", "required": True}
        mailchimp.lists.add_list_merge_field(LIST, field)
        (error,) = upsert(mailchimp, contact())["errors"]
        assert (error["field"], error["field_message"]) == ("TIER", "Please enter a value")
        body = {"members": [contact()]}
        relaxed = mailchimp.lists.batch_list_members(LIST, body, skip_merge_validation=True)
        assert relaxed["total_created"] == 1

    def test_leaves_a_known_contact_alone_without_update_existing(self, mailchimp):
        upsert(mailchimp, contact())
        (error,) = upsert(mailchimp, contact(), update_existing=False)["errors"]
        assert error["error_code"] == "ERROR_CONTACT_EXISTS"

    def test_takes_500_contacts_and_not_one_more(self, mailchimp):
        contacts = [contact(f"c{number}@shop.test") for number in range(501)]
        with pytest.raises(ApiClientError) as excinfo:
            upsert(mailchimp, *contacts)
        assert (problem(excinfo)["status"], problem(excinfo)["title"]) == (400, "Invalid Resource")
        assert upsert(mailchimp, *contacts[:500])["total_created"] == 500

    def test_syncing_tags_replaces_the_others(self, sandbox, mailchimp):
        upsert(mailchimp, contact() | {"tags": ["old", "kept"]})
        upsert(mailchimp, contact() | {"tags": ["kept", "new"]}, sync_tags=True)
        assert sandbox.members().popitem()[1]["tags"] == ["kept", "new"]


class TestConsent:
    def change_status(self, sandbox, status, by):
        path = f"/_mailchimp/{LIST}/members/{subscriber_hash('ann@shop.test')}/status"
        sandbox.post(path, {"status": status, "by": by})

    @pytest.mark.parametrize(
        ("status", "by"),
        [("unsubscribed", "user"), ("cleaned", "bounce"), ("unsubscribed", "complaint")],
    )
    def test_nobody_can_subscribe_a_person_who_left(self, sandbox, mailchimp, status, by):
        upsert(mailchimp, contact())
        self.change_status(sandbox, status, by)
        (refusal,) = refusals(upsert(mailchimp, contact()))
        assert "is in a compliance state" in refusal
        with pytest.raises(ApiClientError) as excinfo:
            mailchimp.lists.update_list_member(LIST, "ann@shop.test", {"status": "subscribed"})
        assert problem(excinfo)["title"] == "Member In Compliance State"
        (ann,) = sandbox.members().values()
        assert (ann["status"], ann["resubscribed"]) == (status, 0)

    def test_who_unsubscribed_can_be_asked_again_by_pending(self, sandbox, mailchimp):
        upsert(mailchimp, contact())
        self.change_status(sandbox, "unsubscribed", "user")
        assert upsert(mailchimp, contact(status="pending"))["error_count"] == 0
        assert "compliance" in refusals(upsert(mailchimp, contact()))[0]

    def test_archiving_does_not_launder_an_unsubscription(self, sandbox, mailchimp):
        upsert(mailchimp, contact())
        self.change_status(sandbox, "unsubscribed", "user")
        mailchimp.lists.delete_list_member(LIST, "ann@shop.test")
        assert "compliance" in refusals(upsert(mailchimp, contact()))[0]

    def test_one_unsubscribed_by_the_api_can_be_resubscribed_and_the_truth_tells(
        self, sandbox, mailchimp
    ):
        for status in ("subscribed", "unsubscribed", "subscribed"):
            upsert(mailchimp, contact(status=status))
        (ann,) = sandbox.members().values()
        assert (ann["subscribed"], ann["resubscribed"], ann["unsubscribed"]) == (2, 1, 1)

    def test_an_erased_contact_cannot_come_back(self, sandbox, mailchimp):
        upsert(mailchimp, contact())
        mailchimp.lists.delete_list_member_permanent(LIST, subscriber_hash("ann@shop.test"))
        (refusal,) = refusals(upsert(mailchimp, contact()))
        assert "was permanently deleted and cannot be re-imported" in refusal
        with pytest.raises(ApiClientError) as excinfo:
            mailchimp.lists.get_list_member(LIST, "ann@shop.test")
        assert problem(excinfo)["status"] == 404
        assert sandbox.members() == {}

    def test_a_list_tells_that_it_asks_twice(self, sandbox, mailchimp):
        assert mailchimp.lists.get_list(LIST)["double_optin"] is False
        sandbox.post(f"/_mailchimp/{LIST}", {"double_optin": True})
        assert mailchimp.lists.get_list(LIST)["double_optin"] is True


class TestMember:
    def test_an_archived_member_keeps_its_tags_and_comes_back_with_them(self, sandbox, mailchimp):
        upsert(mailchimp, contact() | {"tags": ["vip"]})
        mailchimp.lists.delete_list_member(LIST, "ann@shop.test")
        archived = mailchimp.lists.get_list_member(LIST, "ann@shop.test")
        assert (archived["status"], archived["tags"][0]["name"]) == ("archived", "vip")
        mailchimp.lists.add_list_member(LIST, contact())
        assert sandbox.tagged("vip") == {subscriber_hash("ann@shop.test")}

    def test_an_archived_member_cannot_be_archived_again(self, mailchimp):
        upsert(mailchimp, contact())
        mailchimp.lists.delete_list_member(LIST, "ann@shop.test")
        with pytest.raises(ApiClientError) as excinfo:
            mailchimp.lists.delete_list_member(LIST, "ann@shop.test")
        assert problem(excinfo)["status"] == 405

    def test_putting_another_address_renames_and_keeps_the_tags(self, sandbox, mailchimp):
        upsert(mailchimp, contact() | {"tags": ["vip"]})
        body = {"email_address": "anna@shop.test", "status_if_new": "pending"}
        mailchimp.lists.set_list_member(LIST, subscriber_hash("ann@shop.test"), body)
        renamed = sandbox.members()[subscriber_hash("anna@shop.test")]
        assert (renamed["status"], renamed["tags"]) == ("subscribed", ["vip"])

    def test_status_if_new_is_for_the_new(self, sandbox, mailchimp):
        for status_if_new in ("unsubscribed", "subscribed"):
            body = {"email_address": "ann@shop.test", "status_if_new": status_if_new}
            mailchimp.lists.set_list_member(LIST, subscriber_hash("ann@shop.test"), body)
        assert [member["status"] for member in sandbox.members().values()] == ["unsubscribed"]

    def test_adding_one_who_is_there_is_refused(self, mailchimp):
        upsert(mailchimp, contact())
        with pytest.raises(ApiClientError) as excinfo:
            mailchimp.lists.add_list_member(LIST, contact())
        assert problem(excinfo)["title"] == "Member Exists"

    def test_tags_are_set_and_taken_by_name(self, sandbox, mailchimp):
        upsert(mailchimp, contact())
        for status, tagged in (("active", 1), ("inactive", 0)):
            tags = {"tags": [{"name": "vip", "status": status}]}
            mailchimp.lists.update_list_member_tags(LIST, "ann@shop.test", tags)
            assert len(sandbox.tagged("vip")) == tagged

    def test_listing_pages_through_all_in_a_stable_order(self, mailchimp):
        upsert(mailchimp, *(contact(f"c{number}@shop.test") for number in range(23)))
        pages = [
            mailchimp.lists.get_list_members_info(LIST, count=10, offset=offset)
            for offset in (0, 10, 20)
        ]
        ids = [member["id"] for page in pages for member in page["members"]]
        assert ids == sorted(ids)
        assert len(set(ids)) == pages[0]["total_items"] == 23
        assert len(mailchimp.lists.get_list_members_info(LIST)["members"]) == 10

    def test_listing_filters_by_status_and_by_change(self, mailchimp):
        upsert(mailchimp, contact(), contact("ben@shop.test", status="unsubscribed"))
        listing = mailchimp.lists.get_list_members_info
        gone = listing(LIST, status="unsubscribed", fields=["members.email_address"])
        assert gone == {"members": [{"email_address": "ben@shop.test"}]}
        since = "2000-01-01T00:00:00+00:00"
        assert listing(LIST, since_last_changed=since)["total_items"] == 2
        since = "2999-01-01T00:00:00+00:00"
        assert listing(LIST, since_last_changed=since)["total_items"] == 0

    def test_fields_and_exclude_fields_exclude_each_other(self, mailchimp):
        with pytest.raises(ApiClientError) as excinfo:
            mailchimp.lists.get_list_members_info(
                LIST, fields=["members.id"], exclude_fields=["total_items"]
            )
        assert problem(excinfo)["status"] == 400


class TestSegments:
    @pytest.fixture
    def segment(self, mailchimp):
        upsert(mailchimp, contact(), contact("ben@shop.test"))
        body = {"name": "lapsed_vips", "static_segment": []}
        return str(mailchimp.lists.create_segment(LIST, body)["id"])

    def test_a_static_segment_is_a_tag(self, sandbox, mailchimp, segment):
        body = {"members_to_add": ["Ann@shop.test", "ben@shop.test"]}
        assert mailchimp.lists.batch_segment_members(body, LIST, segment)["total_added"] == 2
        assert len(sandbox.tagged("lapsed_vips")) == 2
        body = {"members_to_remove": ["ann@shop.test"]}
        assert mailchimp.lists.batch_segment_members(body, LIST, segment)["total_removed"] == 1
        assert sandbox.tagged("lapsed_vips") == {subscriber_hash("ben@shop.test")}
        listed = mailchimp.lists.get_segment_members_list(LIST, segment)["members"]
        assert [member["email_address"] for member in listed] == ["ben@shop.test"]

    def test_strangers_are_named_and_the_others_go_through(self, mailchimp, segment):
        body = {"members_to_add": ["stranger@shop.test", "ann@shop.test"]}
        answer = mailchimp.lists.batch_segment_members(body, LIST, segment)
        assert answer["errors"][0]["email_addresses"] == ["stranger@shop.test"]
        assert (answer["total_added"], answer["error_count"]) == (1, 1)

    def test_a_second_add_has_no_effect(self, sandbox, mailchimp, segment):
        for _ in range(2):
            mailchimp.lists.batch_segment_members(
                {"members_to_add": ["ann@shop.test"]}, LIST, segment
            )
        assert sandbox.truth()["mailchimp"]["lists"][LIST]["segments"][segment]["added"] == 1

    def test_its_count_is_of_active_subscribers(self, sandbox, mailchimp, segment):
        body = {"members_to_add": ["ann@shop.test", "ben@shop.test"]}
        mailchimp.lists.batch_segment_members(body, LIST, segment)
        path = f"/_mailchimp/{LIST}/members/{subscriber_hash('ann@shop.test')}/status"
        sandbox.post(path, {"status": "unsubscribed", "by": "user"})
        assert mailchimp.lists.get_segment(LIST, segment)["member_count"] == 1

    def test_more_than_500_addresses_are_refused(self, mailchimp, segment):
        body = {"members_to_add": [f"c{number}@shop.test" for number in range(501)]}
        with pytest.raises(ApiClientError) as excinfo:
            mailchimp.lists.batch_segment_members(body, LIST, segment)
        assert problem(excinfo)["status"] == 400

    def test_a_saved_segment_cannot_be_filled(self, mailchimp):
        saved = mailchimp.lists.create_segment(LIST, {"name": "saved", "options": {"match": "any"}})
        with pytest.raises(ApiClientError) as excinfo:
            mailchimp.lists.batch_segment_members(
                {"members_to_add": ["ann@shop.test"]}, LIST, str(saved["id"])
            )
        assert "does not exist" in problem(excinfo)["detail"]

    def test_deleting_one_takes_the_tag_away(self, sandbox, mailchimp, segment):
        mailchimp.lists.batch_segment_members({"members_to_add": ["ann@shop.test"]}, LIST, segment)
        mailchimp.lists.delete_segment(LIST, segment)
        assert sandbox.tagged("lapsed_vips") == set()


class TestAccess:
    def test_a_revoked_key_is_refused(self, connect_mailchimp):
        with pytest.raises(ApiClientError) as excinfo:
            connect_mailchimp("revoked-us1").ping.get()
        assert (problem(excinfo)["status"], problem(excinfo)["title"]) == (401, "API Key Invalid")

    def test_a_list_that_is_not_there_is_a_404(self, mailchimp):
        with pytest.raises(ApiClientError) as excinfo:
            mailchimp.lists.get_list("nosuch")
        assert problem(excinfo)["title"] == "Resource Not Found"

    def test_the_vendors_own_trigger_header_fails_a_call(self, sandbox):
        url, auth = f"{sandbox.mailchimp_url}/ping", ("any", "key-us1")
        for name, status in (("APIKeyMissing", 401), ("TooManyRequests", 429)):
            answer = sandbox.http.get(url, auth=auth, headers={"X-Trigger-Error": name})
            assert answer.status_code == status
            assert answer.headers["content-type"].startswith("application/problem+json")

    def test_an_eleventh_connection_is_refused_without_retry_after(self, sandbox):
        sandbox.fault(action="hold", path="ping", times=None)
        url, auth = f"{sandbox.mailchimp_url}/ping", ("any", "key-us1")
        with ThreadPoolExecutor(12) as threads:
            calls = [threads.submit(sandbox.http.get, url, auth=auth) for _ in range(12)]
            until(lambda: sum(call.done() for call in calls) == 2)
            sandbox.wait_for_held(10)
            sandbox.clear_faults()
        refused = [answer for call in calls if (answer := call.result()).status_code == 429]
        assert len(refused) == 2
        assert "10 simultaneous connections" in refused[0].json()["detail"]
        assert "retry-after" not in refused[0].headers

    def test_a_merge_tag_has_at_most_ten_characters(self, mailchimp):
        field = {"name": "Recommended", "type": "text", "tag": "RECOMMENDED"}
        with pytest.raises(ApiClientError) as excinfo:
            mailchimp.lists.add_list_merge_field(LIST, field)
        assert problem(excinfo)["errors"][0]["field"] == "tag"

    def test_a_new_list_has_five_merge_fields(self, mailchimp):
        fields = mailchimp.lists.get_list_merge_fields(LIST)["merge_fields"]
        tags = [field["tag"] for field in fields]
        assert tags == ["FNAME", "LNAME", "ADDRESS", "PHONE", "BIRTHDAY"]
