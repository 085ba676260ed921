"""What a demo run did, for a person to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

import duckdb
from rich.console import Console

from include import publishing
from include.activation.audiences import audience_sizes, load_audiences, switched_on
from include.activation.ledger import Ledger, ledgers
from include.activation.plan import load_plan
from include.activation.receipts import Receipt, read_receipts
from include.errors import Stop
from include.publishing import ANALYTICS, Snapshot
from include.settings import Settings
from include.store import Store
from include.terminal import show_table


def show_summary(
    console: Console, settings: Settings, since: datetime, seconds: Mapping[str, float]
) -> None:
    """Print what is published, what was sent since an instant, and how long each stage took."""
    store = Store(settings.store)
    snapshot = publishing.current(store)
    if snapshot is None:
        raise Stop("the demo ended without a snapshot")
    sent = [(ledger, _receipts(ledger, since)) for ledger in ledgers(store)]
    console.print()
    console.print(
        f"[bold]{snapshot.tables['orders'].rows:,} orders[/bold] by "
        f"[bold]{snapshot.tables['customers'].rows:,} customers[/bold], as of {snapshot.as_of}; "
        f"snapshot {snapshot.snapshot_id}",
        highlight=False,
    )
    show_table(console, "Segments", _segments(snapshot))
    show_table(console, "Audiences", _audiences(snapshot))
    if waiting := len(load_audiences()) - len(switched_on()):
        console.print(f"{waiting} more audiences are ready, switched off: `regulars audiences`.")
    if any(receipts for _, receipts in sent):
        show_table(console, "Sent", _sendings(sent))
        if rejections := _rejections(sent):
            show_table(console, "Not accepted", rejections)
    else:
        console.print("[bold]Nothing to send:[/bold] every destination holds what it should.")
    show_table(console, "Seconds", _durations(seconds))
    console.print(
        f"Look into it by `REGULARS_HOME={settings.home} .venv/bin/regulars audiences`; "
        f"the tables are in {store.locate(ANALYTICS)}",
        highlight=False,
        markup=False,
    )


def _receipts(ledger: Ledger, since: datetime) -> list[Receipt]:
    """The answers that came in since an instant."""
    return [
        receipt
        for plan_id in ledger.plan_ids()
        if ledger.has(plan_id, "started.json")
        for receipt in read_receipts(ledger, load_plan(ledger, plan_id).plan_id)
        if datetime.fromisoformat(receipt.answered_at) >= since
    ]


def _segments(snapshot: Snapshot) -> list[dict[str, object]]:
    customers = duckdb.read_parquet(snapshot.path("customers"))
    counts = customers.aggregate("rfm_segment, count(*) as customers").order("customers desc")
    return [
        {"segment": segment or "never ordered", "customers": f"{count:,}"}
        for segment, count in counts.fetchall()
    ]


def _audiences(snapshot: Snapshot) -> list[dict[str, object]]:
    members = audience_sizes(snapshot)
    held_out = audience_sizes(snapshot, "held_out")
    return [
        {
            "audience": audience,
            "members": f"{members.get(audience, 0):,}",
            "held_out": f"{held_out.get(audience, 0):,}",
        }
        for audience in sorted(switched_on())
    ]


def _sendings(sent: list[tuple[Ledger, list[Receipt]]]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for ledger, receipts in sent:
        accepted = Counter[str]()
        for receipt in receipts:
            accepted[receipt.operation] += receipt.accepted
        counts = {
            "added": accepted["add"],
            "updated": accepted["update"],
            "removed": accepted["remove"],
            "rejected": sum(receipt.rejected for receipt in receipts),
            "batches": len(receipts),
        }
        rows.append(
            {
                "destination": ledger.destination,
                "audience": ledger.audience,
                **{name: f"{count:,}" for name, count in counts.items()},
            }
        )
    return rows


def _rejections(sent: list[tuple[Ledger, list[Receipt]]]) -> list[dict[str, object]]:
    counted = Counter(
        (ledger.destination, row.code, row.reason)
        for ledger, receipts in sent
        for receipt in receipts
        for row in receipt.not_accepted
    )
    return [
        {"destination": destination, "code": code, "reason": reason, "members": f"{count:,}"}
        for (destination, code, reason), count in counted.most_common()
    ]


def _durations(seconds: Mapping[str, float]) -> list[dict[str, object]]:
    laps = {**seconds, "in all": sum(seconds.values())}
    return [{"stage": stage, "seconds": f"{duration:.1f}"} for stage, duration in laps.items()]
