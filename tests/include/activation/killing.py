"""A sync that dies of SIGKILL at a chosen instant: just before its nth write or request."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from requests.adapters import HTTPAdapter

from include.activation import sync as activation
from include.activation.calls import Patience
from include.connections import Credentials
from include.destinations import DESTINATIONS
from include.settings import Settings
from include.store import Store
from tests.include.activation.shop import audience

BATCH_SIZE = 2


class Fuse:
    """Counts instants, and kills this process at the one it was set to.

    Between two writes or requests nothing changes that would outlive the process, so that the
    instants just before each of them stand for all.
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


def doomed_sync(home: Path, destination: str, credentials: Credentials, instant: int) -> None:
    """Sync until the instant; exits normally if there are fewer of them."""
    fuse = Fuse(instant)
    Store.write = fuse.before(Store.write)
    Store.take = fuse.before(Store.take)
    HTTPAdapter.send = fuse.before(HTTPAdapter.send)
    DESTINATIONS[destination].batch_size = BATCH_SIZE
    activation.sync(
        Settings(home=home, memory_limit="512MB", threads=1),
        audience(),
        destination,
        credentials,
        patience=Patience(attempts=2, first_wait=0.01, deadline=5),
    )
