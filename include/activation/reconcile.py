"""Reconcile: what a destination really holds against our state, and what to do about it.

Where the vendor lists members, identities are compared; `repair` makes the state say what was read,
and the next plan, which goes through the same guard as any other, puts the destination right. Where
it only tells sizes, these are compared. A state that was lost, or came from an older backup, stops
every sync (`Ledger.check_state`) until a person has chosen one of three ways:

- `repair`: the state is what the destination lists;
- `adopt`: the state is folded anew from the plans and receipts that we have kept;
- `adds_only`: the state is begun anew. The next sync adds whoever is wanted, and removes nobody.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from include import publishing
from include.activation.audiences import Audience
from include.activation.calls import Caller, Patience, open_caller
from include.activation.ledger import Ledger, lease_folder
from include.activation.plan import load_plan
from include.activation.state import fold_plan
from include.activation.statuses import refresh_statuses
from include.activation.sync import PlanSummary, plan_audience
from include.activation.workbench import Workbench, open_workbench
from include.connections import Credentials
from include.destinations import Destination, open_destination
from include.destinations.base import RemoteAudience, Size
from include.errors import BadInput, Stop
from include.lease import hold_lease
from include.publishing import Snapshot
from include.settings import Settings
from include.store import Store

Way = Literal["compare", "repair", "adopt", "adds_only"]
# Below this share of what was sent, a vendor's own size is worth a look.
LOW_MATCH_PERCENT = 40.0
THERE = pa.schema([("identity", pa.string())])


@dataclass(frozen=True, slots=True)
class Comparison:
    """One audience at one destination, in counts; None where the vendor does not tell.

    held: members by our account. there: members by the vendor's, or its bounds as `at_least` and
    `at_most`. missing: held by our account and not there; unexpected: there, and not by our
    account. match_percent: at most so many of those we sent are matched. `finding`: what a person
    should know. `plan`: the repairing plan that the next sync sends, if its guard lets it through.
    """

    destination: str
    audience: str
    state: str
    held: int
    there: int | None
    missing: int | None
    unexpected: int | None
    at_least: int | None
    at_most: int | None
    match_percent: float | None
    finding: str
    plan: PlanSummary | None = None

    def row(self) -> dict[str, Any]:
        """The comparison for a table or a machine, the plan in short."""
        told = asdict(self) | {"plan": None}
        if self.plan:
            told["plan"] = (
                f"+{self.plan.adds} ~{self.plan.updates} -{self.plan.removes}: {self.plan.decision}"
            )
        return told

    @property
    def agrees(self) -> bool:
        """Whether nothing has to be done."""
        return self.finding == "agrees"


def reconcile(
    settings: Settings,
    audience: Audience,
    destination_name: str,
    credentials: Credentials,
    way: Way = "compare",
    patience: Patience | None = None,
) -> Comparison:
    """Compare one audience at one destination; then go the way that a person has chosen.

    Nothing is sent: after `repair` the plan is made, and the next sync sends it under its guard.
    Raises `Retry` while another run works on it, `Stop` if a plan was begun and not finished,
    `BadInput` where the way leads nowhere at this destination.
    """
    audience.target(destination_name)
    store = Store(settings.store)
    folder = lease_folder(destination_name, audience.name)
    with hold_lease(store, folder, settings.lock_wait_seconds) as lease:
        ledger = Ledger(store, destination_name, audience.name, lease)
        destination, caller = approach(settings, destination_name, credentials, patience)
        _refuse_in_the_middle(ledger, way)
        if way == "adopt":
            _adopt(settings, ledger)
        elif way == "adds_only":
            _begin_anew(settings, ledger)
        remote = _remote(ledger, destination, audience, caller)
        if destination.lists_members:
            found = _compare_members(settings, ledger, destination, remote, caller, way)
        elif way == "repair":
            raise BadInput(
                f"{destination_name} does not list its members, so that no state can be read there:"
                " --adopt takes our own plans and receipts for it, --adds-only begins anew"
            )
        else:
            found = _compare_sizes(settings, ledger, destination, remote, caller)
    if way != "repair":
        return found
    plan = plan_audience(settings, audience, destination_name, credentials, patience)
    return replace(found, plan=plan)


def approach(
    settings: Settings, name: str, credentials: Credentials, patience: Patience | None = None
) -> tuple[Destination, Caller]:
    """A destination, and who makes the calls to it: for one purpose, and not for a plan."""
    destination = open_destination(name, credentials)
    return destination, open_caller(settings, destination, credentials, patience or Patience())


def _refuse_in_the_middle(ledger: Ledger, way: Way) -> None:
    """Raise `Stop` if a sync can finish the plan that was begun: with a lost state none can."""
    begun = ledger.unfinished()
    if begun and way != "compare" and ledger.is_state_known():
        raise Stop(
            f"plan {begun} of {ledger.audience} to {ledger.destination} is not finished: let a"
            " sync finish it first"
        )


def _standing(ledger: Ledger) -> str:
    """Whether the state can be trusted, in a word."""
    is_there = ledger.store.exists(ledger.state)
    if ledger.is_state_known():
        return "known" if is_there else "none"
    return "older" if is_there else "lost"


def _remote(
    ledger: Ledger, destination: Destination, audience: Audience, caller: Caller
) -> RemoteAudience:
    """The audience at the destination; by its name where even our note of its id is gone."""
    known = (ledger.recall(ledger.target) or {}).get("audience_id")
    if known:
        return RemoteAudience(known, audience.name)
    remote, _ = caller.call(lambda: destination.ensure_audience(audience.name, {}, None))
    return remote


def _compare_members(
    settings: Settings,
    ledger: Ledger,
    destination: Destination,
    remote: RemoteAudience,
    caller: Caller,
    way: Way,
) -> Comparison:
    store = ledger.store
    standing = _standing(ledger)
    snapshot = publishing.newest(store)
    with open_workbench(settings, store) as bench:
        statuses = refresh_statuses(bench, destination, caller)
        _show_there(bench, destination, remote, caller)
        bench.show_state(ledger.state)
        # The pull has shown the older ones under this name.
        bench.connection.execute("drop view if exists statuses")
        bench.show_statuses(statuses)
        [counts] = bench.run("compare_members").to_pylist()
        if way == "repair":
            _read_state(bench, ledger, destination, snapshot)
    missing, unexpected = counts["missing_count"], counts["unexpected_count"]
    finding = "agrees"
    if way == "repair":
        finding = "the state says what was read; the next sync puts the destination right"
    elif standing in ("lost", "older"):
        finding = "the state cannot be trusted: repair, adopt, or begin anew"
    elif missing or unexpected:
        finding = "differs: repair the state, and the next sync puts the destination right"
    return Comparison(
        destination=ledger.destination,
        audience=ledger.audience,
        state=standing,
        held=counts["held_count"],
        there=counts["there_count"],
        missing=missing,
        unexpected=unexpected,
        at_least=None,
        at_most=None,
        match_percent=None,
        finding=finding,
    )


def _show_there(
    bench: Workbench, destination: Destination, remote: RemoteAudience, caller: Caller
) -> None:
    """Who is in the audience by the destination's own account, as the view `there`."""
    file = bench.folder / "there.parquet"
    with pq.ParquetWriter(file, THERE) as writer:
        page, pages = 0, 1
        while page < pages:
            found, _ = caller.call(partial(destination.held_members, remote, page))
            writer.write_table(pa.table({"identity": pa.array(found.identities, pa.string())}))
            page, pages = page + 1, found.pages
    bench.connection.read_parquet(str(file)).create_view("there")


