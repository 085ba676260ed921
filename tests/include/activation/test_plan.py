"""The plan and the fold as such: nothing is sent here, the answers are made up."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from include.activation.ledger import Ledger
from include.activation.plan import MOST_TRIES, Plan, make_plan
from include.activation.receipts import NotAccepted, Receipt, write_receipt
from include.activation.state import fold_plan
from include.activation.workbench import open_workbench
from include.destinations.mailchimp import Mailchimp
from tests.include.activation.shop import Person, Shop, audience, people
from tests.sandbox_server import Sandbox

NOBODY = Sandbox("http://127.0.0.1:9", httpx.Client())
DECLARED = audience()


class Desk:
    """Plans and folds for one shop, with answers of the test's own."""

    def __init__(self, home: Path) -> None:
        self.shop = Shop(home, NOBODY)
        self.ledger = Ledger(self.shop.store, "mailchimp", DECLARED.name)
        self.there: set[str] = set()

    def plan(self, wanted: list[Person]) -> tuple[Plan, bool]:
        snapshot = self.shop.publish(wanted)
        mailchimp = Mailchimp(self.shop.credentials["mailchimp"])
        with open_workbench(self.shop.settings, self.shop.store) as bench:
            return make_plan(
                bench, self.ledger, mailchimp, DECLARED, snapshot, lambda: "no/statuses"
            )

    def rows(self, plan: Plan) -> list[dict[str, Any]]:
        path = self.shop.store.locate(self.ledger.path(plan.plan_id, "plan.parquet"))
        return duckdb.read_parquet(path).to_arrow_table().to_pylist()

    def answer(self, plan: Plan, refused: dict[str, str]) -> None:
        """Acknowledge every batch; `refused` gives the class of who was not accepted."""
        self.ledger.record(self.ledger.path(plan.plan_id, "started.json"), {})
        rows = [row for row in self.rows(plan) if row["batch_number"]]
        for number in range(1, plan.batches + 1):
            batch = [row for row in rows if row["batch_number"] == number]
            bad = tuple(
                NotAccepted(row["customer_id"], "code", "reason", refused[row["customer_id"]])
                for row in batch
                if row["customer_id"] in refused
            )
            accepted = {row["identity"] for row in batch if row["customer_id"] not in refused}
            if batch[0]["operation"] == "remove":
                self.there -= accepted
            else:
                self.there |= accepted
            write_receipt(
                self.ledger,
                Receipt(
                    plan_id=plan.plan_id,
                    batch_number=number,
                    operation=batch[0]["operation"],
                    sent=len(batch),
                    accepted=len(batch) - len(bad),
                    rejected=len(bad),
                    superseded=0,
                    attempts=1,
                    seconds=0,
                    answered_at="",
                    not_accepted=bad,
                ),
            )

    def fold(self, plan: Plan) -> list[dict[str, Any]]:
        with open_workbench(self.shop.settings, self.shop.store) as bench:
            fold_plan(bench, self.ledger, plan)
        return sorted(self.shop.state("mailchimp"), key=repr)

    @property
    def held(self) -> set[str]:
        """Who is, or may be, there by our account."""
        if not self.shop.store.exists(self.ledger.state):
            return set()
        state = self.shop.state("mailchimp")
        return {row["identity"] for row in state if row["status"] in ("held", "unknown")}

    def settle(self, wanted: list[Person], refused: dict[str, str]) -> None:
        plan, written = self.plan(wanted)
        if written:
            self.answer(plan, refused)
            state = self.fold(plan)
            assert self.fold(plan) == state


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


customers = st.integers(0, 5)
# Few addresses and few names, so that people share, swap and lose them.
some_people = st.dictionaries(
    customers,
    st.tuples(st.sampled_from(["a@shop.test", "b@shop.test", "c@shop.test", None]), st.booleans()),
)
some_refusals = st.dictionaries(customers, st.sampled_from(["fix_data", "never", "suppressed"]))


ALL_REFUSED = dict.fromkeys(range(6), "fix_data")


