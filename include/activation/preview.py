"""What an audience is and would do, by the published snapshot alone: counts, and nobody's data.

Nothing is asked of a destination: what the next sync would change is the difference to what we know
it holds, before the destination's own word about who may not be written to.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

from include import publishing
from include.activation.audiences import Audience, audience_sizes
from include.activation.ledger import Ledger, ledgers
from include.activation.workbench import Workbench, open_workbench
from include.destinations import known_destination
from include.publishing import Snapshot
from include.settings import Settings
from include.store import Store

TOP_REASONS = 5


@dataclass(frozen=True, slots=True)
class Decision:
    """How many members are decided alike on one medium: `included`, or what keeps them out."""

    medium: str
    decision: str
    members: int


@dataclass(frozen=True, slots=True)
class Overlap:
    """The members that two audiences share, and the percentages of either that they are."""

    audience: str
    other: str
    shared: int
    percent: float
    percent_of_other: float


@dataclass(frozen=True, slots=True)
class Reason:
    """Why so many members are in; `#` stands for each one's own figures."""

    reason: str | None
    members: int


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the audience, the percentage of members that have it, and who is sent it."""

    field: str
    filled_percent: float
    destinations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What the next sync to a destination would do; one that is no more declared changes nothing.

    desired: members it should hold; held: members it holds by our account.
    """

    destination: str
    desired: int
    held: int
    adds: int
    updates: int
    removes: int


@dataclass(frozen=True, slots=True)
class Preview:
    """One audience in counts; `reasons` are the most frequent ones."""

    audience: str
    description: str
    owner: str
    kind: str
    priority: int
    holdout_percent: int
    is_switched_on: bool
    snapshot_id: str
    as_of: date
    members: int
    decisions: tuple[Decision, ...]
    destinations: tuple[Change, ...]
    overlaps: tuple[Overlap, ...]
    reasons: tuple[Reason, ...]
    fields: tuple[Field, ...]


def preview(settings: Settings, audience: Audience) -> Preview:
    """What one audience is and would do. Raises `Stop` without a snapshot that knows of it."""
    with _published(settings) as (bench, snapshot):
        reasons = bench.run("preview_reasons", audience=audience.name, most=TOP_REASONS).to_pylist()
        fields = bench.run("preview_fields", audience=audience.name).to_pylist()
        decisions = bench.run("preview_decisions", audience=audience.name).to_pylist()
        overlaps = bench.run("audience_overlaps", audience=audience.name).to_pylist()
        return Preview(
            audience=audience.name,
            description=" ".join(audience.description.split()),
            owner=audience.owner,
            kind=audience.kind,
            priority=audience.priority,
            holdout_percent=audience.holdout_percent,
            is_switched_on=audience.is_switched_on,
            snapshot_id=snapshot.snapshot_id,
            as_of=snapshot.as_of,
            members=audience_sizes(snapshot).get(audience.name, 0),
            decisions=tuple(Decision(**row) for row in decisions),
            destinations=tuple(_changes(bench, snapshot, audience)),
            overlaps=tuple(Overlap(**row) for row in overlaps),
            reasons=tuple(Reason(**row) for row in reasons),
            fields=tuple(
                Field(**row, destinations=_asking_for(audience, row["field"])) for row in fields
            ),
        )


def overlaps(settings: Settings) -> list[Overlap]:
    """Every two audiences that share members, the most alike first. Raises `Stop` as `preview`."""
    with _published(settings) as (bench, _):
        rows = bench.run("audience_overlaps", audience=None).to_pylist()
    return [Overlap(**row) for row in rows]


@contextmanager
def _published(settings: Settings) -> Iterator[tuple[Workbench, Snapshot]]:
    """The newest snapshot's tables about audiences as views."""
    store = Store(settings.store)
    snapshot = publishing.newest(store)
    with open_workbench(settings, store) as bench:
        for table in ("audience_members", "membership_decisions"):
            bench.connection.read_parquet(snapshot.path(table)).create_view(table)
        yield bench, snapshot


def _changes(bench: Workbench, snapshot: Snapshot, audience: Audience) -> Iterator[Change]:
    """For every destination that the audience goes to, or has left people at."""
    declared = [target.to for target in audience.destinations]
    left = [
        ledger.destination
        for ledger in ledgers(bench.store)
        if ledger.audience == audience.name and ledger.destination not in declared
    ]
    for destination in [*declared, *left]:
        bench.show_wanted(snapshot, destination, audience.name)
        bench.show_state(Ledger(bench.store, destination, audience.name).state)
        [counts] = bench.run(
            "preview_changes",
            is_declared=destination in declared,
            carries_fields=known_destination(destination).carries_fields,
        ).to_pylist()
        yield Change(destination=destination, **counts)


def _asking_for(audience: Audience, field: str) -> tuple[str, ...]:
    return tuple(target.to for target in audience.destinations if field in target.fields)
