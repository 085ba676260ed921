"""When a failed task is tried again: the error says what its caller should do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import RetryPolicy
from airflow.sdk.definitions.retry_policy import RetryDecision

from include.errors import Retry, Stop


class AskTheError(RetryPolicy):
    """`Retry` waits as long as the other side asked for; `Stop` and its kinds fail at once.

    Anything else (a lost network, a full disk) is tried again as the task's own settings say.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Any = None,
    ) -> RetryDecision:
        """Decide about one failure; the task's own number of retries still holds."""
        reason = type(exception).__name__
        if isinstance(exception, Stop):
            return RetryDecision.fail(reason)
        if isinstance(exception, Retry) and exception.after_seconds is not None:
            return RetryDecision.retry(timedelta(seconds=exception.after_seconds), reason)
        return RetryDecision.default()
