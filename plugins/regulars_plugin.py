"""What Airflow loads of Regulars at start."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from regulars_airflow import warm_up


def receivers() -> list[dict[str, Any]]:
    """Only the API server serves; the other components need not load what it takes."""
    if sys.argv[1:2] != ["api-server"]:
        return []
    from regulars_airflow.webhooks import receiver

    return [receiver()]


class RegularsPlugin(AirflowPlugin):
    """Registers the listeners and, where requests are served, the receiver of webhooks."""

    name = "regulars"
    listeners: ClassVar = [warm_up]
    fastapi_apps: ClassVar = receivers()
