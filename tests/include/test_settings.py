from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from include.errors import BadInput
from include.settings import PROJECT, Settings, load_settings


def test_an_unknown_setting_is_named(monkeypatch):
    monkeypatch.setenv("REGULARS_MEMROY_LIMIT", "1GB")
    with pytest.raises(BadInput, match="REGULARS_MEMROY_LIMIT"):
        load_settings()


def test_a_value_that_does_not_fit_names_its_variable(monkeypatch):
    monkeypatch.setenv("REGULARS_AS_OF", "yesterday")
    with pytest.raises(BadInput, match="REGULARS_AS_OF"):
        load_settings()


def test_the_store_and_the_warehouse_stand_in_the_home_unless_set(tmp_path):
    settings = load_settings(home=tmp_path)
    assert settings.store == f"{tmp_path}/store"
    assert settings.warehouse_path == tmp_path / "warehouse.duckdb"


def test_the_store_can_be_elsewhere(monkeypatch):
    monkeypatch.setenv("REGULARS_STORE", "memory://regulars")
    assert load_settings().store == "memory://regulars"


def test_the_day_is_the_one_set(monkeypatch):
    monkeypatch.setenv("REGULARS_AS_OF", "2018-01-01")
    assert load_settings().day() == date(2018, 1, 1)


def test_the_example_lists_every_setting():
    example = Path(PROJECT / ".env.example").read_text()
    for name, field in Settings.model_fields.items():
        assert str(field.validation_alias or f"REGULARS_{name.upper()}") in example
