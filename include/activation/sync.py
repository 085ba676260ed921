"""Sync one audience to one destination: plan, guard, send, fold. What the DAGs and the CLI call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from include import publishing
from include.activation.audiences import Audience, Target, load_audiences
from include.activation.calls import Caller, Patience, open_caller
from include.activation.ledger import Ledger, lease_folder, ledgers
from include.activation.plan import HASH_LENGTH, Plan, load_plan, make_plan
from include.activation.receipts import acknowledged, read_receipts
from include.activation.send import send_batches
from include.activation.state import fold_plan
from include.activation.statuses import refreshing_statuses, statuses_path
from include.activation.workbench import open_workbench
from include.connections import Credentials
from include.destinations import Destination, open_destination
from include.errors import BadInput, GuardBreached
from include.lease import hold_lease, lease_holder
from include.settings import Settings
from include.store import Store

# DuckDB's, while a plan is sent slice by slice: what it may have, it fills in time. It works ahead
# of the sending, where a second thread would save no time and cost 70 MB.
SENDING_MEMORY = "64MB"
SENDING_THREADS = 1


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """A plan in counts. `plan_id` is None if nothing changes; `resumed`: it was begun before.

    `empties`: it takes everybody out.
    """

    destination: str
    audience: str
    plan_id: str | None
    plan_hash: str | None
    snapshot_id: str
    adds: int
    updates: int
    removes: int
    unchanged: int
    suppressed: int
    unaddressable: int
    desired: int
    held: int
    batches: int
    decision: str
    reasons: tuple[str, ...]
    approved: bool
    resumed: bool
    empties: bool = False


@dataclass(frozen=True, slots=True)
class SyncSummary:
    """What a sync did, in counts: members accepted by each verb, and those that were not.

    After a dry run, the members that each verb would be sent for.
    """

    destination: str
    audience: str
    plan_id: str | None
    snapshot_id: str
    adds: int
    updates: int
    removes: int
    rejected: int
    superseded: int
    suppressed: int
    unaddressable: int
    unchanged: int
    batches: int
    seconds: float
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class AudienceStatus:
    """Where one audience stands at one destination; `rejected` members were not accepted.

    `removals_pending` of them are still there, because the destination would not let them go.
    `held_by` is the run that works on it now. `switched_off`: the audience does not go there by its
    declaration, so that no sync changes what is there.
    """

    destination: str
    audience: str
    account: str | None
    audience_id: str | None
    held: int
    rejected: int
    removals_pending: int
    last_plan_id: str | None
    last_snapshot_id: str | None
    synced_at: str | None
    pending_plan_id: str | None
    pending: str | None
    held_by: str | None
    switched_off: bool


@dataclass(frozen=True, slots=True)
class Work:
    """One audience at one destination, whose lease this run holds."""

    settings: Settings
    audience: Audience
    store: Store
    ledger: Ledger
    destination: Destination
    credentials: Credentials
    patience: Patience
    empties: bool = False

    def caller(self) -> Caller:
        """For one step of the work."""
        return open_caller(
            self.settings,
            self.destination,
            self.credentials,
            self.patience,
            self.ledger.check_lease,
        )


def plan_audience(
    settings: Settings,
    audience: Audience,
    destination_name: str,
    credentials: Credentials,
    patience: Patience | None = None,
    *,
    empty: bool = False,
) -> PlanSummary:
    """Make the plan for the newest snapshot, or take up the one that was begun before.

    `empty`: the plan takes everybody out; see `leaving`. Raises `Stop` without a snapshot, or if it
    is older than the last one synced; `Retry` while another run works on it.
    """
    with _work(settings, audience, destination_name, credentials, patience, empty) as work:
        return _plan(work)


def leaving(settings: Settings, audience: str, destination: str) -> Audience:
    """An audience as it was at a destination that it no longer goes to, for taking everybody out.

    Raises `BadInput` if it still goes there, or never did.
    """
    declared = load_audiences().get(audience)
    if declared and _goes_to(declared, destination):
        raise BadInput(
            f"audience {audience} goes to {destination}, and the next sync would fill it again: "
            "take that destination out of its declaration first"
        )
    found = {(ledger.audience, ledger.destination) for ledger in ledgers(Store(settings.store))}
    if (audience, destination) not in found:
        raise BadInput(f"nobody was ever sent to {destination} for an audience {audience!r}")
    gone = Audience(name=audience, description="Declared no longer.", owner="nobody")
    return (declared or gone).model_copy(update={"destinations": (Target(to=destination),)})


def approve_plan(
    settings: Settings, audience: str, destination: str, plan_hash: str, by: str | None = None
) -> None:
    """Let the waiting plan through. Raises `GuardBreached` if it is not the one looked at.

    `by` is who approved it, where that is known.
    """
    ledger = Ledger(Store(settings.store), destination, audience)
    waiting = ledger.plan_ids()[-1:]
    plan = load_plan(ledger, waiting[0]) if waiting else None
    if plan is None or ledger.has(plan.plan_id, "started.json"):
        raise GuardBreached(f"no plan of {audience} to {destination} waits for an approval")
    if plan.content_hash != plan_hash[:HASH_LENGTH] or len(plan_hash) < HASH_LENGTH:
        raise GuardBreached(
            f"the plan of {audience} to {destination} is now {plan.content_hash}, not {plan_hash}: "
            "look at it again"
        )
    approved_at = datetime.now(UTC).isoformat()
    approval = {"approved_at": approved_at, "approved_by": by, "plan_hash": plan.content_hash}
    ledger.record(ledger.path(plan.plan_id, "approval.json"), approval)


def check_guard(summary: PlanSummary) -> None:
    """Raise `GuardBreached`, saying why and what to do, if a plan must not be sent as it is."""
    if summary.decision == "pass" or summary.resumed:
        return
    if summary.decision == "approval" and summary.approved:
        return
    reasons = "; ".join(summary.reasons)
    if summary.decision == "block":
        way_out = "change the audience's guard if this is meant"
    else:
        way_out = f"if this is meant: {way_to_approve(summary)}"
    raise GuardBreached(
        f"{summary.audience} to {summary.destination} is held up: {reasons}. "
        f"Nothing was sent; {way_out}"
    )


def way_to_approve(summary: PlanSummary) -> str:
    """The command that lets exactly this plan through."""
    emptying = "--empty " if summary.empties else ""
    return (
        f"regulars sync --audience {summary.audience} --destination {summary.destination} "
        f"{emptying}--approve {summary.plan_hash}"
    )


def send_plan(
    settings: Settings,
    audience: Audience,
    destination_name: str,
    credentials: Credentials,
    plan_id: str,
    patience: Patience | None = None,
) -> SyncSummary:
    """Send what is left of a plan, whether its guard lets it through or a person has.

    Raises `Retry` if the destination stays busy: the plan is sent on by the next call; also while
    another run works on it.
    """
    with _work(settings, audience, destination_name, credentials, patience) as work:
        return _send(work, plan_id)


def fold(settings: Settings, audience: Audience, destination_name: str, plan_id: str) -> None:
    """Fold the receipts of a completely sent plan into the state. Folding twice does no harm."""
    store = Store(settings.store)
    folder = lease_folder(destination_name, audience.name)
    with hold_lease(store, folder, settings.lock_wait_seconds) as lease:
        ledger = Ledger(store, destination_name, audience.name, lease)
        _fold(settings, store, ledger, plan_id)


def sync(
    settings: Settings,
    audience: Audience,
    destination_name: str,
    credentials: Credentials,
    dry_run: bool = False,
    approve: str | None = None,
    patience: Patience | None = None,
    *,
    empty: bool = False,
) -> SyncSummary:
    """Finish the plan that was begun before, if any; then bring the newest snapshot across.

    `approve` is the hash of a plan that a person has looked at. `empty`: in place of what the
    snapshot wants, take everybody out, which always needs an approval; see `leaving`.
    Raises `GuardBreached` if the plan must not be sent as it is.
    """
    began = time.monotonic()
    finished: list[SyncSummary] = []
    with _work(settings, audience, destination_name, credentials, patience, empty) as work:
        while True:
            summary = _plan(work)
            if dry_run or summary.plan_id is None:
                finished.append(_nothing_sent(summary, dry_run))
                break
            if approve and summary.decision == "approval" and not summary.resumed:
                approve_plan(settings, audience.name, destination_name, approve)
            else:
                check_guard(summary)
            finished.append(_send(work, summary.plan_id))
            _fold(settings, work.store, work.ledger, summary.plan_id)
            if not summary.resumed:
                break
    return _together(finished, time.monotonic() - began)


def status(settings: Settings) -> list[AudienceStatus]:
    """Where every audience stands at every destination it was ever planned for."""
    store = Store(settings.store)
    declared = load_audiences()
    return [
        _status(settings, store, ledger, declared.get(ledger.audience)) for ledger in ledgers(store)
    ]


def members_waiting(settings: Settings, audience: str, destination: str) -> int:
    """Members whose change is planned, and neither answered nor folded into the state yet."""
    ledger = Ledger(Store(settings.store), destination, audience)
    for plan_id in ledger.plan_ids()[-1:]:
        if ledger.has(plan_id, "finished.json") or not ledger.has(plan_id, "plan.json"):
            return 0
        sent = sum(receipt.sent for receipt in read_receipts(ledger, plan_id))
        return sum(section.members for section in load_plan(ledger, plan_id).sections) - sent
    return 0


@contextmanager
def _work(
    settings: Settings,
    audience: Audience,
    name: str,
    credentials: Credentials,
    patience: Patience | None,
    empties: bool = False,
) -> Iterator[Work]:
    audience.target(name)
    store = Store(settings.store)
    destination = open_destination(name, credentials)
    folder = lease_folder(name, audience.name)
    with hold_lease(store, folder, settings.lock_wait_seconds) as lease:
        ledger = Ledger(store, name, audience.name, lease)
        patience = patience or Patience()
        yield Work(settings, audience, store, ledger, destination, credentials, patience, empties)


def _plan(work: Work) -> PlanSummary:
    ledger, destination = work.ledger, work.destination
    ledger.check_account(destination.account)
    snapshot = publishing.newest(work.store)
    if begun := ledger.unfinished():
        return _plan_summary(ledger, load_plan(ledger, begun), written=True, resumed=True)
    caller = work.caller()
    with (
        open_workbench(work.settings, work.store) as bench,
        refreshing_statuses(bench, destination, caller) as statuses,
    ):
        plan, written = make_plan(
            bench,
            ledger,
            destination,
            work.audience,
            snapshot,
            statuses,
            empties=work.empties,
        )
    return _plan_summary(ledger, plan, written=written, resumed=False)


def _send(work: Work, plan_id: str) -> SyncSummary:
    began = time.monotonic()
    plan = load_plan(work.ledger, plan_id)
    check_guard(_plan_summary(work.ledger, plan, written=True, resumed=False))
    frugal = work.settings.model_copy(update={"threads": SENDING_THREADS})
    with open_workbench(frugal, work.store, SENDING_MEMORY) as bench:
        send_batches(
            bench,
            work.ledger,
            work.destination,
            plan,
            publishing.newest(work.store),
            statuses_path(work.destination),
            work.caller(),
        )
    return _sync_summary(work.ledger, plan, time.monotonic() - began)


def _fold(settings: Settings, store: Store, ledger: Ledger, plan_id: str) -> None:
    with open_workbench(settings, store) as bench:
        fold_plan(bench, ledger, load_plan(ledger, plan_id))


def _plan_summary(ledger: Ledger, plan: Plan, *, written: bool, resumed: bool) -> PlanSummary:
    return PlanSummary(
        destination=plan.destination,
        audience=plan.audience,
        plan_id=plan.plan_id if written else None,
        plan_hash=plan.content_hash if written else None,
        snapshot_id=plan.snapshot_id,
        adds=plan.members("add"),
        updates=plan.members("update"),
        removes=plan.members("remove"),
        unchanged=plan.unchanged,
        suppressed=plan.suppressed,
        unaddressable=plan.unaddressable,
        desired=plan.desired,
        held=plan.held,
        batches=plan.batches,
        decision=plan.verdict.decision,
        reasons=plan.verdict.reasons,
        approved=ledger.has(plan.plan_id, "approval.json"),
        resumed=resumed,
        empties=plan.empties,
    )


def _sync_summary(ledger: Ledger, plan: Plan, seconds: float) -> SyncSummary:
    accepted = {"add": 0, "update": 0, "remove": 0}
    rejected = superseded = batches = 0
    for receipt in read_receipts(ledger, plan.plan_id):
        accepted[receipt.operation] += receipt.accepted
        rejected += receipt.rejected
        superseded += receipt.superseded
        batches += 1
    return SyncSummary(
        destination=plan.destination,
        audience=plan.audience,
        plan_id=plan.plan_id,
        snapshot_id=plan.snapshot_id,
        adds=accepted["add"],
        updates=accepted["update"],
        removes=accepted["remove"],
        rejected=rejected,
        superseded=superseded,
        suppressed=plan.suppressed,
        unaddressable=plan.unaddressable,
        unchanged=plan.unchanged,
        batches=batches,
        seconds=round(seconds, 3),
    )


def _nothing_sent(summary: PlanSummary, dry_run: bool) -> SyncSummary:
    return SyncSummary(
        destination=summary.destination,
        audience=summary.audience,
        plan_id=summary.plan_id,
        snapshot_id=summary.snapshot_id,
        adds=summary.adds,
        updates=summary.updates,
        removes=summary.removes,
        rejected=0,
        superseded=0,
        suppressed=summary.suppressed,
        unaddressable=summary.unaddressable,
        unchanged=summary.unchanged,
        batches=summary.batches,
        seconds=0,
        dry_run=dry_run,
    )


def _together(summaries: list[SyncSummary], seconds: float) -> SyncSummary:
    """The last summary, with what the earlier ones have sent added to it."""
    last = summaries[-1]
    sums = {
        name: sum(getattr(summary, name) for summary in summaries)
        for name in ("adds", "updates", "removes", "rejected", "superseded", "batches")
    }
    plan_id = next((s.plan_id for s in reversed(summaries) if s.plan_id), None)
    return replace(last, plan_id=plan_id, seconds=round(seconds, 3), **sums)


def _goes_to(audience: Audience, destination: str) -> bool:
    return destination in {target.to for target in audience.destinations}


def _status(
    settings: Settings, store: Store, ledger: Ledger, declared: Audience | None
) -> AudienceStatus:
    target = ledger.recall(ledger.target) or {}
    last = ledger.last_finished()
    # A plan that was killed while it was written is none.
    newer = (one for one in reversed(ledger.plan_ids()) if one > (last or ""))
    pending = next((one for one in newer if ledger.has(one, "plan.json")), None)
    holder = lease_holder(store, lease_folder(ledger.destination, ledger.audience))
    with open_workbench(settings, store) as bench:
        bench.show_state(ledger.state)
        [counts] = bench.run("state_counts").to_pylist()
    return AudienceStatus(
        destination=ledger.destination,
        audience=ledger.audience,
        account=target.get("account"),
        audience_id=target.get("audience_id"),
        held=counts["held_count"],
        rejected=counts["rejected_count"],
        removals_pending=counts["removals_pending_count"],
        last_plan_id=last,
        last_snapshot_id=load_plan(ledger, last).snapshot_id if last else None,
        synced_at=ledger.finished_at(last) if last else None,
        pending_plan_id=pending,
        pending=_pending(ledger, pending) if pending else None,
        held_by=str(holder) if holder else None,
        switched_off=declared is None or not _goes_to(declared, ledger.destination),
    )


def _pending(ledger: Ledger, plan_id: str) -> str:
    """What a plan that is not finished waits for."""
    plan = load_plan(ledger, plan_id)
    if ledger.has(plan_id, "started.json"):
        return f"{len(acknowledged(ledger, plan_id))} of {plan.batches} batches sent"
    if plan.verdict.decision == "approval" and not ledger.has(plan_id, "approval.json"):
        return "waits for an approval"
    return "held up by its guard" if plan.verdict.decision == "block" else "planned"
