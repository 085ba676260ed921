"""Import once, in the scheduler, what every task needs.

The LocalExecutor forks its tasks from the scheduler, so that they inherit what it has imported; a
task would otherwise spend longer on imports than on its work.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from airflow.listeners import hookimpl

MODULES = (
    "airflow.sdk.serde",
    "dbt.adapters.duckdb",
    "include.build",
    "include.landing",
    "include.quality.evaluation",
    "regulars_airflow.building",
    "regulars_airflow.syncing",
)


@hookimpl
def on_starting(component: Any) -> None:
    """Before the scheduler starts its workers; other components start no tasks."""
    # The job that is starting does not know its own type yet.
    if sys.argv[1:2] == ["scheduler"]:
        for module in MODULES:
            import_module(module)
