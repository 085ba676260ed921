"""The plan: what must change for a destination to hold who is wanted, as one immutable file.

It names people by their customer id and the destination's own hashed key; it is also the dry run,
what a person approves, and the audit trail.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from include.activation.audiences import Audience
from include.activation.guard import Size, Verdict, judge, judge_emptying
from include.activation.ledger import Ledger
from include.activation.workbench import Workbench
from include.destinations.base import Destination, FieldKind, Operation
from include.errors import Stop
from include.instants import IDENTIFIER, now_after
from include.publishing import Snapshot

# A row that the destination refuses is tried again this often, then left until its data change.
MOST_TRIES = 5
FIELD_SAMPLE = 1000
HASH_LENGTH = 12
# Few, because a plan is read slice by slice, and DuckDB has all of a row group in memory.
ROWS_IN_GROUP = 20_480
# In the order they are sent: whoever withdrew consent is out first.
OPERATIONS: tuple[Operation, ...] = ("remove", "update", "add")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Section:
    """The part of a plan that goes by one verb: how many members, in which batches."""

    operation: Operation
    members: int
    first_batch: int
    last_batch: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What `plan.json` says of a plan.

    `suppressed` and `unaddressable` count members who are wanted but are not sent: the destination
    says they must not be written to, or they have no address there. `empties`: everybody is taken
    out, because the audience no longer goes there.
    """

    plan_id: str
    destination: str
    audience: str
    account: str
    snapshot_id: str
    created_at: str
    sha256: str
    sections: tuple[Section, ...]
    desired: int
    held: int
    unchanged: int
    suppressed: int
    unaddressable: int
    verdict: Verdict
    fields: dict[str, FieldKind] = field(default_factory=dict)
    empties: bool = False

    @property
    def content_hash(self) -> str:
        """What a person quotes to approve the plan."""
        return self.sha256[:HASH_LENGTH]

    def members(self, operation: str) -> int:
        """How many members go by one verb."""
        return sum(s.members for s in self.sections if s.operation == operation)

    def section(self, operation: str) -> Section:
        """The part that goes by one verb. Raises `KeyError` if there is none."""
        for section in self.sections:
            if section.operation == operation:
                return section
        raise KeyError(operation)

    @property
    def batches(self) -> int:
        """How many batches the plan has."""
        return max((section.last_batch for section in self.sections), default=0)


def make_plan(
    bench: Workbench,
    ledger: Ledger,
    destination: Destination,
    audience: Audience,
    snapshot: Snapshot,
    statuses: Callable[[], str],
    *,
    empties: bool = False,
) -> tuple[Plan, bool]:
    """Compare what a snapshot wants with what is held; write the plan unless nothing changes.

    Returns the plan, and whether it was written. `statuses` gives the path of what the destination
    has told us of its contacts, as soon as it is there. `empties`: nobody is wanted, whatever the
    snapshot says.
    A plan of which nothing was sent is replaced, unless it says the same:
    a person may be looking at it, or have approved it.
    Raises `Stop` if the snapshot is older than the last one synced.
    """
    refuse_older(ledger, snapshot)
    bench.show_wanted(snapshot, destination.name, audience.name, nobody=empties)
    bench.show_state(ledger.state)
    bench.run("diff_memberships")
    bench.run("wanted_changed")
    bench.show_addressed(snapshot, type(destination), "changed_contacts")
    bench.show_statuses(statuses())
    bench.run(
        "plan_memberships",
        batch_size=destination.batch_size,
        carries_fields=destination.carries_fields,
        most_tries=MOST_TRIES,
    )
    counts = {row["operation"]: row for row in bench.run("plan_counts").to_pylist()}
    file = bench.keep(bench.statement("plan_rows"), "plan.parquet", ROWS_IN_GROUP)
    plan = _describe(bench, ledger, destination, audience, snapshot, counts, _sha256(file), empties)
    if (waiting := _waiting(ledger)) and _say_the_same(waiting, plan):
        return waiting, True
    ledger.discard_unstarted()
    if not counts.keys() & set(OPERATIONS):
        return plan, False
    ledger.take(file, ledger.path(plan.plan_id, "plan.parquet"))
    ledger.record(ledger.path(plan.plan_id, "plan.json"), asdict(plan))
    return plan, True


