"""## Ingest orders

Bring the raw tables up to date with every source that `sources.yml` lists: once a day (or as
`REGULARS_INGEST_SCHEDULE` says), when a shop or Mailchimp calls by webhook, and by hand.

Each source lands its new pages as they came, then merges them: a newer version of an order wins, an
order seen before changes nothing, so that a second run loads nothing. When all sources are in, the
asset `raw_orders` starts `build_audiences`.
"""

from __future__ import annotations

from airflow.sdk import dag, task

from regulars_airflow.assets import RAW_ORDERS
from regulars_airflow.defaults import DEFAULT_ARGS, WAREHOUSE_POOL
from regulars_airflow.schedules import ingest_schedule


@dag(
    schedule=ingest_schedule(),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags=["orders"],
    doc_md=__doc__,
)
def ingest_orders():
    @task
    def list_sources() -> list[str]:
        from include.settings import load_settings
        from include.sources.declarations import load_sources

        return [*load_sources(load_settings())]

    @task(
        pool=WAREHOUSE_POOL,
        map_index_template="{{ task.op_kwargs['source'] }}",
        multiple_outputs=False,
    )
    def ingest(source: str) -> dict[str, int]:
        from include.landing import ingest
        from include.settings import load_settings
        from regulars_airflow.hooks import source_credentials

        [loaded] = ingest(load_settings(), [source], credentials=source_credentials)
        return {"files": loaded.files, "rows": loaded.rows, "skipped": loaded.skipped}

    @task(outlets=[RAW_ORDERS])
    def all_sources_are_in() -> None:
        """Every source before this task has been merged."""

    ingest.expand(source=list_sources()) >> all_sources_are_in()


ingest_orders()
