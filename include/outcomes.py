"""What became of batches that a destination took at once and works on later: Google, TikTok.

    outcomes/<destination>/<audience>/<plan>/<batch>.json   the last word on one batch

A receipt says that a batch was taken. Whether its people were let in comes hours later, in counts
that name nobody; so it changes nothing of the state, and is there to be looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta

from include.activation.calls import Caller
from include.activation.ledger import Ledger, ledgers
from include.activation.receipts import Receipt, read_receipts
from include.activation.reconcile import approach
from include.connections import Credentials, read_connection
from include.destinations import known_destination
from include.destinations.base import Destination, Outcome
from include.settings import Settings
from include.store import Store

# Vendors forget their requests, and plans are kept for long.
OLDEST = timedelta(days=7)


@dataclass(frozen=True)
class Standing:
    """How the batches of one audience fared, and how many members were not taken, by code."""

    destination: str
    audience: str
    processing: int
    done: int
    failed: int
    not_taken: dict[str, int] = field(default_factory=dict)


def tells_outcomes(destination: type[Destination]) -> bool:
    """Whether a destination takes batches at once and works on them later."""
    return destination.outcome is not Destination.outcome


def ask_outcomes(
    settings: Settings,
    credentials: Callable[[str], Credentials] = read_connection,
    destination: str | None = None,
) -> list[Standing]:
    """Ask what has become of the batches of the last seven days that are still open.

    `destination`: this one alone. Calls take turns with all others of the account. Raises what a
    destination raises; what was told until then is kept.
    """
    store = Store(settings.store)
    approached: dict[str, tuple[Destination, Caller]] = {}
    standings = []
    for ledger in ledgers(store):
        name = ledger.destination
        if destination not in (None, name) or not tells_outcomes(known_destination(name)):
            continue
        if name not in approached:
            connection = known_destination(name).connection()
            approached[name] = approach(settings, name, credentials(connection))
        found = list(_outcomes(store, ledger, *approached[name]))
        if found:
            standings.append(_standing(ledger, found))
    return standings


def _outcomes(
    store: Store, ledger: Ledger, destination: Destination, caller: Caller
) -> Iterator[Outcome]:
    oldest = datetime.now(UTC) - OLDEST
    for plan_id in ledger.plan_ids():
        for receipt in read_receipts(ledger, plan_id):
            if datetime.fromisoformat(receipt.answered_at) >= oldest:
                outcome = _outcome(store, ledger, destination, caller, receipt)
                if outcome:
                    yield outcome


def _outcome(
    store: Store, ledger: Ledger, destination: Destination, caller: Caller, receipt: Receipt
) -> Outcome | None:
    name = f"{ledger.destination}/{ledger.audience}/{receipt.plan_id}/{receipt.batch_number:07}"
    path = f"outcomes/{name}.json"
    if store.exists(path):
        return Outcome(**json.loads(store.read(path)))
    outcome, _ = caller.call(lambda: destination.outcome(receipt.vendor))
    if outcome and outcome.state != "processing":
        store.write(path, json.dumps(asdict(outcome)).encode())
    return outcome


def _standing(ledger: Ledger, found: list[Outcome]) -> Standing:
    counts = {"processing": 0, "done": 0, "failed": 0}
    not_taken: dict[str, int] = {}
    for outcome in found:
        counts[outcome.state] += 1
        for code, members in outcome.failed.items():
            not_taken[code] = not_taken.get(code, 0) + members
    return Standing(ledger.destination, ledger.audience, **counts, not_taken=not_taken)
