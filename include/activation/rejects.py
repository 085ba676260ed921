"""What destinations would not take or let go, and when each is tried again.

A member that is refused is kept in the state with the vendor's code, our own words, and a class
that says what comes next: `retry` with the next run, a few times; `fix_data` and `never` not before
the member's data change; `suppressed` not before the person can be written to again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from include.activation.ledger import Ledger, ledgers
from include.activation.workbench import Workbench, open_workbench
from include.settings import Settings
from include.store import Store


@dataclass(frozen=True, slots=True)
class Reject:
    """One member that a destination refused, by the customer's id.

    `operation` is what was refused: add, update, or remove, in which case the member is still
    there. `next_attempt_at`, UTC: a run from then on tries again; None if nothing is tried before
    something changes. `attempts` counts the runs since the member's data last changed.
    """

    destination: str
    audience: str
    customer_id: str
    operation: str
    code: str
    reason: str
    kind: str
    attempts: int
    next_attempt_at: datetime | None
    plan_id: str


def refused_members(bench: Workbench, ledger: Ledger) -> pa.Table:
    """What the view `held` knows as refused: what `rejected_members.parquet` holds."""
    return bench.run("rejects", destination=ledger.destination, audience=ledger.audience)


def rejects(
    settings: Settings, audience: str | None = None, destination: str | None = None
) -> list[Reject]:
    """All members that are refused now, of one audience or destination if asked for."""
    store = Store(settings.store)
    found = []
    for ledger in ledgers(store):
        if audience in (None, ledger.audience) and destination in (None, ledger.destination):
            with open_workbench(settings, store) as bench:
                bench.show_state(ledger.state)
                for row in refused_members(bench, ledger).to_pylist():
                    kind = row.pop("class")
                    # A state of an earlier release has no words for it.
                    row |= {"reason": row["reason"] or "", "operation": row["operation"] or ""}
                    found.append(Reject(kind=kind, **row))
    return found
