"""What the services of the local stack find in their environment."""

from __future__ import annotations

import json
import os
from pathlib import Path

from include.settings import PREFIX, PROJECT, Settings

SANDBOX_CONNECTIONS = {
    "AIRFLOW_CONN_MAILCHIMP_DEFAULT": {
        "conn_type": "mailchimp",
        "password": "0123456789abcdef0123456789abcdef-us1",
        "extra": {"list_id": "regulars", "base_url": "{sandbox}/mailchimp"},
    },
    "AIRFLOW_CONN_META_DEFAULT": {
        "conn_type": "meta",
        "password": "sandbox-token",
        "extra": {"ad_account_id": "act_1000", "base_url": "{sandbox}/meta"},
    },
    "AIRFLOW_CONN_GOOGLE_DEFAULT": {
        "conn_type": "google",
        "password": "sandbox-token",
        "extra": {
            "customer_id": "1234567890",
            "customer_match_terms": "accepted",
            "base_url": "{sandbox}/google",
        },
    },
    "AIRFLOW_CONN_TIKTOK_DEFAULT": {
        "conn_type": "tiktok",
        "password": "sandbox-token",
        "extra": {"advertiser_id": "7000000000000000001", "base_url": "{sandbox}/tiktok"},
    },
    "AIRFLOW_CONN_WEBHOOK_DEFAULT": {
        "conn_type": "webhook",
        "password": "sandbox-receiver-secret-of-no-value",
        "extra": {"url": "{sandbox}/receiver/calls"},
    },
}
"""Credentials that only the sandbox takes, by the variable that holds the connection."""


def sandbox_connections(sandbox: str) -> dict[str, str]:
    """The connections that lead to a sandbox at this address, as Airflow reads them from JSON."""
    return {
        variable: json.dumps(connection).replace("{sandbox}", sandbox)
        for variable, connection in SANDBOX_CONNECTIONS.items()
    }


def callers_connections() -> set[str]:
    """Which of the sandbox's connections the caller has put real ones in place of."""
    return SANDBOX_CONNECTIONS.keys() & os.environ.keys()


def stack_environment(settings: Settings, airflow_port: int) -> dict[str, str]:
    """The caller's environment with all of Regulars' and Airflow's settings decided.

    Nothing of another Airflow on this machine gets in: its `AIRFLOW_HOME` and `AIRFLOW__*` are
    dropped, its connections stay. Everything listens on loopback only, because nobody signs in.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW__", PREFIX))
        # Without compiled modules each process of Airflow starts three seconds later.
        and name != "PYTHONDONTWRITEBYTECODE"
    }
    url = f"http://127.0.0.1:{airflow_port}"
    airflow = _airflow(settings.home.absolute() / "airflow", url, airflow_port)
    # Tasks fork from a scheduler that has loaded numpy: what is said for dbt alone comes too late.
    return inherited | {"OPENBLAS_NUM_THREADS": "1"} | _regulars(settings) | airflow


def _regulars(settings: Settings) -> dict[str, str]:
    variables = {}
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        if value is not None:
            variable = str(field.validation_alias or f"{PREFIX}{name.upper()}")
            variables[variable] = str(value.absolute() if isinstance(value, Path) else value)
    return variables


def _airflow(home: Path, url: str, port: int) -> dict[str, str]:
    options: dict[str, dict[str, object]] = {
        "CORE": {
            "DAGS_FOLDER": PROJECT / "dags",
            "PLUGINS_FOLDER": PROJECT / "plugins",
            "LOAD_EXAMPLES": False,
            "DAGS_ARE_PAUSED_AT_CREATION": False,
            "PARALLELISM": 4,
            "EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "SIMPLE_AUTH_MANAGER_ALL_ADMINS": True,
            "TEST_CONNECTION": "Enabled",
        },
        "API": {"HOST": "127.0.0.1", "PORT": port, "BASE_URL": url, "WORKERS": 1},
        "DATABASE": {"SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}"},
        "DAG_PROCESSOR": {
            "REFRESH_INTERVAL": 5,
            "PARSING_PROCESSES": 1,
            "MIN_FILE_PROCESS_INTERVAL": 60,
        },
        "SCHEDULER": {
            "SCHEDULER_IDLE_SLEEP_TIME": 0.5,
            # What a killed stack was at is taken up within a minute, not within ten.
            "ORPHANED_TASKS_CHECK_INTERVAL": 10,
        },
        "USAGE_DATA_COLLECTION": {"ENABLED": False},
        "LOGGING": {"NAMESPACE_LEVELS": "great_expectations=WARNING"},
    }
    return {
        "AIRFLOW_HOME": str(home),
        "DO_NOT_TRACK": "1",
        "GX_ANALYTICS_ENABLED": "false",
        "NO_COLOR": "1",
    } | {
        f"AIRFLOW__{section}__{name}": str(value)
        for section, names in options.items()
        for name, value in names.items()
    }
