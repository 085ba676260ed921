"""Newcomers sent into journeys at the sandbox's Mailchimp."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import md5
from pathlib import Path

import duckdb
import pytest

from include.activation.ledger import ROOT
from include.activation.turns import NotCalled
from include.commerce.journeys import Step, Triggered, read_steps, trigger_journeys
from include.connections import Credentials
from include.errors import BadInput, Reauthorise, Retry
from include.lease import hold_lease
from tests.include.commerce.test_push import Shop, contact, email
from tests.sandbox_server import Sandbox

STATE = "customer_id varchar, identity varchar, since timestamp, status varchar"


class Traveller(Shop):
    """People who come into an audience, some of them to be sent on."""

    def __init__(self, home: Path, sandbox: Sandbox) -> None:
        super().__init__(home, sandbox)
        self.extra["journeys"] = "lapsed_vips=1/2"
        self.knows(range(40))
        self.publish(contacts=[contact(n) for n in range(40)])

    def holds(self, numbers: Iterable[int], since: datetime | None = None) -> None:
        """Mailchimp holds these people by our account, since then (now)."""
        since = since or datetime.now(UTC).replace(tzinfo=None)
        with self.store.workspace() as folder, duckdb.connect() as connection:
            file = Path(folder) / "state.parquet"
            connection.execute(f"create table rows ({STATE})")
            rows = [
                [f"shop:{n}", md5(email(n).encode()).hexdigest(), since, "held"] for n in numbers
            ]
            connection.executemany("insert into rows values (?, ?, ?, ?)", rows)
            connection.table("rows").write_parquet(str(file))
            self.store.take(file, f"{ROOT}/mailchimp/lapsed_vips/state.parquet")

    def trigger(self) -> Triggered:
        found = Credentials(self.password, extra=self.extra)
        [done] = trigger_journeys(self.settings, lambda _: found)
        return done

    @property
    def travelled(self) -> dict[str, int]:
        return self.sandbox.truth()["mailchimp"]["journeys"].get("1/2", {})


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox) -> Traveller:
    shop = Traveller(tmp_path, sandbox)
    shop.holds([0])
    assert shop.trigger().sent == 0
    return shop


def test_who_was_in_before_is_left_alone_and_newcomers_go_once(shop: Traveller):
    shop.holds(range(1, 13))
    assert shop.trigger() == Triggered("lapsed_vips", "1/2", sent=12, refused=0)
    assert shop.trigger().sent == 0
    assert set(shop.travelled.values()) == {1}
    assert len(shop.travelled) == 12


def test_who_leaves_and_comes_back_travels_again(shop: Traveller):
    shop.holds([1])
    shop.trigger()
    shop.holds([1], datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=1))
    shop.trigger()
    assert set(shop.travelled.values()) == {2}


def test_whoever_may_not_be_written_to_does_not_travel(shop: Traveller):
    shop.publish(
        contacts=[
            contact(1, has_email_consent=False),
            contact(2, suppressed_reason="complained"),
            contact(3, email="moved@shop.test"),
            contact(4),
        ]
    )
    shop.holds(range(1, 6))
    assert shop.trigger().sent == 1
    assert list(shop.travelled) == [md5(email(4).encode()).hexdigest()]


@pytest.mark.parametrize("action", ["reset", "reset_after_apply"])
def test_an_unclear_answer_is_never_followed_by_a_second_call(shop: Traveller, action: str):
    shop.holds(range(1, 26))
    shop.sandbox.fault(path="trigger", action=action, nth=15)
    with pytest.raises(Retry):
        shop.trigger()

    shop.trigger()

    assert set(shop.travelled.values()) == {1}
    assert len(shop.travelled) == (25 if action == "reset_after_apply" else 24)


def test_what_mailchimp_refuses_is_counted_and_left(shop: Traveller):
    shop.holds([1, 2])
    path = f"/_mailchimp/regulars/members/{md5(email(1).encode()).hexdigest()}/status"
    shop.sandbox.post(path, {"status": "unsubscribed"})
    assert shop.trigger() == Triggered("lapsed_vips", "1/2", sent=1, refused=1)
    assert shop.trigger() == Triggered("lapsed_vips", "1/2", sent=0, refused=0)


def test_a_refused_key_costs_nobody_the_journey(shop: Traveller):
    shop.holds([1, 2])
    good, shop.password = shop.password, "revoked-us1"
    with pytest.raises(Reauthorise):
        shop.trigger()
    shop.password = good
    assert shop.trigger().sent == 2


def test_an_account_that_is_limited_costs_nobody_the_journey(shop: Traveller):
    shop.holds([1, 2])
    shop.hold_up(200)
    calls = len(shop.sandbox.calls())
    with pytest.raises(NotCalled):
        shop.trigger()
    assert len(shop.sandbox.calls()) == calls

    shop.let_go_on()
    assert shop.trigger().sent == 2


def test_two_runs_at_once_send_nobody_twice(shop: Traveller):
    shop.holds([1])
    with (
        hold_lease(shop.store, "commerce/mailchimp/regulars/journeys/lease", 0),
        pytest.raises(Retry, match="commerce/mailchimp/regulars/journeys is"),
    ):
        shop.trigger()
    assert shop.trigger().sent == 1


def test_journeys_are_read_to_the_letter():
    assert read_steps("a=1/2, b = 3/4", "c") == [Step("a", "1", "2"), Step("b", "3", "4")]
    for wrong in ("a", "a=1", "a=1/x", "a=1/2,"):
        with pytest.raises(BadInput, match="mailchimp_default"):
            read_steps(wrong, "mailchimp_default")


def test_without_journeys_the_connection_is_short(shop: Traveller):
    shop.extra = {name: value for name, value in shop.extra.items() if name != "journeys"}
    with pytest.raises(BadInput, match="journeys"):
        shop.trigger()
