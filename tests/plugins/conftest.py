from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.connections import Credentials
from tests.include.activation.shop import Shop
from tests.sandbox_server import Sandbox, start_sandbox


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def shop(server: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop whose settings and connections are those of the tasks."""
    server.reset()
    shop = Shop(tmp_path, server)
    monkeypatch.setenv("REGULARS_HOME", str(tmp_path))
    for destination, credentials in shop.credentials.items():
        connect(monkeypatch, destination, credentials)
    return shop


def connect(monkeypatch: pytest.MonkeyPatch, destination: str, credentials: Credentials) -> None:
    """Put a connection where Airflow looks for it."""
    connection = {
        "conn_type": destination,
        "password": credentials.password,
        "extra": dict(credentials.extra),
    }
    monkeypatch.setenv(f"AIRFLOW_CONN_{destination.upper()}_DEFAULT", json.dumps(connection))
