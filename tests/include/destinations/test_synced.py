"""Every destination through the whole engine: plan, send, fold, and the same again."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from include.activation.audiences import Audience, Target
from include.connections import Credentials
from include.outcomes import Standing, ask_outcomes
from include.publishing import Published
from tests.include.activation.shop import FREE, Person, Shop, people
from tests.sandbox_server import Sandbox

NAME = "lapsed_vips"
FIELDS = {"webhook": ("vip_tier",), "file_drop": ("vip_tier",)}


class OneDestination(Shop):
    """A shop whose snapshots are for one destination."""

    def __init__(self, home: Path, sandbox: Sandbox, destination: str) -> None:
        super().__init__(home, sandbox)
        self.destination = destination
        self.drop = home / "drop"
        self.has_ads_consent = True
        secret = "sandbox-receiver-secret-of-no-value"
        google = {"customer_id": "1234567890", "customer_match_terms": "accepted"}
        self.credentials |= {
            "webhook": Credentials(secret, extra={"url": sandbox.receiver_url}),
            "file_drop": Credentials(extra={"folder": str(self.drop)}),
            "google": Credentials("t", extra={**google, "base_url": sandbox.google_url}),
            "tiktok": Credentials(
                "t", extra={"advertiser_id": "7000", "base_url": sandbox.tiktok_url}
            ),
        }

    def bring(self, fields: Sequence[str] | None = None) -> Any:
        fields = FIELDS.get(self.destination, ()) if fields is None else fields
        target = Target(to=self.destination, fields=tuple(fields))
        declared = Audience(
            name=NAME, description="x", owner="x", destinations=(target,), guard=FREE
        )
        return self.sync(self.destination, declared)

    def _write(self, path: str, content: pa.Table) -> Published:
        if "channel" in content.column_names:
            ours = content.filter(pa.compute.equal(content["channel"], "mailchimp"))
            place = ours.column_names.index("channel")
            content = ours.set_column(place, "channel", [[self.destination] * ours.num_rows])
        elif "has_ads_consent" not in content.column_names:
            content = content.append_column(
                "has_ads_consent", [[self.has_ads_consent] * content.num_rows]
            )
        return super()._write(path, content)


def at_receiver(shop: OneDestination) -> int:
    return len(shop.sandbox.truth()["receiver"]["audiences"][NAME]["members"])


def at_google(shop: OneDestination) -> int:
    [held] = shop.sandbox.truth()["google"]["lists"].values()
    return len(held["members"])


def at_tiktok(shop: OneDestination) -> int:
    [held] = shop.sandbox.truth()["tiktok"]["audiences"].values()
    return int(held["size"])


def in_folder(shop: OneDestination) -> int:
    held: set[str] = set()
    for file in sorted((shop.drop / NAME).glob("*.csv")):
        with file.open(newline="") as text:
            named = {row["identity"] for row in csv.DictReader(text)}
        held = held - named if "-remove" in file.name else held | named
    return len(held)


@pytest.mark.parametrize(
    ("destination", "count"),
    [
        ("webhook", at_receiver),
        ("file_drop", in_folder),
        ("google", at_google),
        ("tiktok", at_tiktok),
    ],
)
def test_who_is_wanted_is_there_and_a_second_sync_sends_nothing(
    tmp_path: Path, sandbox: Sandbox, destination: str, count: Callable[[OneDestination], int]
):
    shop = OneDestination(tmp_path, sandbox, destination)
    shop.publish(people(range(30)))
    assert shop.bring().adds == 30
    assert count(shop) == 30
    assert shop.bring().batches == 0

    shop.publish(people(range(10, 40)))
    told = shop.bring()

    assert (told.adds, told.removes, told.rejected) == (10, 10, 0)
    assert count(shop) == 30
    assert len(shop.held(destination)) == 30


def test_a_field_that_comes_back_is_declared_again(tmp_path: Path, sandbox: Sandbox):
    shop = OneDestination(tmp_path, sandbox, "file_drop")
    for fields in (["vip_tier"], ["city"], ["vip_tier", "city"]):
        payload = dict.fromkeys(fields, "x")
        shop.publish([Person("shop:1", "person1@shop.test", payload=payload)])
        shop.bring(fields)

    last = max((shop.drop / NAME).glob("*.csv"))
    with last.open(newline="") as text:
        [row] = csv.DictReader(text)
    assert (row["vip_tier"], row["city"]) == ("x", "x")


@pytest.mark.parametrize(
    ("destination", "option"), [("google", "processing_seconds"), ("tiktok", "matching_seconds")]
)
def test_what_became_of_a_batch_is_asked_until_it_is_known(
    tmp_path: Path, sandbox: Sandbox, destination: str, option: str
):
    shop = OneDestination(tmp_path, sandbox, destination)
    shop.publish(people(range(3)))
    shop.bring()

    def ask() -> list[Standing]:
        return ask_outcomes(shop.settings, lambda _: shop.credentials[destination])

    sandbox.post(f"/_{destination}", {option: 3600})
    assert ask() == [Standing(destination, NAME, processing=1, done=0, failed=0)]
    sandbox.post(f"/_{destination}", {option: 0})
    assert ask() == [Standing(destination, NAME, processing=0, done=1, failed=0)]
    calls = len(sandbox.calls())
    assert ask() == [Standing(destination, NAME, processing=0, done=1, failed=0)]
    assert len(sandbox.calls()) == calls


def test_a_destination_that_answers_at_once_is_asked_nothing(tmp_path: Path, sandbox: Sandbox):
    shop = OneDestination(tmp_path, sandbox, "webhook")
    shop.publish(people(range(3)))
    shop.bring()
    assert ask_outcomes(shop.settings, lambda _: shop.credentials["webhook"]) == []
