"""Airflow, where a test imports it, keeps its files in a folder of this test session."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

PROJECT = Path(__file__).parents[1]
AIRFLOW = TemporaryDirectory(prefix="regulars-airflow-")

os.environ |= {
    "AIRFLOW_HOME": AIRFLOW.name,
    "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "DO_NOT_TRACK": "1",
}
