"""Import once what every task needs, and what every reading of a DAG's file needs.

The LocalExecutor forks its tasks from the scheduler, and the DAG processor its readers, so that
they inherit what has been imported; either would otherwise spend longer on imports than on its
work.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from airflow.listeners import hookimpl

MODULES = {
    "scheduler": (
        "airflow.sdk.serde",
        "dbt.adapters.duckdb",
        "include.build",
        "include.landing",
        "include.quality.evaluation",
        "regulars_airflow.building",
        "regulars_airflow.syncing",
    ),
    "dag-processor": ("regulars_airflow.models", "regulars_airflow.runs"),
}


@hookimpl
def on_starting(component: Any) -> None:
    """Before a component of Airflow forks anything."""
    # The job that is starting does not know its own type yet.
    for module in MODULES.get("".join(sys.argv[1:2]), ()):
        import_module(module)
