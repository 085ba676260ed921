"""kill -9 at a chosen instant: just before the nth thing that outlives the process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from requests.adapters import HTTPAdapter

from include.store import Store


class Fuse:
    """Counts instants, and kills this process at the one it was set to.

    Between two changes of the store or requests nothing changes that would outlive the process, so
    that the instants just before each of them stand for all: before the lease is taken, before the
    plan is written, before a batch is sent, before its receipt, before the state, before the lease
    is given back, and every other.
    """

    def __init__(self, instant: int) -> None:
        self.left = instant

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def fused(*arguments: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return fused


def doom(instant: int) -> Fuse:
    """This process dies at that instant, if there are as many."""
    fuse = Fuse(instant)
    Store.write = fuse.before(Store.write)
    Store.create = fuse.before(Store.create)
    Store.take = fuse.before(Store.take)
    Store.remove = fuse.before(Store.remove)
    HTTPAdapter.send = fuse.before(HTTPAdapter.send)
    return fuse
