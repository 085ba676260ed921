"""The double of Meta, spoken to through Meta's own SDK."""

from __future__ import annotations

import json
import time

import pytest
from facebook_business.adobjects.adaccount import AdAccount
from facebook_business.adobjects.customaudience import CustomAudience
from facebook_business.exceptions import FacebookRequestError

NEW = {"name": "regulars: lapsed_vips", "customer_file_source": "USER_PROVIDED_ONLY"}
BOUNDS = ["approximate_count_lower_bound", "approximate_count_upper_bound"]


@pytest.fixture
def account(meta):
    return AdAccount("act_1000", api=meta)


@pytest.fixture
def audience(account):
    return account.create_custom_audience(params=NEW | {"subtype": "CUSTOM"})


@pytest.fixture
def upload(meta, audience):
    """One call to /users, the way a client that wants to survive big removals makes it."""

    def call(data, schema=("EMAIL",), method="POST", **session):
        params = {"payload": {"schema": list(schema), "data": data}}
        if session:
            params["session"] = session
        if method == "DELETE":
            params["method"] = "DELETE"
        return meta.call("POST", (audience["id"], "users"), params=params).json()

    return call


def codes(excinfo):
    return excinfo.value.api_error_code(), excinfo.value.api_error_subcode()


class TestAudience:
    def test_is_created_read_listed_and_deleted(self, account, audience):
        fields = ["name", "operation_status", "delivery_status"]
        assert audience.api_get(fields=fields)["operation_status"]["code"] == 410
        assert [a["name"] for a in account.get_custom_audiences(fields=["name"])] == [NEW["name"]]
        audience.api_delete()
        with pytest.raises(FacebookRequestError) as excinfo:
            audience.api_get(fields=["name"])
        assert codes(excinfo) == (100, 33)

    def test_needs_a_file_source(self, account):
        with pytest.raises(FacebookRequestError) as excinfo:
            account.create_custom_audience(params={"name": "regulars"})
        message = "(#100) Missing parameter(s): customer_file_source"
        assert excinfo.value.api_error_message() == message

    def test_listing_follows_the_cursors(self, account):
        for number in range(5):
            account.create_custom_audience(params=NEW | {"name": f"regulars {number}"})
        listed = account.get_custom_audiences(fields=["name"], params={"limit": 2})
        assert [a["name"] for a in listed] == [f"regulars {number}" for number in range(5)]

    def test_an_unknown_field_is_an_error(self, audience):
        with pytest.raises(FacebookRequestError) as excinfo:
            audience.api_get(fields=["approximate_count"])
        assert "nonexisting field (approximate_count)" in excinfo.value.api_error_message()

    def test_a_name_that_hints_at_health_or_money_is_flagged_and_blocked(self, account, meta, sha):
        flagged = account.create_custom_audience(params=NEW | {"name": "high_income buyers"})
        fields = ["operation_status", "fields_violating_integrity_policy"]
        read = flagged.api_get(fields=fields)
        assert read["operation_status"]["code"] == 471
        assert read["fields_violating_integrity_policy"] == ["name"]
        payload = {"schema": ["EMAIL"], "data": [[sha("ann")]]}
        with pytest.raises(FacebookRequestError) as excinfo:
            meta.call("POST", (flagged["id"], "users"), params={"payload": payload})
        assert codes(excinfo) == (100, 1713230)
        with pytest.raises(FacebookRequestError) as excinfo:
            flagged.api_update(params={"name": "buyers"})
        assert codes(excinfo) == (100, 1713228)

    def test_size_is_shown_in_thousands_and_never_below_one(self, audience, upload, sha):
        assert [audience.api_get(fields=BOUNDS)[bound] for bound in BOUNDS] == [1000, 1000]
        upload([[sha(str(number))] for number in range(2500)])
        assert [audience.api_get(fields=BOUNDS)[bound] for bound in BOUNDS] == [2000, 3000]


