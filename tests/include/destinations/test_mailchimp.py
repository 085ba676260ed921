from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import md5
from types import MappingProxyType
from typing import Any

import pytest
from msgspec import structs

from include.connections import Credentials
from include.destinations.base import Batch, BatchRefused, Member, RemoteAudience
from include.destinations.mailchimp import Mailchimp, merge_tag, merge_value
from include.errors import BadInput, Reauthorise, Retry, Stop
from tests.include.destinations.contract import DestinationContract, addressed, identity
from tests.sandbox_server import Sandbox


class TestMailchimp(DestinationContract):
    destination = Mailchimp
    extra = MappingProxyType({"list_id": "regulars"})
    base_url = "mailchimp_url"

    def there(self, sandbox: Sandbox) -> set[str]:
        return sandbox.tagged(self.audience_name)

    def change_status(self, sandbox: Sandbox, member: Member, status: str) -> None:
        path = f"/_mailchimp/regulars/members/{member.identity}/status"
        sandbox.post(path, {"status": status})

    def forget(self, sandbox: Sandbox, member: Member) -> None:
        path = f"lists/regulars/members/{member.identity}/actions/delete-permanent"
        answer = sandbox.http.post(f"{sandbox.mailchimp_url}/{path}", auth=("user", "key-us1"))
        answer.raise_for_status()

    def test_a_new_contact_is_subscribed_and_carries_the_fields(self, sandbox: Sandbox):
        opened = self.open(sandbox)
        fields = {"vip_tier": "text", "days_quiet": "number", "last_seen": "date"}
        audience = opened.ensure_audience(self.audience_name, fields, None)
        [ann] = addressed(
            Mailchimp, {"email": "Ann@Shop.test", "first_name": "Ann", "last_name": "Smith"}
        )
        payload = {"vip_tier": "gold *|LNAME|*", "days_quiet": 41, "last_seen": "2026-01-31"}

        opened.add(audience, Batch(1, [structs.replace(ann, payload=payload)]))

        member = sandbox.members()[ann.identity]
        assert member["status"] == "subscribed"
        assert member["merge_fields"] == {
            "FNAME": "Ann",
            "LNAME": "Smith",
            "VIPTIER": "gold LNAME",
            "DAYSQUIET": 41,
            "LASTSEEN": "2026-01-31",
        }

    @pytest.mark.parametrize(
        ("status", "known"),
        [
            ("unsubscribed", None),
            ("unsubscribed", "subscribed"),
            ("cleaned", None),
            ("cleaned", "subscribed"),
            ("transactional", None),
            ("archived", "subscribed"),
        ],
    )
    def test_nobody_is_ever_subscribed_again_however_stale_the_known_status(
        self, sandbox: Sandbox, status: str, known: str | None
    ):
        opened, audience = self.ready(sandbox)
        [ann] = self.members([1])
        opened.add(audience, Batch(1, [ann]))
        opened.remove(audience, Batch(2, [ann]))
        self.change_status(sandbox, ann, status)

        [rejection] = opened.add(
            audience, Batch(3, [structs.replace(ann, status=known)])
        ).rejections

        assert (rejection.code, rejection.kind) == (status, "suppressed")
        assert sandbox.members()[ann.identity]["status"] == status
        assert sandbox.members()[ann.identity]["resubscribed"] == 0
        assert self.there(sandbox) == set()

    def test_a_forgotten_contact_is_named_and_never_tried_again(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        ann, ben = self.members(range(2))
        opened.add(audience, Batch(1, [ann]))
        self.forget(sandbox, ann)

        [rejection] = opened.add(audience, Batch(2, [ann, ben])).rejections

        assert (rejection.customer_id, rejection.kind) == (ann.customer_id, "never")
        assert self.there(sandbox) == {ben.identity}

    def test_an_address_mailchimp_finds_fake_is_named_without_quoting_it(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        good, fake = addressed(Mailchimp, {"email": "a@shop.test"}, {"email": "b@example.com"})

        [rejection] = opened.add(audience, Batch(1, [good, fake])).rejections

        assert (rejection.customer_id, rejection.kind) == (fake.customer_id, "fix_data")
        assert "@" not in rejection.reason
        assert self.there(sandbox) == {good.identity}

    def test_leaving_an_audience_keeps_the_subscription(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        [ann] = self.members([1])
        opened.add(audience, Batch(1, [ann]))

        opened.remove(audience, Batch(2, [ann]))

        member = sandbox.members()[ann.identity]
        assert (member["status"], member["unsubscribed"]) == ("subscribed", 0)

    def test_on_a_double_opt_in_list_the_person_confirms_first(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        sandbox.post("/_mailchimp/regulars", {"double_optin": True})
        [ann] = self.members([1])

        [rejection] = opened.add(audience, Batch(1, [ann])).rejections

        assert (rejection.code, rejection.kind) == ("pending", "suppressed")
        assert sandbox.members()[ann.identity]["status"] == "pending"

    def test_nobody_skips_the_confirmation_because_the_list_did_not_tell_of_it(
        self, sandbox: Sandbox
    ):
        opened, audience = self.ready(sandbox)
        sandbox.post("/_mailchimp/regulars", {"double_optin": True})
        sandbox.fault(action="status", status=200, body={}, method="GET", path="lists/regulars$")
        [ann] = self.members([1])

        with pytest.raises(Retry):
            opened.add(audience, Batch(1, [ann]))
        opened.add(audience, Batch(1, [ann]))

        assert sandbox.members()[ann.identity]["status"] == "pending"

    def with_permissions(self, sandbox: Sandbox, **options: Any) -> tuple[Any, RemoteAudience]:
        sandbox.post("/_mailchimp/regulars", {"marketing_permissions": ["e1", "a2"], **options})
        extra = {"list_id": "regulars", "base_url": sandbox.mailchimp_url}
        extra["marketing_permission_ids"] = "e1"
        opened = Mailchimp(Credentials("0" * 32 + "-us1", extra=extra))
        return opened, opened.ensure_audience(self.audience_name, {"vip_tier": "text"}, None)

    @pytest.mark.parametrize("double_optin", [False, True])
    def test_a_new_contact_of_a_list_with_gdpr_fields_gets_the_permission_consent_means(
        self, sandbox: Sandbox, double_optin: bool
    ):
        opened, audience = self.with_permissions(sandbox, double_optin=double_optin)
        ann, ben = self.members(range(2))

        answer = opened.add(
            audience, Batch(1, [structs.replace(ann, payload={"vip_tier": "gold"}), ben])
        )

        assert len(answer.rejections) == (2 if double_optin else 0)
        member = sandbox.members()[ann.identity]
        assert member["status"] == ("pending" if double_optin else "subscribed")
        assert member["marketing_permissions"] == [
            {"marketing_permission_id": "e1", "enabled": True}
        ]
        assert member["merge_fields"] == {"VIPTIER": "gold"}
        assert self.there(sandbox) == (set() if double_optin else {ann.identity, ben.identity})

    @pytest.mark.parametrize("status", ["subscribed", "unsubscribed", "cleaned", "archived"])
    def test_what_a_known_contact_has_chosen_stays_whatever_we_know(
        self, sandbox: Sandbox, status: str
    ):
        opened, audience = self.ready(sandbox)
        [ann] = self.members([1])
        opened.add(audience, Batch(1, [ann]))
        # Mailchimp itself protects those who left by themselves, and nobody whom an admin archived.
        path = f"/_mailchimp/regulars/members/{ann.identity}/status"
        sandbox.post(path, {"status": status, "by": "admin"})
        opened, audience = self.with_permissions(sandbox)

        opened.add(audience, Batch(2, [structs.replace(ann, status=None)]))

        member = sandbox.members()[ann.identity]
        assert member["marketing_permissions"] == []
        assert (member["status"], member["resubscribed"]) == (status, 0)

    def test_a_forgotten_contact_stays_forgotten_on_a_list_with_gdpr_fields(self, sandbox: Sandbox):
        opened, audience = self.with_permissions(sandbox)
        [ann] = self.members([1])
        opened.add(audience, Batch(1, [ann]))
        self.forget(sandbox, ann)
        [rejection] = opened.add(audience, Batch(2, [ann])).rejections
        assert rejection.kind == "never"

    def test_a_list_with_gdpr_fields_needs_to_be_told_what_consent_means(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        sandbox.post("/_mailchimp/regulars", {"marketing_permissions": ["e1"]})
        with pytest.raises(Stop, match="marketing_permission_ids"):
            opened.add(audience, Batch(1, self.members([1])))
        works, message = self.open(sandbox).test_connection()
        assert not works
        assert "marketing_permission_ids" in message
        assert sandbox.members() == {}

    def test_an_update_keeps_what_it_does_not_name(self, sandbox: Sandbox):
        opened = self.open(sandbox)
        audience = opened.ensure_audience(self.audience_name, {"vip_tier": "text"}, None)
        [ann] = addressed(Mailchimp, {"email": "a@shop.test", "first_name": "Ann"})
        opened.add(audience, Batch(1, [structs.replace(ann, payload={"vip_tier": "gold"})]))
        [nameless] = addressed(Mailchimp, {"email": "a@shop.test"})

        opened.update(audience, Batch(2, [structs.replace(nameless, payload={"vip_tier": None})]))

        assert sandbox.members()[ann.identity]["merge_fields"] == {"FNAME": "Ann"}

    def test_rows_that_are_not_accounted_for_are_not_acknowledged(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        body = {"new_members": [], "updated_members": [], "errors": []}
        sandbox.fault(method="POST", path="lists/regulars$", action="status", status=200, body=body)
        with pytest.raises(Retry, match="2 of 2"):
            opened.add(audience, Batch(1, self.members(range(2))))

    def test_a_batch_refused_as_a_whole_is_not_acknowledged(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        body = {"title": "Invalid Resource", "status": 400, "detail": "x", "instance": ""}
        sandbox.fault(method="POST", action="status", status=400, body=body)
        with pytest.raises(BatchRefused) as raised:
            opened.add(audience, Batch(1, self.members([1])))
        assert raised.value.code == "Invalid Resource"

    def test_statuses_tell_of_everybody_and_then_only_of_changes(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        members = self.members(range(3))
        opened.add(audience, Batch(1, members))
        self.change_status(sandbox, members[0], "unsubscribed")

        page = opened.statuses("listed", None, 0)

        assert page.pages == 1
        told = {contact.identity: contact for contact in page.contacts}
        assert told.keys() == {member.identity for member in members}
        assert not told[members[0].identity].is_reachable
        assert told[members[1].identity].is_reachable
        later = datetime.now(UTC) + timedelta(hours=1)
        assert opened.statuses("listed", later, 0).pages == 0

    def test_two_fields_with_one_merge_tag_are_an_error(self, sandbox: Sandbox):
        with pytest.raises(BadInput, match="RECOMMENDE"):
            self.open(sandbox).ensure_audience(
                "a", {"recommended_product": "text", "recommended_size": "text"}, None
            )
        with pytest.raises(BadInput, match="LNAME"):
            self.open(sandbox).ensure_audience("a", {"l_name": "text"}, None)

    def test_a_merge_field_of_another_type_is_an_error(self, sandbox: Sandbox):
        self.open(sandbox).ensure_audience("a", {"vip_tier": "number"}, None)
        with pytest.raises(BadInput, match="VIPTIER is of type number"):
            self.open(sandbox).ensure_audience("a", {"vip_tier": "text"}, None)

    def test_a_missing_list_is_said_to_be_missing(self, sandbox: Sandbox):
        key = "0" * 32 + "-us1"
        extra = {"list_id": "nowhere", "base_url": sandbox.mailchimp_url}
        works, message = Mailchimp(Credentials(key, extra=extra)).test_connection()
        assert not works
        assert "no list nowhere" in message


def test_a_list_whose_id_contains_the_word_server_is_left_alone(sandbox: Sandbox):
    extra = {"list_id": "server1", "base_url": sandbox.mailchimp_url}
    opened = Mailchimp(Credentials("0" * 32 + "-us1", extra=extra))
    with pytest.raises(Stop):
        opened.ensure_audience("a", {}, None)
    assert sandbox.calls()[-1]["path"] == "/mailchimp/3.0/lists/server1/segments"


def test_the_identity_is_mailchimps_own_hash():
    expected = md5(b"urist.mcvankab@freddiesjokes.com").hexdigest()
    assert identity(Mailchimp, email=" Urist.McVankab@FreddiesJokes.com ") == expected


@pytest.mark.parametrize(
    "email",
    ["test@test", "a b@shop.test", "a@shop.test, b@shop.test", "@shop.test", "a" * 250 + "@b.cd"],
)
def test_what_is_no_address_has_no_identity(email: str):
    assert identity(Mailchimp, email=email) == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        (float("nan"), ""),
        (True, "yes"),
        (12.5, 12.5),
        ("*|*||*FNAME*||*|*", "FNAME"),
        ("a\x00\r\nb", "a b"),
        ("é" * 300, "é" * 127),
        ("=1+1", "=1+1"),
        (["a", 1], '["a", 1]'),
    ],
)
def test_a_merge_value_is_short_and_holds_no_tags(value: object, expected: object):
    assert merge_value(value) == expected


def test_a_merge_tag_has_ten_characters_and_no_underscores():
    assert merge_tag("recommended_product") == "RECOMMENDE"


@pytest.mark.parametrize(
    ("credentials", "error"),
    [
        (Credentials(None, extra={"list_id": "x"}), Reauthorise),
        (Credentials("key-us1"), BadInput),
        (Credentials("key", extra={"list_id": "x"}), BadInput),
        (Credentials("key-us1", extra={"list_id": "x", "base_url": "http://evil.test"}), BadInput),
    ],
    ids=["no key", "no list", "no data centre", "plain http"],
)
def test_a_short_connection_says_what_it_lacks(credentials: Credentials, error: type[Exception]):
    with pytest.raises(error, match="mailchimp_default"):
        Mailchimp(credentials)
