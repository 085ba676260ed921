"""What a person who decides about a plan is shown: counts, reasons, examples, nobody's data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from include import publishing
from include.activation.ledger import Ledger
from include.activation.sync import PlanSummary, way_to_approve
from include.activation.workbench import open_workbench
from include.settings import Settings
from include.store import Store

MOST_EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class Example:
    """One change of a plan: a hash of the customer's id, the verb, and why."""

    customer: str
    operation: str
    reason: str


def examples(settings: Settings, summary: PlanSummary) -> list[Example]:
    """Up to twenty changes of a plan, as evenly of each verb as there are; none of an empty plan.

    The reasons are the newest snapshot's. Raises `Stop` without one.
    """
    if summary.plan_id is None:
        return []
    store = Store(settings.store)
    ledger = Ledger(store, summary.destination, summary.audience)
    snapshot = publishing.newest(store)
    with open_workbench(settings, store) as bench:
        bench.show("planned_changes", ledger.path(summary.plan_id, "plan.parquet"))
        for table in ("audience_members", "membership_decisions"):
            bench.connection.read_parquet(snapshot.path(table)).create_view(table)
        rows = bench.run("plan_examples", audience=summary.audience, most=MOST_EXAMPLES)
    return [Example(**row) for row in rows.to_pylist()]


def question(summary: PlanSummary, shown: Sequence[Example]) -> str:
    """What a person is asked about a plan that its guard holds up, in Markdown."""
    lines = [
        f"The plan **{summary.plan_hash}** brings *{summary.audience}* to *{summary.destination}* "
        f"from the snapshot {summary.snapshot_id}. Its guard holds it up:",
        "",
        *(f"- {reason}" for reason in summary.reasons),
        "",
        "| wanted | held now | add | update | remove | unchanged | suppressed | no address |",
        "|---|---|---|---|---|---|---|---|",
        f"| {summary.desired} | {summary.held} | {summary.adds} | {summary.updates} "
        f"| {summary.removes} | {summary.unchanged} | {summary.suppressed} "
        f"| {summary.unaddressable} |",
        "",
        f"{len(shown)} of its changes, by hashes of the customers' ids:",
        "",
        "| customer | change | why |",
        "|---|---|---|",
        *(f"| {one.customer} | {one.operation} | {_cell(one.reason)} |" for one in shown),
        "",
        "Approving sends exactly this plan. No answer means no: nothing is sent. The same by hand: "
        f"`{way_to_approve(summary)}`",
    ]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """An author's text, so that it cannot leave its cell nor become a link or an image."""
    return text.replace("\\", "").translate(str.maketrans("|[]<>`\n", "/()   \u0020"))
