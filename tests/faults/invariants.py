"""What must hold after any fault, at any destination, once one clean run has followed it.

I1  the destination holds who is published, less those who must not be written to
I2  a plan has at most one effect on a member, however often its batches were sent
I3  nobody who unsubscribed, bounced, complained or was erased is ever subscribed again
I4  the state is the destination's truth; planted addresses and secrets stand nowhere
"""

from __future__ import annotations

import json
import traceback
from collections import Counter
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import duckdb
import pytest

from include.activation import sync as activation
from include.activation.audiences import Audience
from include.errors import RegularsError
from include.store import WORKSPACE
from tests.include.activation.shop import Person, Shop, people

CANARY = Person(
    "shop:canary", "canary.in.a.coal.mine@shop.test", "+14155552671", "Canaria", "Coalmine"
)
SECRET = "5ec2e7c0ffee5ec2e7c0ffee"
PLANTED = ("coal.mine", "canaria", "coalmine", "4155552671", SECRET)
AUDIENCE = "lapsed_vips"
KEEP_CONTACTS = ("store/published/", f"store/{WORKSPACE}")


def identity(person: Person, destination: str) -> str:
    """Who a person is at a destination, worked out without our own SQL."""
    if destination == "mailchimp":
        return person.mailchimp_id
    email = person.meta_key if person.email else ""
    phone = sha256(person.phone_key[1:].encode()).hexdigest() if person.phone_key else ""
    return f"{email}:{phone}"