def _read_state(
    bench: Workbench, ledger: Ledger, destination: Destination, snapshot: Snapshot
) -> None:
    """Make the state say what was read, whoever put the people there."""
    bench.show_wanted(snapshot, ledger.destination, ledger.audience)
    bench.show_addressed(snapshot, type(destination), "every_contact")
    file = bench.keep(bench.statement("repair_state"), "state.parquet")
    ledger.store.take(file, ledger.state)
    ledger.acknowledge_state()


def _adopt(settings: Settings, ledger: Ledger) -> None:
    """Fold every plan that was finished anew, oldest first, into a state that begins empty.

    Older than one that was finished all have been, whatever an adoption that was killed has left.
    """
    last = ledger.last_finished()
    if last is None:
        raise BadInput(
            f"no plan of {ledger.audience} to {ledger.destination} is left to make a state from:"
            " --adds-only begins anew"
        )
    ledger.store.remove(ledger.state)
    for plan_id in [one for one in ledger.plan_ids() if one <= last]:
        ledger.store.remove(ledger.path(plan_id, "finished.json"))
        with open_workbench(settings, ledger.store) as bench:
            fold_plan(bench, ledger, load_plan(ledger, plan_id))


def _begin_anew(settings: Settings, ledger: Ledger) -> None:
    with open_workbench(settings, ledger.store) as bench:
        bench.run("empty_held")
        file = bench.keep(bench.connection.view("held"), "state.parquet")
        ledger.store.take(file, ledger.state)
    ledger.acknowledge_state(is_begun_anew=True)


def _compare_sizes(
    settings: Settings,
    ledger: Ledger,
    destination: Destination,
    remote: RemoteAudience,
    caller: Caller,
) -> Comparison:
    size: Size | None = None
    if destination.tells_sizes:
        size, _ = caller.call(lambda: destination.size(remote))
    with open_workbench(settings, ledger.store) as bench:
        bench.show_state(ledger.state)
        [counts] = bench.run("state_counts").to_pylist()
    held = counts["held_count"]
    standing = _standing(ledger)
    percent = round(100 * min(size.at_most, held) / held, 1) if size and held else None
    finding = "agrees"
    if standing in ("lost", "older"):
        finding = "the state cannot be trusted: adopt, or begin anew"
    elif size and size.at_least > held:
        finding = "more people are there than we have sent: somebody else fills the audience too"
    elif percent is not None and percent < LOW_MATCH_PERCENT:
        finding = f"at most {percent:g} % of those sent are matched: look at addresses and numbers"
    return Comparison(
        destination=ledger.destination,
        audience=ledger.audience,
        state=standing,
        held=held,
        there=None,
        missing=None,
        unexpected=None,
        at_least=size.at_least if size else None,
        at_most=size.at_most if size else None,
        match_percent=percent,
        finding=finding,
    )
