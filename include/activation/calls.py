"""Calls to a destination: bounded retries, and one pause for everybody when it is busy."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
)

from include.activation.turns import Turns
from include.connections import Credentials
from include.destinations import Destination
from include.errors import Retry
from include.settings import Settings

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call is tried before it is left to a later run; all in seconds but `attempts`."""

    attempts: int = 8
    first_wait: float = 1
    longest_wait: float = 120
    deadline: float = 900


class Caller:
    """Makes calls from several threads; all of the account's wait while the destination is busy."""

    def __init__(self, patience: Patience, turns: Turns) -> None:
        self._patience = patience
        self._turns = turns
        self._out_of_time = stop_after_attempt(patience.attempts) | stop_after_delay(
            patience.deadline
        )

    def call(self, function: Callable[[], Result]) -> tuple[Result, int]:
        """The function's result, and how many attempts it took.

        Raises the last `Retry` when patience is at an end, at once if it asks for a longer wait.
        Whatever it raises, no further call is made, and every thread raises the same: the next
        call would do harm or be in vain.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(Retry),
            wait=self._seconds,
            stop=self._is_over,
            sleep=self._pause,
            reraise=True,
        )
        try:
            for attempt in retrying:
                self._turns.wait()
                with attempt:
                    return function(), attempt.retry_state.attempt_number
        except BaseException as error:
            self.abandon(error)
            raise
        raise AssertionError("tenacity either returns or raises")

    def abandon(self, cause: BaseException) -> None:
        """End every pause, and refuse further calls for that reason; the first one counts."""
        self._turns.abandon(cause)

    def _seconds(self, state: RetryCallState) -> float:
        """At least the first wait, twice as long each time; what is asked for is never undercut.

        The random part keeps those whom one limit has hit from coming back all at once.
        """
        first, longest = self._patience.first_wait, self._patience.longest_wait
        backoff = min(longest, first * 2.0 ** (state.attempt_number - 1))
        return max(first, random.uniform(0, backoff), self._asked(state)) + random.uniform(0, first)

    def _is_over(self, state: RetryCallState) -> bool:
        return self._asked(state) > self._patience.longest_wait or self._out_of_time(state)

    @staticmethod
    def _asked(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return (error.after_seconds or 0) if isinstance(error, Retry) else 0

    def _pause(self, seconds: float) -> None:
        self._turns.hold_up(seconds)
        self._turns.wait()


def open_turns(
    settings: Settings,
    destination: type[Destination],
    credentials: Credentials,
    fence: Callable[[], None],
    patience: Patience | None = None,
) -> Turns:
    """The turns of an account; without a caller, for calls that must not be tried again.

    `fence`: see `Turns`.
    """
    patience = patience or Patience()
    # What a call asks for is lengthened by up to a first wait.
    longest_wait = patience.longest_wait + patience.first_wait
    return Turns(settings.home, destination, credentials, longest_wait, fence)


def open_caller(
    settings: Settings,
    destination: Destination,
    credentials: Credentials,
    patience: Patience,
    fence: Callable[[], None] = lambda: None,
) -> Caller:
    """For one step of work at a destination, whose calls take turns with all others of the account.

    What fails for good ends the calls of this step, not of the next. `fence`: see `Turns`.
    """
    turns = open_turns(settings, type(destination), credentials, fence, patience)
    destination.take_turn = turns.take
    destination.hold_up = turns.hold_up
    return Caller(patience, turns)
