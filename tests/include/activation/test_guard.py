from __future__ import annotations

from datetime import timedelta

import pytest

from include.activation.audiences import Guard
from include.activation.guard import Size, judge

FRESH = timedelta(hours=1)
GUARD = Guard(max_removed_percent=30, max_added_percent=50, min_members=10, max_members=1000)


def test_a_plan_within_its_limits_passes():
    size = Size(desired=120, held=100, adds=50, removes=30)
    assert judge(GUARD, size, FRESH).decision == "pass"


@pytest.mark.parametrize(
    ("size", "age", "reason"),
    [
        (Size(69, 100, 0, 31), FRESH, "would remove 31 of 100 held (31 %, limit 30 %)"),
        (Size(151, 100, 51, 0), FRESH, "would add 51 of 100 held (51 %, limit 50 %)"),
        (Size(9, 10, 0, 1), FRESH, "the audience has 9 members (minimum 10)"),
        (Size(1001, 1000, 1, 0), FRESH, "the audience has 1001 members (maximum 1000)"),
        (Size(100, 100, 1, 1), timedelta(days=8), "the snapshot is 8 days old (limit 7)"),
    ],
)
def test_a_plan_beyond_a_limit_is_held_up_and_says_why(size: Size, age: timedelta, reason: str):
    verdict = judge(GUARD, size, age)
    assert verdict.decision == "approval"
    assert verdict.reasons == (reason,)


def test_the_guard_says_whether_a_person_may_let_a_plan_through():
    blocking = GUARD.model_copy(update={"on_breach": "block"})
    assert judge(blocking, Size(0, 100, 0, 100), FRESH).decision == "block"


def test_a_first_sync_has_no_percentages():
    assert judge(GUARD, Size(desired=900, held=0, adds=900, removes=0), FRESH).decision == "pass"


def test_a_plan_that_changes_nothing_passes():
    assert judge(GUARD, Size(0, 0, 0, 0), timedelta(days=99)).decision == "pass"
