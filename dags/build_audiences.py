"""## Build audiences

Turn the raw orders into customers, segments and audiences, and publish them as one snapshot. Runs
whenever `raw_orders` is new.

What has landed is judged first; dbt builds the models and tests their data: all in the one task
`dbt_build`, beside which each model has a task that shows its state. To build again, clear
`dbt_build` and what follows it. What was built is judged again; only then the snapshot appears in
one step for analysts and for `sync_audiences`, which gets a run per audience: one with an offer
when the shops have its codes. A rebuild of history (a backfill, or a day before the one that is
published) is neither published nor sent.
"""

from __future__ import annotations

from airflow.sdk import chain, dag, task

from regulars_airflow.assets import AUDIENCES, RAW_ORDERS
from regulars_airflow.defaults import DEFAULT_ARGS, WAREHOUSE_POOL
from regulars_airflow.models import dbt_models
from regulars_airflow.runs import as_of

AS_OF = "{{ as_of(dag_run) }}"


@dag(
    schedule=[RAW_ORDERS],
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    user_defined_macros={"as_of": as_of},
    tags=["orders", "audiences"],
    doc_md=__doc__,
)
def build_audiences():
    @task(pool=WAREHOUSE_POOL)
    def raw_gate(day: str) -> str:
        from regulars_airflow import building

        return building.raw_gate(day)

    @task(pool=WAREHOUSE_POOL)
    def audience_gate(day: str) -> str:
        from regulars_airflow import building

        return building.audience_gate(day)

    @task(pool=WAREHOUSE_POOL, outlets=[AUDIENCES])
    def publish(day: str, dag_run=None, outlet_events=None) -> str:
        from regulars_airflow import building

        return building.publish(day, dag_run, outlet_events)

    @task(outlets=[AUDIENCES])
    def push_offers(outlet_events=None) -> list[dict]:
        from regulars_airflow import building

        return building.push_offers(outlet_events)

    models, dbt_build = dbt_models(AS_OF)
    raw_gate(AS_OF) >> models
    chain(dbt_build, audience_gate(AS_OF), publish(AS_OF), push_offers())


build_audiences()
