"""What all DAGs have in common."""

from __future__ import annotations

from datetime import timedelta

from regulars_airflow.alerting import TellFailure, TellRecovery
from regulars_airflow.retry import AskTheError

DEFAULT_ARGS = {
    "owner": "regulars",
    "retries": 3,
    "retry_policy": AskTheError(),
    # For a task that was killed, too, which leaves no error to ask.
    "retry_delay": timedelta(seconds=15),
    "retry_exponential_backoff": 2,
    "max_retry_delay": timedelta(minutes=10),
    "on_failure_callback": TellFailure(),
    "on_success_callback": TellRecovery(),
}

WAREHOUSE_POOL = "warehouse"
"""One slot: DuckDB locks its file against every other process (`include/warehouse.py`)."""
