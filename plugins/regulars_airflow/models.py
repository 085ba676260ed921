"""The dbt project as a group of tasks: one build, and a task per model that shows its state."""

from __future__ import annotations

from typing import Any

from airflow.sdk import TaskGroup
from cosmos import (
    DbtTaskGroup,
    LoadMode,
    ProfileConfig,
    ProjectConfig,
    RenderConfig,
    TestBehavior,
)
from cosmos.constants import DbtResourceType

from include.dbt import DBT_PROJECT
from include.errors import BadInput
from regulars_airflow.dbt_build import DbtBuild, DbtModel
from regulars_airflow.defaults import WAREHOUSE_POOL

MANIFEST = DBT_PROJECT / "target/manifest.json"
GROUP = "models"
BUILD = "dbt_build"


def dbt_models(as_of: str) -> tuple[TaskGroup, DbtBuild]:
    """The tasks that build and test all models for one day (a template), and the build among them.

    What needs the models follows the build, which fails if any of them does. Cosmos reads which
    models there are and how they follow each other from dbt's manifest, so that parsing the DAG
    runs no dbt. Raises `BadInput` if there is none: it is made where the project is installed.
    """
    if not MANIFEST.exists():
        raise BadInput(f"{MANIFEST} is missing: run `make manifest`")
    group = DbtTaskGroup(
        group_id=GROUP,
        project_config=ProjectConfig(
            dbt_project_path=DBT_PROJECT, manifest_path=MANIFEST, install_dbt_deps=False
        ),
        profile_config=ProfileConfig(
            profile_name="regulars",
            target_name="duckdb",
            profiles_yml_filepath=DBT_PROJECT / "profiles.yml",
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            # The tests run in the same build; a task for each would double the number of tasks.
            test_behavior=TestBehavior.NONE,
            emit_datasets=False,
            node_converters={DbtResourceType.MODEL: _task, DbtResourceType.SEED: _task},
        ),
    )
    build = DbtBuild(task_id=BUILD, task_group=group, day=as_of, pool=WAREHOUSE_POOL)
    return group, build


def _task(dag: Any, task_group: TaskGroup, node: Any, **_: Any) -> DbtModel:
    return DbtModel(
        task_id=node.name,
        dag=dag,
        task_group=task_group,
        unique_id=node.unique_id,
        build_task_id=f"{GROUP}.{BUILD}",
        # A failed model is built again by trying the build again, and told by its failure.
        retries=0,
        on_failure_callback=None,
        on_success_callback=None,
    )