class FaultCase:
    """A shop with planted addresses and secrets, one destination, and what was said meanwhile."""

    def __init__(self, shop: Shop, destination: str, log: pytest.LogCaptureFixture) -> None:
        self.shop = shop
        self.sandbox = shop.sandbox
        self.destination = destination
        self.wanted: list[Person] = []
        self.known: dict[str, Person] = {}
        self.refused: set[str] = set()
        self.not_to_be_written_to: set[str] = set()
        self._log = log
        self._said: list[str] = []
        self._began = len(self.sandbox.calls())
        for name, credentials in shop.credentials.items():
            secret = f"{SECRET}-us1" if name == "mailchimp" else SECRET
            shop.credentials[name] = replace(credentials, password=secret)

    @property
    def folder(self) -> str:
        """Where the account of this audience lies in the store."""
        return f"activation/{self.destination}/{AUDIENCE}"

    def publish(self, numbers: Iterable[int] = (), extra: Iterable[Person] = ()) -> None:
        """Want these people and the canary; everybody ever wanted stays a known contact."""
        self.wanted = [CANARY, *people(numbers), *extra]
        self.known |= {person.customer_id: person for person in self.wanted}
        ids = {person.customer_id for person in self.wanted}
        others = [person for person in self.known.values() if person.customer_id not in ids]
        self.shop.publish(self.wanted, others=others)

    def sync(self, declared: Audience | None = None, **options: object) -> activation.SyncSummary:
        """One run; what it raises is kept for the search for addresses and secrets."""
        with self.heard():
            return self.shop.sync(self.destination, declared, **options)

    @contextmanager
    def heard(self):
        """Keep the text of any error that passes."""
        try:
            yield
        except RegularsError as error:
            self.hear("".join(traceback.format_exception(error)))
            raise

    def hear(self, text: str) -> None:
        """Something that was said aloud: an error, the output of a process."""
        self._said.append(text)

    def writes(self) -> list[dict]:
        """The calls since the case began, reads left out."""
        return [c for c in self.sandbox.calls(self._began) if c["method"] != "GET"]

    def batches(self) -> list[dict]:
        """The calls by which a batch begins: Mailchimp's upsert of contacts, Meta's users."""
        return [c for c in self.writes() if c["path"].endswith(("lists/regulars", "/users"))]

    def status(self, person: Person, status: str) -> None:
        """The person, or the mail system, changes the person's status at Mailchimp."""
        path = f"/_mailchimp/regulars/members/{person.mailchimp_id}/status"
        self.sandbox.post(path, {"status": status})
        self.not_to_be_written_to.add(person.mailchimp_id)

    def there(self) -> set[str]:
        """Who is in the audience, by the destination's own account; nobody if it has none."""
        if self.destination == "meta" and not self.sandbox.truth()["meta"]["audiences"]:
            return set()
        return self.shop.there(self.destination)

    def expected(self) -> set[str]:
        """Who should be there after a clean run."""
        wanted = {identity(person, self.destination) for person in self.wanted}
        return wanted - self.refused - self.not_to_be_written_to

    def check(self, declared: Audience | None = None) -> None:
        """Run once more without faults; all four invariants hold, and a second run sends nothing.

        Effects are counted before and after: what holds then, held all the time.
        """
        self.sandbox.clear_faults()
        self.sandbox.post("/_latency", {"milliseconds": 0})
        self._nobody_came_back()
        self.sync(declared)
        assert self.there() == self.expected(), "I1"
        self._one_effect_for_each_plan()
        self._nobody_came_back()
        held = self.shop.held(self.destination)
        assert held - self.not_to_be_written_to == self.there(), "I4"
        sent = len(self.writes())
        self.sync(declared)
        assert len(self.writes()) == sent, "a clean run left something to do"
        self._nothing_planted_is_shown()

    def _one_effect_for_each_plan(self) -> None:
        planned = Counter[tuple[str, str]]()
        plans = f"{self.folder}/plans"
        for plan_id in self.shop.store.list(plans):
            if not self.shop.store.exists(f"{plans}/{plan_id}/started.json"):
                continue
            rows = duckdb.sql(
                "select distinct operation, identity from read_parquet($path) "
                "where batch_number is not null",
                params={"path": self.shop.store.locate(f"{plans}/{plan_id}/plan.parquet")},
            )
            planned.update(rows.fetchall())
        for who, felt in self._effects().items():
            allowed = planned["add", who] + planned["update", who]
            assert felt <= allowed, f"I2: {felt} effects where {allowed} were planned"
        added, removed = self._changes_of_members()
        assert added <= sum(n for (verb, _), n in planned.items() if verb == "add"), "I2"
        assert removed <= sum(n for (verb, _), n in planned.items() if verb == "remove"), "I2"

    def _effects(self) -> dict[str, int]:
        """How often each contact was really changed by us."""
        if self.destination == "meta":
            return {}
        members = self.sandbox.members()
        return {who: member["created"] + member["updated"] for who, member in members.items()}

    def _changes_of_members(self) -> tuple[int, int]:
        """How many members really came into and went out of the audience."""
        truth = self.sandbox.truth()
        if self.destination == "meta":
            audiences = truth["meta"]["audiences"].values()
        else:
            audiences = truth["mailchimp"]["lists"]["regulars"]["segments"].values()
        [found] = [audience for audience in audiences if audience["name"] == AUDIENCE]
        return found["added"], found["removed"]

    def _nobody_came_back(self) -> None:
        for each in self.sandbox.truth()["mailchimp"]["lists"].values():
            for who, member in each["members"].items():
                assert member["resubscribed"] == 0, "I3"
                assert who not in self.not_to_be_written_to or member["status"] != "subscribed"

    def _nothing_planted_is_shown(self) -> None:
        texts = {"logs": self._log.text, "errors": "\n".join(self._said)}
        home = Path(self.shop.settings.home)
        for file in home.rglob("*"):
            # Snapshots hold the contacts; what a killed process leaves, the next one removes.
            place = str(file.relative_to(home))
            if file.is_file() and not place.startswith(KEEP_CONTACTS):
                texts[place] = _content(file)
        for place, text in texts.items():
            for planted in PLANTED:
                assert planted not in text.lower(), f"I4: {planted} stands in {place}"


def _content(file: Path) -> str:
    if file.suffix != ".parquet":
        return file.read_bytes().decode(errors="replace")
    rows = duckdb.read_parquet(str(file)).to_arrow_table().to_pylist()
    return json.dumps(rows, default=str)
