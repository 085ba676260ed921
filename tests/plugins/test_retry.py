from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk import RetryAction

from include.errors import BadInput, GateFailed, GuardBreached, Reauthorise, Retry, Stop
from regulars_airflow.defaults import DEFAULT_ARGS
from regulars_airflow.retry import AskTheError


def decide(error: BaseException):
    return AskTheError().evaluate(error, try_number=1, max_tries=3)


def test_a_busy_destination_is_tried_again_when_it_asked_for():
    decision = decide(Retry("slow down", after_seconds=90))
    assert decision.action is RetryAction.RETRY
    assert decision.retry_delay == timedelta(seconds=90)


@pytest.mark.parametrize("kind", [Stop, Reauthorise, BadInput, GateFailed, GuardBreached])
def test_what_a_person_has_to_change_fails_at_once(kind):
    assert decide(kind("a person must look")).action is RetryAction.FAIL


@pytest.mark.parametrize("error", [Retry("busy"), OSError("disk full")])
def test_anything_else_is_tried_again_as_every_task_is(error):
    assert decide(error).action is RetryAction.DEFAULT
    assert DEFAULT_ARGS["retries"] >= 1
    assert DEFAULT_ARGS["retry_delay"] <= timedelta(minutes=1)
