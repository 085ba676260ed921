"""dbt over a project that is parsed once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from include import dbt_runner
from include.dbt import dbt_environment, dbt_vars
from include.settings import Settings

# In a process of its own, as always: dbt keeps the warehouse open.
COMPILE = """
import json, sys
from pathlib import Path
from include import dbt_runner

dbt_runner.KEPT = Path(sys.argv[1])
command = ["--quiet", "compile", "--select", "fct_data_quality", "--no-introspect"]
outcome = dbt_runner.run(command, json.loads(sys.argv[2]))
assert outcome.success, outcome.exception
Path(sys.argv[3]).write_text(outcome.result.results[0].node.compiled_code)
"""


def compiled(folder: Path, day: date, **variables: Any) -> str:
    """The SQL of a model for a day; parsed projects are kept in `folder`."""
    settings, sql = Settings(home=folder / "home"), folder / "model.sql"
    given = json.dumps(dbt_vars(day) | variables)
    command = [sys.executable, "-c", COMPILE, str(folder / "kept"), given, str(sql)]
    subprocess.run(command, env=os.environ | dbt_environment(settings), check=True)
    return sql.read_text()


def test_one_parsed_project_serves_every_day_and_another_variable_has_its_own(tmp_path: Path):
    assert "2026-01-31" in compiled(tmp_path, date(2026, 1, 31))
    [first] = (tmp_path / "kept").iterdir()
    written_at = first.stat().st_mtime_ns
    sql = compiled(tmp_path, date(2026, 2, 1))
    assert "2026-02-01" in sql
    assert "2026-01-31" not in sql
    assert [first] == [*(tmp_path / "kept").iterdir()]
    assert first.stat().st_mtime_ns == written_at
    whole = first.stat().st_size
    first.write_bytes(first.read_bytes()[:1000])
    assert compiled(tmp_path, date(2026, 2, 1)) == sql
    assert first.stat().st_size == whole
    compiled(tmp_path, date(2026, 2, 1), rfm_method="value_quantiles")
    assert len([*(tmp_path / "kept").iterdir()]) == 2


@pytest.mark.parametrize("file", ["dbt_project.yml", "models/a.sql", "tests/a.sql", "new.sql"])
def test_a_changed_file_is_another_project_and_what_dbt_writes_is_not(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(dbt_runner, "DBT_PROJECT", tmp_path)
    monkeypatch.setenv("REGULARS_WAREHOUSE", "shop.duckdb")
    for name in ("dbt_project.yml", "models/a.sql", "tests/a.sql", "target/manifest.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("as it was")
    before = dbt_runner.fingerprint({"as_of": "2026-01-31"})
    (tmp_path / "target/manifest.json").write_text("another")
    assert dbt_runner.fingerprint({"as_of": "2026-02-01"}) == before
    (tmp_path / file).write_text("another")
    assert dbt_runner.fingerprint({"as_of": "2026-01-31"}) != before


def test_a_warehouse_of_another_name_is_parsed_for_itself(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REGULARS_WAREHOUSE", "/data/shop.duckdb")
    before = dbt_runner.fingerprint({})
    monkeypatch.setenv("REGULARS_WAREHOUSE", "/elsewhere/shop.duckdb")
    assert dbt_runner.fingerprint({}) == before
    monkeypatch.setenv("REGULARS_WAREHOUSE", "/data/other.duckdb")
    assert dbt_runner.fingerprint({}) != before