class TestUsers:
    def test_are_added_and_removed_by_their_whole_tuple(self, sandbox, upload, sha):
        ann = [sha("ann@shop.test"), sha("15559876543")]
        schema = ("EMAIL", "PHONE")
        upload([ann], schema)
        assert sandbox.audience(NEW["name"])["members"] == [{"EMAIL": ann[0], "PHONE": ann[1]}]
        other_schema = upload([ann[:1]], ("EMAIL",), method="DELETE")
        upload([ann], ("PHONE", "EMAIL"), method="DELETE")
        assert other_schema["num_received"] == 1
        assert sandbox.audience(NEW["name"])["size"] == 1
        upload([ann], schema, method="DELETE")
        truth = sandbox.audience(NEW["name"])
        assert (truth["size"], truth["added"], truth["removed"]) == (0, 1, 1)

    def test_the_sdks_own_methods_work_for_few(self, sandbox, audience):
        emails = ["ann@shop.test", "ben@shop.test"]
        audience.add_users(schema=CustomAudience.Schema.email_hash, users=emails)
        assert sandbox.audience(NEW["name"])["size"] == 2
        audience.remove_users(schema=CustomAudience.Schema.email_hash, users=emails)
        assert sandbox.audience(NEW["name"])["size"] == 0

    def test_a_long_url_gets_a_page_that_is_no_json(self, sandbox, audience, sha):
        many = [sha(str(number)) for number in range(300)]
        audience.add_users(schema="EMAIL_SHA256", users=many, pre_hashed=True)
        answer = audience.remove_users(schema="EMAIL_SHA256", users=many, pre_hashed=True)
        assert answer.status() == 414
        assert sandbox.audience(NEW["name"])["size"] == 300

    def test_bad_hashes_are_counted_and_sampled_and_the_rest_goes_in(self, sandbox, upload, sha):
        answer = upload([[sha("ann")], ["ann@shop.test"], [""], [sha("x").upper()]])
        assert (answer["num_received"], answer["num_invalid_entries"]) == (4, 3)
        assert answer["invalid_entry_samples"]['["ann@shop.test"]'] == "invalid email hash"
        assert sandbox.audience(NEW["name"])["size"] == 1

    @pytest.mark.parametrize(
        ("schema", "row"),
        [(("EMAIL", "PHONE"), ["a"]), (("EMAIL",), ["a", "b"]), (("NOSUCH",), ["a"])],
    )
    def test_rows_must_match_the_schema(self, upload, schema, row):
        with pytest.raises(FacebookRequestError) as excinfo:
            upload([row], schema)
        assert codes(excinfo) == (100, None)

    def test_ten_thousand_rows_and_not_one_more(self, upload, sha):
        rows = [[sha(str(number))] for number in range(10_001)]
        with pytest.raises(FacebookRequestError):
            upload(rows)
        assert upload(rows[:-1])["num_received"] == 10_000

    def test_columns_that_are_no_hashes_are_taken_as_they_are(self, sandbox, upload, sha):
        schema = ("EMAIL", "EXTERN_ID", "DATA_PROCESSING_OPTIONS")
        answer = upload([[sha("ann"), "customer-1", ["LDU"]], ["", "customer-2", []]], schema)
        assert answer["num_invalid_entries"] == 0
        assert sandbox.audience(NEW["name"])["size"] == 2

    def test_a_removal_that_leaves_too_few_is_refused(self, sandbox, audience, upload, sha):
        rows = [[sha(str(number))] for number in range(5)]
        upload(rows)
        sandbox.post(f"/_meta/audiences/{audience['id']}", {"minimum_size": 4})
        upload(rows[:1], method="DELETE")
        with pytest.raises(FacebookRequestError) as excinfo:
            upload(rows[1:2], method="DELETE")
        assert excinfo.value.body()["error"]["error_user_title"] == "Audience Size too low"
        assert sandbox.audience(NEW["name"])["size"] == 4

    def test_one_call_takes_a_person_out_of_every_audience(
        self, sandbox, account, upload, meta, sha
    ):
        upload([[sha("ann"), sha("1")], [sha("ben"), sha("2")]], ("EMAIL", "PHONE"))
        payload = {"schema": ["EMAIL"], "data": [[sha("ann")]]}
        meta.call("DELETE", ("act_1000", "usersofanyaudience"), params={"payload": payload})
        (left,) = sandbox.audience(NEW["name"])["members"]
        assert left["EMAIL"] == sha("ben")


