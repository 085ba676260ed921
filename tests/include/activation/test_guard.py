from __future__ import annotations

from datetime import timedelta

import pytest

from include.activation.audiences import Guard
from include.activation.guard import Size, judge

FRESH = timedelta(hours=1)
GUARD = Guard(
    max_removed_percent=30,
    max_added_percent=50,
    max_removed=400,
    max_added=500,
    max_first_sync=950,
    min_members=10,
    max_members=1000,
)


def test_a_plan_within_its_limits_passes():
    size = Size(desired=120, held=100, adds=50, removes=30)
    assert judge(GUARD, size, FRESH).decision == "pass"


@pytest.mark.parametrize("tenths", [323, 333, 646, 999])
def test_a_plan_at_its_very_limit_passes_whatever_the_percentage(tenths: int):
    guard = Guard(max_removed_percent=tenths / 10, max_added_percent=tenths / 10)
    size = Size(desired=1000, held=1000, adds=tenths, removes=tenths)
    assert judge(guard, size, FRESH).reasons == ()


@pytest.mark.parametrize(
    ("size", "age", "reason"),
    [
        (Size(69, 100, 0, 31), FRESH, "would remove 31 of 100 held (31 %, limit 30 %)"),
        (Size(151, 100, 51, 0), FRESH, "would add 51 of 100 held (51 %, limit 50 %)"),
        (Size(9, 10, 0, 1), FRESH, "the audience has 9 members (minimum 10)"),
        (Size(1001, 1000, 1, 0), FRESH, "the audience has 1001 members (maximum 1000)"),
        (Size(1000, 2000, 0, 401), FRESH, "would remove 401 members (limit 400)"),
        (Size(1000, 1200, 501, 0), FRESH, "would add 501 members (limit 500)"),
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


def test_a_plan_of_many_breaches_names_them_all():
    size = Size(desired=0, held=2000, adds=0, removes=2000)
    assert judge(GUARD, size, timedelta(days=7, hours=6)).reasons == (
        "would remove 2000 of 2000 held (100 %, limit 30 %)",
        "would remove 2000 members (limit 400)",
        "the audience is empty (minimum 10)",
        "the snapshot is 7.2 days old (limit 7)",
    )


def test_a_first_sync_has_a_limit_of_its_own_instead_of_percentages_and_may_be_declared_free():
    guard = GUARD.model_copy(update={"max_added": None, "max_members": None})
    assert judge(guard, Size(desired=950, held=0, adds=950, removes=0), FRESH).decision == "pass"
    first = Size(desired=951, held=0, adds=951, removes=0)
    assert judge(guard, first, FRESH).reasons == (
        "would add 951 members where nobody is held yet (limit 950)",
    )
    free = guard.model_copy(update={"max_first_sync": None})
    assert judge(free, first, FRESH).decision == "pass"


def test_how_old_a_snapshot_may_be_is_declared():
    size = Size(desired=100, held=100, adds=1, removes=1)
    patient = GUARD.model_copy(update={"max_snapshot_age_days": 30})
    assert judge(patient, size, timedelta(days=29)).decision == "pass"
    hasty = GUARD.model_copy(update={"max_snapshot_age_days": 0.5})
    assert judge(hasty, size, timedelta(hours=13)).decision == "approval"


def test_a_plan_that_changes_nothing_passes():
    assert judge(GUARD, Size(0, 0, 0, 0), timedelta(days=99)).decision == "pass"
