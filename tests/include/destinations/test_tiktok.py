from __future__ import annotations

from hashlib import md5
from types import MappingProxyType
from typing import Any

import pytest

from include.connections import Credentials
from include.destinations.base import Batch, BatchRefused, Outcome
from include.destinations.tiktok import File, TikTok
from include.errors import BadInput, Reauthorise, Retry, Stop
from tests.include.destinations.contract import DestinationContract, addressed, identity
from tests.sandbox_server import Sandbox

ADVERTISER = "7000000000000000001"


class TestTikTok(DestinationContract):
    destination = TikTok
    extra = MappingProxyType({"advertiser_id": ADVERTISER})
    base_url = "tiktok_url"

    def held(self, sandbox: Sandbox) -> dict[str, Any]:
        [held] = sandbox.truth()["tiktok"]["audiences"].values()
        return held

    def there(self, sandbox: Sandbox) -> set[str]:
        """All of these people are known by their addresses alone."""
        return {f"{found}:" for found in self.held(sandbox)["members"].get("EMAIL_SHA256", ())}

    def test_an_audience_is_made_by_the_first_people_and_grows_by_the_next(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        assert opened.remove(audience, Batch(1, self.members([9]))).rejections == ()
        assert sandbox.truth()["tiktok"]["audiences"] == {}

        opened.add(audience, Batch(2, self.members([1])))
        opened.add(audience, Batch(3, self.members([2])))

        assert self.held(sandbox)["size"] == 2
        found = self.open(sandbox).ensure_audience(self.audience_name, {}, None)
        assert found.audience_id in sandbox.truth()["tiktok"]["audiences"]

    def test_an_audience_whose_making_was_not_answered_is_not_made_twice(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        sandbox.fault(path="create", action="reset_after_apply")
        with pytest.raises(Retry):
            opened.add(audience, Batch(1, self.members([1])))
        opened.add(audience, Batch(1, self.members([1])))
        assert self.held(sandbox)["size"] == 1

    def test_addresses_and_numbers_go_in_files_of_their_own(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        both, phone = addressed(
            TikTok,
            {"email": "a@shop.test", "phone_key": "+14155552671"},
            {"phone_key": "+442079460000"},
        )

        opened.add(audience, Batch(1, [both, phone]))
        members = self.held(sandbox)["members"]
        assert members["EMAIL_SHA256"] == [both.identity.split(":")[0]]
        assert set(members["PHONE_SHA256"]) == {m.identity.split(":")[1] for m in (both, phone)}

        opened.remove(audience, Batch(2, [both]))
        assert self.held(sandbox)["members"] == {"PHONE_SHA256": [phone.identity.split(":")[1]]}

    def test_matching_takes_its_time_and_the_outcome_says_so(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        sandbox.post("/_tiktok", {"matching_seconds": 48 * 3600})
        answer = opened.add(audience, Batch(1, self.members([1])))
        assert opened.outcome(answer.vendor) == Outcome("processing")
        assert "being matched" in sandbox.http.get("/").text

        sandbox.post("/_tiktok", {"matching_seconds": 0})
        assert opened.outcome(answer.vendor) == Outcome("done")
        assert "too small to target" in sandbox.http.get("/").text

    @pytest.mark.parametrize(
        ("code", "error"),
        [
            (40100, Retry),
            (50002, Retry),
            (40102, Reauthorise),
            (40001, Reauthorise),
            (40007, Stop),
            (40062, BatchRefused),
            (40002, Stop),
        ],
    )
    def test_an_error_is_judged_by_its_code_though_it_comes_with_status_200(
        self, sandbox: Sandbox, code: int, error: type[Exception]
    ):
        opened, audience = self.ready(sandbox)
        body = {"code": code, "message": "x", "request_id": "1", "data": {}}
        sandbox.fault(path="upload", action="status", status=200, body=body)
        with pytest.raises(error) as raised:
            opened.add(audience, Batch(1, self.members([1])))
        assert type(raised.value) is error

    def test_what_is_not_hashed_is_refused(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        address = b"person@shop.test"
        file = File("EMAIL_SHA256", address, md5(address).hexdigest())
        with pytest.raises(BatchRefused, match="40062"):
            opened.add(audience, Batch(1, self.members([1]), prepared=[file]))


# Address and number by the rule that TikTok shares with Google, on Google's published vectors.
def test_an_address_and_a_number_are_hashed_as_tiktok_documents_it():
    email = "509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a"
    phone = "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30"
    told = {"email": " AlexZ@example.com ", "phone_key": "+18005550100"}
    assert identity(TikTok, **told) == f"{email}:{phone}"


def test_at_tiktok_every_spelling_of_a_mailbox_is_its_own():
    assert identity(TikTok, email="a.b@gmail.com") != identity(TikTok, email="ab@gmail.com")


@pytest.mark.parametrize(
    ("credentials", "error"),
    [
        (Credentials(None, extra={"advertiser_id": "1"}), Reauthorise),
        (Credentials("token"), BadInput),
        (Credentials("token", extra={"advertiser_id": "x"}), BadInput),
        (Credentials("token", extra={"advertiser_id": "1", "base_url": "http://a.test"}), BadInput),
    ],
    ids=["no token", "no advertiser", "no number", "plain http"],
)
def test_a_short_connection_says_what_it_lacks(credentials: Credentials, error: type[Exception]):
    with pytest.raises(error, match="tiktok_default"):
        TikTok(credentials)
