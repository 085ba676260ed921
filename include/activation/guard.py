"""How much one plan may change, and what happens when it would change more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from include.activation.audiences import Guard

Decision = Literal["pass", "approval", "block"]


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
    """Hold a plan against its audience's guard. A plan that changes no membership passes."""
    if not (size.adds or size.removes):
        return Verdict()
    reasons = (
        *_too_many("remove", size.removes, size.held, guard.max_removed_percent, guard.max_removed),
        *_too_many("add", size.adds, size.held, guard.max_added_percent, guard.max_added),
        *_first_sync(guard, size),
        *_wrong_size(guard, size.desired),
        *_stale(guard, snapshot_age),
    )
    return Verdict(guard.on_breach, reasons) if reasons else Verdict()


def judge_emptying(size: Size) -> Verdict:
    """A plan that takes everybody out needs a person's word, whatever the audience's guard says."""
    if not size.removes:
        return Verdict()
    reason = f"would take out everybody: remove {size.removes} of {size.held} held"
    return Verdict("approval", (reason,))


def _too_many(
    verb: str, count: int, held: int, most_percent: float, most: int | None
) -> Iterator[str]:
    # A division rounds to the very float that a limit of as many percent is.
    if held and (percent := 100 * count / held) > most_percent:
        told = f"{round(percent, 1):g} %, limit {most_percent:g} %"
        yield f"would {verb} {count} of {held} held ({told})"
    if most is not None and count > most:
        yield f"would {verb} {count} members (limit {most})"


def _first_sync(guard: Guard, size: Size) -> Iterator[str]:
    most = guard.max_first_sync
    if not size.held and most is not None and size.adds > most:
        yield f"would add {size.adds} members where nobody is held yet (limit {most})"


def _wrong_size(guard: Guard, desired: int) -> Iterator[str]:
    if desired < guard.min_members:
        members = f"has {desired} members" if desired else "is empty"
        yield f"the audience {members} (minimum {guard.min_members})"
    if guard.max_members is not None and desired > guard.max_members:
        yield f"the audience has {desired} members (maximum {guard.max_members})"


def _stale(guard: Guard, age: timedelta) -> Iterator[str]:
    limit = guard.max_snapshot_age_days
    days = age / timedelta(days=1)
    if days > limit:
        yield f"the snapshot is {round(days, 1):g} days old (limit {limit:g})"
