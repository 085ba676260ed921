"""What Airflow's callbacks tell, and of which part of a DAG."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from include.errors import Reauthorise, Retry, Stop
from regulars_airflow import syncing
from regulars_airflow.alerting import TellFailure, TellRecovery, failure, subject
from regulars_airflow.defaults import DEFAULT_ARGS
from regulars_airflow.hooks import AlertsHook
from tests.include.activation.shop import people
from tests.listeners import Listener, listen_to_http

CANARY = "coal.mine@shop.test"


def context(
    task_id: str = "meta.send",
    error: object = None,
    audience: str | None = "lapsed_vips",
    map_index: int = -1,
    downstream: tuple[str, ...] = (),
    **instance: object,
) -> dict:
    """What Airflow hands to a callback."""
    return {
        "ti": SimpleNamespace(
            dag_id="a_dag",
            task_id=task_id,
            map_index=map_index,
            log_url="http://airflow/log",
            **instance,
        ),
        "task": SimpleNamespace(task_id=task_id, downstream_task_ids={*downstream}),
        "dag_run": SimpleNamespace(partition_key=audience),
        "params": {"audience": None},
        "exception": error,
    }


@pytest.fixture
def slack(monkeypatch):
    with listen_to_http() as listener:
        told = {"conn_type": "alerts", "password": f"{listener.url}/T1", "extra": {"kind": "slack"}}
        monkeypatch.setenv("AIRFLOW_CONN_ALERTS_DEFAULT", json.dumps(told))
        yield listener


def titles(slack: Listener) -> list[str]:
    return [json.loads(call.body)["text"].splitlines()[0] for call in slack.requests]


def test_every_task_tells_its_failure_and_its_success():
    assert isinstance(DEFAULT_ARGS["on_failure_callback"], TellFailure)
    assert isinstance(DEFAULT_ARGS["on_success_callback"], TellRecovery)


def test_a_subject_is_an_audience_at_a_destination_or_a_task_or_one_of_its_instances():
    assert subject(context()) == ("a_dag", "lapsed_vips", "meta")
    assert subject(context("publish", audience=None)) == ("a_dag", "publish")
    mapped = context("ingest", audience=None, map_index=2, rendered_map_index="shop")
    assert subject(mapped) == ("a_dag", "ingest", "shop")
    assert subject(context("ingest", audience=None, map_index=2)) == ("a_dag", "ingest", "2")


@pytest.mark.parametrize(
    ("error", "what", "what_to_do"),
    [
        (Reauthorise("Meta refuses the token"), "Meta refuses the token", "valid secret"),
        (Retry("Meta is busy"), "Meta is busy", "next run goes on"),
        (Stop("accept the terms"), "accept the terms", "what the message says"),
        (ValueError(f"cannot parse {CANARY}"), "ValueError", "see the task's log"),
        (None, "the task was killed, or lost its machine", "see the task's log"),
    ],
)
def test_a_failure_is_told_in_our_own_words_and_never_in_a_strangers(shop, error, what, what_to_do):
    told = failure(context(error=error))
    assert told.what == what
    assert what_to_do in told.what_to_do
    assert CANARY not in told.message().text


def test_how_many_members_wait_is_told(shop):
    shop.publish(people(range(7)))
    plan = syncing.plan("lapsed_vips", "meta")
    assert failure(context(error=Retry("busy"))).waiting == 7
    syncing.send(plan)
    assert failure(context(error=Retry("busy"))).waiting == 0
    assert failure(context(error=Retry("busy"), audience="../x")).waiting is None


def test_a_failure_is_told_once_and_its_recovery_once_by_airflows_callbacks(shop, slack):
    for _ in range(2):
        TellFailure()(context("meta.send", Retry("busy")))
    TellRecovery()(context("meta.plan", downstream=("meta.guard",)))
    assert titles(slack) == ["*a_dag / lapsed_vips / meta fails*"]
    for _ in range(2):
        TellRecovery()(context("meta.send"))
    assert titles(slack)[1:] == ["*a_dag / lapsed_vips / meta works again*"]


def test_without_the_connection_a_failing_task_stays_a_failing_task_and_no_more(shop, caplog):
    TellFailure()(context("meta.send", Retry("busy")))
    assert "alert: a_dag / lapsed_vips / meta fails" in caplog.messages


def test_a_connection_that_is_wrong_is_told_in_the_log_and_tried_again(shop, monkeypatch, slack):
    right = json.dumps({"password": f"{slack.url}/T1", "extra": {"kind": "slack"}})
    monkeypatch.setenv("AIRFLOW_CONN_ALERTS_DEFAULT", right.replace('"slack"', '"pager"'))
    TellFailure()(context("meta.send", Retry("busy")))
    assert titles(slack) == []
    monkeypatch.setenv("AIRFLOW_CONN_ALERTS_DEFAULT", right)
    TellFailure()(context("meta.send", Retry("busy")))
    assert titles(slack) == ["*a_dag / lapsed_vips / meta fails*"]


def test_the_test_button_of_alerts_sends_a_message_and_says_what_is_wrong(slack):
    works, sentence = AlertsHook().test_connection()
    assert works, sentence
    assert titles(slack) == ["*Regulars can be heard*"]
    slack.status = 404
    works, sentence = AlertsHook().test_connection()
    assert not works
    assert "404" in sentence
    assert "T1" not in sentence
