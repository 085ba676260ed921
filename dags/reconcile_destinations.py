"""## Reconcile destinations

Once a week: what every destination really holds, against what we believe it holds.

Where a destination lists its members, people who were put in or taken out behind our back are
found; the state is made to say what was read, and the next sync puts the destination right, under
the same guard as always. Where it only tells sizes, sizes and match rates are compared. Nothing is
sent here. A state that was lost or restored from a backup is reported and left to a person:
`regulars reconcile --help` says which ways there are.
"""

from __future__ import annotations

from airflow.sdk import dag, task

from include.activation.audiences import load_audiences
from regulars_airflow.defaults import DEFAULT_ARGS
from regulars_airflow.schedules import cron

DESTINATIONS = sorted(
    {target.to for each in load_audiences().values() for target in each.destinations}
)


@dag(
    schedule=cron("17 4 * * 0"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags=["audiences", "destinations"],
    doc_md=__doc__,
)
def reconcile_destinations():
    for destination in DESTINATIONS:

        @task(task_id=destination, pool=destination)
        def reconcile(destination: str) -> list[dict]:
            from regulars_airflow import caring

            return caring.reconcile_destination(destination)

        reconcile(destination)


reconcile_destinations()
