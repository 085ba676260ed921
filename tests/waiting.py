"""Waiting for what others bring about, for as long as a busy machine may need."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

LOOK_AGAIN_SECONDS = 0.02
PLENTY_OF_SECONDS = 300

Found = TypeVar("Found")


def until(condition: Callable[[], Found], look_again: float = LOOK_AGAIN_SECONDS) -> Found:
    """What the condition finds, as soon as it finds something; it looks every so many seconds."""
    deadline = time.monotonic() + PLENTY_OF_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(look_again)
    return found
