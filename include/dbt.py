"""Run dbt on the warehouse with the project's profile and variables, by hand or for a DAG.

dbt cannot `ref` a list that it does not know when it parses, so the declared audiences go in as a
variable; so does the day that everything is computed for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from include.activation.audiences import load_audiences
from include.connections import has_connection
from include.errors import BadInput, Stop
from include.quality.builds import models_checksum
from include.settings import PROJECT, Settings

DBT_PROJECT = PROJECT / "dbt_project"
BUILD = ("build", "--exclude-resource-type", "unit_test")
"""Models with their data tests. Unit tests say whether the SQL is right, not the data: they are run
where the SQL changes, in `make test`."""

BUILDING = frozenset({"build", "run", "test"})
SECRET_CONNECTION = "offers_default"


def dbt_vars(as_of: date | str) -> dict[str, Any]:
    """The variables every dbt run gets: the day, the declared audiences, what the models are."""
    audiences = [
        audience.model_dump(mode="json", exclude={"description", "owner", "guard"})
        for audience in load_audiences().values()
    ]
    return {
        "as_of": str(as_of),
        "audiences": audiences,
        "models_checksum": models_checksum(),
    }


def dbt_environment(settings: Settings) -> dict[str, str]:
    """What `dbt_project/profiles.yml` and dbt itself read from the environment."""
    return {
        "DBT_PROJECT_DIR": str(DBT_PROJECT),
        "DBT_PROFILES_DIR": str(DBT_PROJECT),
        "DBT_TARGET_PATH": str(target_path(settings)),
        "DBT_LOG_PATH": str(settings.home.absolute() / "dbt/logs"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        # It waits 1, 2, 4 ... seconds for whoever has the warehouse open.
        "DBT_CONNECT_ATTEMPTS": str(max(1, int(settings.lock_wait_seconds).bit_length())),
        "REGULARS_WAREHOUSE": str(settings.warehouse_path),
        "REGULARS_STORE": settings.store,
        "REGULARS_MEMORY_LIMIT": settings.memory_limit,
        "REGULARS_THREADS": str(settings.threads),
        # Every statement, several times over: a tenth of the CPU that dbt itself takes.
        "DBT_LOG_LEVEL_FILE": os.environ.get("DBT_LOG_LEVEL_FILE", "info"),
        # Small matrices, in the Python models: threads would only wait for each other, busily.
        "OPENBLAS_NUM_THREADS": "1",
    }


def require_secret() -> None:
    """Raise `BadInput` if an audience has an offer, and nothing to make its codes with."""
    with_offer = [audience.name for audience in load_audiences().values() if audience.offer]
    if with_offer and not has_connection(SECRET_CONNECTION):
        raise BadInput(
            f"audience {with_offer[0]} has an offer: set AIRFLOW_CONN_{SECRET_CONNECTION.upper()}"
            " to a connection whose password is the secret of the codes"
        )


def target_path(settings: Settings) -> Path:
    """Where dbt leaves its manifest, run results and compiled SQL."""
    return settings.home.absolute() / "dbt/target"


def run_dbt(
    settings: Settings,
    arguments: Sequence[str],
    as_of: date | None = None,
    variables: Mapping[str, Any] | None = None,
) -> None:
    """Run one dbt command in a process of its own, its output going through to the terminal.

    A process of its own, because dbt keeps the warehouse open for as long as it lives. `variables`
    stand above those that every run gets. Raises `Stop` when dbt fails; its own output, above, says
    at which model.
    """
    if BUILDING.intersection(arguments):
        require_secret()
    given = json.dumps(dbt_vars(as_of or settings.day()) | dict(variables or {}))
    command = [sys.executable, "-m", "include.dbt_runner", *arguments, "--vars", given]
    settings.home.mkdir(parents=True, exist_ok=True)
    finished = subprocess.run(command, env=os.environ | dbt_environment(settings), check=False)
    if finished.returncode != 0:
        raise Stop(f"dbt {' '.join(arguments[:1])} failed; its output says where")


def run_metricflow(settings: Settings, arguments: Sequence[str]) -> None:
    """Run one `mf` command, such as `query`, over the metrics as the last dbt run left them.

    MetricFlow looks for dbt's manifest inside of the project, whatever dbt was told; so it is shown
    a folder that has both. Raises `Stop` when there is no manifest yet, or when `mf` fails.
    """
    target = target_path(settings)
    if not (target / "semantic_manifest.json").exists():
        raise Stop("MetricFlow needs a build first: regulars build")
    folder = target.with_name("metricflow")
    folder.mkdir(exist_ok=True)
    # A target that another dbt left inside of the project is not the one.
    for path in (target, *DBT_PROJECT.iterdir()):
        link = folder / path.name
        if not link.is_symlink():
            link.symlink_to(path)
    environment = dbt_environment(settings) | {"DBT_PROJECT_DIR": str(folder)}
    command = [str(Path(sys.executable).with_name("mf")), *arguments]
    if subprocess.run(command, env=os.environ | environment, cwd=folder, check=False).returncode:
        raise Stop("mf failed; its output says why")
