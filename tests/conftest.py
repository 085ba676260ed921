"""Airflow, where a test imports it, keeps its files in a folder of this session; umasks end."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

PROJECT = Path(__file__).parents[1]
AIRFLOW = TemporaryDirectory(prefix="regulars-airflow-")

os.environ |= {
    "AIRFLOW_HOME": AIRFLOW.name,
    "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "DO_NOT_TRACK": "1",
}


# A line for each look of a test that waits is no help.
logging.getLogger("httpx").setLevel(logging.WARNING)


UMASK = os.umask(0o022)
os.umask(UMASK)


@pytest.fixture(autouse=True)
def _umask_as_before() -> Iterator[None]:
    """A process of ours keeps its files private from its start on; here it lives on as another.

    As it was when the tests began: what lives longer than a test may have been set up before this.
    """
    os.umask(UMASK)
    yield
    os.umask(UMASK)
