"""The build tells what becomes of each model, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from include.dbt import run_dbt
from include.errors import Stop
from include.warehouse import visit
from tests.dbt_project.shops import AS_OF, Shop

BUILD = """
import json, sys
from datetime import date
from pathlib import Path
from include.build import build
from include.errors import Stop
from include.settings import Settings

home, day, told = Path(sys.argv[1]), date.fromisoformat(sys.argv[2]), {}
try:
    build(Settings(home=home, threads=2), day, told.__setitem__)
    told["raised"] = ""
except Stop as error:
    told["raised"] = str(error)
(home / "told.json").write_text(json.dumps(told))
"""


def told(shop: Shop) -> dict[str, str]:
    home = shop.settings.home
    subprocess.run([sys.executable, "-c", BUILD, str(home), str(AS_OF)], check=True)
    return json.loads((home / "told.json").read_text())


def test_a_model_that_fails_is_told_with_those_that_were_not_built_for_it(tmp_path: Path):
    shop = Shop(tmp_path)
    shop.write("drop table raw.ad_spend")
    shop.write("drop table raw.orders")
    states = told(shop)
    assert "dbt build failed for 2026-01-31" in states.pop("raised")
    assert states["model.regulars.stg_shop__products"] == "success"
    assert states["model.regulars.stg_shop__orders"] == "error"
    assert states["model.regulars.fct_orders"] == "skipped"
    assert states["seed.regulars.data_quality_rules"] == "success"


def test_dbt_waits_for_whoever_has_the_warehouse_open(tmp_path: Path):
    shop = Shop(tmp_path)
    hasty = shop.settings.model_copy(update={"lock_wait_seconds": 0})
    command = ("seed",)
    with ThreadPoolExecutor(1) as pool:
        with visit(shop.settings, read_only=True):
            waiting = pool.submit(run_dbt, shop.settings, command, AS_OF)
            with pytest.raises(Stop, match="dbt seed failed"):
                run_dbt(hasty, command, AS_OF)
        waiting.result()
