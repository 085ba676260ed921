"""How much one plan may change, and what happens when it would change more."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from include.activation.audiences import Guard

Decision = Literal["pass", "approval", "block"]
# Data older than this were not refreshed by any schedule anybody would set.
OLDEST_SNAPSHOT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Size:
    """What a plan would do: members wanted, held now, and sent by each verb."""

    desired: int
    held: int
    adds: int
    removes: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a plan may be sent; the reasons if it may not."""

    decision: Decision = "pass"
    reasons: tuple[str, ...] = field(default=())


def judge(guard: Guard, size: Size, snapshot_age: timedelta) -> Verdict:
    """Hold a plan against its audience's guard.

    Percentages are of what is held now, and do not apply to a first sync. An empty plan passes.
    """
    reasons = []
    if size.held:
        for verb, count, limit in (
            ("remove", size.removes, guard.max_removed_percent),
            ("add", size.adds, guard.max_added_percent),
        ):
            percent = 100 * count / size.held
            if percent > limit:
                reasons.append(
                    f"would {verb} {count} of {size.held} held ({percent:.0f} %, limit {limit:g} %)"
                )
    if size.desired < guard.min_members:
        reasons.append(f"the audience has {size.desired} members (minimum {guard.min_members})")
    if guard.max_members is not None and size.desired > guard.max_members:
        reasons.append(f"the audience has {size.desired} members (maximum {guard.max_members})")
    if snapshot_age > OLDEST_SNAPSHOT:
        reasons.append(
            f"the snapshot is {snapshot_age.days} days old (limit {OLDEST_SNAPSHOT.days})"
        )
    if not reasons or not (size.adds or size.removes):
        return Verdict()
    return Verdict(guard.on_breach, tuple(reasons))
