from __future__ import annotations

import sys
from types import MappingProxyType
from urllib.parse import quote, urlencode

import pytest
from msgspec import structs

from include.connections import Credentials
from include.destinations.base import Batch, Member, RemoteAudience, Session, SessionOver
from include.destinations.meta import Meta, form_encoded
from include.errors import BadInput, Retry, Stop
from tests.include.destinations.contract import DestinationContract, addressed, identity
from tests.sandbox_server import Sandbox


def test_a_form_is_encoded_as_the_standard_library_does():
    parameters = {"a key": "".join(map(chr, range(1, 3000))) + "%25%%", "number": 3}
    assert form_encoded(parameters) == urlencode(parameters, quote_via=quote, safe="").encode()


class TestMeta(DestinationContract):
    destination = Meta
    extra = MappingProxyType({"ad_account_id": "act_1000"})
    base_url = "meta_url"

    def there(self, sandbox: Sandbox) -> set[str]:
        members = sandbox.audience(self.audience_name)["members"]
        return {f"{member['EMAIL']}:{member['PHONE']}" for member in members}

    def test_a_removal_by_another_schema_than_the_upload_is_not_possible(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        both, email_only = addressed(
            Meta, {"email": "a@shop.test", "phone_key": "+14155552671"}, {"email": "a@shop.test"}
        )
        opened.add(audience, Batch(1, [both]))

        opened.remove(audience, Batch(2, [email_only]))
        assert self.there(sandbox) == {both.identity}
        opened.remove(audience, Batch(3, [both]))
        assert self.there(sandbox) == set()

    @pytest.mark.parametrize(
        ("code", "subcode", "error", "words"),
        [
            (4, None, Retry, "busy"),
            (17, 2446079, Retry, "busy"),
            (613, 1487742, Retry, "busy"),
            (80003, None, Retry, "busy"),
            (200, 1870090, Stop, "terms"),
            (100, 1713230, Stop, "flagged"),
            (100, 33, Stop, "no longer"),
            (2650, 1870159, SessionOver, "session"),
            (2650, 1870145, Retry, "busy"),
        ],
    )
    def test_an_error_is_judged_by_its_code(
        self,
        sandbox: Sandbox,
        code: int,
        subcode: int | None,
        error: type[Exception],
        words: str,
    ):
        opened, audience = self.ready(sandbox)
        body = {"error": {"message": "x", "type": "y", "code": code, "error_subcode": subcode}}
        sandbox.fault(path="users", action="status", status=400, body=body)
        with pytest.raises(error, match=words):
            opened.add(audience, Batch(1, self.members([1])))

    def test_a_limit_says_when_to_come_back(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        usage = '{"1000": [{"type": "custom_audience", "estimated_time_to_regain_access": 7}]}'
        sandbox.fault(
            path="users",
            action="status",
            status=400,
            body={"error": {"message": "x", "code": 80003}},
            headers={"x-business-use-case-usage": usage},
        )
        with pytest.raises(Retry) as raised:
            opened.add(audience, Batch(1, self.members([1])))
        assert raised.value.after_seconds == 7 * 60

    def test_fewer_received_than_sent_is_not_an_acknowledgement(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        sandbox.fault(path="users", action="status", status=200, body={"num_received": 2})
        with pytest.raises(Retry, match="received 2 people where 3"):
            opened.add(audience, Batch(1, self.members(range(3))))

    def test_a_session_counts_all_its_batches(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        first, second = Session(7, 1, False, 5, 0), Session(7, 2, True, 5, 3)
        opened.add(audience, Batch(1, self.members(range(3)), first))
        answer = opened.add(audience, Batch(2, self.members(range(3, 5)), second))
        assert answer.vendor["num_received"] == 5
        replayed = opened.add(audience, Batch(2, self.members(range(3, 5)), second))
        assert replayed.vendor["num_received"] == 5

    def test_who_cannot_be_removed_because_the_audience_is_small_is_named(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        members = self.members(range(2))
        opened.add(audience, Batch(1, members))
        body = {"error": {"message": "x", "code": 100, "error_subcode": 1870034}}
        sandbox.fault(path="users", action="status", status=400, body=body)

        answer = opened.remove(audience, Batch(2, members))

        assert {row.kind for row in answer.rejections} == {"retry"}
        assert {row.code for row in answer.rejections} == {"audience_too_small"}
        assert len(answer.rejections) == 2

    def test_rows_meta_calls_invalid_are_named(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        good, bad = self.members(range(2))
        row = f'["{bad.identity.split(":")[0]}", ""]'
        body = {"num_received": 2, "num_invalid_entries": 1, "invalid_entry_samples": {row: "x"}}
        sandbox.fault(path="users", action="status", status=200, body=body)

        [rejection] = opened.add(audience, Batch(1, [good, bad])).rejections

        assert (rejection.customer_id, rejection.kind) == (bad.customer_id, "fix_data")

    def test_a_value_based_audience_gets_what_everybody_is_worth(self, sandbox: Sandbox):
        opened = self.open(sandbox)
        fields = {"lookalike_value": "number"}
        audience = opened.ensure_audience(self.audience_name, fields, None)
        members = self.members(range(4))
        values = [12.345, -3, None, float("nan")]
        worth = [
            structs.replace(member, payload={"lookalike_value": value})
            for member, value in zip(members, values, strict=True)
        ]

        opened.add(audience, Batch(1, worth))

        held = sandbox.audience(self.audience_name)
        assert held["is_value_based"]
        assert sorted(m["LOOKALIKE_VALUE"] for m in held["members"]) == ["0", "0", "0", "12.35"]
        with pytest.raises(Stop, match="value-based"):
            opened.ensure_audience(self.audience_name, {}, None)
        opened.remove(audience, Batch(2, [Member(m.customer_id, m.identity) for m in members]))
        assert self.there(sandbox) == set()

    def test_data_of_people_in_the_united_states_may_be_limited(self, sandbox: Sandbox):
        extra = {**self.extra, "base_url": sandbox.meta_url, "limited_data_use": "us"}
        opened = Meta(Credentials("token", extra=extra))
        audience = opened.ensure_audience(self.audience_name, {}, None)
        people = [
            {"email": "a@shop.test", "country": "US"},
            {"email": "b@shop.test", "country": "DE"},
            {"email": "c@shop.test"},
        ]
        us, de, unknown = addressed(Meta, *people)

        opened.add(audience, Batch(1, [us, de, unknown]))

        held = {m["EMAIL"]: m for m in sandbox.audience(self.audience_name)["members"]}
        options = [
            held[m.identity.removesuffix(":")]["DATA_PROCESSING_OPTIONS"] for m in (us, de, unknown)
        ]
        assert options == ["['LDU']", "[]", "['LDU']"]
        opened.remove(audience, Batch(2, [Member("x", us.identity), Member("y", de.identity)]))
        assert self.there(sandbox) == {unknown.identity}

    def test_a_lookalike_is_made_once_of_a_seed_that_is_large_enough(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        opened.add(audience, Batch(1, self.members(range(99))))
        with pytest.raises(Stop, match="fewer than a hundred"):
            opened.ensure_lookalike(audience, "DE", 1)
        opened.add(audience, Batch(2, self.members([99])))

        first = opened.ensure_lookalike(audience, "DE", 1)

        assert opened.ensure_lookalike(audience, "DE", 1) == first
        assert sandbox.audience("lapsed_vips lookalike DE 1%")["subtype"] == "LOOKALIKE"
        for country, percent in (("de", 1), ("DE", 0), ("DE", 21)):
            with pytest.raises(BadInput):
                opened.ensure_lookalike(audience, country, percent)

    def test_terms_that_were_not_accepted_stop_the_sync_and_say_where_to_accept_them(
        self, sandbox: Sandbox
    ):
        opened, audience = self.ready(sandbox)
        sandbox.post("/_meta/act_1000", {"tos_accepted": False})
        with pytest.raises(Stop, match=r"accept .* at https://business\.facebook\.com"):
            opened.add(audience, Batch(1, self.members([1])))
        works, message = opened.test_connection()
        assert not works
        assert "https://business.facebook.com" in message

    def test_a_flagged_audience_stops_the_sync_and_says_what_to_do(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        sandbox.post(f"/_meta/audiences/{audience.audience_id}", {"operation_status": 471})
        with pytest.raises(Stop, match="name that says nothing of health or money"):
            opened.add(audience, Batch(1, self.members([1])))

    def test_the_clients_crash_reporter_is_not_switched_on(self, sandbox: Sandbox):
        self.open(sandbox).test_connection()
        assert sys.excepthook is sys.__excepthook__

    def test_an_unknown_audience_is_not_recreated(self, sandbox: Sandbox):
        opened = self.open(sandbox)
        assert opened.ensure_audience(self.audience_name, {}, "55") == RemoteAudience(
            "55", self.audience_name
        )


# Meta's own examples, https://developers.facebook.com/docs/marketing-api/audiences/guides/custom-audiences
@pytest.mark.parametrize(
    ("email", "expected"),
    [
        ("mary@example.com", "f1904cf1a9d73a55fa5de0ac823c4403ded71afd4c3248d00bdcd0866552bb79"),
        (
            "  John_Smith@gmail.com ",
            "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f",
        ),
    ],
)
def test_an_email_is_hashed_as_meta_documents_it(email: str, expected: str):
    assert identity(Meta, email=email) == f"{expected}:"


@pytest.mark.parametrize(
    ("phone_key", "expected"),
    [
        (
            "+15559876543",
            "1ef970831d7963307784fa8688e8fce101a15685d62aa765fed23f3a2c576a4e",
        ),
        (
            "+16505551212",
            "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176",
        ),
    ],
)
def test_a_phone_is_hashed_as_meta_documents_it(phone_key: str, expected: str):
    assert identity(Meta, phone_key=phone_key) == f":{expected}"


def test_without_an_international_number_the_phone_is_left_out():
    assert identity(Meta, phone_key=None) == ""
