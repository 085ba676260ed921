"""Whoever is erased while a sync is under way is not sent any more."""

from __future__ import annotations

import threading

from include.erasure.tombstones import FILE, Tombstones, load_tombstones
from include.settings import Settings
from include.store import Store


class Watch:
    """The tombstones when a step began, and those that have come since.

    May be asked from several threads.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = Store(settings.store)
        self._version = self._store.version(FILE)
        self._newest = self.tombstones = load_tombstones(settings)
        self._lock = threading.Lock()

    def has_news(self) -> bool:
        """Whether anybody was erased since the step began."""
        with self._lock:
            version = self._store.version(FILE)
            if version != self._version:
                self._version = version
                self._newest = load_tombstones(self._settings)
        return self._newest.hashes != self.tombstones.hashes

    def is_erased(self, customer_id: str, identity: str) -> bool:
        """Whether a member was erased, as far as `has_news` has seen."""
        newest: Tombstones = self._newest
        return newest.covers("platform_id", customer_id) or newest.covers("identity", identity)
