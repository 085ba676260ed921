"""A model's task follows its model, whatever becomes of the build."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.sdk.execution_time.xcom import XCom
from airflow.triggers.base import TaskFailedEvent, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent

from regulars_airflow import dbt_build
from regulars_airflow.dbt_build import DbtModel, ModelTrigger

BUILD = "models.dbt_build"


class Answers:
    """What Airflow answers, look after look: the state of the build, and its XCom."""

    def __init__(self, *looks: tuple[str | None, dict[str, str] | None]) -> None:
        self.looks = iter(looks)
        self.last = looks[0]

    def get_task_states(self, dag_id, task_ids, run_ids):
        assert task_ids == [BUILD]
        self.last = next(self.looks, self.last)
        return {run_ids[0]: {BUILD: self.last[0]}}

    def get_one(self, **_):
        return self.last[1]


@pytest.fixture
def watch(monkeypatch):
    """The event that ends the task of model `m`, given what Airflow answers."""

    def event(*looks: tuple[str | None, dict[str, str] | None]) -> TriggerEvent:
        answers = Answers(*looks)
        monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", answers.get_task_states)
        monkeypatch.setattr(XCom, "get_one", answers.get_one)
        monkeypatch.setattr(dbt_build, "_looks", dbt_build._Looks())
        monkeypatch.setattr(dbt_build, "POLL_SECONDS", 0.01)
        task = DbtModel(task_id="m", unique_id="model.regulars.m", build_task_id=BUILD)
        trigger = ModelTrigger(**task.start_trigger_args.trigger_kwargs)
        trigger.task_instance = SimpleNamespace(dag_id="build_audiences", run_id="r", task_id="m")

        async def follow() -> TriggerEvent:
            return await anext(trigger.run())

        return asyncio.run(asyncio.wait_for(follow(), 300))

    return event


def test_a_model_ends_as_it_does_while_the_build_goes_on(watch):
    waiting = [("queued", None), ("running", {"model.regulars.other": "success"})]
    for state, event in {
        "success": TaskSuccessEvent,
        "error": TaskFailedEvent,
        "skipped": TaskSkippedEvent,
    }.items():
        assert type(watch(*waiting, ("running", {"model.regulars.m": state}))) is event, state


@pytest.mark.parametrize("end", ["failed", "upstream_failed", "skipped"])
def test_only_the_model_that_failed_is_red_when_a_build_fails(watch, end):
    assert type(watch(("running", {}), (end, {}))) is TaskSkippedEvent


def test_a_build_that_knows_nothing_of_a_model_fails_its_task(watch):
    assert type(watch(("running", {}), ("success", {}))) is TaskFailedEvent


def test_what_a_first_try_said_is_not_believed_before_the_second_has_begun(watch):
    old = {"model.regulars.m": "error"}
    again = [(None, old), ("scheduled", old), ("up_for_retry", old), ("running", {})]
    assert type(watch(*again, ("running", {"model.regulars.m": "success"}))) is TaskSuccessEvent


HAND_OVER = """
import sys
from include.connections import has_connection, read_connection
from regulars_airflow.dbt_build import hand_over

hand_over("offers_default")
hand_over("nobody_default")
assert read_connection("offers_default").password == sys.argv[1]
assert not has_connection("nobody_default")
"""


def test_the_secret_of_offers_is_found_where_airflow_keeps_it(tmp_path):
    secret = "0123456789abcdef0123456789abcdef"
    kept = tmp_path / "connections.json"
    kept.write_text(json.dumps({"offers_default": {"conn_type": "generic", "password": secret}}))
    backend = {
        "AIRFLOW__SECRETS__BACKEND": "airflow.secrets.local_filesystem.LocalFilesystemBackend",
        "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps({"connections_file_path": str(kept)}),
    }
    subprocess.run([sys.executable, "-c", HAND_OVER, secret], env=os.environ | backend, check=True)
