from __future__ import annotations

import json
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from google.ads.datamanager_v1 import IngestAudienceMembersRequest
from msgspec import structs

from include.connections import Credentials
from include.destinations.base import Batch, BatchRefused, Outcome, RemoteAudience
from include.destinations.google import Google
from include.errors import BadInput, Reauthorise, Retry, Stop
from tests.include.destinations.contract import DestinationContract, addressed, identity
from tests.sandbox_server import Sandbox

ALEX = "509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a"
PHONE = "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30"


class TestGoogle(DestinationContract):
    destination = Google
    extra = MappingProxyType({"customer_id": "123-456-7890", "customer_match_terms": "accepted"})
    base_url = "google_url"

    def held(self, sandbox: Sandbox) -> dict[str, Any]:
        [held] = sandbox.truth()["google"]["lists"].values()
        return held

    def there(self, sandbox: Sandbox) -> set[str]:
        people = [dict(member) for member in self.held(sandbox)["members"]]
        return {f"{p.get('emailAddress', '')}:{p.get('phoneNumber', '')}" for p in people}

    def test_rows_that_google_names_are_left_out_and_the_others_go(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        good, bad, other = self.members(range(3))

        answer = opened.add(
            audience, Batch(1, [good, structs.replace(bad, identity="no hash:"), other])
        )

        [rejection] = answer.rejections
        assert (rejection.customer_id, rejection.kind) == (bad.customer_id, "fix_data")
        assert rejection.code == "invalid_sha256_format"
        assert self.there(sandbox) == {good.identity, other.identity}

    def test_consent_goes_with_every_member_and_its_lack_shows_in_the_outcome(
        self, sandbox: Sandbox
    ):
        opened, audience = self.ready(sandbox)
        sandbox.post("/_google", {"processing_seconds": 3600})
        yes, no = addressed(
            Google,
            {"email": "a@shop.test"},
            {"email": "b@shop.test", "has_ads_consent": False},
        )

        answer = opened.add(audience, Batch(1, [yes, no]))

        assert opened.outcome(answer.vendor) == Outcome("processing")
        sandbox.post("/_google", {"processing_seconds": 0})
        assert opened.outcome(answer.vendor) == Outcome("done", {"denied_consent": 1})
        assert self.there(sandbox) == {yes.identity}

    def test_a_removal_has_an_outcome_too(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        answer = opened.remove(audience, Batch(1, self.members([1])))
        assert opened.outcome(answer.vendor) == Outcome("done")

    def test_terms_that_were_not_accepted_stop_the_sync_and_say_where_to_accept_them(
        self, sandbox: Sandbox
    ):
        extra = {"customer_id": "1234567890", "base_url": sandbox.google_url}
        opened = Google(Credentials("token", extra=extra))
        audience = opened.ensure_audience(self.audience_name, {}, None)
        with pytest.raises(Stop, match="accept the Customer Match terms at https"):
            opened.add(audience, Batch(1, self.members([1])))
        works, message = opened.test_connection()
        assert not works
        assert "terms" in message

    @pytest.mark.parametrize(
        ("reason", "status", "error"),
        [
            ("INVALID_USER_LIST_ID", 400, Stop),
            ("CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE", 403, Stop),
            ("PERMISSION_DENIED", 403, Reauthorise),
            ("INVALID_ARGUMENT", 400, BatchRefused),
            ("RESOURCE_EXHAUSTED", 429, Retry),
        ],
    )
    def test_an_error_is_judged_by_its_reason(
        self, sandbox: Sandbox, reason: str, status: int, error: type[Exception]
    ):
        opened, audience = self.ready(sandbox)
        details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]
        body = {"error": {"code": status, "message": "x", "details": details}}
        sandbox.fault(path="ingest", action="status", status=status, body=body)
        with pytest.raises(error) as raised:
            opened.add(audience, Batch(1, self.members([1])))
        assert type(raised.value) is error

    def test_a_limit_says_when_to_come_back(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "31.5s"}]
        body = {"error": {"code": 429, "message": "x", "details": details}}
        sandbox.fault(path="ingest", action="status", status=429, body=body)
        with pytest.raises(Retry) as raised:
            opened.add(audience, Batch(1, self.members([1])))
        assert raised.value.after_seconds == 31.5

    def test_an_answer_without_a_request_id_is_no_acknowledgement(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        sandbox.fault(path="ingest", action="status", status=200, body={})
        with pytest.raises(Retry, match="names no request"):
            opened.add(audience, Batch(1, self.members([1])))


def test_a_request_says_who_gave_which_consent_under_which_terms(monkeypatch):
    sent: list[bytes] = []
    extra = {"customer_id": "1234567890", "login_customer_id": "111-222-3333"}
    opened = Google(Credentials("token", extra=extra | {"customer_match_terms": "accepted"}))

    def record(_: Google, method: object, request: bytes) -> str:
        sent.append(request)
        return "1"

    monkeypatch.setattr(Google, "_call", record)
    [ann] = addressed(Google, {"email": "alexz@example.com", "phone_key": "+18005550100"})
    opened.add(RemoteAudience("77", "vips"), Batch(1, [ann]))

    # The official client's own reading of our JSON, which refuses what it does not know.
    strict = IngestAudienceMembersRequest.from_json(sent[0], ignore_unknown_fields=False)
    content = json.loads(IngestAudienceMembersRequest.to_json(strict, use_integers_for_enums=False))
    assert content["audienceMembers"] == [
        {
            "userData": {"userIdentifiers": [{"emailAddress": ALEX}, {"phoneNumber": PHONE}]},
            "consent": {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"},
            "destinationReferences": [],
        }
    ]
    assert content["encoding"] == "HEX"
    assert content["termsOfService"] == {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
    [destination] = content["destinations"]
    assert destination["productDestinationId"] == "77"
    assert destination["operatingAccount"]["accountId"] == "1234567890"
    assert destination["loginAccount"]["accountId"] == "1112223333"


# The vectors of Google's own formatter, googleads/data-manager-python tests/formatter_test.py
def test_an_address_and_a_number_are_hashed_as_google_documents_it():
    assert identity(Google, email=" AlexZ@Example.com ") == f"{ALEX}:"
    assert identity(Google, phone_key="+18005550100") == f":{PHONE}"
    assert (
        identity(Google, email="alexz@example.com", phone_key="+18005550100") == f"{ALEX}:{PHONE}"
    )


@pytest.mark.parametrize("domain", ["gmail.com", "googlemail.com"])
def test_spellings_of_one_google_mailbox_are_one_person(domain: str):
    expected = identity(Google, email=f"jeffersonloveshiking@{domain}")
    assert identity(Google, email=f"Jefferson.Loves.hiking@{domain}") == expected
    assert identity(Google, email=f"jefferson.loveshiking+trails@{domain}") == expected


def test_elsewhere_dots_and_suffixes_make_another_mailbox():
    assert identity(Google, email="a.b@shop.test") != identity(Google, email="ab@shop.test")
    assert identity(Google, email="a+b@shop.test") != identity(Google, email="a@shop.test")


@pytest.mark.parametrize(
    ("credentials", "error"),
    [
        (Credentials(None, extra={"customer_id": "1"}), Reauthorise),
        (Credentials("token"), BadInput),
        (Credentials("token", extra={"customer_id": "x"}), BadInput),
        (Credentials("token", extra={"customer_id": "1", "base_url": "http://a.test"}), BadInput),
    ],
    ids=["no key", "no account", "no number", "plain http"],
)
def test_a_short_connection_says_what_it_lacks(credentials: Credentials, error: type[Exception]):
    with pytest.raises(error, match="google_default"):
        Google(credentials)


def test_a_broken_key_is_not_quoted():
    credentials = Credentials('{"type": "service_account", "private_key": "hidden"}')
    opened = Google(replace(credentials, extra={"customer_id": "1"}))
    with pytest.raises(BadInput, match="JSON key") as raised:
        opened.ensure_audience("a", {}, None)
    assert "hidden" not in str(raised.value)
    assert raised.value.__cause__ is None
