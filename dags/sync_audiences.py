"""## Sync audiences

Bring every destination of one audience in line with the newest published snapshot. Each audience
has a run of its own, started by its partition of the asset `audiences`.

The plan is the difference to what the destination holds; the guard holds up one that changes too
much, and waits for a person (Required Actions) where the audience says so; sending leaves a receipt
per batch; folding turns plan and receipts into the destination's state. Where nothing changes,
nothing is sent. Trigger by hand with an `audience`, and with `dry_run` to only plan.
"""

from __future__ import annotations

from airflow.sdk import (
    AllowedKeyMapper,
    Param,
    PartitionedAssetTimetable,
    dag,
    task,
    task_group,
)
from airflow.utils.types import DagRunType

from include.activation.audiences import load_audiences, switched_on
from regulars_airflow.assets import AUDIENCES
from regulars_airflow.defaults import DEFAULT_ARGS
from regulars_airflow.guarding import GuardPlan
from regulars_airflow.runs import audience

NAMES = switched_on()
DESTINATIONS = sorted(
    {target.to for each in load_audiences().values() for target in each.destinations}
)
AUDIENCE = "{{ audience(dag_run, params) }}"


@dag(
    schedule=PartitionedAssetTimetable(
        assets=AUDIENCES, default_partition_mapper=AllowedKeyMapper(NAMES)
    ),
    allowed_run_types=[DagRunType.ASSET_TRIGGERED, DagRunType.MANUAL],
    # Runs that wait for a person keep no other one from starting; the pools hold back the work.
    max_active_runs=100,
    default_args=DEFAULT_ARGS,
    user_defined_macros={"audience": audience},
    params={
        "audience": Param(None, type=["null", "string"], enum=[None, *NAMES]),
        "dry_run": Param(False, type="boolean"),
    },
    tags=["audiences", "destinations"],
    doc_md=__doc__,
)
def sync_audiences():
    @task_group
    def sync_to(destination: str):
        @task(pool=destination, multiple_outputs=False)
        def plan(audience: str) -> dict:
            from regulars_airflow import syncing

            return syncing.plan(audience, destination)

        @task(pool=destination, multiple_outputs=False)
        def send(plan: dict) -> dict:
            from regulars_airflow import syncing

            return syncing.send(plan)

        planned = plan(AUDIENCE)
        GuardPlan(task_id="guard", plan=planned) >> send(planned)

    for destination in DESTINATIONS:
        sync_to.override(group_id=destination)(destination)


sync_audiences()