class TestSessions:
    def test_count_up_and_a_replayed_batch_gets_its_first_answer(self, sandbox, upload, sha):
        session = {"session_id": 7, "estimated_num_total": 3}
        first = upload([[sha("a")], [sha("b")]], **session, batch_seq=1, last_batch_flag=False)
        second = upload([[sha("c")]], **session, batch_seq=2, last_batch_flag=True)
        assert (first["num_received"], second["num_received"]) == (2, 3)
        replayed = upload([[sha("a")], [sha("b")]], **session, batch_seq=1, last_batch_flag=False)
        assert replayed == first
        truth = sandbox.audience(NEW["name"])
        assert (truth["size"], truth["added"]) == (3, 3)

    def test_take_no_batch_after_the_last(self, upload, sha):
        upload([[sha("a")]], session_id=7, batch_seq=1, last_batch_flag=True)
        with pytest.raises(FacebookRequestError) as excinfo:
            upload([[sha("b")]], session_id=7, batch_seq=2, last_batch_flag=True)
        assert codes(excinfo) == (2650, 1870159)

    def test_belong_to_one_audience_and_one_operation(self, upload, sha):
        upload([[sha("a")]], session_id=7, batch_seq=1)
        with pytest.raises(FacebookRequestError):
            upload([[sha("a")]], method="DELETE", session_id=7, batch_seq=2)

    @pytest.mark.parametrize("session_id", [0, -1, 2**63, "x"])
    def test_have_a_positive_64_bit_id(self, upload, sha, session_id):
        with pytest.raises(FacebookRequestError):
            upload([[sha("a")]], session_id=session_id, batch_seq=1)

    def test_can_be_looked_up(self, audience, upload, sha):
        upload([[sha("a")]], session_id=7, batch_seq=1, last_batch_flag=True)
        (session,) = audience.get_sessions()
        assert (session["session_id"], session["stage"]) == ("7", "completed")


class TestAccess:
    def test_a_revoked_token_is_refused(self, connect_meta):
        with pytest.raises(FacebookRequestError) as excinfo:
            connect_meta("revoked").call("GET", ("me",))
        assert codes(excinfo) == (190, 463)
        assert excinfo.value.api_error_type() == "OAuthException"

    def test_without_the_terms_nothing_goes_in(self, sandbox, account, upload, sha):
        assert account.api_get(fields=["tos_accepted"])["tos_accepted"]["custom_audience_tos"] == 1
        sandbox.post("/_meta/act_1000", {"tos_accepted": False})
        assert not account.api_get(fields=["tos_accepted"])["tos_accepted"]
        with pytest.raises(FacebookRequestError) as excinfo:
            upload([[sha("a")]])
        assert codes(excinfo) == (200, 1870090)

    def test_an_account_that_is_not_there_is_an_error(self, meta):
        with pytest.raises(FacebookRequestError) as excinfo:
            AdAccount("act_9", api=meta).get_custom_audiences()
        assert codes(excinfo) == (100, 33)

    def test_every_answer_tells_how_much_of_the_quota_is_used(self, meta, audience):
        headers = meta.call("GET", (audience["id"],)).headers()
        (usage,) = json.loads(headers["x-business-use-case-usage"])["1000"]
        assert usage["type"] == "custom_audience"
        assert usage["estimated_time_to_regain_access"] == 0
        assert "acc_id_util_pct" in headers["x-ad-account-usage"]


def test_a_json_body_is_taken_as_well_as_a_form(sandbox, audience, sha):
    body = {
        "access_token": "a-token",
        "payload": {"schema": "EMAIL", "data": [sha("ann"), sha("ben")]},
    }
    answer = sandbox.http.post(f"{sandbox.meta_url}/v26.0/{audience['id']}/users", json=body)
    assert answer.json()["num_received"] == 2
    assert sandbox.audience(NEW["name"])["size"] == 2


def test_content_times_move_with_the_content(audience, upload, sha):
    before = audience.api_get(fields=["time_content_updated"])["time_content_updated"]
    upload([[sha("ann")]])
    after = audience.api_get(fields=["time_content_updated"])["time_content_updated"]
    assert before <= after <= time.time()
