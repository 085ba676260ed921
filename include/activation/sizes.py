"""How many rows a call may carry where a destination drops connections over large ones.

Halved each time a call is dropped, and remembered for the audience at the destination, by
operation. After a week the full size is tried again: it may have been the network.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from include.activation.ledger import Ledger

REMEMBERED_FOR = timedelta(days=7)
SMALLEST = 100


class Sizes:
    """The sizes of one audience's calls at one destination."""

    def __init__(self, ledger: Ledger, full: int) -> None:
        self._ledger = ledger
        self._full = full
        self._lock = threading.Lock()
        now = datetime.now(UTC)
        self._kept = {
            operation: size
            for operation, size in (ledger.recall(ledger.sizes) or {}).items()
            if now - datetime.fromisoformat(size["since"]) < REMEMBERED_FOR
        }

    def most(self, operation: str) -> int:
        """How many rows a call may carry."""
        kept = self._kept.get(operation)
        return int(kept["rows"]) if kept else self._full

    def dropped(self, operation: str, rows: int) -> None:
        """A call with so many rows was cut off; if they were few, it was not for their number."""
        with self._lock:
            smaller = max(rows // 2, SMALLEST) if rows > SMALLEST else self._full
            if smaller < self.most(operation):
                since = datetime.now(UTC).isoformat()
                self._kept[operation] = {"rows": smaller, "since": since}
                self._ledger.record(self._ledger.sizes, self._kept)
