from __future__ import annotations

import socket
import sqlite3
from configparser import ConfigParser
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from include.local import stack
from include.local.demo import demo_settings
from include.local.environment import stack_environment
from include.local.keeper import hold
from include.local.stack import Address, Stack, free_port, lock_path, running, stop
from include.settings import Settings, load_settings


def test_a_taken_port_is_replaced_by_a_free_one():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        assert free_port(taken) != taken
    assert free_port(taken) == taken


def test_a_stack_runs_as_long_as_its_lock_is_held(tmp_path: Path):
    settings = Settings(home=tmp_path)
    assert running(settings) is None
    with hold(lock_path(settings)) as lock:
        address = Address(airflow="http://a", sandbox="http://s", keeper=1)
        lock.write(address.model_dump_json())
        lock.flush()
        assert running(settings) == address
    assert running(settings) is None


def test_stopping_what_does_not_run_is_no_error(tmp_path: Path):
    assert stop(Settings(home=tmp_path)) is False


def test_airflow_gets_every_setting_and_nothing_of_another_airflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://theirs")
    monkeypatch.setenv("AIRFLOW_HOME", "/theirs")
    environment = stack_environment(Settings(home=tmp_path, keep_snapshots=3), 8081)
    assert environment["REGULARS_KEEP_SNAPSHOTS"] == "3"
    assert environment["AIRFLOW_HOME"] == str(tmp_path / "airflow")
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert not any("theirs" in value for value in environment.values())


def test_the_demo_touches_none_of_the_callers_data(tmp_path: Path):
    own = load_settings(
        home=tmp_path, warehouse=tmp_path / "own.duckdb", sources=tmp_path / "sources.yml"
    ).model_copy(update={"store_url": "s3://own"})
    demo = demo_settings(own)
    home = tmp_path / "demo"
    assert (demo.home, demo.store, demo.warehouse_path) == (
        home,
        str(home / "store"),
        home / "warehouse.duckdb",
    )
    assert demo.sources != own.sources


def test_airflows_tables_are_copied_once_and_migrated_after_another_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    empty = tmp_path / "empty.db"
    with sqlite3.connect(empty) as tables:
        tables.execute("create table dag (dag_id text)")
    monkeypatch.setattr(stack, "EMPTY_DATABASE", empty)
    settings = Settings(home=tmp_path / "home")
    home = tmp_path / "home/airflow"

    def prepares() -> list[str]:
        return [service.name for service in Stack(settings)._order().preparations]

    assert prepares() == []
    assert (home / "airflow.db").read_bytes() == empty.read_bytes()
    keys = ConfigParser()
    keys.read(home / "airflow.cfg")
    assert len({*keys["core"].values(), *keys["api"].values(), *keys["api_auth"].values()}) == 3
    Fernet(keys["core"]["fernet_key"])
    with sqlite3.connect(home / "airflow.db") as tables:
        tables.execute("insert into dag values ('ingest_orders')")
    assert prepares() == []
    with sqlite3.connect(home / "airflow.db") as tables:
        assert tables.execute("select dag_id from dag").fetchall() == [("ingest_orders",)]
    (home / "made_by").write_text("3.0.0")
    assert prepares() == ["migrate"]


def test_without_tables_to_copy_airflow_makes_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stack, "EMPTY_DATABASE", tmp_path / "nowhere.db")
    order = Stack(Settings(home=tmp_path))._order()
    assert [service.name for service in order.preparations] == ["migrate"]
