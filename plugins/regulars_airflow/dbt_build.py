"""One `dbt build` in one task, and a task per model that shows how far it is.

DuckDB has one writer, so dbt runs once, in one process, and tells the state of each model as it
goes. Each model's own task watches for that: all of them together in the triggerer, so that a model
costs no process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Mapping
from datetime import date
from typing import Any

from airflow.sdk import BaseHook, BaseOperator, TriggerRule
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.sdk.execution_time.xcom import XCom
from airflow.triggers.base import (
    BaseTrigger,
    StartTriggerArgs,
    TaskFailedEvent,
    TaskSkippedEvent,
    TaskSuccessEvent,
    TriggerEvent,
)
from asgiref.sync import sync_to_async

from include.connections import PREFIX
from include.dbt import SECRET_CONNECTION
from include.settings import load_settings

STATES = "states"
"""The XCom of the build: the state of every model that is done, by dbt's unique id."""
STARTED = {"running", "success", "failed"}
ENDED = {"success", "failed", "skipped", "upstream_failed", "removed"}
# Airflow reads the DAG's file anew for the models that have ended: once for those ending together.
POLL_SECONDS = 10.0
TELL_SECONDS = 2.0


class DbtBuild(BaseOperator):
    """Build and test every model for one day; a second try builds them all again.

    Raises `Stop` when dbt fails; the log says at which model or test.
    """

    template_fields = ("day",)

    def __init__(self, *, day: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.day = day

    def execute(self, context: Mapping[str, Any]) -> None:
        """Run dbt, telling the tasks of the models what is done."""
        from include.build import build

        states: dict[str, str] = {}
        told_at = 0.0
        # dbt tells from threads of its own; the connection to Airflow takes one message at a time.
        one_at_a_time = threading.Lock()

        def tell(model: str, state: str) -> None:
            nonlocal told_at
            with one_at_a_time:
                states[model] = state
                if time.monotonic() - told_at >= TELL_SECONDS:
                    context["ti"].xcom_push(STATES, states)
                    told_at = time.monotonic()

        hand_over(SECRET_CONNECTION)
        try:
            build(load_settings(), date.fromisoformat(self.day), tell)
        finally:
            context["ti"].xcom_push(STATES, states)


def hand_over(connection: str) -> None:
    """Put a connection that Airflow keeps in its own store, if it has it, where `include` looks.

    It goes into the environment of this process, which is the task's own.
    """
    variable = f"{PREFIX}{connection.upper()}"
    with contextlib.suppress(AirflowNotFoundException):
        os.environ.setdefault(variable, BaseHook.get_connection(connection).as_json())


class DbtModel(BaseOperator):
    """One model of a build: ends as the model does, and runs nothing itself.

    It begins with the run, not after the models that its own is made of: dbt waits for those, and
    Airflow has all models to begin in one step, in place of one step for each model of a chain.
    """

    start_from_trigger = True

    def __init__(self, *, unique_id: str, build_task_id: str, **kwargs: Any) -> None:
        super().__init__(trigger_rule=TriggerRule.ALWAYS, **kwargs)
        self.unique_id = unique_id
        self.build_task_id = build_task_id
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=f"{ModelTrigger.__module__}.{ModelTrigger.__qualname__}",
            trigger_kwargs={"unique_id": unique_id, "build_task_id": build_task_id},
            next_method="execute",
        )

    def execute(self, context: Mapping[str, Any], event: Any = None) -> None:
        """Wait in the triggerer, where something else than the scheduler starts this task."""
        self.defer(trigger=ModelTrigger(self.unique_id, self.build_task_id), method_name="execute")


class ModelTrigger(BaseTrigger):
    """Ends the task of one model when the build says that the model is done, or ends itself."""

    def __init__(self, unique_id: str, build_task_id: str) -> None:
        super().__init__()
        self.unique_id = unique_id
        self.build_task_id = build_task_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What the triggerer makes this trigger from."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {"unique_id": self.unique_id, "build_task_id": self.build_task_id}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look every few seconds; one look, at one moment, serves all models of the run."""
        run = self.task_instance
        while True:
            build_state, states = await _look(run.dag_id, run.run_id, self.build_task_id)
            state = states.get(self.unique_id)
            if state is not None or build_state in ENDED:
                break
            await asyncio.sleep(POLL_SECONDS - time.monotonic() % POLL_SECONDS)
        self.log.info("%s: %s; the build: %s", self.unique_id, state or "not built", build_state)
        if state == "success":
            yield TaskSuccessEvent()
        elif state == "error" or build_state == "success":
            yield TaskFailedEvent()
        else:
            yield TaskSkippedEvent()


class _Looks:
    """The last look at each build, for all triggers of this process."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.taken: dict[tuple[str, str, str], tuple[float, str | None, dict[str, str]]] = {}


_looks = _Looks()


async def _look(dag_id: str, run_id: str, task_id: str) -> tuple[str | None, dict[str, str]]:
    """The state of the build and of its models, at most a poll old."""
    build = (dag_id, run_id, task_id)
    async with _looks.lock:
        at, build_state, states = _looks.taken.get(build, (0.0, None, {}))
        if time.monotonic() // POLL_SECONDS > at // POLL_SECONDS:
            build_state, states = await sync_to_async(_ask)(dag_id, run_id, task_id)
            _looks.taken = {build: (time.monotonic(), build_state, states)}
        return build_state, states


def _ask(dag_id: str, run_id: str, task_id: str) -> tuple[str | None, dict[str, str]]:
    found = RuntimeTaskInstance.get_task_states(dag_id=dag_id, task_ids=[task_id], run_ids=[run_id])
    build_state = found.get(run_id, {}).get(task_id)
    # Before a second try has begun, what the first one said still stands there.
    if build_state not in STARTED:
        return build_state, {}
    states = XCom.get_one(dag_id=dag_id, run_id=run_id, task_id=task_id, key=STATES)
    return build_state, states or {}
