"""What a demo run did, for a person to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

import duckdb
from rich.console import Console
from rich.table import Table

from include import publishing
from include.activation.audiences import audience_sizes, load_audiences, switched_on
from include.activation.ledger import Ledger, ledgers
from include.activation.plan import load_plan
from include.activation.receipts import Receipt, read_receipts
from include.errors import Stop
from include.publishing import Snapshot
from include.settings import Settings
from include.store import Store


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
    console.print(_segments(snapshot), _audiences(snapshot))
    if waiting := len(load_audiences()) - len(switched_on()):
        console.print(f"{waiting} more audiences are ready, switched off: `regulars audiences`.")
    if any(receipts for _, receipts in sent):
        console.print(_sendings(sent))
        _show_rejections(console, sent)
    else:
        console.print("[bold]Nothing to send:[/bold] every destination holds what it should.")
    console.print(_durations(seconds))


def _receipts(ledger: Ledger, since: datetime) -> list[Receipt]:
    """The answers that came in since an instant."""
    return [
        receipt
        for plan_id in ledger.plan_ids()
        if ledger.has(plan_id, "started.json")
        for receipt in read_receipts(ledger, load_plan(ledger, plan_id).plan_id)
        if datetime.fromisoformat(receipt.answered_at) >= since
    ]


def _segments(snapshot: Snapshot) -> Table:
    customers = duckdb.read_parquet(snapshot.path("customers"))
    counts = customers.aggregate("rfm_segment, count(*) as customers").order("customers desc")
    table = _table("Segments", "segment", "customers")
    for segment, count in counts.fetchall():
        table.add_row(segment or "never ordered", f"{count:,}")
    return table


def _audiences(snapshot: Snapshot) -> Table:
    members = audience_sizes(snapshot)
    held_out = audience_sizes(snapshot, "held_out")
    table = _table("Audiences", "audience", "members", "held out")
    for audience in sorted(switched_on()):
        table.add_row(audience, f"{members.get(audience, 0):,}", f"{held_out.get(audience, 0):,}")
    return table


def _sendings(sent: list[tuple[Ledger, list[Receipt]]]) -> Table:
    table = _table(
        "Sent", "destination", "audience", "added", "updated", "removed", "rejected", "batches"
    )
    for ledger, receipts in sent:
        accepted = Counter[str]()
        for receipt in receipts:
            accepted[receipt.operation] += receipt.accepted
        counts = [accepted["add"], accepted["update"], accepted["remove"]]
        counts += [sum(receipt.rejected for receipt in receipts), len(receipts)]
        table.add_row(ledger.destination, ledger.audience, *(f"{count:,}" for count in counts))
    return table


def _show_rejections(console: Console, sent: list[tuple[Ledger, list[Receipt]]]) -> None:
    reasons = Counter(
        (ledger.destination, row.code, row.reason)
        for ledger, receipts in sent
        for receipt in receipts
        for row in receipt.not_accepted
    )
    if not reasons:
        return
    table = _table("Not accepted", "destination", "code", "reason", "members")
    for (destination, code, reason), count in reasons.most_common():
        table.add_row(destination, code, reason, f"{count:,}")
    console.print(table)


def _durations(seconds: Mapping[str, float]) -> Table:
    table = _table("Seconds", "stage", "seconds")
    for stage, duration in seconds.items():
        table.add_row(stage, f"{duration:.1f}")
    table.add_row("in all", f"{sum(seconds.values()):.1f}")
    return table


def _table(title: str, *columns: str) -> Table:
    """A plain table; every column after the words holds numbers."""
    words = {"segment", "audience", "destination", "code", "reason", "stage"}
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, justify="left" if column in words else "right")
    return table
