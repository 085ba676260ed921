"""## Erase customers

Fulfil requests for erasure: everything about these people leaves landing, warehouse, snapshots,
plans, state and every destination; a salted tombstone keeps them from coming back; a certificate
says what was erased where, and what the vendors answered.

Trigger by hand. Without parameters all open requests are fulfilled that came by a source
(`erasure_request`, such as Shopify's `customers/redact`); `requests` names some of them by their
ids. Never write an address here: Airflow keeps parameters. For a person who asked by letter there
is `regulars erase --from -`, which reads the address from the standard input.
"""

from __future__ import annotations

from airflow.sdk import Param, dag, task
from airflow.utils.types import DagRunType

from regulars_airflow.defaults import DEFAULT_ARGS, WAREHOUSE_POOL


@dag(
    schedule=None,
    allowed_run_types=[DagRunType.MANUAL],
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params={
        "requests": Param(
            None,
            type=["null", "array"],
            items={"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9:._-]{0,127}$"},
            description="Ids of open requests; empty for all of them. Never an address.",
        ),
    },
    tags=["privacy"],
    doc_md=__doc__,
)
def erase_customers():
    @task(pool=WAREHOUSE_POOL)
    def erase(params=None) -> list[dict]:
        from regulars_airflow import caring

        return caring.erase_customers(params["requests"])

    erase()


erase_customers()