@settings(max_examples=25, deadline=None)
@example(  # the old address is refused to go, the new one to come: both are remembered
    [
        ({0: ("a@shop.test", False), 2: ("a@shop.test", False)}, {}),
        ({0: (None, False), 2: ("b@shop.test", False)}, ALL_REFUSED),
        ({2: ("b@shop.test", False)}, {}),
    ]
)
@example(  # the address goes to another customer, whose fields are refused: it is still there
    [({0: ("a@shop.test", False)}, {}), ({1: ("a@shop.test", False)}, ALL_REFUSED)]
)
@given(st.lists(st.tuples(some_people, some_refusals), min_size=1, max_size=4))
def test_after_a_plan_is_folded_there_is_nothing_left_to_plan(steps):
    with tempfile.TemporaryDirectory() as home:
        desk = Desk(Path(home))
        for who, refused in steps:
            wanted = [
                Person(f"shop:{number}", email, first_name="Ann" if named else None)
                for number, (email, named) in who.items()
            ]
            removals_go_through = {
                f"shop:{number}": kind for number, kind in refused.items() if number in who
            }
            desk.settle(wanted, removals_go_through)
            assert desk.there <= desk.held
            # A refused removal is tried in every run: it may be a withdrawn consent.
            again, written = desk.plan(wanted)
            assert not written or {row["operation"] for row in desk.rows(again)} == {"remove"}


def test_an_address_that_two_customers_share_goes_in_and_out_once(desk: Desk):
    twins = [Person(f"shop:{number}", "a@shop.test") for number in (1, 2)]
    assert desk.plan(twins)[0].members("add") == 1
    desk.settle(twins, {})
    assert desk.plan([])[0].members("remove") == 1
    desk.settle([], {})
    assert (desk.there, desk.held) == (set(), set())


def test_the_same_changes_give_the_same_plan_to_the_byte(desk: Desk):
    first, _ = desk.plan(people(range(50)))
    second, _ = desk.plan(people(reversed(range(50))))
    assert first.plan_id != second.plan_id
    assert first.sha256 == second.sha256


def test_a_plan_sends_removals_first_in_batches_of_one_verb(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Mailchimp, "batch_size", 3)
    desk.settle(people(range(7)), {})
    changed = [Person(p.customer_id, p.email, first_name="Ben") for p in people([5, 6])]

    plan, _ = desk.plan([*changed, *people(range(10, 14))])

    batches: dict[int, list[str]] = {}
    for row in desk.rows(plan):
        batches.setdefault(row["batch_number"], []).append(row["operation"])
    assert batches == {
        1: ["remove"] * 3,
        2: ["remove"] * 2,
        3: ["update"] * 2,
        4: ["add"] * 3,
        5: ["add"],
    }
    assert (plan.members("remove"), plan.members("update"), plan.members("add")) == (5, 2, 4)


@pytest.mark.parametrize("size", [0, 1, 499, 500, 501])
def test_a_plan_has_no_batch_more_than_it_needs(desk: Desk, size: int):
    plan, _ = desk.plan(people(range(size)))
    assert plan.batches == -(-size // 500)


def test_a_busy_row_is_tried_again_but_not_for_ever(desk: Desk):
    for _ in range(MOST_TRIES):
        plan, written = desk.plan(people([1]))
        assert written
        desk.answer(plan, {"shop:1": "retry"})
        desk.fold(plan)
    assert not desk.plan(people([1]))[1]
    assert desk.plan([Person("shop:1", "person1@shop.test", first_name="Ben")])[1]


def test_a_rejected_member_who_is_no_longer_wanted_is_forgotten(desk: Desk):
    desk.settle(people([1, 2]), {"shop:1": "never"})
    desk.settle(people([2]), {})
    assert [row["customer_id"] for row in desk.shop.state("mailchimp")] == ["shop:2"]


def test_an_update_that_is_refused_keeps_the_member_held(desk: Desk):
    desk.settle(people([1]), {})
    desk.settle([Person("shop:1", "person1@shop.test", first_name="Ben")], {"shop:1": "fix_data"})
    [row] = desk.shop.state("mailchimp")
    assert (row["status"], row["class"]) == ("held", "fix_data")
    desk.settle([], {})
    assert desk.shop.state("mailchimp") == []


def test_who_has_no_address_is_counted_and_not_planned(desk: Desk):
    plan, written = desk.plan([Person("shop:1", None), *people([2])])
    assert (plan.unaddressable, plan.members("add")) == (1, 1)
    assert written
