"""The dbt project as tasks: one `dbt build`, watched by one task per model."""

from __future__ import annotations

from cosmos import (
    DbtTaskGroup,
    ExecutionConfig,
    ExecutionMode,
    LoadMode,
    ProfileConfig,
    ProjectConfig,
    RenderConfig,
    TestBehavior,
)

from include.dbt import DBT_PROJECT, dbt_environment, dbt_vars
from include.errors import BadInput
from include.settings import load_settings
from regulars_airflow.defaults import WAREHOUSE_POOL

MANIFEST = DBT_PROJECT / "target/manifest.json"


def dbt_models(as_of: str) -> DbtTaskGroup:
    """The group of tasks that builds and tests all models for one day (a template).

    Cosmos reads which models there are from dbt's manifest, so that parsing the DAG runs no dbt.
    Raises `BadInput` if there is none: it is made where the project is installed.
    """
    settings = load_settings()
    if not MANIFEST.exists():
        raise BadInput(f"{MANIFEST} is missing: run `make manifest`")
    return DbtTaskGroup(
        group_id="models",
        project_config=ProjectConfig(
            dbt_project_path=DBT_PROJECT,
            manifest_path=MANIFEST,
            install_dbt_deps=False,
            # Cosmos runs dbt in a copy of the project that is gone afterwards, and what dbt keeps
            # of a parse names that copy: the next build would look for its seed there.
            partial_parse=False,
        ),
        profile_config=ProfileConfig(
            profile_name="regulars",
            target_name="duckdb",
            profiles_yml_filepath=DBT_PROJECT / "profiles.yml",
        ),
        execution_config=ExecutionConfig(
            execution_mode=ExecutionMode.WATCHER,
            # The tests run in the same build; a task for each would double the number of tasks.
            setup_operator_args={
                "pool": WAREHOUSE_POOL,
                "dbt_cmd_flags": ["--resource-type", "test"],
            },
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            test_behavior=TestBehavior.NONE,
            emit_datasets=False,
        ),
        operator_args={
            "vars": dbt_vars(as_of),
            "env": dbt_environment(settings),
            # A failed model stays failed; a second try would build it alone, out of the pool.
            "retries": 0,
            # No triggerer has to run for tasks that wait for seconds.
            "deferrable": False,
            "poke_interval": 2,
        },
    )
