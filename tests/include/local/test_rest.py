"""Airflow's REST API as the local stack uses it, against answers such as a busy Airflow gives."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from include.errors import Stop
from include.local import rest
from include.local.rest import Airflow

POOL = {"slots": 1, "description": "One at a time.", "include_deferred": True}


class Answers(BaseHTTPRequestHandler):
    """Gives the next of `script`: a status and a body; notes what was asked."""

    script: list[tuple[int, dict]]
    asked: list[str]

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        type(self).asked.append(f"{self.command} {self.path}")
        status, body = type(self).script.pop(0)
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = answer

    def log_message(self, format: str, *args: object) -> None:
        """Nothing into the tests' output."""


@pytest.fixture
def airflow(monkeypatch) -> Iterator[Airflow]:
    monkeypatch.setattr(rest, "WAIT_SECONDS", 0)
    Answers.asked = []
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Airflow(f"http://127.0.0.1:{server.server_port}") as client:
            yield client
        server.shutdown()


def test_a_pool_is_set_once_a_busy_airflow_can_write_it(airflow):
    old = POOL | {"slots": 4}
    Answers.script = [
        (200, old),
        (500, {}),
        (500, {}),
        (404, {}),
        (503, {}),
        (404, {}),
        (201, POOL),
    ]
    airflow.set_pool("warehouse", POOL)
    assert Answers.script == []
    assert [asked.split()[0] for asked in Answers.asked] == [
        "GET", "PATCH", "GET", "GET", "POST", "GET", "POST",
    ]  # fmt: skip


def test_a_pool_that_is_as_it_should_be_is_left_alone(airflow):
    Answers.script = [(200, POOL | {"name": "warehouse", "open_slots": 1})]
    airflow.set_pool("warehouse", POOL)
    assert Answers.asked == ["GET /api/v2/pools/warehouse"]


def test_an_airflow_that_refuses_a_pool_is_an_error(airflow):
    Answers.script = [(404, {}), (422, {})]
    with pytest.raises(Stop, match="422 to /api/v2/pools"):
        airflow.set_pool("warehouse", POOL)
