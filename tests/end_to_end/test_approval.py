"""Plans that change too much, in a real Airflow: each waits for a person and holds up no other."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from include.local.rest import Airflow
from include.local.stack import Stack, prepare, running
from include.settings import Settings
from tests.faults.planted import PERSONAL, found
from tests.include.activation.shop import Person, Shop, audience, people
from tests.listeners import Listener, listen_to_http
from tests.sandbox_server import Sandbox, free_port
from tests.waiting import until

HELD, LEFT = 20, 5
RUNS = "/dags/sync_audiences/dagRuns"

pytestmark = pytest.mark.timeout(900)


class Office:
    """A running Airflow as the person sees it who is asked, and the shop whose plans wait."""

    def __init__(self, http: httpx.Client, shop: Shop, database: Path, slack: Listener) -> None:
        self.http = http
        self.shop = shop
        self.database = database
        self.slack = slack

    def alerts(self) -> list[str]:
        """What Slack was told so far, a text for each alert."""
        return [json.loads(call.body)["text"] for call in self.slack.requests]

    def start(self, name: str) -> str:
        """Trigger a sync of one audience; the run's id."""
        body = {"logical_date": None, "conf": {"audience": name}}
        return self._checked(self.http.post(RUNS, json=body))["dag_run_id"]

    def states(self, run: str) -> dict[str, str | None]:
        tasks = self._checked(self.http.get(f"{RUNS}/{run}/taskInstances"))["task_instances"]
        return {task["task_id"]: task["state"] for task in tasks}

    def state(self, run: str) -> str:
        return self._checked(self.http.get(f"{RUNS}/{run}"))["state"]

    def asked(self, run: str, destination: str) -> dict[str, Any]:
        return self._checked(self.http.get(self._question(run, destination)))

    def answer(self, run: str, destination: str, option: str) -> httpx.Response:
        body = {"chosen_options": [option], "params_input": {}}
        return self.http.patch(self._question(run, destination), json=body)

    def taken_slots(self) -> int:
        pools = self._checked(self.http.get("/pools"))["pools"]
        return sum(pool["occupied_slots"] for pool in pools)

    def let_time_run_out(self, run: str) -> None:
        """Make it long ago that the run's questions were to be answered by."""
        with sqlite3.connect(self.database, timeout=30) as connection:
            connection.execute(
                "update task_instance set trigger_timeout = '2000-01-01 00:00:00.000000'"
                " where run_id = ? and state = 'awaiting_input'",
                (run,),
            )

    @staticmethod
    def _question(run: str, destination: str) -> str:
        return f"{RUNS}/{run}/taskInstances/{destination}.guard/-1/hitlDetails"

    @staticmethod
    def _checked(answer: httpx.Response) -> Any:
        answer.raise_for_status()
        return answer.json()


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Two audiences have lost most of their members since they were synced; a third is new."""
    home = tmp_path_factory.mktemp("home")
    settings = Settings(
        home=home, airflow_port=free_port(), sandbox_port=free_port(), ingest_schedule="none"
    )
    with (
        pytest.MonkeyPatch.context() as environment,
        listen_to_http() as slack,
        stack_that_tells(slack, settings, environment) as stack,
        httpx.Client(base_url=stack.address.sandbox, timeout=60) as vendors,
        httpx.Client(base_url=f"{stack.address.airflow}/api/v2", timeout=60) as http,
    ):
        shop = Shop(home, Sandbox(stack.address.sandbox, vendors))
        everybody = people(range(HELD))
        for name in ("vips", "lapsed_buyers"):
            shop.publish(everybody, audience=name)
            for destination in ("mailchimp", "meta"):
                shop.sync(destination, audience(name))
        with Airflow(stack.address.airflow) as airflow:
            prepare(airflow)
        yield Office(http, shop, home / "airflow/airflow.db", slack)


def stack_that_tells(slack: Listener, settings: Settings, environment: pytest.MonkeyPatch) -> Stack:
    connection = {"conn_type": "alerts", "password": f"{slack.url}/T1", "extra": {"kind": "slack"}}
    environment.setenv("AIRFLOW_CONN_ALERTS_DEFAULT", json.dumps(connection))
    return Stack(settings)


def lose_most(office: Office, name: str) -> list[Person]:
    """Publish a snapshot in which few are left; those."""
    everybody = people(range(HELD))
    office.shop.publish(everybody[:LEFT], others=everybody[LEFT:], audience=name)
    return everybody[:LEFT]


def test_a_person_approves_one_plan_and_rejects_another_while_the_rest_goes_on(office: Office):
    left = lose_most(office, "vips")
    run = office.start("vips")
    until(lambda: waiting(office, run) == {"mailchimp.guard", "meta.guard"})
    assert office.taken_slots() == 0
    assert {text.splitlines()[0] for text in office.alerts()} == {
        "*sync_audiences / vips / mailchimp waits for a person*",
        "*sync_audiences / vips / meta waits for a person*",
    }
    assert all(f"Members who wait: {HELD - LEFT}" in text for text in office.alerts())
    assert all("/required_actions" in text for text in office.alerts())

    office.shop.publish(people(range(3)), audience="champions")
    other = office.start("champions")
    until(lambda: office.state(other) == "success")
    assert office.shop.there("mailchimp", "champions") == {p.mailchimp_id for p in people(range(3))}
    assert waiting(office, run) == {"mailchimp.guard", "meta.guard"}
    assert len(office.shop.there("mailchimp", "vips")) == HELD

    asked = office.asked(run, "mailchimp")
    plan_hash = re.search(r"plan \*\*([0-9a-f]{12})\*\*", asked["body"])[1]
    assert asked["options"] == [f"Approve {plan_hash}", "Reject"]
    assert asked["defaults"] == ["Reject"]
    assert f"would remove {HELD - LEFT} of {HELD} held" in asked["body"]
    assert asked["body"].count("| remove | no consent") == HELD - LEFT
    assert not re.search(r"@|person\d|shop:\d", asked["body"])

    assert office.answer(run, "mailchimp", "Approve 0123456789ab").status_code == 400
    assert office.answer(run, "mailchimp", f"Approve {plan_hash}").is_success
    assert office.answer(run, "meta", "Reject").is_success
    until(lambda: office.state(run) == "success")
    assert office.states(run)["mailchimp.send"] == "success"
    assert office.states(run)["meta.send"] == "skipped"
    assert office.shop.there("mailchimp", "vips") == {person.mailchimp_id for person in left}
    assert len(office.shop.there("meta", "vips")) == HELD
    # A task's callback runs after the task has ended.
    until(lambda: "works again" in office.alerts()[-1])
    assert [text for text in office.alerts() if "works again" in text] == [office.alerts()[-1]]
    assert office.alerts()[-1].startswith("*sync_audiences / vips / mailchimp works again*")


def test_a_destination_that_refuses_us_is_told_once_and_its_recovery_once(office: Office):
    told = len(office.alerts())
    office.shop.publish(people(range(4)), audience="champions")
    office.shop.sandbox.fault(action="status", status=401, path="meta", times=None)
    for _ in range(2):
        run = office.start("champions")
        until(lambda run=run: office.state(run) == "failed")
    until(lambda: len(office.alerts()) > told)
    [alert] = office.alerts()[told:]
    assert alert.startswith("*sync_audiences / champions / meta fails*")
    assert "put a valid secret into the connection" in alert
    office.shop.sandbox.clear_faults()
    run = office.start("champions")
    until(lambda: office.state(run) == "success" and len(office.alerts()) > told + 1)
    assert [text.splitlines()[0] for text in office.alerts()[told + 1 :]] == [
        "*sync_audiences / champions / meta works again*"
    ]


def test_a_question_that_nobody_answers_in_time_sends_nothing(office: Office):
    lose_most(office, "lapsed_buyers")
    run = office.start("lapsed_buyers")
    until(lambda: waiting(office, run) == {"mailchimp.guard", "meta.guard"})
    calls = len(office.shop.sandbox.calls())

    def has_ended_with_nobody_answering() -> bool:
        # Airflow takes a worker for killed whose end it notices only after the question's, and
        # asks once more.
        office.let_time_run_out(run)
        return office.state(run) == "success"

    until(has_ended_with_nobody_answering, look_again=1)
    assert office.states(run)["mailchimp.send"] == "skipped"
    assert office.states(run)["meta.send"] == "skipped"
    assert len(office.shop.sandbox.calls()) == calls
    assert office.asked(run, "meta")["chosen_options"] == ["Reject"]


def test_case_52_a_run_that_asks_for_what_nobody_declared_is_refused_or_fails_alone(office: Office):
    calls = len(office.shop.sandbox.calls())
    for conf in ({"audience": "../../x"}, {"audience": "vips'; --"}, {"dry_run": "yes"}):
        body = {"logical_date": None, "conf": conf}
        assert office.http.post(RUNS, json=body).status_code in (400, 422)
    body = {"logical_date": None, "conf": {}, "partition_key": "../../x"}
    answer = office.http.post(RUNS, json=body)
    if answer.is_success:
        until(lambda: office.state(answer.json()["dag_run_id"]) == "failed")
    assert len(office.shop.sandbox.calls()) == calls


def test_case_50_what_airflow_wrote_meanwhile_names_nobody_and_no_secret(office: Office):
    home = office.database.parents[1]
    assert found(home, ["sync_audiences / champions / meta fails"])
    assert {"airflow/airflow.db"} <= set(found(home, [f"would remove {HELD - LEFT} of {HELD}"]))
    secrets = ["0123456789abcdef0123456789abcdef", "sandbox-token", "/T1"]
    vendors = ("sandbox.sqlite",)
    assert found(home, ["@shop.test", *secrets], leave_out=(*PERSONAL, *vendors)) == []


def test_case_54_nothing_of_the_stack_listens_to_other_machines(office: Office):
    keeper = psutil.Process(running(office.shop.settings).keeper)
    family = [keeper, *keeper.children(recursive=True)]
    listening = [
        connection.laddr.ip
        for process in family
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 2
    assert {*listening} <= {"127.0.0.1", "::1"}
    assert open_to_others(office.database.parent) == []


def open_to_others(folder: Path) -> list[Path]:
    """What below a folder others than the owner may read or write."""
    return [path for path in folder.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]


def waiting(office: Office, run: str) -> set[str]:
    return {task for task, state in office.states(run).items() if state == "awaiting_input"}
