"""What Airflow loads of Regulars at start."""

from __future__ import annotations

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin

from regulars_airflow import warm_up


class RegularsPlugin(AirflowPlugin):
    """Registers the listeners."""

    name = "regulars"
    listeners: ClassVar = [warm_up]
