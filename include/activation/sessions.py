"""Upload sessions: every batch has one place in one, and has it again when it is replayed.

A session is recorded before its first batch goes out. When it has become too old for the
destination, the next batch opens a new one.
"""

from __future__ import annotations

import hashlib
import time
from typing import Any

from include.activation.ledger import Ledger
from include.activation.plan import Plan
from include.activation.receipts import read_receipts
from include.destinations.base import Session

POSITIVE_INT64 = 2**63 - 1


class SessionBook:
    """The sessions of one plan. Batches go one after the other, in the order of their numbers."""

    def __init__(self, ledger: Ledger, plan: Plan, seconds: float) -> None:
        self._ledger = ledger
        self._plan = plan
        self._seconds = seconds
        self._folder = ledger.path(plan.plan_id, "sessions")
        self._received: dict[int, int] = {}
        for receipt in read_receipts(ledger, plan.plan_id):
            if receipt.session_id is not None:
                self.add_received(receipt.session_id, receipt.sent)

    def place(self, operation: str, batch_number: int) -> Session:
        """Where a batch stands."""
        record = self._newest(operation)
        if record is None or time.time() - record["opened_at"] > self._seconds:
            record = self.open(operation, batch_number)
        section = self._plan.section(operation)
        return Session(
            session_id=record["session_id"],
            sequence=batch_number - record["first_batch"] + 1,
            is_last=batch_number == section.last_batch,
            total=section.members,
            received_before=self._received.get(record["session_id"], 0),
        )

    def open(self, operation: str, first_batch: int) -> dict[str, Any]:
        """Begin a new session with this batch."""
        number = len(self._ledger.store.list(self._folder)) + 1
        seed = f"{self._plan.plan_id} {operation} {number}"
        record = {
            "session_id": int(hashlib.sha256(seed.encode()).hexdigest(), 16) % POSITIVE_INT64 + 1,
            "first_batch": first_batch,
            "opened_at": time.time(),
        }
        self._ledger.record(f"{self._folder}/{number:04}-{operation}.json", record)
        return record

    def add_received(self, session_id: int, members: int) -> None:
        """Count an acknowledged batch."""
        self._received[session_id] = self._received.get(session_id, 0) + members

    def _newest(self, operation: str) -> dict[str, Any] | None:
        suffix = f"-{operation}.json"
        names = [n for n in self._ledger.store.list(self._folder) if n.endswith(suffix)]
        return self._ledger.recall(f"{self._folder}/{names[-1]}") if names else None