def load_plan(ledger: Ledger, plan_id: str) -> Plan:
    """A plan as it was written. Raises `Stop` if there is none of that id."""
    content = ledger.recall(ledger.path(plan_id, "plan.json"))
    if content is None:
        raise Stop(f"there is no plan {plan_id} of {ledger.audience} to {ledger.destination}")
    content["sections"] = tuple(Section(**section) for section in content["sections"])
    verdict = content["verdict"]
    content["verdict"] = Verdict(verdict["decision"], tuple(verdict["reasons"]))
    return Plan(**content)


def refuse_older(ledger: Ledger, snapshot: Snapshot) -> None:
    """Raise `Stop` if a newer snapshot than this one was synced or is being synced."""
    last = ledger.unfinished() or ledger.last_finished()
    if last and load_plan(ledger, last).snapshot_id > snapshot.snapshot_id:
        raise Stop(
            f"snapshot {snapshot.snapshot_id} is older than the one that {ledger.audience} was "
            f"last synced to {ledger.destination} from: publish again"
        )


def _waiting(ledger: Ledger) -> Plan | None:
    """The plan that was made last, if nothing of it was sent."""
    for plan_id in ledger.plan_ids()[-1:]:
        if ledger.has(plan_id, "plan.json") and not ledger.has(plan_id, "started.json"):
            return load_plan(ledger, plan_id)
    return None


def _say_the_same(one: Plan, other: Plan) -> bool:
    """Whether two plans differ in nothing but the moment they were made at."""
    return replace(one, plan_id=other.plan_id, created_at=other.created_at) == other


def _describe(
    bench: Workbench,
    ledger: Ledger,
    destination: Destination,
    audience: Audience,
    snapshot: Snapshot,
    counts: dict[str, dict[str, int]],
    sha256: str,
    empties: bool,
) -> Plan:
    created_at = now_after(_last_made(ledger))
    [sizes] = bench.run("size_memberships").to_pylist()
    sections = tuple(
        Section(operation, row["sent_count"], row["first_batch"], row["last_batch"])
        for operation in OPERATIONS
        if (row := counts.get(operation)) and row["sent_count"]
    )
    sent = {section.operation: section.members for section in sections}
    size = Size(
        desired=sizes["wanted_count"],
        held=sizes["held_count"],
        adds=sent.get("add", 0),
        removes=sent.get("remove", 0),
    )
    return Plan(
        plan_id=f"{created_at:{IDENTIFIER}}-{sha256[:HASH_LENGTH]}",
        destination=destination.name,
        audience=audience.name,
        account=destination.account,
        snapshot_id=snapshot.snapshot_id,
        created_at=created_at.isoformat(),
        sha256=sha256,
        sections=sections,
        desired=size.desired,
        held=size.held,
        unchanged=size.held - size.removes - sent.get("update", 0),
        suppressed=counts.get("suppressed", {}).get("member_count", 0),
        unaddressable=counts.get("unaddressable", {}).get("member_count", 0),
        verdict=(judge_emptying(size) if empties else judge(audience.guard, size, _age(snapshot))),
        fields=_field_kinds(bench, ledger, audience.target(destination.name).fields),
        empties=empties,
    )


def _last_made(ledger: Ledger) -> datetime | None:
    for plan_id in ledger.plan_ids()[-1:]:
        return datetime.strptime(plan_id.partition("-")[0], IDENTIFIER).replace(tzinfo=UTC)
    return None


def _age(snapshot: Snapshot) -> timedelta:
    return datetime.now(UTC) - snapshot.published_at


def _field_kinds(bench: Workbench, ledger: Ledger, fields: tuple[str, ...]) -> dict[str, FieldKind]:
    """What the declared fields hold: as first seen, so that a merge field keeps its type."""
    known: dict[str, FieldKind] = (ledger.recall(ledger.target) or {}).get("fields", {})
    if all(name in known for name in fields):
        return {name: known[name] for name in fields}
    rows = bench.run("field_samples", sample_size=FIELD_SAMPLE).column("payload").to_pylist()
    payloads = [json.loads(row) for row in rows]
    return {
        name: known.get(name) or _kind([p[name] for p in payloads if p.get(name) not in (None, "")])
        for name in fields
    }


def _kind(values: list[Any]) -> FieldKind:
    if values and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return "number"
    if values and all(isinstance(v, str) and DAY.fullmatch(v) for v in values):
        return "date"
    return "text"


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
