"""What a DAG run says about the work to do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from include.errors import BadInput
from include.settings import load_settings


def as_of(dag_run: Any) -> date:
    """The day a run computes for: the one set, else the run's own.

    A run's own day is its logical date (a backfill's past day) or, when triggered by an asset,
    the day it was triggered. It stays the same for all tasks of the run and all their tries.
    """
    return load_settings().as_of or (dag_run.logical_date or dag_run.run_after).date()


def audience(dag_run: Any, params: Mapping[str, Any]) -> str:
    """The audience a run syncs: its partition, or what it was triggered with by hand.

    Raises `BadInput` if there is neither.
    """
    name = dag_run.partition_key or params["audience"]
    if name is None:
        raise BadInput("trigger sync_audiences with an audience")
    return str(name)
