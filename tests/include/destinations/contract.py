"""What every destination promises. Inherit it in a destination's test to hold it to them.

Everything goes over the wire to the sandbox; who is there is read from the sandbox's own account.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import duckdb
import pyarrow as pa
import pytest

from include.connections import Credentials
from include.destinations import Destination
from include.destinations.base import Batch, Member, NotOffered, RemoteAudience
from include.errors import Reauthorise, Retry, Stop
from tests.sandbox_server import Sandbox

CANARY = "canary.in.a.coal.mine@shop.test"
CONTACTS = pa.schema(
    [
        ("customer_id", pa.string()),
        ("email", pa.string()),
        ("phone_key", pa.string()),
        ("first_name", pa.string()),
        ("last_name", pa.string()),
        ("country", pa.string()),
        ("language", pa.string()),
        ("has_ads_consent", pa.bool_()),
    ]
)


def addressed(destination: type[Destination], *contacts: dict[str, Any]) -> list[Member]:
    """Contacts as the destination's own SQL makes them; `identity` is '' for NULL.

    Who is not said to have no ads consent has it.
    """
    told = [
        {"customer_id": f"shop:{number}", "has_ads_consent": True, **contact}
        for number, contact in enumerate(contacts)
    ]
    with duckdb.connect() as connection:
        connection.register("contacts", pa.Table.from_pylist(told, schema=CONTACTS))
        rows = connection.sql(destination.contacts_sql).to_arrow_table().to_pylist()
    rows.sort(key=lambda row: row["customer_id"])
    return [Member(row["customer_id"], row["identity"] or "", row["contact"]) for row in rows]


def identity(destination: type[Destination], **contact: Any) -> str:
    """The identity of one contact, '' if it has none."""
    return addressed(destination, contact)[0].identity


def without_scars(truth: dict[str, Any]) -> dict[str, Any]:
    """What the vendors hold, but for the hash by which Mailchimp refuses a forgotten contact."""
    for known in truth["mailchimp"]["lists"].values():
        known.pop("forgotten")
    return truth


class DestinationContract:
    """The promises; `extra` is what the connection's extra must hold besides the base_url."""

    destination: ClassVar[type[Destination]]
    extra: ClassVar[Mapping[str, str]]
    base_url: ClassVar[str]
    audience_name = "lapsed_vips"

    def there(self, sandbox: Sandbox) -> set[str]:
        """Who is in the audience, by identity, as the vendor has it."""
        raise NotImplementedError

    def open(self, sandbox: Sandbox, password: str = "0" * 32 + "-us1") -> Destination:
        url = getattr(sandbox, self.base_url)
        return self.destination(Credentials(password, extra={"base_url": url, **self.extra}))

    def ready(self, sandbox: Sandbox) -> tuple[Destination, RemoteAudience]:
        opened = self.open(sandbox)
        return opened, opened.ensure_audience(self.audience_name, {}, None)

    def members(self, numbers: Iterable[int]) -> list[Member]:
        emails = [f"person{number}@shop.test" for number in numbers]
        return addressed(self.destination, *({"email": email} for email in emails))

    def test_adding_twice_leaves_the_same_people_in(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        members = self.members(range(3))

        assert opened.add(audience, Batch(1, members)).rejections == ()
        assert opened.add(audience, Batch(2, members)).rejections == ()

        assert self.there(sandbox) == {member.identity for member in members}

    def test_removing_takes_out_who_is_in_and_accepts_strangers(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        ann, ben, stranger = self.members(range(3))
        opened.add(audience, Batch(1, [ann, ben]))

        answer = opened.remove(audience, Batch(2, [ann, stranger]))

        assert answer.rejections == ()
        assert self.there(sandbox) == {ben.identity}

    def test_what_was_prepared_goes_as_it_would_have_gone(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        members = self.members(range(3))
        called = len(sandbox.calls())
        adding, removing = (opened.prepare(verb, members) for verb in ("add", "remove"))
        assert len(sandbox.calls()) == called

        assert opened.add(audience, Batch(1, members, prepared=adding)).rejections == ()
        assert self.there(sandbox) == {member.identity for member in members}
        assert opened.remove(audience, Batch(2, members, prepared=removing)).rejections == ()
        assert self.there(sandbox) == set()

    def test_a_removal_needs_the_identity_alone(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        ann, ben = self.members(range(2))
        opened.add(audience, Batch(1, [ann, ben]))

        opened.remove(audience, Batch(2, [Member(ann.customer_id, ann.identity)]))

        assert self.there(sandbox) == {ben.identity}

    def test_who_is_erased_is_in_no_audience_any_more(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        other = opened.ensure_audience("another_audience", {}, None)
        ann, ben, stranger = self.members(range(3))
        for where in (audience, other):
            opened.add(where, Batch(1, [ann, ben]))

        if self.destination.erase is Destination.erase:
            with pytest.raises(NotOffered):
                opened.erase([ann.identity])
            return

        answer = opened.erase([ann.identity, stranger.identity])
        assert answer.rejections == ()
        assert self.there(sandbox) == {ben.identity}
        assert ann.identity not in json.dumps(without_scars(sandbox.truth()))
        opened.erase([ann.identity, stranger.identity])

    def test_who_is_in_an_audience_is_listed_or_said_not_to_be(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        members = self.members(range(3))
        opened.add(audience, Batch(1, members))
        if not opened.lists_members:
            with pytest.raises(NotImplementedError):
                opened.held_members(audience, 0)
            return
        found = opened.held_members(audience, 0)
        assert set(found.identities) == {member.identity for member in members}
        assert found.pages == 1

    def test_a_size_is_told_or_said_not_to_be(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        opened.add(audience, Batch(1, self.members(range(3))))
        if not opened.tells_sizes:
            with pytest.raises(NotImplementedError):
                opened.size(audience)
            return
        size = opened.size(audience)
        assert size.at_least <= 3 <= size.at_most

    def test_a_full_batch_fits(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        members = self.members(range(self.destination.batch_size))

        assert opened.add(audience, Batch(1, members)).rejections == ()
        assert len(self.there(sandbox)) == self.destination.batch_size
        assert opened.remove(audience, Batch(2, members)).rejections == ()
        assert self.there(sandbox) == set()

    def test_the_audience_is_found_again_by_its_name(self, sandbox: Sandbox):
        _, first = self.ready(sandbox)
        _, second = self.ready(sandbox)
        assert first == second

    def test_an_audience_that_is_gone_stops_the_sync(self, sandbox: Sandbox):
        opened = self.open(sandbox)
        gone = RemoteAudience("123456", self.audience_name)
        with pytest.raises(Stop, match="no longer has"):
            opened.add(gone, Batch(1, self.members([1])))

    def test_refused_credentials_are_never_retried(self, sandbox: Sandbox):
        opened = self.open(sandbox, password="revoked-us1")
        with pytest.raises(Reauthorise):
            opened.ensure_audience(self.audience_name, {}, None)

    def test_the_connection_test_says_what_is_wrong(self, sandbox: Sandbox):
        works, message = self.open(sandbox).test_connection()
        assert works, message
        refused, message = self.open(sandbox, password="revoked-us1").test_connection()
        assert not refused
        assert "refuses" in message

    @pytest.mark.parametrize(
        "fault",
        [
            {"action": "status", "status": 429},
            {"action": "status", "status": 500},
            {"action": "status", "status": 403, "body": ""},
            {"action": "html", "status": 502},
            {"action": "html", "status": 200},
            {"action": "reset"},
            {"action": "reset_after_apply"},
            {"action": "half_body"},
        ],
        ids=lambda fault: f"{fault['action']} {fault.get('status', '')}".strip(),
    )
    def test_a_lost_or_unclear_answer_is_worth_another_try(
        self, sandbox: Sandbox, fault: dict[str, Any]
    ):
        opened, audience = self.ready(sandbox)
        [canary] = addressed(self.destination, {"email": CANARY})
        opened.add(audience, Batch(1, self.members([1])))
        sandbox.fault(method="POST", **fault)

        with pytest.raises(Retry) as raised:
            opened.add(audience, Batch(2, [canary]))

        assert CANARY not in str(raised.value)
        assert raised.value.__cause__ is None
        opened.add(audience, Batch(2, [canary]))
        assert canary.identity in self.there(sandbox)

    def test_every_call_takes_a_turn_at_the_account(self, sandbox: Sandbox):
        opened = self.open(sandbox)
        taken: list[int] = []

        @contextmanager
        def turn() -> Iterator[None]:
            taken.append(1)
            yield

        opened.take_turn = turn
        audience = opened.ensure_audience(self.audience_name, {}, None)
        opened.add(audience, Batch(1, self.members(range(2))))
        opened.remove(audience, Batch(2, self.members(range(2))))
        assert len(taken) == len(sandbox.calls())

    def test_nobody_without_an_address_is_sent(self):
        assert identity(self.destination, email=None) == ""
        assert identity(self.destination, email="  ") == ""
        assert identity(self.destination, email="not an address") == ""

    def test_people_are_not_shown_when_printed(self):
        [canary] = addressed(self.destination, {"email": CANARY, "first_name": "Canary"})
        assert "anary" not in repr(Batch(1, [canary], prepared=CANARY))
